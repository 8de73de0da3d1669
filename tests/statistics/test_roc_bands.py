"""The ROC band against the metrics and intervals that it must agree with."""

import numpy as np
import pytest

from ganfp_tf.statistics import intervals, metrics
from ganfp_tf.statistics.roc_bands import rate_grid, roc_band
from ganfp_tf.statistics.sample import Resampling, Sample

RNG = np.random.default_rng(3)
LABELS = np.r_[np.ones(60, int), np.zeros(50, int)]
SCORES = np.round(RNG.normal(size=110) + 0.6 * LABELS, 1)  # with ties
PATIENTS = np.arange(110) // 2
SETTINGS = {"resamples": 200, "confidence": 0.9, "seed": 4}


def band(labels, scores, patients, *, grid, strata=None, **settings):
    sample = Sample(labels, scores, patients, strata=strata)
    return roc_band(sample, grid, Resampling(permutations=1, **settings))


def test_rates_are_those_of_the_metric_at_every_point():
    grid = np.r_[0.0, 0.001, rate_grid(50), 0.29, 1.0]
    tpr, low, high = band(LABELS, SCORES, PATIENTS, grid=grid, **SETTINGS)
    np.testing.assert_allclose(tpr, [metrics.tpr_at_fpr(LABELS, SCORES, f) for f in grid])
    assert (low <= tpr).all()
    assert (tpr <= high).all()


def test_band_is_the_interval_of_the_patient_bootstrap():
    grid = [0.01, 0.05, 0.1]
    _, low, high = band(LABELS, SCORES, PATIENTS, grid=grid, **SETTINGS)
    decisions = (SCORES > 0).astype(int)
    sample = Sample(LABELS, SCORES, PATIENTS, decisions)
    found = intervals.patient_bootstrap(sample, Resampling(permutations=1, **SETTINGS))
    for place, name in enumerate(("tpr_at_1_fpr", "tpr_at_5_fpr", "tpr_at_10_fpr")):
        assert (low[place], high[place]) == pytest.approx((found[name].low, found[name].high))


def test_strata_have_thresholds_of_their_own():
    # Fold 1 is fold 0 shifted by 100: pooled, from above, used and unused images take turns.
    labels, scores = np.array([1, 1, 0, 0]), np.array([4.0, 2.0, 3.0, 1.0])
    labels, scores = np.r_[labels, labels], np.r_[scores, scores + 100]
    patients, strata = np.arange(8), np.repeat([0, 1], 4)
    options = {"grid": [0.0, 0.5, 1.0], "resamples": 20, "confidence": 0.9, "seed": 0}
    pooled, _, _ = band(labels, scores, patients, **options)
    np.testing.assert_allclose(pooled, [0.25, 0.75, 1.0])
    apart, _, _ = band(labels, scores, patients, strata=strata, **options)
    np.testing.assert_allclose(apart, [0.5, 1.0, 1.0])


def test_a_band_at_the_end_of_the_scale_has_wilsons_width():
    labels, scores = np.r_[np.ones(10, int), np.zeros(10, int)], np.arange(20.0)
    tpr, low, high = band(labels, scores, np.arange(20), grid=[0.0, 1.0], **SETTINGS)
    assert list(tpr) == [0, 1]
    assert low[0] == 0
    assert high[1] == 1
    assert high[0] == pytest.approx(intervals.wilson(0, 10, 0.9).high)
    assert low[1] == pytest.approx(intervals.wilson(10, 10, 0.9).low)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_nan(label):
    found = band([label] * 3, [1.0, 2.0, 3.0], [0, 1, 2], grid=[0.0, 0.5], **SETTINGS)
    assert all(np.isnan(part).all() and len(part) == 2 for part in found)


def test_one_image_a_class_and_equal_scores():
    tpr, low, high = band([1, 0], [1.0, 1.0], [0, 1], grid=[0.0, 1.0], **SETTINGS)
    assert list(tpr) == [0, 1]
    assert (low <= tpr).all()
    assert (tpr <= high).all()


def test_rate_grid_holds_rates_that_can_occur():
    np.testing.assert_allclose(rate_grid(4), [0, 0.25, 0.5, 0.75, 1])
    grid = rate_grid(5000, points=100)
    assert len(grid) <= 101
    assert grid[0] == 0
    assert grid[-1] == 1
    assert (np.diff(grid) > 0).all()
    np.testing.assert_allclose(grid * 5000, np.rint(grid * 5000))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="negatives must be at least 1"):
        rate_grid(0)
    with pytest.raises(ValueError, match="grid must be false-positive rates"):
        band(LABELS, SCORES, PATIENTS, grid=[1.5], **SETTINGS)
    with pytest.raises(ValueError, match="resamples must be at least 1"):
        band(LABELS, SCORES, PATIENTS, grid=[0.5], **SETTINGS | {"resamples": 0})
