"""True-positive rates at few false alarms: by hand, against tpr_at_fpr, SciPy and the bootstrap."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ganfp_tf.statistics.intervals import patient_bootstrap, wilson
from ganfp_tf.statistics.low_fpr import RATES, tpr_at_low_rates
from ganfp_tf.statistics.metrics import tpr_at_fpr
from ganfp_tf.statistics.sample import Resampling, Sample


def low_rates(labels, scores, patients=None, rates=RATES, **settings):
    patients = np.arange(len(labels)) if patients is None else patients
    resampling = Resampling(
        **{"resamples": 1000, "confidence": 0.95, "seed": 0} | settings, permutations=1
    )
    return tpr_at_low_rates(Sample(labels, scores, patients), resampling, rates)


def test_by_hand():
    # From the top: 2 used, 1 not used, 3 used, 19 not used; a false alarm of 20 is 5 %.
    labels = [1, 1, 0, 1, 1, 1] + [0] * 19
    ten, five, one, thousandth = low_rates(labels, np.arange(25, 0, -1.0))
    assert (five.fpr, five.value, five.false_positives) == (0.05, 1.0, 1)
    assert (five.negatives, five.positives, five.resolvable) == (20, 5, True)
    # Two alarms are allowed at 10 %, but all used images are found with one.
    assert (ten.value, ten.false_positives) == (1.0, 1)
    exact = stats.binomtest(5, 5).proportion_ci(0.95, method="exact")
    assert (five.exact_low, five.exact_high) == pytest.approx((exact.low, exact.high))
    for rate in (one, thousandth):
        assert not rate.resolvable
        assert rate.false_positives == 0
        assert all(
            math.isnan(x)
            for x in (rate.value, rate.exact_low, rate.exact_high, rate.low, rate.high)
        )


def test_a_rate_is_resolvable_from_one_allowed_alarm_on():
    for negatives, expected in ((99, False), (100, True)):
        found = low_rates([1] + [0] * negatives, np.zeros(1 + negatives), rates=(0.01,))
        assert found[0].resolvable is expected
    # 0.07 * 100 is a little more than 7, 1 / 49 * 49 a little less than 1.
    assert low_rates([1] + [0] * 49, np.zeros(50), rates=(1 / 49,))[0].resolvable


def test_the_bootstrap_is_that_of_the_other_figures():
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], 120)
    scores, patients = rng.normal(size=240) + labels, np.arange(240) // 3
    found = low_rates(labels, scores, patients, confidence=0.9, resamples=300, seed=4)
    expected = patient_bootstrap(
        Sample(labels, scores, patients, labels),
        Resampling(resamples=300, permutations=1, confidence=0.9, seed=4),
    )
    for rate, name in zip(found, ("tpr_at_10_fpr", "tpr_at_5_fpr", "tpr_at_1_fpr"), strict=False):
        assert (rate.low, rate.high) == (expected[name].low, expected[name].high)
    assert math.isnan(found[3].low)


def test_a_faultless_detector_is_not_certain():
    labels = np.repeat([1, 0], 30)
    rate = low_rates(labels, labels * 1.0, np.arange(60) // 3, resamples=50)[1]
    assert (rate.value, rate.low, rate.high) == (1.0, wilson(10, 10).low, 1.0)


def test_without_a_class_there_is_no_rate():
    for labels in ([1] * 30, [0] * 30):
        for rate in low_rates(labels, np.arange(30.0), np.arange(30), resamples=5):
            assert math.isnan(rate.value)
            assert math.isnan(rate.exact_low)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_values_are_tpr_at_fpr_and_lie_in_their_intervals(data):
    n = data.draw(st.integers(1, 40))
    labels = np.array([1, *data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))])
    scores = data.draw(st.lists(st.integers(-3, 3), min_size=n + 1, max_size=n + 1))
    found = low_rates(labels, scores, rates=(0.5, 0.1, 0.05), resamples=20)
    values = []
    for rate in found:
        if not rate.resolvable:
            assert rate.fpr * rate.negatives < 1
            continue
        assert rate.value == tpr_at_fpr(labels, scores, rate.fpr)
        assert 0 <= rate.exact_low <= rate.value <= rate.exact_high <= 1
        assert rate.false_positives <= rate.fpr * rate.negatives * (1 + 1e-9)
        values.append(rate.value)
    assert values == sorted(values, reverse=True)


def test_impossible_requests_are_refused():
    for rate in (0.0, -0.1, 1.1):
        with pytest.raises(ValueError, match="false-positive rate"):
            low_rates([1, 0], [1.0, 0.0], rates=(rate,))
    with pytest.raises(ValueError, match="patients"):
        low_rates([1, 0], [1.0, 0.0], [0])
    with pytest.raises(ValueError, match="resamples"):
        low_rates([1, 0], [1.0, 0.0], [0, 1], resamples=0)
    with pytest.raises(ValueError, match="confidence"):
        low_rates([1, 0], [1.0, 0.0], rates=(1.0,), confidence=95)
    assert RATES == (0.1, 0.05, 0.01, 0.001)
