"""The sample: what it keeps and refuses, and its resamples against plain loops."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.errors import UserError
from ganfp_tf.statistics import sample as module
from ganfp_tf.statistics.sample import Resampling, Sample

# Patient a has two used images of three, b one of two (a tie), c none of one.
LABELS, SCORES = [1, 0, 1, 1, 0, 0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
PATIENTS, FOLDS = ["b", "a", "a", "a", "b", "c"], ["y", "x", "x", "x", "y", "x"]


def test_names_become_codes():
    sample = Sample(LABELS, SCORES, PATIENTS, strata=FOLDS)
    assert sample.names.tolist() == ["a", "b", "c"]
    assert sample.patients.tolist() == [1, 0, 0, 0, 1, 2]
    assert sample.strata.tolist() == sample.folds.tolist() == [1, 0, 0, 0, 1, 0]
    assert sample.scores.dtype == np.float64
    assert sample.labels.dtype == sample.patients.dtype == np.int64
    assert len(sample) == 6


def test_a_patients_label_is_that_of_most_images():
    sample = Sample(LABELS, SCORES, PATIENTS)
    assert sample.patient_labels.tolist() == [1, 1, 0]
    assert sample.patient_counts == (2, 1)


def test_without_strata_there_is_one_fold():
    assert Sample(LABELS, SCORES, PATIENTS).folds.tolist() == [0] * 6


def test_independent_images_are_patients_of_their_own():
    sample = Sample.independent(LABELS, SCORES, LABELS, FOLDS)
    assert sample.patients.tolist() == list(range(6))
    assert sample.patient_labels.tolist() == sample.decided().tolist() == LABELS
    assert sample.strata.tolist() == [1, 0, 0, 0, 1, 0]


def test_a_frame_gives_the_same_sample_as_its_columns():
    columns = {"label": LABELS, "score": SCORES, "patient": PATIENTS, "fold": FOLDS}
    frame = pd.DataFrame(columns | {"decision": [1, 1, 0, 0, 0, 0]}, index=list("uvwxyz"))
    expected = Sample(LABELS, SCORES, PATIENTS, [1, 1, 0, 0, 0, 0], FOLDS)
    found = Sample.from_frame(frame, strata="fold")
    for field in dataclasses.fields(Sample):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))
    assert Sample.from_frame(frame).strata is None


def test_what_is_handed_in_stays_and_the_sample_does_too():
    labels, scores = np.array(LABELS), np.array(SCORES)
    sample = Sample(labels, scores, PATIENTS)
    labels[:], scores[:] = 0, 0.0
    assert sample.labels.tolist() == LABELS
    assert sample.scores.tolist() == SCORES
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.scores = scores


def test_other_scores_of_the_same_images():
    sample = Sample(LABELS, SCORES, PATIENTS, strata=FOLDS)
    other = dataclasses.replace(sample, scores=SCORES[::-1])
    assert other.scores.tolist() == SCORES[::-1]
    assert other.patients.tolist() == sample.patients.tolist()
    assert other.strata.tolist() == sample.strata.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [1, 2, 0, 0, 0, 0]}, r"labels must be 0 or 1. Received: \[0, 1, 2\]"),
        ({"labels": []}, r"labels must have shape \(n,\), not empty. Received: shape=\(0,\)"),
        ({"labels": [LABELS]}, r"labels must have shape \(n,\)"),
        ({"scores": [1.0]}, r"scores must have shape \(6,\). Received: shape=\(1,\)"),
        ({"patients": ["a"]}, r"patients must have shape \(6,\). Received: shape=\(1,\)"),
        ({"strata": ["a"]}, r"strata must have shape \(6,\). Received: shape=\(1,\)"),
        ({"decisions": [1]}, r"decisions must have shape \(n,\), of length 6"),
        ({"decisions": [-1] * 6}, r"decisions must be 0 or 1. Received: \[-1\]"),
    ],
)
def test_wrong_arrays_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Sample(**{"labels": LABELS, "scores": SCORES, "patients": PATIENTS} | changes)


def test_scores_that_are_not_finite_are_a_users_error():
    with pytest.raises(UserError, match="2 of 6 that are not"):
        Sample(LABELS, [*SCORES[:4], np.nan, np.inf], PATIENTS)


def test_decisions_that_are_not_there_are_missed():
    with pytest.raises(ValueError, match="must have decisions"):
        Sample(LABELS, SCORES, PATIENTS).decided()


def naive_resamples(sample, n, rng):
    """Weights of `n` resamples, drawn patient by patient: (n, len(sample))."""
    picks = {}
    for label in (0, 1):
        members = np.flatnonzero(sample.patient_labels == label)
        if len(members):
            picks[label] = members[rng.integers(len(members), size=(n, len(members)))]
    weights = np.zeros((n, len(sample)))
    for row in range(n):
        for drawn in picks.values():
            for patient in drawn[row]:
                weights[row] += sample.patients == patient
    return weights


@st.composite
def samples(draw):
    n = draw(st.integers(1, 12))
    labels = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    patients = draw(st.lists(st.sampled_from("abcde"), min_size=n, max_size=n))
    return Sample(labels, np.arange(n), patients)


@settings(deadline=None)
@given(samples(), st.integers(1, 20), st.integers(0, 3))
def test_resamples_are_those_of_a_plain_loop(sample, n, seed):
    found = np.concatenate(list(sample.resamples(n, seed)))
    expected = naive_resamples(sample, n, np.random.default_rng(seed))
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None)
@given(samples(), st.integers(1, 20))
def test_resamples_keep_patients_whole_and_the_size_of_each_class(sample, n):
    found = np.concatenate(list(sample.resamples(n, seed=0)))
    assert found.shape == (n, len(sample))
    firsts = np.unique(sample.patients, return_index=True)[1]
    np.testing.assert_array_equal(found, found[:, firsts][:, sample.patients])
    for label, size in zip((1, 0), sample.patient_counts, strict=True):
        assert (found[:, firsts][:, sample.patient_labels == label].sum(axis=1) == size).all()


def test_blocks_bound_the_memory(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 20)
    sample = Sample(LABELS, SCORES, PATIENTS)
    found = list(sample.resamples(7, seed=1))
    assert [len(block) for block in found] == [3, 3, 1]
    # The draws of one block follow those of the block before.
    rng = np.random.default_rng(1)
    for block in found:
        np.testing.assert_array_equal(block, naive_resamples(sample, len(block), rng))
    # A caller with more numbers than images, and one with more than a block has.
    assert [len(block) for block in sample.resamples(5, seed=1, cells=10)] == [2, 2, 1]
    assert [len(block) for block in sample.resamples(2, seed=1, cells=100)] == [1, 1]


def test_percentiles_by_hand():
    resampling = Resampling(resamples=5, permutations=1, confidence=0.5, seed=0)
    assert resampling.ends(np.array([4.0, 0.0, 1.0, 3.0, 2.0])).tolist() == [1.0, 3.0]
    columns = np.stack([np.arange(5.0), np.arange(5.0) * 10], axis=1)
    assert resampling.ends(columns).tolist() == [[1.0, 10.0], [3.0, 30.0]]
    assert np.isnan(resampling.ends(np.empty((0, 3)))).all()
    assert resampling.ends(np.empty((0, 3))).shape == (2, 3)


def test_resampling_is_read_from_settings():
    @dataclasses.dataclass
    class Settings:
        bootstrap: int = 7
        permutations: int = 8
        confidence: float = 0.9
        seed: int = 3

    assert Resampling.of(Settings()) == Resampling(7, 8, 0.9, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resamples": 0}, "resamples must be at least 1. Received: resamples=0"),
        ({"permutations": 0}, "permutations must be at least 1. Received: permutations=0"),
        ({"confidence": 95}, "confidence must lie between 0 and 1. Received: confidence=95"),
    ],
)
def test_impossible_resampling_is_refused(changes, message):
    good = {"resamples": 1, "permutations": 1, "confidence": 0.9, "seed": 0}
    with pytest.raises(ValueError, match=message):
        Resampling(**good | changes)
