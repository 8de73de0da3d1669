"""The threshold against a search of all cuts, Platt's sigmoid against scipy.optimize."""

import math

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy import optimize, special
from sklearn.metrics import cohen_kappa_score

from ganfp_tf.statistics.calibration import Platt, choose_threshold, platt


@hypothesis.given(st.integers(2, 25), st.data())
@hypothesis.settings(deadline=None, max_examples=150)
def test_no_cut_has_a_higher_kappa(n, data):
    labels = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, 1)))
    scores = data.draw(hnp.arrays(np.float64, n, elements=st.integers(-5, 5).map(float)))
    hypothesis.assume(len(set(labels)) == 2)
    threshold = choose_threshold(labels, scores)
    cuts = np.append(np.unique(scores), 100.0)
    best = max(cohen_kappa_score(labels, scores >= cut) for cut in cuts)
    assert threshold.kappa == pytest.approx(best)
    assert cohen_kappa_score(labels, threshold.decide(scores)) == pytest.approx(best)
    assert threshold.n == n


def test_the_cut_lies_in_the_middle_of_the_widest_best_gap():
    assert choose_threshold([0, 0, 1, 1], [0.0, 1.0, 4.0, 9.0]).value == 2.5
    # Cuts between 1 and 2 and between 4 and 8 both have kappa 0.5; the second gap is wider.
    threshold = choose_threshold([0, 1, 0, 1], [1.0, 2.0, 4.0, 8.0])
    assert (threshold.value, threshold.kappa) == (6.0, 0.5)


def test_without_a_useful_cut_the_larger_class_is_the_answer():
    backwards = choose_threshold([1, 1, 0, 0], [0.0, 1.0, 2.0, 3.0])
    assert backwards.kappa == 0.0
    assert not backwards.decide([0.0, 1.0, 2.0, 3.0]).any()
    constant = choose_threshold([1, 1, 0], [7.0, 7.0, 7.0])
    assert constant.kappa == 0.0
    assert constant.decide([7.0]).all()


def test_one_class_gives_the_median():
    threshold = choose_threshold([1, 1, 1], [1.0, 5.0, 2.0])
    assert threshold.value == 2.0
    assert math.isnan(threshold.kappa)


def test_the_cut_separates_neighbouring_and_huge_numbers():
    above = np.nextafter(1.0, 2.0)
    for low, high in ((1.0, above), (-1.7e308, 1.7e308)):
        threshold = choose_threshold([0, 1], [low, high])
        assert low < threshold.value <= high
        assert threshold.kappa == 1.0


def loss(point, labels, scores):
    used, unused = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (used + 1) / (used + 2), 1 / (unused + 2))
    logits = point[0] * scores + point[1]
    return np.sum(np.logaddexp(0, logits) - targets * logits)


@pytest.mark.parametrize(("seed", "shift"), [(0, 1.0), (1, 0.3), (2, 20.0), (3, -1.0)])
def test_platt_minimises_its_loss(seed, shift):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([1, 0], [20, 35]))
    scores = rng.normal(size=55) + shift * labels
    found = platt(labels, scores)
    best = optimize.minimize(
        loss, [0.1, 0.0], (labels, scores), method="L-BFGS-B", bounds=[(0, None), (None, None)]
    )
    assert loss([found.slope, found.intercept], labels, scores) <= best.fun + 1e-7
    assert found.probability(scores) == pytest.approx(
        special.expit(best.x[0] * scores + best.x[1]), abs=2e-3
    )
    assert (found.slope == 0) == (shift < 0)


def test_platt_by_hand():
    # One image at 1 and one at -1: the targets 2/3 and 1/3 are met with slope log 2.
    found = platt([1, 0], [1.0, -1.0])
    assert (found.slope, found.intercept) == pytest.approx((math.log(2), 0.0), abs=1e-6)


def test_a_detector_that_points_the_wrong_way_gets_the_base_rate():
    labels = np.array([1, 1, 0, 0, 0, 0, 0, 0] * 50)
    found = platt(labels, -labels.astype(float))
    assert found.slope == 0.0
    assert found.probability([-9.0, 9.0]) == pytest.approx([0.25, 0.25], abs=0.01)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e6, 1e200])
def test_platt_does_not_depend_on_the_scores_scale(scale):
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], 30)
    scores = rng.normal(size=60) + labels
    expected = platt(labels, scores).probability(scores)
    found = platt(labels, scores * scale)
    assert found.probability(scores * scale) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 5.0, 1e300, 0.1 + 0.2])
def test_platt_of_a_constant_score(value):
    found = platt([1, 0, 1, 0], [value] * 4)
    assert found.slope == 0.0
    assert found.probability([value]) == pytest.approx(0.5)


def test_platt_of_one_class_stays_below_one():
    # The target of four used images is 5/6.
    assert platt([1, 1, 1, 1], [1.0, 2.0, 3.0, 4.0]).probability([2.0]) == pytest.approx(5 / 6)


def test_probability_has_the_shape_of_the_scores_and_does_not_overflow():
    fit = Platt(slope=3.0, intercept=0.0)
    assert fit.probability(np.zeros((2, 3))).shape == (2, 3)
    assert fit.probability([-1e5, 1e5]).tolist() == [0.0, 1.0]
