"""Planted copies: slightly changed member images among the generated, the positive control."""

import numpy as np
from skimage import transform

TURN = 2.0  # degrees
SHIFT = 1.0 / 64.0  # of the side
ZOOM, GAIN = 0.02, 0.05  # relative
OFFSET, NOISE = 4.0, 3.0  # gray levels


def plant(
    generated: np.ndarray, members: np.ndarray, percent: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Replaces a share of generated images by changed copies of members.

    Args:
        generated: `(M, size, size)` uint8.
        members: `(N, size, size)` uint8; each is copied as often as any other, give or take one.
        percent: share to be replaced.
        rng: `numpy.random.Generator`.

    Returns:
        `(images (M, size, size) uint8, sources (M,) int)`: the member that an image copies, or -1.
    """
    count = round(len(generated) * percent / 100.0)
    sources = np.full(len(generated), -1)
    turns = [rng.permutation(len(members)) for _ in range(-(-count // len(members)))]
    copied = np.concatenate([*turns, np.empty(0, int)])[:count].astype(int)
    places = rng.choice(len(generated), count, replace=False)
    sources[places] = copied
    images = generated.copy()
    for place, source in zip(places, copied, strict=True):
        images[place] = change(members[source], rng)
    return images, sources


def change(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy that a person would take for the same image, but no pixel needs to be equal.

    Turned by up to 2 degrees, shifted by up to a 64th of the side (a pixel at 64), scaled and
    multiplied by up to 2 and 5 percent, 4 gray levels lighter or darker, noise of 3 gray levels.
    """
    side = image.shape[0]
    draw = rng.uniform(-1.0, 1.0, 6)
    centre = (side - 1) / 2.0
    move = (
        transform.SimilarityTransform(translation=(-centre, -centre))
        + transform.SimilarityTransform(
            scale=1.0 + ZOOM * draw[0], rotation=np.deg2rad(TURN * draw[1])
        )
        + transform.SimilarityTransform(
            translation=(centre + SHIFT * side * draw[2], centre + SHIFT * side * draw[3])
        )
    )
    moved = transform.warp(image.astype("float64"), move, order=1, mode="edge")
    shaded = moved * (1.0 + GAIN * draw[4]) + OFFSET * draw[5] + rng.normal(0.0, NOISE, image.shape)
    return np.clip(np.rint(shaded), 0, 255).astype("uint8")
