"""The data set of a simulated victim on disk: the task's 2025 layout, a test part, its truth.

    training/real_used  real_not_used  generated      manifest.csv   path, role, label, patient
    test/real_unknown  generated                      truth.csv      name, label, patient, group
    unrelated/generated  manifest.csv                 planted.csv    path, source

Names are numbers in an order that is drawn, so that a name tells nothing.
"""

import hashlib
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from PIL import Image

from ganfp_tf import files
from ganfp_tf.data.layouts import natural_key
from ganfp_tf.simulation.membership import MEMBER, NON_MEMBER, TEST, TRAINING, UNRELATED

ORDER, TEST_ORDER = 1, 2  # streams of random numbers
FOLDERS = {MEMBER: "real_used", NON_MEMBER: "real_not_used"}
MANIFEST = ["path", "role", "label", "patient"]


def place_real(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Gives each real image its place: adds `target`, relative to the data set, "" for unrelated.

    Args:
        frame: what `recipe.divide` returns.
        seed: of the order of the names.
    """
    targets = pd.Series("", index=frame.index)
    for group, folder in FOLDERS.items():
        rows = frame.index[(frame.group == group) & (frame.part == TRAINING)]
        names = _numbered(len(rows), f"{TRAINING}/{folder}/{folder}", [seed, ORDER])
        targets[rows] = names
    # In one order all together: members, non-members and siblings cannot be told by their number.
    rows = frame.index[frame.part == TEST]
    targets[rows] = _numbered(len(rows), f"{TEST}/real_unknown/unknown", [seed, TEST_ORDER])
    return frame.assign(target=targets)


def write_images(folder: pathlib.Path, targets: Iterable[str], images: np.ndarray) -> None:
    """Writes `(N, size, size)` uint8 as gray PNG; files that hold the same already are left."""
    for target, image in zip(targets, images, strict=True):
        path = folder / target
        if path.exists() and np.array_equal(_read(path), image):
            continue
        with files.atomic_path(path) as temporary:
            Image.fromarray(image).save(temporary, format="PNG", optimize=True)


def generated_targets(count: int, tested: int) -> list[str]:
    """Places of generated images: the last `tested` are those of the test part."""
    numbers = np.arange(1, count + 1)
    training, test = numbers[: count - tested], numbers[:tested]
    return [f"{TRAINING}/generated/generated_{n}.png" for n in training] + [
        f"{TEST}/generated/generated_{n}.png" for n in test
    ]


def write_tables(
    folder: pathlib.Path, real: pd.DataFrame, generated: Sequence[str], planted: pd.DataFrame
) -> None:
    """Writes manifest.csv, truth.csv, and planted.csv where copies were planted.

    Args:
        folder: the data set.
        real: what `place_real` returns.
        generated: places of the generated images.
        planted: DataFrame of path and source, the target of the member that was copied.
    """
    # In the order of their numbers: that of `divide` would tell members from non-members.
    inside = real[real.group != UNRELATED].sort_values("target", key=natural)
    known = inside.part == TRAINING
    rows = pd.DataFrame(
        {
            "path": inside.target,
            "role": "real",
            "label": [
                str(int(group == MEMBER)) if is_known else ""
                for group, is_known in zip(inside.group, known, strict=True)
            ],
            # Whose a test image is would tell that a sibling is one.
            "patient": np.where(known, inside.patient, ""),
        }
    )
    made = pd.DataFrame({"path": generated, "role": "generated", "label": "", "patient": ""})
    table = pd.concat([rows, made], ignore_index=True)[MANIFEST]
    hidden = inside[~known].assign(
        name=[pathlib.PurePosixPath(target).name for target in inside.target[~known]],
        label=(inside.group[~known] == MEMBER).astype(int),
    )
    files.write_csv(folder / "truth.csv", hidden[["name", "label", "patient", "group"]])
    if len(planted):
        files.write_csv(folder / "planted.csv", planted)
    # The manifest last: a folder with a manifest is a whole data set.
    files.write_csv(folder / "manifest.csv", table)


def write_unrelated(folder: pathlib.Path, real: pd.DataFrame, count: int) -> None:
    """unrelated/manifest.csv: the labelled real images beside generated ones of other patients."""
    known = real[(real.part == TRAINING) & (real.group != UNRELATED)]
    known = known.sort_values("target", key=natural)
    rows = pd.DataFrame(
        {
            "path": "../" + known.target,
            "role": "real",
            "label": (known.group == MEMBER).astype(int).astype(str),
            "patient": known.patient,
        }
    )
    made = pd.DataFrame(
        {"path": unrelated_targets(count), "role": "generated", "label": "", "patient": ""}
    )
    table = pd.concat([rows, made], ignore_index=True)[MANIFEST]
    files.write_csv(folder / "unrelated" / "manifest.csv", table)


def unrelated_targets(count: int) -> list[str]:
    """Places of the unrelated victim's images, relative to unrelated/."""
    return [f"generated/generated_{number}.png" for number in range(1, count + 1)]


def digest_of_images(images: np.ndarray) -> str:
    """SHA-256 over the pixels of images in their order, in hex: equal images, equal digest."""
    total = hashlib.sha256(repr(np.shape(images)).encode())
    total.update(np.ascontiguousarray(images).tobytes())
    return total.hexdigest()


def _numbered(count, stem, seed):
    order = np.random.default_rng(seed).permutation(count) + 1
    return [f"{stem}_{number}.png" for number in order]


def natural(targets: pd.Series) -> pd.Series:
    """Targets as text whose order is that of folder and number."""
    return targets.map(lambda target: "".join(f"{part!s:0>12}" for part in natural_key(target)))


def _read(path):
    try:
        with Image.open(path) as stored:
            return np.asarray(stored)
    except OSError:
        return None
