"""Shadow generators: who sees which images, and the files that say so. No TensorFlow.

    shadow_N/  generated/  seen.csv  digest, patient, seen   shadow.json  settings, seconds, digests

`detectors.shadows` reads such folders.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil

import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.data import images, layouts
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.groups import linked

HALVES, WEIGHTS = 4, 5  # streams of random numbers
SHADOW = re.compile(r"shadow_[0-9]+")
LEAST = 2  # images that a shadow sees, and that it does not see if its distance is measured


def list_contents(pool: pd.DataFrame) -> pd.DataFrame:
    """Adds the digests of the files, which name an image outside its folder, and sorts by them.

    Args:
        pool: what `real_images.open_pool` returns.

    Returns:
        DataFrame of path, digest (SHA-256 of the file), patient ("" where an image counts as its
        own patient), person (one number for all images of a patient, and of patients who share a
        file), and label where the pool has it.

    Raises:
        UserError: a file cannot be read.
    """
    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as workers:
        digests = list(workers.map(_digest, pool.path))
    table = pool.assign(digest=digests).sort_values(["digest", "path"], ignore_index=True)
    named = table.patient != table.relative
    # Numbered in the order of the digests, so that no file's name decides who is drawn.
    table = table.assign(
        person=_persons(table.patient, table.digest), patient=table.patient.where(named, "")
    )
    return table.drop(columns="relative")


def who_sees_what(table: pd.DataFrame, victim: VictimSettings, seed: int) -> np.ndarray:
    """Which images each shadow is trained on.

    "halves": persons are drawn, and all images of a person go with them. Shadows 0 and 1, 2 and 3
    and so on see complementary halves, so that with an even number of shadows every image is seen
    by half of them. Labels are not looked at. A shadow's half does not depend on how many follow.

    "not_used": one shadow sees the images known not to be used, but those of persons of whom
    another image is known to be used.

    Args:
        table: what `list_contents` returns.
        victim: the settings of the shadows.
        seed: seed of the draw of persons.

    Returns:
        bool (shadows, len(table)).

    Raises:
        UserError: nothing known not to be used, or too few images for a batch.
    """
    if victim.shadow_on == "not_used":
        used = table.person[table.label == 1]
        seen = ((table.label == 0) & ~table.person.isin(used)).to_numpy()[None]
        if not seen.any():
            raise UserError(
                f"--shadow_on=not_used: --real={victim.real} holds no real images known not to be "
                "used (of patients without a used one). Expected folders real_used and "
                "real_not_used or a manifest.csv with labels; --shadow_on=halves needs no labels."
            )
    else:
        seen = halves(table.person.to_numpy(), victim.shadows, seed)
    fewest = min(table.digest[row].nunique() for row in seen)
    if fewest < max(victim.gan_batch, LEAST):
        raise UserError(
            f"--real={victim.real}: a shadow would see {fewest} images of its "
            f"{table.digest.nunique()}, fewer than a step takes. Lower --gan_batch (now "
            f"{victim.gan_batch}), or hand in more images."
        )
    return seen


def halves(persons: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws half of the persons for every other shadow, and gives the rest to the next.

    Args:
        persons: (n,) int, whose each image is.
        count: shadows.
        seed: of the draw.

    Returns:
        bool (count, n).
    """
    everyone = np.unique(persons)
    rows = []
    for pair in range(-(-count // 2)):
        order = np.random.default_rng([seed, HALVES, pair]).permutation(everyone)
        first = np.isin(persons, order[: len(everyone) // 2])
        rows += [first, ~first]
    return np.stack(rows[:count])


def seed_of(seed: int, number: int) -> int:
    """The seed of a shadow's weights and latents; no victim and no other shadow has it."""
    state = np.random.SeedSequence([seed, WEIGHTS, number]).generate_state(1)
    return int(state[0] % 2**31)


def digest_of_division(table: pd.DataFrame, seen: np.ndarray) -> str:
    """SHA-256 over what a shadow could see and did see, in hex; `seen` is bool (len(table),)."""
    rows = zip(table.digest, table.patient, seen.astype(int), strict=True)
    return hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()


def write_seen(folder: pathlib.Path, table: pd.DataFrame, seen: np.ndarray) -> None:
    """Writes seen.csv: digest, patient and whether the shadow saw it (1 or 0), a row an image."""
    rows = table[["digest", "patient"]].assign(seen=seen.astype(int)).drop_duplicates()
    files.write_csv(folder / "seen.csv", rows)


def targets(count: int) -> list[str]:
    """Places of a shadow's generated images in its folder."""
    return [f"generated/generated_{number}.png" for number in range(1, count + 1)]


def clear(folder: pathlib.Path) -> None:
    """Removes the shadows of a simulation's run folder; leaves the folders of other runs alone."""
    if not (folder / "config.json").exists():
        return
    if Config.from_json(folder / "config.json").mode != "simulate":
        return
    for path in folder.glob("shadow_*"):
        if SHADOW.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def check_free(folder: pathlib.Path) -> None:
    """Raises `UserError` if a folder that is no run holds what would be taken for shadows."""
    if (folder / "config.json").exists():
        return
    found = sorted(path.name for path in folder.glob("shadow_*") if SHADOW.fullmatch(path.name))
    if found:
        raise UserError(
            f"--run_dir: {folder} holds {', '.join(found)}, which no simulation wrote. Take "
            "another --run_dir."
        )


def _digest(path):
    try:
        return hashlib.sha256(images.read_bytes(path)).hexdigest()
    except images.ImageError as error:
        raise UserError(
            f"--real: {layouts.shown(str(path))} cannot be read: {error}. Repair or remove it."
        ) from error


def _persons(patients, digests):
    """(n,) int: connected by a patient or by a file."""
    return linked(pd.factorize(patients)[0], pd.factorize(digests)[0])
