"""Splits: who may not meet, who must be everywhere, and what happens when there are too few."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest

from ganfp_tf.data.split import COLUMNS, make_splits, split_of
from ganfp_tf.errors import UserError

SETTINGS = {"test_fraction": 0.2, "validation_fraction": 0.2, "folds": 0, "seed": 0}


def catalog(real, generated=20, unknown=0):
    """A frame as of a Catalog; `real` lists (label, patient[, digest])."""
    rows = []
    for index, (label, patient, *digest) in enumerate(real):
        rows.append(("real", label, patient, digest[0] if digest else f"r{index}"))
    rows += [("real", -1, f"u{index}", f"u{index}") for index in range(unknown)]
    digests = range(generated) if isinstance(generated, int) else generated
    rows += [("generated", -1, "", f"g{digest}") for digest in digests]
    frame = pd.DataFrame(rows, columns=["role", "label", "patient", "digest"])
    frame["name"] = [f"{role}_{index}.png" for index, role in enumerate(frame["role"])]
    frame["path"] = "/data/" + frame["name"]
    return frame.assign(part="")


def singles(used, unused):
    return [(1, f"a{i}") for i in range(used)] + [(0, f"b{i}") for i in range(unused)]


def patients_of(splits, **where):
    for column, value in where.items():
        splits = splits[splits[column] == value]
    return set(splits["patient"])


def test_140_patients_make_28_test_and_22_validation_images():
    splits = make_splits(catalog(singles(70, 70), generated=100, unknown=9), **SETTINGS)
    assert tuple(splits.columns) == COLUMNS
    counts = splits.groupby(["role", "label", "split"]).size()
    for label in (0, 1):
        assert counts["real", label].to_dict() == {"test": 14, "train": 45, "validation": 11}
    assert counts["generated", -1].to_dict() == {"test": 20, "train": 64, "validation": 16}
    assert len(splits) == 240  # the nine unknown images are left out


def test_folds_test_every_labelled_and_generated_image_once():
    frame = catalog(singles(13, 17), generated=23)
    splits = make_splits(frame, **{**SETTINGS, "folds": 5})
    assert list(splits["split_id"].unique()) == ["main", *(f"fold_{k}" for k in range(5))]
    tested = splits[(splits["split_id"] != "main") & (splits["split"] == "test")]
    assert sorted(tested["path"]) == sorted(frame["path"])
    sizes = tested.groupby(["split_id", "role", "label"]).size().unstack("split_id")
    assert (sizes.max(axis=1) - sizes.min(axis=1) <= 1).all()


def test_patients_with_many_and_few_images_are_spread_evenly():
    # Ten patients of 10 images and forty of one, used and not used alike.
    real = []
    for label in (0, 1):
        for number in range(50):
            real += [(label, f"{label}-{number}")] * (10 if number < 10 else 1)
    splits = make_splits(catalog(real), **{**SETTINGS, "folds": 5})
    real_rows = splits[splits["role"] == "real"]
    for split_id, part in real_rows.groupby("split_id"):
        share = (part["split"] == "test").mean()
        assert share == pytest.approx(0.2, abs=0.05), split_id


def test_patients_that_share_an_image_stay_together():
    # a0 and a1 share a digest, a1 and a2 another: three patients, one unit.
    real = [*singles(12, 12), (1, "a0", "x"), (1, "a1", "x"), (1, "a1", "y"), (1, "a2", "y")]
    for seed in range(10):
        splits = make_splits(catalog(real), **{**SETTINGS, "seed": seed, "folds": 3})
        for _, part in splits[splits["patient"].isin(["a0", "a1", "a2"])].groupby("split_id"):
            assert part["split"].nunique() == 1


def test_identical_generated_images_stay_together():
    frame = catalog(singles(6, 6), generated=[i // 4 for i in range(40)])
    splits = make_splits(frame, **SETTINGS)
    merged = splits[splits["role"] == "generated"].merge(frame[["path", "digest"]], on="path")
    assert (merged.groupby("digest")["split"].nunique() == 1).all()


def test_generated_images_and_folds_do_not_change_how_patients_are_split():
    few = make_splits(catalog(singles(20, 20), generated=5), **SETTINGS)
    many = make_splits(catalog(singles(20, 20), generated=90), **{**SETTINGS, "folds": 4})
    for split in ("train", "validation", "test"):
        where = {"split_id": "main", "role": "real", "split": split}
        assert patients_of(few, **where) == patients_of(many, **where)


def test_rows_in_another_order_and_moved_files_are_split_alike():
    frame = catalog([*singles(9, 14), (1, "a0"), (0, "b3"), (0, "b3")], generated=31)
    expected = make_splits(frame, **{**SETTINGS, "folds": 3})
    shuffled = frame.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(make_splits(shuffled, **{**SETTINGS, "folds": 3}), expected)
    # Other folders and names, in the reverse order: the same contents are in the same parts.
    moved = frame.assign(path=[f"/x/{len(frame) - i:03d}" for i in range(len(frame))])
    again = make_splits(moved, **{**SETTINGS, "folds": 3})
    digest = dict(zip(moved["path"], moved["digest"], strict=True))
    digest |= dict(zip(frame["path"], frame["digest"], strict=True))
    for splits in (again, expected):
        splits["digest"] = splits["path"].map(digest)
    keys = ["split_id", "digest"]
    assert (
        again.set_index(keys)["split"]
        .sort_index()
        .equals(expected.set_index(keys)["split"].sort_index())
    )


def test_the_seed_decides():
    frame = catalog(singles(20, 20))
    first, same, other = (make_splits(frame, **{**SETTINGS, "seed": seed}) for seed in (0, 0, 1))
    assert first.equals(same)
    assert not first.equals(other)


def test_the_frame_stays_as_it_is():
    frame = catalog(singles(5, 5)).sample(frac=1, random_state=0)
    before = frame.copy()
    make_splits(frame, **SETTINGS)
    pd.testing.assert_frame_equal(frame, before)


def test_split_of_names_the_split_of_each_path():
    splits = make_splits(catalog(singles(6, 6)), **{**SETTINGS, "folds": 3})
    found = split_of(splits, "fold_1")
    rows = splits[splits["split_id"] == "fold_1"]
    assert found[rows["path"].iloc[3]] == rows["split"].iloc[3]
    assert len(found) == 32
    with pytest.raises(UserError, match=r"no split 'fold_9'\. Known: main, fold_0, fold_1, fold_2"):
        split_of(splits, "fold_9")


@st.composite
def frames(draw):
    """Patients of mixed sizes and labels, shared digests, repeated generated images."""
    real = []
    for patient in range(draw(st.integers(1, 24))):
        # Mostly as many used as not used patients, so that most frames can be split.
        label = patient % 2 if draw(st.integers(0, 4)) else draw(st.integers(0, 1))
        for _ in range(draw(st.integers(1, 3))):
            flip = draw(st.integers(0, 9)) == 0
            shared = draw(st.integers(0, 9)) == 0
            digest = f"s{draw(st.integers(0, 3))}" if shared else f"d{len(real)}"
            real.append((1 - label if flip else label, f"p{patient}", digest))
    generated = [*range(draw(st.integers(0, 12))), *draw(st.lists(st.integers(0, 12), max_size=12))]
    return catalog(real, generated=generated, unknown=draw(st.integers(0, 2)))


@hypothesis.given(
    frames(),
    st.sampled_from([0, 2, 3, 5]),
    st.floats(0.05, 0.5),
    st.floats(0.05, 0.5),
    st.integers(0, 9),
)
@hypothesis.settings(
    deadline=None, max_examples=60, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
def test_disjoint_complete_and_both_labels_or_a_users_error(frame, folds, test, validation, seed):
    try:
        splits = make_splits(
            frame, test_fraction=test, validation_fraction=validation, folds=folds, seed=seed
        )
    except UserError as error:
        assert "Found: " in str(error)
        return
    splits = splits.merge(frame[["path", "digest"]], on="path")
    wanted = set(frame["path"][(frame["role"] == "generated") | (frame["label"] >= 0)])
    assert splits["split_id"].nunique() == folds + 1
    for _, part in splits.groupby("split_id"):
        assert set(part["path"]) == wanted
        assert len(part) == len(wanted)
        real, generated = (part[part["role"] == role] for role in ("real", "generated"))
        for rows, key in ((real, "patient"), (real, "digest"), (generated, "digest")):
            assert (rows.groupby(key)["split"].nunique() == 1).all()
        for split in ("train", "validation", "test"):
            assert set(real["label"][real["split"] == split]) == {0, 1}
            assert (generated["split"] == split).any()
    tested = splits[(splits["split_id"] != "main") & (splits["split"] == "test")]
    assert sorted(tested["path"]) == (sorted(wanted) if folds else [])


@pytest.mark.parametrize(
    ("used", "unused", "generated", "folds", "needed", "advice"),
    [
        (2, 9, 9, 0, 3, "Add images."),
        (9, 4, 9, 5, 5, "or lower --folds"),
        (3, 9, 9, 2, 4, "or lower --folds"),
        (9, 9, 2, 0, 3, "Add images."),
    ],
)
def test_too_few_are_counted(used, unused, generated, folds, needed, advice):
    with pytest.raises(UserError) as caught:
        make_splits(catalog(singles(used, unused), generated), **{**SETTINGS, "folds": folds})
    message = str(caught.value)
    assert f"at least {needed} used patients" in message
    assert advice in message
    assert (
        f"Found: {used} used patients, {unused} not used patients, {generated} generated images"
        in message
    )


@pytest.mark.parametrize(("count", "folds"), [(3, 0), (4, 2), (3, 3), (5, 5)])
def test_just_enough_is_enough(count, folds):
    splits = make_splits(catalog(singles(count, count), count), **{**SETTINGS, "folds": folds})
    parts = splits.groupby(["split_id", "role", "label"])["split"].nunique()
    assert (parts == 3).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_fraction": 0.0}, "--test_fraction must lie between 0 and 1. Received: 0.0"),
        ({"validation_fraction": np.nan}, "--validation_fraction must lie between"),
        ({"folds": 1}, "--folds must be 0 .none. or at least 2. Received: 1"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        make_splits(catalog(singles(9, 9)), **{**SETTINGS, **change})


def test_images_without_a_patient_or_listed_twice_are_refused():
    frame = catalog(singles(9, 9))
    with pytest.raises(UserError, match=r"1 have none, such as /data/real_4\.png"):
        make_splits(frame.assign(patient=frame["patient"].where(frame.index != 4, "")), **SETTINGS)
    twice = pd.concat([frame, frame.iloc[[2]]])
    with pytest.raises(UserError, match=r"1 listed again, such as /data/real_2\.png"):
        make_splits(twice, **SETTINGS)
