"""The real images a simulation draws from: whose they are, and how they become gray squares."""

import concurrent.futures
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from ganfp_tf import progress
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.data import images, layouts
from ganfp_tf.data.catalog import assign_patients
from ganfp_tf.data.folders import list_images
from ganfp_tf.errors import UserError
from ganfp_tf.simulation.membership import patients_needed
from ganfp_tf.simulation.phantoms import phantom

PHANTOM = "phantom"


def open_pool(
    victim: VictimSettings, patient_regex: str = "", *, labels: bool = False
) -> pd.DataFrame:
    """Lists the real images of `--real`; phantoms that do not exist yet are rendered.

    Args:
        victim: the settings of the victim.
        patient_regex: regular expression of the patient in a path, or "".
        labels: whether to add them: 1 used, 0 not used, -1 unknown. A victim does not need them.

    Returns:
        DataFrame of path, relative and patient (text), with `labels` also label, in natural order
        of the relative paths.

    Raises:
        UserError: no such folder, no images in it, or rendered phantoms of other settings.
    """
    if victim.real == PHANTOM:
        frame = _phantoms(victim)
    else:
        frame = _folder(pathlib.Path(victim.real))
        frame, _ = assign_patients(frame, patient_regex)
    order = sorted(frame.index, key=lambda row: layouts.natural_key(frame.relative[row]))
    columns = ["path", "relative", "patient"] + ["label"] * labels
    return frame.loc[order, columns].reset_index(drop=True)


def read_squares(
    paths: Sequence[str], size: int, reader: images.ImageReader, title: str = "reading real images"
) -> np.ndarray:
    """Reads images as `(N, size, size)` uint8: gray, the largest central square, smoothly scaled.

    Raises:
        UserError: names the files that cannot be read.
    """
    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as workers:
        results = workers.map(lambda path: _read(path, size, reader), paths)
        read = list(_shown(results, len(paths), title))
    refused = [
        f"  {layouts.shown(str(path))}: {found}"
        for path, found in zip(paths, read, strict=True)
        if isinstance(found, str)
    ]
    if refused:
        more = f"\n  and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise UserError(
            f"--real: {len(refused)} of {len(paths)} images cannot be read (repair or remove "
            "them):\n" + "\n".join(refused[:5]) + more
        )
    return np.stack(read)


def _phantoms(victim):
    folder = (
        pathlib.Path(victim.phantom_dir) / f"{victim.size}-{victim.slices}-{victim.phantom_seed}"
    )
    phantom.write_phantoms(
        folder,
        patients=patients_needed(victim),
        slices=victim.slices,
        size=victim.size,
        seed=victim.phantom_seed,
    )
    rows = phantom.listing(patients_needed(victim), victim.slices)
    return pd.DataFrame(
        {
            "path": [str(folder / name) for name, _, _ in rows],
            "relative": [name for name, _, _ in rows],
            "patient": [str(patient) for _, patient, _ in rows],
            "label": -1,
        }
    )


def _folder(root):
    if not root.is_dir():
        raise UserError(
            f"--real: there is no folder {layouts.shown(str(root))}. Expected phantom, or a folder "
            "of real images."
        )
    return list_images(root, flag="--real", role="real")


def _read(path, size, reader):
    """The square, or a text that says why there is none."""
    try:
        pixels = reader.read(path).mean(axis=2)
    except images.ImageError as error:
        return str(error)
    side = min(pixels.shape)
    top, left = ((length - side) // 2 for length in pixels.shape)
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    # Pillow smooths before it makes smaller, so that fine structure does not fold over.
    scaled = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
    return np.clip(np.rint(scaled), 0, 255).astype("uint8")


def _shown(results, total, title):
    with progress.bar(total, title, "image") as bar:
        for result in results:
            yield result
            bar.update()
