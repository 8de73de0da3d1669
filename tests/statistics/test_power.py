"""Figures that facts.md and Hanley & McNeil name, and a simulation of the promised power."""

import math

import numpy as np
import pytest
from scipy import stats

from ganfp_tf.statistics import power


def test_significant_auc_of_the_facts():
    # facts.md: at 100+100 images the AUC must pass 0.567 for p < .05.
    assert power.significant_auc(100, 100) == pytest.approx(0.567, abs=5e-4)


def test_standard_errors_of_the_facts():
    # data/README.md of the two victims: 0.041 at 100+100, 0.024 at 300+300.
    assert power.null_auc_sd(100, 100) == pytest.approx(0.041, abs=5e-4)
    assert power.null_auc_sd(300, 300) == pytest.approx(0.024, abs=5e-4)


def test_null_sd_is_that_of_the_rank_sum():
    # All C(5, 2) placements of two used among five: the exact distribution.
    ranks = [(a, b) for a in range(1, 6) for b in range(a + 1, 6)]
    aucs = [(a + b - 3) / 6 for a, b in ranks]
    assert power.null_auc_sd(2, 3) == pytest.approx(np.std(aucs))


def test_auc_sd_by_hand_and_at_the_ends():
    # Hanley & McNeil 1982, A = 0.8, 10 and 20: Q1 = 0.8/1.2, Q2 = 1.28/1.8.
    variance = (0.16 + 9 * (0.8 / 1.2 - 0.64) + 19 * (1.28 / 1.8 - 0.64)) / 200
    assert power.auc_sd(0.8, 10, 20) == pytest.approx(math.sqrt(variance))
    assert power.auc_sd(1.0, 10, 20) == 0.0
    # Exponential scores at chance have the exact null variance.
    assert power.auc_sd(0.5, 30, 40) == pytest.approx(power.null_auc_sd(30, 40))


def test_detectable_auc_is_found_as_often_as_promised():
    rng = np.random.default_rng(0)
    auc = power.detectable_auc(40, 40)
    shift = math.sqrt(2) * stats.norm.ppf(auc)  # binormal scores with that AUC
    used, unused = rng.normal(shift, 1, (2000, 40, 1)), rng.normal(0, 1, (2000, 1, 40))
    found = (used > unused).mean(axis=(1, 2)) > power.significant_auc(40, 40)
    assert found.mean() == pytest.approx(0.8, abs=0.04)


def test_more_images_find_smaller_effects():
    values = [power.detectable_auc(n, n) for n in (5, 14, 40, 100, 1000)]
    assert values == sorted(values, reverse=True)
    assert all(power.significant_auc(n, n) < power.detectable_auc(n, n) < 1 for n in (5, 14, 40))


def test_too_few_images_can_show_nothing():
    assert math.isnan(power.significant_auc(1, 1))
    assert math.isnan(power.detectable_auc(1, 1))


@pytest.mark.parametrize(
    "call",
    [
        lambda: power.null_auc_sd(0, 5),
        lambda: power.significant_auc(5, 5, alpha=0),
        lambda: power.detectable_auc(5, 5, power=1.0),
        lambda: power.auc_sd(1.1, 5, 5),
    ],
)
def test_impossible_requests_are_refused(call):
    with pytest.raises(ValueError, match="Received"):
        call()
