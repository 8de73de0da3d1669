"""Intervals: coverage in a simulation, SciPy's bootstrap, clusters, ends of the scale."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from ganfp_tf.statistics import metrics
from ganfp_tf.statistics.intervals import clopper_pearson, patient_bootstrap, wilson
from ganfp_tf.statistics.sample import Resampling, Sample

SETTINGS = {"resamples": 1000, "confidence": 0.95, "seed": 0}


def binormal(rng, used, unused, shift=1.0):
    labels = np.repeat([1, 0], [used, unused])
    return labels, rng.normal(size=used + unused) + shift * labels


def bootstrap(labels, scores, decisions, patients, *, strata=None, **settings):
    sample = Sample(labels, scores, patients, decisions, strata)
    return patient_bootstrap(sample, Resampling(permutations=1, **settings))


def width(interval):
    return interval.high - interval.low


def test_auc_intervals_cover_the_true_auc():
    rng = np.random.default_rng(1)
    truth = stats.norm.cdf(1 / math.sqrt(2))
    covered = 0
    for seed in range(200):
        labels, scores = binormal(rng, 40, 40)
        interval = bootstrap(
            labels, scores, labels, np.arange(80), resamples=200, confidence=0.95, seed=seed
        )["auc"]
        covered += interval.low <= truth <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_agrees_with_scipys_bootstrap_of_a_mean():
    # Recall is the mean decision of the used images, which are resampled among themselves;
    # accuracy the mean of right answers, here equally many in both classes.
    labels = np.repeat([1, 0], 100)
    decisions = np.concatenate([np.repeat([1, 0], [70, 30]), np.repeat([0, 1], [70, 30])])
    found = bootstrap(
        labels, decisions, decisions, np.arange(200), resamples=4000, confidence=0.9, seed=0
    )
    for name, sample in (("recall", decisions[:100]), ("accuracy", labels == decisions)):
        expected = stats.bootstrap(
            (sample.astype(float),),
            np.mean,
            n_resamples=4000,
            confidence_level=0.9,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        assert found[name].low == pytest.approx(expected.low, abs=0.012)
        assert found[name].high == pytest.approx(expected.high, abs=0.012)


def test_images_of_a_patient_are_not_independent():
    labels, scores = (np.repeat(values, 5) for values in binormal(np.random.default_rng(0), 30, 30))
    decisions = (scores > 0.5).astype(int)
    naive = bootstrap(labels, scores, decisions, np.arange(300), **SETTINGS)
    honest = bootstrap(labels, scores, decisions, np.repeat(np.arange(60), 5), **SETTINGS)
    for name in ("auc", "accuracy", "kappa", "recall"):
        # Five copies of each image: sqrt(5) = 2.24 times as wide.
        assert 1.8 < width(honest[name]) / width(naive[name]) < 2.8, name


def test_five_copies_say_no_more_than_one():
    labels, scores = binormal(np.random.default_rng(0), 20, 20)
    one = bootstrap(labels, scores, labels, np.arange(40), **SETTINGS)["auc"]
    five = bootstrap(
        *(np.repeat(values, 5) for values in (labels, scores, labels, np.arange(40))), **SETTINGS
    )["auc"]
    assert (five.low, five.high) == pytest.approx((one.low, one.high))


def test_every_figure_has_an_interval_around_its_value():
    rng = np.random.default_rng(3)
    labels, scores = binormal(rng, 30, 50)
    decisions, strata = (scores > 0.5).astype(int), rng.integers(0, 4, 80)
    found = bootstrap(labels, scores, decisions, np.arange(80), strata=strata, **SETTINGS)
    assert set(found) == {*metrics.METRICS, "auc_within"}
    values = {
        name: getattr(metrics.binary_metrics(Sample.independent(labels, scores, decisions)), name)
        for name in metrics.METRICS
    }
    values["auc_within"] = metrics.auc_within(labels, scores, strata)
    for name, interval in found.items():
        assert interval.low <= values[name] <= interval.high, name
        assert (interval.confidence, interval.method) == (0.95, "percentile")


def test_the_seed_and_the_names_of_patients_decide_nothing_else():
    labels, scores = binormal(np.random.default_rng(0), 10, 10)
    names = np.array([f"p{i:02d}" for i in range(20)])
    first = bootstrap(labels, scores, labels, names, **SETTINGS)
    assert first == bootstrap(labels, scores, labels, names.astype(object), **SETTINGS)
    assert first != bootstrap(labels, scores, labels, names, **{**SETTINGS, "seed": 1})


def test_a_wider_confidence_is_a_wider_interval():
    labels, scores = binormal(np.random.default_rng(0), 20, 20)
    wide, narrow = (
        bootstrap(labels, scores, labels, np.arange(40), resamples=500, confidence=level, seed=0)[
            "auc"
        ]
        for level in (0.99, 0.8)
    )
    assert width(wide) > width(narrow)


def test_one_class_leaves_auc_undefined():
    found = bootstrap([1, 1, 1], [1.0, 2.0, 3.0], [1, 0, 1], [0, 1, 2], **SETTINGS)
    assert math.isnan(found["auc"].low)
    assert math.isnan(found["auc"].high)
    assert 0 <= found["recall"].low < found["recall"].high <= 1


def test_patients_of_both_labels_are_resampled_whole():
    # Each patient has one image of either label, the used one scored higher by 1. Drawn c_p times
    # each, ten patients have an AUC of 1/2 + sum(c_p^2) / 200, which is at least 0.55; images drawn
    # one by one would fall below.
    patients = np.repeat(np.arange(10), 2)
    labels = np.tile([1, 0], 10)
    scores = patients * 10.0 + labels
    assert metrics.auc(labels, scores) == pytest.approx(0.55)
    found = bootstrap(labels, scores, labels, patients, **SETTINGS)["auc"]
    assert 0.55 < found.low < found.high < 0.7


def test_a_patients_label_is_that_of_most_images():
    # One of three, two of three, one of two (a tie), none of one used.
    labels, patients = np.array([1, 0, 0, 1, 1, 0, 1, 0, 0]), np.array([0, 0, 0, 1, 1, 1, 2, 2, 3])
    assert Sample(labels, labels, patients).patient_labels.tolist() == [0, 1, 1, 0]


def test_a_faultless_small_sample_is_not_certain():
    labels = np.repeat([1, 0], 4)
    strata = np.tile([0, 1], 4)
    found = bootstrap(labels, labels.astype(float), labels, np.arange(8), strata=strata, **SETTINGS)
    assert found["auc"] == wilson(4, 4, 0.95)
    assert found["auc_within"] == wilson(4, 4, 0.95)
    assert found["accuracy"] == wilson(8, 8, 0.95)
    assert found["recall"] == found["precision"] == found["tpr_at_1_fpr"] == wilson(4, 4, 0.95)
    # Both classes right with probability r, half of the images used: F1 is r, kappa 2 r - 1.
    right = wilson(8, 8, 0.95).low
    assert found["f1"].low == pytest.approx(right)
    assert found["kappa"].low == pytest.approx(2 * right - 1)
    assert found["f1"].high == found["kappa"].high == 1.0


def test_five_images_of_a_patient_do_not_make_a_faultless_sample_more_certain():
    labels = np.repeat([1, 0], 20)
    patients = np.repeat(np.arange(8), 5)
    found = bootstrap(labels, labels * 1.0, labels, patients, **SETTINGS)
    assert found["accuracy"] == wilson(8, 8, 0.95)


def test_wilson_against_scipy():
    for successes, n, confidence in (
        (0, 10, 0.95),
        (3, 10, 0.9),
        (10, 10, 0.95),
        (484, 1000, 0.95),
    ):
        expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
        found = wilson(successes, n, confidence)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert math.isnan(wilson(0, 0, 0.95).low)


def test_clopper_pearson_against_scipy_and_statsmodels():
    for successes, n, confidence in ((0, 10, 0.95), (3, 10, 0.9), (10, 10, 0.99), (484, 1000, 0.5)):
        found = clopper_pearson(successes, n, confidence)
        exact = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
        other = proportion_confint(successes, n, 1 - confidence, method="beta")
        assert (found.low, found.high) == pytest.approx(other, abs=1e-12)
    # None of n: the upper end is 1 - (a / 2)^(1 / n), and the lower end is 0 itself.
    none = clopper_pearson(0, 7, 0.9)
    assert none.low == 0.0
    assert none.high == pytest.approx(1 - 0.05 ** (1 / 7))
    assert math.isnan(clopper_pearson(0, 0).low)
    assert math.isnan(clopper_pearson(0, 0).high)


def test_an_end_of_clopper_pearson_is_what_makes_the_count_unlikely():
    found = clopper_pearson(3, 20, 0.9)
    assert stats.binom.sf(2, 20, found.low) == pytest.approx(0.05)
    assert stats.binom.cdf(3, 20, found.high) == pytest.approx(0.05)
    assert (found.confidence, found.method) == (0.9, "clopper-pearson")


def test_impossible_requests_are_refused():
    for interval in (wilson, clopper_pearson):
        for successes in (5, -1):
            with pytest.raises(ValueError, match="0 <= successes <= n"):
                interval(successes, 4, 0.95)
        with pytest.raises(ValueError, match="confidence"):
            interval(1, 4, 95)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap([1, 0], [1, 0], [1, 0], [0, 1], resamples=0, confidence=0.9, seed=0)
    with pytest.raises(ValueError, match="patients"):
        bootstrap([1, 0], [1, 0], [1, 0], [0], resamples=9, confidence=0.9, seed=0)
