"""Paired difference of AUC: by hand, by plain loops, against DeLong, in simulations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.errors import UserError
from ganfp_tf.statistics import metrics
from ganfp_tf.statistics.intervals import patient_bootstrap
from ganfp_tf.statistics.paired import paired_bootstrap
from ganfp_tf.statistics.sample import Resampling, Sample, draw_patients

SETTINGS = {"resamples": 1000, "confidence": 0.95, "seed": 0}


def paired(labels, scores_a, scores_b, patients, *, strata=None, **settings):
    sample = Sample(labels, scores_a, patients, strata=strata)
    return paired_bootstrap(sample, scores_b, Resampling(permutations=1, **settings))


def two_detectors(rng, used, unused, shift_a=1.0, shift_b=1.0, common=0.7):
    """Labels and two binormal scores whose noise is correlated by `common`."""
    labels = np.repeat([1, 0], [used, unused])
    shared, own_a, own_b = rng.normal(size=(3, used + unused))
    noise = [math.sqrt(common) * shared + math.sqrt(1 - common) * own for own in (own_a, own_b)]
    return labels, noise[0] + shift_a * labels, noise[1] + shift_b * labels


def delong_deviation(labels, scores_a, scores_b):
    """Standard error of the difference of AUC (DeLong, DeLong & Clarke-Pearson 1988)."""
    used, unused = [], []
    for scores in (scores_a, scores_b):
        x, y = scores[labels == 1], scores[labels == 0]
        wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)  # (used, unused)
        used.append(wins.mean(axis=1))
        unused.append(wins.mean(axis=0))
    parts = (np.var(v[0] - v[1], ddof=1) / len(v[0]) for v in (used, unused))
    return math.sqrt(sum(parts))


def test_by_hand():
    # a ranks all four pairs right; b has the used 3 above one unused and below the other.
    labels, patients = [1, 1, 0, 0], [0, 1, 2, 3]
    found = paired(labels, [4, 3, 2, 1], [9, 3, 5, 1], patients, **SETTINGS)
    assert found.difference == 0.25
    # b loses a pair only where the used 3 and the unused 5 are both drawn, all four in the worst
    # resample, which is one of sixteen: above 2.5 % of them.
    assert (found.low, found.high) == (0.0, 1.0)
    # No resample has b ahead, and the two are alike where the used 3 or the unused 5 is not drawn.
    assert found.p == pytest.approx(2 * (1 - 0.75**2), abs=0.07)
    assert (found.confidence, found.resamples, found.method) == (0.95, 1000, "percentile")


def test_agrees_with_plain_loops():
    rng = np.random.default_rng(0)
    labels, a, b = two_detectors(rng, 12, 18, shift_b=0.2)
    a, b = np.round(a, 1), np.round(b, 1)  # ties
    patients, strata = rng.integers(0, 14, 30), rng.integers(0, 3, 30)
    codes = np.unique(patients, return_inverse=True)[1]
    for folds in (None, strata):
        found = paired(labels, a, b, patients, strata=folds, resamples=60, confidence=0.8, seed=5)
        counts = draw_patients(
            Sample(labels, a, codes).patient_labels, 60, np.random.default_rng(5)
        )
        drawn = []
        for count in counts.astype(int):
            rows = np.repeat(np.arange(30), count[codes])
            where = np.zeros(len(rows)) if folds is None else folds[rows]
            drawn.append(
                metrics.auc_within(labels[rows], a[rows], where)
                - metrics.auc_within(labels[rows], b[rows], where)
            )
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.1, 0.9])))
        below, above = (sum(np.sign(drawn) != sign) for sign in (1, -1))
        assert found.p == pytest.approx(min(1, 2 * (1 + min(below, above)) / 61))
        where = np.zeros(30) if folds is None else folds
        assert found.difference == pytest.approx(
            metrics.auc_within(labels, a, where) - metrics.auc_within(labels, b, where)
        )


def test_the_interval_is_as_wide_as_delongs():
    labels, a, b = two_detectors(np.random.default_rng(3), 200, 200, 1.0, 0.8)
    found = paired(labels, a, b, range(400), resamples=4000, confidence=0.95, seed=0)
    deviation = delong_deviation(labels, a, b)
    assert (found.high - found.low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.06)
    p = math.erfc(abs(found.difference) / deviation / math.sqrt(2))
    assert found.p == pytest.approx(p, abs=0.02)


def test_pairing_makes_it_narrower_than_two_separate_intervals():
    labels, a, b = two_detectors(np.random.default_rng(1), 50, 50, common=0.9)
    found = paired(labels, a, b, range(100), **SETTINGS)
    resampling = Resampling(permutations=1, **SETTINGS)
    samples = (Sample.independent(labels, scores, labels) for scores in (a, b))
    apart = [patient_bootstrap(sample, resampling)["auc"] for sample in samples]
    unpaired = math.hypot(*(interval.high - interval.low for interval in apart))
    assert found.high - found.low < 0.6 * unpaired


def test_without_a_difference_few_are_found_and_zero_is_covered():
    rng = np.random.default_rng(2)
    found = [
        paired(*two_detectors(rng, 40, 40), range(80), resamples=199, confidence=0.9, seed=seed)
        for seed in range(300)
    ]
    # Four standard errors of a share of 300 are 0.07.
    assert np.mean([f.p <= 0.1 for f in found]) == pytest.approx(0.1, abs=0.07)
    assert np.mean([f.low <= 0 <= f.high for f in found]) == pytest.approx(0.9, abs=0.07)
    assert np.mean([f.p <= 0.5 for f in found]) == pytest.approx(0.5, abs=0.12)


def test_a_clear_difference_is_found():
    labels, a, b = two_detectors(np.random.default_rng(0), 60, 60, shift_a=2.0, shift_b=0.0)
    found = paired(labels, a, b, range(120), **SETTINGS)
    assert 0 < found.low < found.difference < found.high
    assert found.p == 2 / 1001  # the least there is


def test_images_of_a_patient_are_not_independent():
    labels, a, b = two_detectors(np.random.default_rng(0), 30, 30)
    five = [np.repeat(values, 5) for values in (labels, a, b)]
    naive = paired(*five, range(300), **SETTINGS)
    honest = paired(*five, np.repeat(np.arange(60), 5), **SETTINGS)
    once = paired(labels, a, b, range(60), **SETTINGS)
    # Five copies of each image: sqrt(5) = 2.24 times as wide, and no more than one copy said.
    assert 1.8 < (honest.high - honest.low) / (naive.high - naive.low) < 2.8
    assert (honest.low, honest.high, honest.p) == pytest.approx((once.low, once.high, once.p))


def test_scores_of_the_same_order_do_not_differ():
    labels, a, _ = two_detectors(np.random.default_rng(0), 20, 20)
    for b in (a, np.exp(3 * a)):
        found = paired(labels, a, b, range(40), **SETTINGS)
        assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_one_class_leaves_it_undefined():
    found = paired([1, 1, 1], [1.0, 2.0, 3.0], [1, 3, 2], [0, 1, 2], **SETTINGS)
    assert all(math.isnan(x) for x in (found.difference, found.low, found.high, found.p))
    # Two classes, but never in the same fold.
    found = paired([1, 0], [1, 2], [2, 1], [0, 1], strata=["x", "y"], **SETTINGS)
    assert all(math.isnan(x) for x in (found.difference, found.low, found.high, found.p))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_swapping_the_detectors_negates(data):
    n = data.draw(st.integers(2, 12))
    numbers = st.lists(st.integers(-3, 3), min_size=n, max_size=n)
    labels = [i % 2 for i in range(n)]
    a, b = data.draw(numbers), data.draw(numbers)
    patients, strata = data.draw(numbers), data.draw(st.none() | numbers)
    given_settings = {"resamples": 50, "confidence": 0.9, "seed": 1, "strata": strata}
    one = paired(labels, a, b, patients, **given_settings)
    other = paired(labels, b, a, patients, **given_settings)
    assert other.difference == pytest.approx(-one.difference, nan_ok=True)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), nan_ok=True)
    assert other.p == pytest.approx(one.p, nan_ok=True)


def test_impossible_requests_are_refused():
    good = ([1, 0], [1.0, 0.0], [0.0, 1.0], [0, 1])
    for position, name in enumerate(("labels", "scores", "scores", "patients")):
        short = [
            [*values, *values[:1]] if i == position else values for i, values in enumerate(good)
        ]
        with pytest.raises(ValueError, match="shape" if name == "labels" else name):
            paired(*short, **SETTINGS)
    with pytest.raises(ValueError, match="strata"):
        paired(*good, strata=[0], **SETTINGS)
    with pytest.raises(ValueError, match="confidence"):
        paired(*good, **{**SETTINGS, "confidence": 95})
    with pytest.raises(ValueError, match="resamples"):
        paired(*good, **{**SETTINGS, "resamples": 0})
    with pytest.raises(UserError, match="finite"):
        paired([1, 0], [1.0, math.nan], [0.0, 1.0], [0, 1], **SETTINGS)
