"""p-values: by enumeration, uniform without an effect, honest about clusters."""

import itertools
import math

import numpy as np
import pytest

from ganfp_tf.statistics import metrics
from ganfp_tf.statistics.permutation import permutation_p
from ganfp_tf.statistics.sample import Resampling, Sample


def permuted(labels, scores, decisions, patients, *, permutations, seed, strata=None):
    sample = Sample(labels, scores, patients, decisions, strata)
    return permutation_p(sample, Resampling(1, permutations, 0.95, seed))


def exact(labels, statistic):
    """Share of all placements of the used labels that reach the observed statistic."""
    labels = np.asarray(labels)
    observed, reached, total = statistic(labels), 0, 0
    for chosen in itertools.combinations(range(len(labels)), int(labels.sum())):
        placed = np.zeros_like(labels)
        placed[list(chosen)] = 1
        reached += statistic(placed) >= observed
        total += 1
    return reached / total


def test_p_is_that_of_all_placements():
    labels, scores = np.array([1, 1, 0, 1, 0, 0, 0]), [5.0, 4.0, 4.5, 3.0, 3.0, 2.0, 1.0]
    decisions = [1, 1, 1, 0, 0, 0, 0]
    found = permuted(labels, scores, decisions, range(7), permutations=20000, seed=0)
    assert found.auc_p == pytest.approx(
        exact(labels, lambda placed: metrics.auc(placed, scores)), abs=0.01
    )
    assert found.kappa_p == pytest.approx(
        exact(labels, lambda placed: metrics.kappa(placed, decisions)), abs=0.01
    )
    assert (found.level, found.fixed, found.permutations) == ("patient", 0, 20000)


def test_p_counts_the_observed_labels_themselves():
    # The best of C(20, 10) placements is practically never drawn: (1 + 0) / (1 + 99).
    labels = np.repeat([1, 0], 10)
    found = permuted(labels, labels * 1.0, labels, range(20), permutations=99, seed=0)
    assert found.auc_p == found.kappa_p == 0.01


def test_p_is_uniform_without_an_effect():
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], 15)
    p = np.array(
        [
            permuted(labels, scores, labels, range(30), permutations=99, seed=seed).auc_p
            for seed, scores in enumerate(rng.normal(size=(400, 30)))
        ]
    )
    for level in (0.1, 0.3, 0.5, 0.8):
        # Four standard errors of a share of 400.
        assert (p <= level).mean() == pytest.approx(
            level, abs=4 * math.sqrt(level * (1 - level) / 400)
        )


def test_images_of_a_patient_move_together():
    # Two used and two not used patients, ten images each, scored apart: only 6 placements exist,
    # so p is near 1/6; image by image it would be 1/1000.
    labels, patients = np.repeat([1, 0], 20), np.repeat(np.arange(4), 10)
    found = permuted(labels, labels * 1.0, labels, patients, permutations=999, seed=0)
    assert found.auc_p == pytest.approx(1 / 6, abs=0.05)
    assert found.kappa_p == pytest.approx(1 / 6, abs=0.05)


def test_only_patients_of_equal_size_are_exchanged():
    # Sizes 1, 1 | 2, 2 | 3: two exchanges of two, the last patient is fixed: p = 1/4.
    patients = np.array([0, 1, 2, 2, 3, 3, 4, 4, 4])
    labels = np.array([1, 0, 1, 1, 0, 0, 1, 1, 1])
    found = permuted(labels, labels * 1.0, labels, patients, permutations=4000, seed=0)
    assert found.auc_p == pytest.approx(0.25, abs=0.03)
    assert found.fixed == 1
    alone = permuted([1, 0, 0], [2, 1, 1], [1, 0, 0], [0, 1, 1], permutations=99, seed=0)
    assert (alone.auc_p, alone.kappa_p, alone.fixed) == (1.0, 1.0, 2)


def test_strata_are_never_exchanged_or_compared():
    # Fold b's scores lie 100 higher and it holds most of the used: ranks across folds would make
    # the detector look good; within the folds each of 3 x 3 placements is as good: p = 1/9.
    labels = np.array([1, 0, 0, 1, 1, 0])
    scores = np.array([3.0, 2.0, 1.0, 103.0, 102.0, 101.0])
    strata = np.array(list("aaabbb"))
    found = permuted(labels, scores, labels, range(6), permutations=9000, seed=0, strata=strata)
    assert found.auc_p == pytest.approx(1 / 9, abs=0.015)
    scores = np.array([1.0, 2.0, 3.0, 101.0, 102.0, 103.0])
    found = permuted(labels, scores, labels, range(6), permutations=99, seed=0, strata=strata)
    assert found.auc_p == 1.0


def test_patients_of_both_labels_fall_back_to_images():
    labels = np.array([1, 0, 1, 0])
    found = permuted(labels, labels * 1.0, labels, [0, 0, 1, 1], permutations=6000, seed=0)
    assert found.level == "image"
    assert found.auc_p == pytest.approx(1 / 6, abs=0.02)


def test_undefined_p():
    one_class = permuted([1, 1], [1.0, 2.0], [1, 0], [0, 1], permutations=9, seed=0)
    assert math.isnan(one_class.auc_p)
    assert math.isnan(one_class.kappa_p)
    no_pair = permuted([1, 0], [1, 2], [1, 0], [0, 1], permutations=9, seed=0, strata=[0, 1])
    assert math.isnan(no_pair.auc_p)
    assert no_pair.kappa_p == 1.0


def test_arrays_stay_and_the_seed_decides():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 40), rng.normal(size=40)
    labels.flags.writeable = scores.flags.writeable = False
    first, same, other = (
        permuted(labels, scores, labels, range(40), permutations=200, seed=seed).auc_p
        for seed in (0, 0, 1)
    )
    assert first == same != other


def test_no_permutations_are_refused():
    with pytest.raises(ValueError, match="permutations"):
        permuted([1, 0], [1, 0], [1, 0], [0, 1], permutations=0, seed=0)
