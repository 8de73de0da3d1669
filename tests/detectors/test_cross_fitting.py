"""Cross-fitting: who is fitted on what, which threshold decides, whose generated images count."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.config import Config
from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.data.split import make_splits
from ganfp_tf.detectors.cross_fitting import COLUMNS, cross_fitted_scores
from ganfp_tf.detectors.protocol import Unprepared
from ganfp_tf.detectors.registry import DETECTORS, make_detector
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.calibration import choose_threshold
from ganfp_tf.statistics.evaluation import evaluate_frame
from ganfp_tf.statistics.sample import Resampling

QUICK = Config(bootstrap=200, permutations=200)


@dataclasses.dataclass(frozen=True)
class Spy(Unprepared):
    """Scores an image by `values[name]` plus the number of images it was fitted on."""

    values: dict
    uses_labels: bool
    name: str = "spy"
    title: str = "spy"
    calls: list = dataclasses.field(default_factory=list)
    fitted: pd.DataFrame | None = None

    def fit(self, labelled, generated, store):
        assert list(labelled.index) == list(range(len(labelled)))
        return dataclasses.replace(self, fitted=labelled)

    def score(self, candidates, generated, store):
        assert (candidates["label"] == -1).all()
        self.calls.append((self.fitted, candidates, generated))
        return np.array([self.values[name] for name in candidates["name"]]) + len(self.fitted)


def catalog(images=40, parts=("",), generated_parts=None):
    """Two images a patient, used and not used patients by turns; ten generated images a part."""
    rows = []
    for part in parts:
        for i in range(images):
            name = f"{part}real_{i}"
            patient = f"{part}p{i // 2}"
            rows.append((name, name, "real", i // 2 % 2, patient, part, name))
    for part in parts if generated_parts is None else generated_parts:
        for i in range(10):
            name = f"{part}generated_{i}"
            rows.append((name, name, "generated", -1, "", part, name))
    columns = ["path", "name", "role", "label", "patient", "part", "digest"]
    return pd.DataFrame(rows, columns=columns)


def values_of(frame, seed=0):
    noise = np.random.default_rng(seed).normal(size=len(frame))
    return dict(zip(frame["name"], noise + frame["label"], strict=True))


def folds_of(frame, folds, seed):
    splits = make_splits(frame, test_fraction=0.3, validation_fraction=0.1, folds=folds, seed=seed)
    tests = splits[(splits.split == "test") & (splits.split_id != "main")]
    return tests.set_index("path")["split_id"]


def test_without_labels_one_fit_on_all_and_thresholds_of_other_folds():
    frame = catalog()
    spy = Spy(values_of(frame), uses_labels=False)
    result = cross_fitted_scores(spy, frame, None, folds=4, seed=3)
    assert list(result.columns) == COLUMNS
    assert list(result["name"]) == [f"real_{i}" for i in range(40)]
    assert set(result["split_id"]) == {"all"}
    assert set(result["split"]) == {"test"}
    ((fitted, candidates, generated),) = spy.calls
    assert len(fitted) == len(candidates) == 40
    assert (fitted["label"] == -1).all()
    assert len(generated) == 10
    assert (generated["role"] == "generated").all()
    assert list(result["score"]) == [spy.values[name] + 40 for name in result["name"]]

    fold = folds_of(frame, 4, 3).loc[result["name"]].to_numpy()
    for one in set(fold):
        held, rest = result[fold == one], result[fold != one]
        threshold = choose_threshold(rest["label"], rest["score"])
        assert list(held["decision"]) == list(threshold.decide(held["score"]))


def test_with_labels_no_patient_is_fitted_and_scored():
    frame = catalog()
    spy = Spy(values_of(frame), uses_labels=True)
    result = cross_fitted_scores(spy, frame, None, folds=4, seed=3)
    fold = folds_of(frame, 4, 3).loc[result["name"]].to_numpy()
    assert list(result["split_id"]) == list(fold)
    # A fit for each fold, and one for each two folds.
    assert len(spy.calls) == 4 + 6
    for fitted, candidates, _ in spy.calls:
        assert not set(fitted["patient"]) & set(candidates["patient"])
        assert set(fitted["label"]) == {0, 1}
        assert len(fitted) + len(candidates) == 40
    for one in set(fold):
        held, rest = fold == one, fold != one
        labels = result["label"].to_numpy()
        values = np.array([spy.values[name] for name in result["name"]])
        # What a detector without two folds says: both together are left out of 40.
        size = {other: (~np.isin(fold, [one, other])).sum() for other in set(fold)}
        outside = values[rest] + [size[other] for other in fold[rest]]
        inside = values[held] + rest.sum()
        assert result["score"][held].to_numpy() == pytest.approx(inside - outside.mean())
        decided = choose_threshold(labels[rest], outside).decide(inside)
        assert list(result["decision"][held]) == list(decided)


@dataclasses.dataclass(frozen=True)
class Memory(Unprepared):
    """Knows the label of every patient that it was fitted on, and of nobody else."""

    uses_labels: bool
    name: str = "memory"
    title: str = "memory"
    known: dict = dataclasses.field(default_factory=dict)

    def fit(self, labelled, generated, store):
        known = dict(zip(labelled["patient"], labelled["label"], strict=True))
        return dataclasses.replace(self, known=known)

    def score(self, candidates, generated, store):
        # A label looked at in the candidates would show as well.
        return candidates["patient"].map(self.known).fillna(0.5) + 0.0 * candidates["label"]


@pytest.mark.parametrize("uses_labels", [True, False])
def test_a_detector_that_memorises_labels_is_at_chance(uses_labels):
    result = cross_fitted_scores(Memory(uses_labels), catalog(), None, folds=4, seed=0)
    assert result["score"].nunique() == 1
    found = evaluate_frame(result, Resampling.of(QUICK), strata="split_id")
    assert found.metrics.auc == found.auc_within == 0.5


def test_each_part_meets_its_own_generated_images():
    frame = catalog(20, parts=("a", "b"))
    spy = Spy(values_of(frame), uses_labels=False)
    result = cross_fitted_scores(spy, frame, None, folds=3, seed=0)
    assert list(result["name"]) == list(frame["name"][frame["role"] == "real"])
    for fitted, candidates, generated in spy.calls:
        (part,) = set(candidates["part"])
        assert set(fitted["part"]) == set(generated["part"]) == {part}
    assert len(spy.calls) == 2


def test_parts_without_generated_images_share_all():
    frame = catalog(20, parts=("a", "b"), generated_parts=("c", "d"))
    spy = Spy(values_of(frame), uses_labels=False)
    cross_fitted_scores(spy, frame, None, folds=3, seed=0)
    ((_, candidates, generated),) = spy.calls
    assert len(candidates) == 40
    assert set(generated["part"]) == {"c", "d"}


def test_a_part_without_generated_images_beside_others_is_a_mistake():
    frame = catalog(20, parts=("a", "b"), generated_parts=("a",))
    with pytest.raises(UserError, match="part 'b' has labelled images but no generated ones"):
        cross_fitted_scores(Spy({}, False), frame, None, folds=3, seed=0)


def test_a_part_of_one_label_teaches_nothing():
    frame = catalog(20, parts=("a", "b"))
    frame.loc[(frame["part"] == "b") & (frame["role"] == "real"), "label"] = 1
    with pytest.raises(UserError, match="Found only one kind in part 'b'"):
        cross_fitted_scores(Spy(values_of(frame), True), frame, None, folds=3, seed=0)


@pytest.mark.parametrize(("uses_labels", "folds"), [(True, 2), (False, 1), (False, 0)])
def test_too_few_folds_are_refused(uses_labels, folds):
    with pytest.raises(UserError, match=f"at least {2 + uses_labels} folds.*--folds={folds}"):
        cross_fitted_scores(Spy({}, uses_labels), catalog(), None, folds=folds, seed=0)


def test_a_score_that_is_not_finite_is_refused():
    frame = catalog()
    values = {**values_of(frame), "real_3": np.nan}
    with pytest.raises(UserError, match="1 of 40 that are not"):
        cross_fitted_scores(Spy(values, False), frame, None, folds=4, seed=0)


@dataclasses.dataclass(frozen=True)
class Prepared(Spy):
    """A spy that sees all real images beforehand."""

    seen: list = dataclasses.field(default_factory=list)
    knows: frozenset = frozenset()

    def prepare(self, real, generated, store):
        assert list(real.index) == list(range(len(real)))
        self.seen.append((real, generated))
        return dataclasses.replace(self, knows=frozenset(real["name"]))

    def score(self, candidates, generated, store):
        # What was scored and what was learned from are both known beforehand.
        assert self.knows >= set(candidates["name"]) | set(self.fitted["name"])
        return super().score(candidates, generated, store)


@pytest.mark.parametrize("uses_labels", [True, False])
def test_what_is_prepared_sees_all_images_of_its_part_and_no_label(uses_labels):
    frame = catalog(40, parts=("a", "b"))
    frame.loc[0, "label"] = -1
    spy = Prepared(values_of(frame), uses_labels)
    result = cross_fitted_scores(spy, frame, None, folds=4, seed=0)
    known = frame[frame["role"] == "real"][1:]
    assert len(spy.seen) == 2
    for part, (real, generated) in zip("ab", spy.seen, strict=True):
        assert list(real["name"]) == list(known["name"][known["part"] == part])
        assert (real["label"] == -1).all()
        assert set(generated["part"]) == {part}
        assert (generated["role"] == "generated").all()
    # Labels reach fit() as ever, and nothing else is scored than without prepare().
    labels = {label for fitted, _, _ in spy.calls for label in fitted["label"]}
    assert labels == ({0, 1} if uses_labels else {-1})
    plain = cross_fitted_scores(Spy(spy.values, uses_labels), frame, None, folds=4, seed=0)
    pd.testing.assert_frame_equal(result, plain)


def test_unknown_images_are_left_out():
    frame = catalog()
    frame.loc[0, "label"] = -1
    spy = Spy(values_of(frame), uses_labels=False)
    result = cross_fitted_scores(spy, frame, None, folds=4, seed=0)
    assert len(result) == 39
    assert "real_0" not in set(result["name"])


@pytest.fixture(scope="module")
def opened(victim):
    """The planted victim's training part, and its images."""
    return load_catalog(victim[0], progress=False).frame, PixelStore(side=16)


# The others keep the same protocol, and have tests of their own.
@pytest.mark.parametrize(
    "name", ["nearest_pixels", "calibrated_pixels", "hits_pixels", "blind_pixels"]
)
def test_files_in_scores_out(opened, name):
    frame, store = opened
    result = cross_fitted_scores(make_detector(name), frame, store, folds=3, seed=0)
    found = evaluate_frame(result, Resampling.of(QUICK), strata="split_id")
    if DETECTORS[name].control:
        assert abs(found.metrics.auc - 0.5) < 0.3
    else:
        assert found.metrics.auc == 1.0
        assert found.metrics.kappa > 0.9
    turned = cross_fitted_scores(make_detector(name), frame[::-1], store, folds=3, seed=0)
    pd.testing.assert_frame_equal(turned[::-1].reset_index(drop=True), result)
