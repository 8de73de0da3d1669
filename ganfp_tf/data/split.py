"""Who is trained on, who chooses the threshold, who is tested: by patient, before all else."""

import dataclasses

import numpy as np
import pandas as pd

from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.groups import linked

COLUMNS = ("split_id", "path", "name", "role", "label", "patient", "split")
# Streams of random numbers: the generated images never change how patients are split.
UNUSED, USED, GENERATED = 0, 1, 2
NAMES = {UNUSED: "not used patients", USED: "used patients", GENERATED: "generated images"}


@dataclasses.dataclass(frozen=True)
class _Units:
    """What must stay together (patients; equal generated images), in an order of their content."""

    stratum: int
    rows: np.ndarray  # (n,) rows of the frame
    unit_of_row: np.ndarray  # (n,) 0..len(sizes)-1
    sizes: np.ndarray  # (U,) images


def make_splits(
    frame: pd.DataFrame, *, test_fraction: float, validation_fraction: float, folds: int, seed: int
) -> pd.DataFrame:
    """Splits a catalog into train, validation and test, once and over folds.

    Real images with a label are split by patient, used and not used patients apart (a patient with
    both goes by most of the images, "used" in a tie); patients that share an identical image count
    as one. Generated images are split in the same shares, identical ones together. Unknown images
    are left out. Within a stratum, patients with many and with few images are spread evenly. The
    result depends on contents (digests), patients and labels, not on the order of the rows or on
    paths.

    Args:
        frame: DataFrame with path, name, role ("real" or "generated"), label (1 used, 0 not used,
            -1 unknown or generated), patient, digest; one row an image.
        test_fraction: share of the patients that "main" keeps for the test. A fold keeps one in
            `folds` instead, so that over all folds each image is tested once.
        validation_fraction: share of the remaining patients that validates.
        folds: number of folds, 0 for none.
        seed: integer, at least 0.

    Returns:
        DataFrame of COLUMNS, one row an image and split_id ("main", "fold_0", ...), split being
        "train", "validation" or "test".

    Raises:
        UserError: where a part would be left without a used or a not used patient or without a
            generated image.
    """
    for name, value in (
        ("test_fraction", test_fraction),
        ("validation_fraction", validation_fraction),
    ):
        if not 0.0 < value < 1.0:
            raise UserError(f"--{name} must lie between 0 and 1. Received: {value}")
    if folds < 0 or folds == 1:
        raise UserError(f"--folds must be 0 (none) or at least 2. Received: {folds}")
    frame = frame[(frame["role"] == "generated") | frame["label"].isin((0, 1))]
    frame = frame.sort_values(["role", "path"], ascending=[False, True], ignore_index=True)
    twice = frame["path"][frame["path"].duplicated()]
    if len(twice):
        raise UserError(
            f"Every image must be listed once. {len(twice)} listed again, such as {twice.iloc[0]}: "
            "remove the repeated rows."
        )
    groups = [*_patients(frame), _generated(frame)]
    _check_enough(groups, folds)

    splits: dict[str, np.ndarray] = {}
    for group in groups:
        count = len(group.sizes)
        rng = np.random.default_rng([seed, group.stratum, 0])
        size = min(max(1, round(test_fraction * count)), count - 2)
        tests = {"main": _pick(group.sizes, np.arange(count), size, rng)}
        if folds:
            rng = np.random.default_rng([seed, group.stratum, 1])
            fold_of_unit = _deal(group.sizes, folds, rng)
            for fold in range(folds):
                tests[f"fold_{fold}"] = np.flatnonzero(fold_of_unit == fold)
        for number, (split_id, test) in enumerate(tests.items()):
            rng = np.random.default_rng([seed, group.stratum, 2, number])
            rest = np.setdiff1d(np.arange(count), test)
            size = min(max(1, round(validation_fraction * len(rest))), len(rest) - 1)
            unit_split = np.full(count, "train", dtype=object)
            unit_split[test] = "test"
            unit_split[_pick(group.sizes, rest, size, rng)] = "validation"
            target = splits.setdefault(split_id, np.empty(len(frame), dtype=object))
            target[group.rows] = unit_split[group.unit_of_row]
    parts = [frame.assign(split_id=split_id, split=split) for split_id, split in splits.items()]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def split_of(splits: pd.DataFrame, split_id: str) -> pd.Series:
    """The split of each path under one split_id: a Series path -> split."""
    chosen = splits[splits["split_id"] == split_id]
    if chosen.empty:
        known = ", ".join(splits["split_id"].unique())
        raise UserError(f"There is no split {split_id!r}. Known: {known}.")
    return pd.Series(chosen["split"].to_numpy(), index=chosen["path"].to_numpy(), name="split")


