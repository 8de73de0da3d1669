"""DeLong's test against the example of its paper as SAS prints it, plain loops, scikit-learn."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ganfp_tf.errors import UserError
from ganfp_tf.statistics.delong import delong

# The 43 complete patients of DeLong, DeLong & Clarke-Pearson (1988): albumin, total protein, K-G
# score (low is good), outcome. As in the SAS/STAT manual, "Comparing Receiver Operating
# Characteristic Curves".
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""


def test_the_published_example():
    albumin, protein, kg, outcome = np.array(OVARIAN.split(), float).reshape(-1, 4).T
    found = delong(outcome, albumin, -kg)
    assert (found.auc_a, found.auc_b) == pytest.approx((0.7366, 0.7258), abs=5e-5)
    assert (found.difference, found.se) == pytest.approx((0.0108, 0.0953), abs=5e-5)
    assert (found.low, found.high, found.p) == pytest.approx((-0.1761, 0.1976, 0.9102), abs=5e-5)
    found = delong(outcome, protein, -kg)
    assert (found.auc_a, found.difference) == pytest.approx((0.6478, -0.0780), abs=5e-5)
    assert (found.se, found.p) == pytest.approx((0.1046, 0.4561), abs=5e-5)
    # Against a constant, the standard error is that of the AUC itself.
    assert delong(outcome, albumin, np.zeros(43)).se == pytest.approx(0.0927, abs=5e-5)


def by_loops(labels, scores):
    """Structural components V10 of each used and V01 of each unused image."""
    x, y = scores[labels == 1], scores[labels == 0]
    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    return wins.mean(axis=1), wins.mean(axis=0)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_is_the_variance_of_structural_components(data):
    n = data.draw(st.integers(4, 20))
    numbers = st.lists(st.integers(-3, 3), min_size=n, max_size=n)
    labels = np.array([1, 1, 0, 0, *(i % 2 for i in range(n - 4))])
    a, b = np.array(data.draw(numbers), float), np.array(data.draw(numbers), float)
    found = delong(labels, a, b, 0.9)
    assert found.auc_a == pytest.approx(roc_auc_score(labels, a))
    assert found.auc_b == pytest.approx(roc_auc_score(labels, b))
    assert found.difference == pytest.approx(found.auc_a - found.auc_b, abs=1e-12)
    variance = sum(
        np.var(one - two, ddof=1) / len(one)
        for one, two in zip(by_loops(labels, a), by_loops(labels, b), strict=True)
    )
    assert found.se == pytest.approx(math.sqrt(variance), abs=1e-12)
    swapped = delong(labels, b, a, 0.9)
    assert swapped.p == pytest.approx(found.p, nan_ok=True)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low), nan_ok=True)
    if found.se > 0:
        assert 0 <= found.p <= 1 and found.low < found.difference < found.high


def test_equal_order_has_no_difference():
    scores = np.random.default_rng(0).normal(size=21)
    found = delong([1] * 10 + [0] * 11, scores, np.exp(scores))
    assert (found.difference, found.low, found.high, found.p, found.se) == (0, 0, 0, 1, 0)


def test_without_spread_a_difference_has_no_p():
    found = delong([1, 1, 0, 0], [4, 3, 2, 1], [1, 2, 3, 4])
    assert (found.auc_a, found.auc_b, found.difference, found.se) == (1, 0, 1, 0)
    assert all(math.isnan(x) for x in (found.low, found.high, found.p))


def test_too_few_images():
    assert all(math.isnan(x) for x in dataclasses.astuple(delong([1, 1], [1, 2], [2, 1])))
    found = delong([1, 0, 0], [1, 0, 0], [0, 1, 0])
    assert (found.auc_a, found.auc_b, found.difference) == (1.0, 0.25, 0.75)
    assert math.isnan(found.se) and math.isnan(found.p)


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="confidence"):
        delong([1, 0], [1, 0], [1, 0], 95)
    with pytest.raises(ValueError, match="scores"):
        delong([1, 0], [1, 0], [1])
    with pytest.raises(UserError, match="finite"):
        delong([1, 0], [1, 0], [1, math.inf])
