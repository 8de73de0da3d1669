"""The bound of epsilon: by hand, in closed form, and as often right as it says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ganfp_tf.statistics.epsilon import epsilon_lower_bound


@pytest.mark.parametrize("n", [1, 10, 100, 500])
def test_a_faultless_attack_has_a_closed_form(n):
    q = 0.005 ** (1 / n)
    found = epsilon_lower_bound(n, n, 0, n, confidence=0.99)
    assert found.low == pytest.approx(max(0.0, math.log(q / (1 - q))))


def test_by_hand():
    # q = (.01 / 2)^(1 / 500) = 0.98946; log(0.98946 / 0.01054) is 4.54.
    assert epsilon_lower_bound(500, 500, 0, 500, confidence=0.99).low == pytest.approx(
        4.54, abs=0.005
    )
    # 90 of 100 and 10 of 100: 95 % Clopper-Pearson 0.8238 and 0.1762 (both tables' values).
    found = epsilon_lower_bound(90, 100, 10, 100, confidence=0.95)
    assert found.low == pytest.approx(math.log(0.8238 / 0.1762), abs=0.001)
    # Half and half shows nothing.
    assert epsilon_lower_bound(50, 100, 50, 100, confidence=0.95).low == 0.0
    # Missing nobody, with alarms for half: the second ratio, (1 - FPR) / FNR, is the larger one.
    one = epsilon_lower_bound(100, 100, 50, 100, confidence=0.95)
    exact = stats.binomtest(50, 100).proportion_ci(0.95)
    assert one.low == pytest.approx(math.log((1 - exact.high) / (1 - 0.025 ** (1 / 100))))


def test_delta_is_taken_off():
    q = 0.025 ** (1 / 50)
    found = epsilon_lower_bound(50, 50, 0, 50, confidence=0.95, delta=0.1)
    assert found.low == pytest.approx(math.log((q - 0.1) / (1 - q)))
    assert epsilon_lower_bound(50, 50, 0, 50, confidence=0.95, delta=0.99).low == 0.0


counts = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted)


@given(counts, counts, st.floats(0.5, 0.99), st.floats(0, 0.5))
def test_is_finite_and_weaker_if_more_is_asked(hits, alarms, confidence, delta):
    (tp, used), (fp, unused) = hits, alarms
    found = epsilon_lower_bound(tp, used, fp, unused, confidence=confidence, delta=delta)
    assert 0.0 <= found.low < math.inf
    for stricter in (
        {"confidence": (1 + confidence) / 2, "delta": delta},
        {"confidence": confidence, "delta": delta + 0.1},
    ):
        assert epsilon_lower_bound(tp, used, fp, unused, **stricter).low <= found.low + 1e-12
    if fp < unused:
        worse = epsilon_lower_bound(tp, used, fp + 1, unused, confidence=confidence, delta=0.0)
        better = epsilon_lower_bound(tp, used, fp, unused, confidence=confidence, delta=0.0)
        # More alarms make the first ratio and the second one smaller.
        assert worse.low <= better.low + 1e-12
    # Calling the unused used and the used unused is the same attack.
    mirrored = epsilon_lower_bound(
        unused - fp, unused, used - tp, used, confidence=confidence, delta=delta
    )
    assert mirrored.low == pytest.approx(found.low, abs=1e-9)


def test_holds_as_often_as_it_says():
    # Randomised response at epsilon 1: right with probability e / (1 + e).
    right = math.e / (1 + math.e)
    rng = np.random.default_rng(0)
    tp, tn = rng.binomial(60, right, (2, 1000))
    low = [
        epsilon_lower_bound(int(a), 60, int(60 - b), 60, confidence=0.9).low
        for a, b in zip(tp, tn, strict=True)
    ]
    assert np.mean(np.array(low) <= 1.0) >= 0.9
    assert np.mean(low) > 0.3  # and says something


def test_no_units_show_nothing():
    for counted in ((0, 0, 0, 9), (9, 9, 0, 0), (0, 0, 0, 0)):
        found = epsilon_lower_bound(*counted, confidence=0.95)
        assert found.low == 0.0
        assert (found.true_positives, found.used, found.false_positives, found.unused) == counted


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="successes"):
        epsilon_lower_bound(3, 2, 0, 2, confidence=0.95)
    with pytest.raises(ValueError, match="confidence"):
        epsilon_lower_bound(1, 2, 0, 2, confidence=95)
    with pytest.raises(ValueError, match="delta"):
        epsilon_lower_bound(1, 2, 0, 2, confidence=0.95, delta=1.0)
