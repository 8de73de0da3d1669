"""A stand-in for a generator that memorised what it is given: a control whose truth is known.

Made from one half of the members only, its images stand in for the audited generator's: that half
must then look used (AUC near 1 by distances to the nearest: the control can see), and the other
half must not look more used than non-members. Where it does, members and non-members differ of
themselves, and what an audit says of them is not to be trusted. NumPy only; nothing is trained.
"""

import hashlib
import pathlib

import numpy as np
import pandas as pd
from scipy import ndimage

from ganfp_tf.simulation import dataset
from ganfp_tf.simulation.planted_copies import change

NEAREST = 5  # others that an image may be blended with
SHARE = 0.7  # of the source in a blend, at least
SMOOTH = 1.0 / 64.0  # deviation of the Gaussian, of the side: a pixel at 64


def stand_in(images: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """What a generator that memorised `images` would draw.

    Each is a blend of one of them, of which it holds 70 to 100 percent, and one of its five
    nearest others; slightly turned, shifted, scaled and shaded (`copies.change`), and smoothed.
    Nothing of an audited generator's images is in it, not even their fine structure: what that
    generator memorised would come with it.

    Args:
        images: `(N, size, size)` uint8; each is the source as often as any other, give or take one.
        count: images to make.
        rng: `numpy.random.Generator`.

    Returns:
        `(count, size, size)` uint8, in an order that is drawn.
    """
    deviation = SMOOTH * images.shape[1]
    near = _nearest(images)
    turns = [rng.permutation(len(images)) for _ in range(-(-count // len(images)))]
    sources = np.concatenate([*turns, np.empty(0, int)])[:count].astype(int)
    made = np.empty((count, *images.shape[1:]), "uint8")
    for place, source in enumerate(sources):
        blend = images[source].astype("float64")
        if near.shape[1]:
            share = rng.uniform(SHARE, 1.0)
            blend = share * blend + (1.0 - share) * images[rng.choice(near[source])]
        drawn = ndimage.gaussian_filter(change(blend, rng).astype("float64"), deviation)
        made[place] = np.clip(np.rint(drawn), 0, 255)
    return made


def write_images(folder: str | pathlib.Path, images: np.ndarray, prefix: str) -> pd.DataFrame:
    """Writes images as PNG, named by `prefix` and a number from 1 on; the same bytes every time.

    Args:
        folder: where to; files that hold the same already are left.
        images: `(N, size, size)` uint8.
        prefix: of the names.

    Returns:
        DataFrame of path, name, role, label, patient, part and digest, as in the frame of a
        Catalog, in the order of `images`.
    """
    folder = pathlib.Path(folder).absolute()
    names = [f"{prefix}_{number}.png" for number in range(1, len(images) + 1)]
    dataset.write_images(folder, names, images)
    paths = [folder / name for name in names]
    return pd.DataFrame(
        {
            "path": [str(path) for path in paths],
            "name": names,
            "role": "generated",
            "label": -1,
            "patient": "",
            "part": "",
            "digest": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        }
    )


def _nearest(images):
    """The nearest others of each, by root mean square: `(N, K)` int, K at most `NEAREST`."""
    rows = images.reshape(len(images), -1).astype("float64")
    squares = np.einsum("ij,ij->i", rows, rows)
    apart = squares[:, None] + squares - 2.0 * rows @ rows.T
    np.fill_diagonal(apart, np.inf)
    return np.argsort(apart, axis=1, kind="stable")[:, : min(NEAREST, len(images) - 1)]