def _patients(frame):
    """Units of the not used and of the used real images."""
    rows = np.flatnonzero(frame["role"] == "real")
    real = frame.iloc[rows]
    nameless = real["patient"].isna() | (real["patient"].astype(str).str.strip() == "")
    if nameless.any():
        raise UserError(
            f"Every labelled image needs a patient. {int(nameless.sum())} have none, such as "
            f"{real['path'][nameless].iloc[0]}: fill the manifest's patient column."
        )
    # Images are edges between patients and digests; a unit is what they connect.
    patients = pd.factorize(real["patient"].astype(str))[0]
    component = linked(patients, pd.factorize(real["digest"])[0])
    units, codes = _ordered_units(component, real["digest"])
    used = np.bincount(codes, weights=real["label"], minlength=units)
    sizes = np.bincount(codes, minlength=units)
    stratum = np.where(2 * used >= sizes, USED, UNUSED)
    for wanted in (UNUSED, USED):
        chosen = np.flatnonzero(stratum == wanted)
        place = np.full(units, -1)
        place[chosen] = np.arange(len(chosen))
        mine = stratum[codes] == wanted
        yield _Units(wanted, rows[mine], place[codes[mine]], sizes[chosen])


def _generated(frame):
    rows = np.flatnonzero(frame["role"] == "generated")
    units, codes = _ordered_units(frame["digest"].iloc[rows], frame["digest"].iloc[rows])
    return _Units(GENERATED, rows, codes, np.bincount(codes, minlength=units))


def _ordered_units(keys, digests):
    """Codes of `keys`, counted in the order of each key's smallest digest: (number, codes)."""
    digests = pd.Series(np.asarray(digests))
    smallest = digests.groupby(np.asarray(keys)).transform("min").to_numpy()
    names, codes = np.unique(smallest.astype(str), return_inverse=True)
    return len(names), codes.reshape(-1)


def _check_enough(groups, folds):
    # One each to train, validate and test; a fold tests ceil(count / folds) at most, which must
    # leave two.
    needed = max(3, folds, 4 if folds == 2 else 0)
    counts = {group.stratum: len(group.sizes) for group in groups}
    if min(counts.values()) >= needed:
        return
    found = ", ".join(f"{counts[key]} {NAMES[key]}" for key in (USED, UNUSED, GENERATED))
    why = "one each to train, to validate and to test"
    if folds:
        why += f", in each of {folds} folds"
    advice = "Add images"
    if folds and min(counts.values()) >= 3:
        advice += " or lower --folds (0 makes the one split only)"
    raise UserError(
        f"A split needs at least {needed} used patients, {needed} not used patients and {needed} "
        f"different generated images: {why}. Found: {found} (patients that share an identical "
        f"image count as one). {advice}."
    )


def _by_size(sizes, candidates, rng):
    """`candidates` from many images to few, at random among equals."""
    shuffled = rng.permutation(candidates)
    return shuffled[np.argsort(-sizes[shuffled], kind="stable")]


def _pick(sizes, candidates, count, rng):
    """`count` of the candidates, at even steps through their order by size."""
    steps = (np.arange(count) + rng.random()) * len(candidates) / count
    return _by_size(sizes, candidates, rng)[steps.astype(int)]


def _deal(sizes, folds, rng):
    """A fold for each unit, dealt like cards in their order by size: (U,) of 0..folds-1."""
    order = _by_size(sizes, np.arange(len(sizes)), rng)
    rounds = -(-len(sizes) // folds)
    cards = np.concatenate([rng.permutation(folds) for _ in range(rounds)])
    fold_of_unit = np.empty(len(sizes), dtype=np.int64)
    fold_of_unit[order] = cards[: len(sizes)]
    return fold_of_unit
