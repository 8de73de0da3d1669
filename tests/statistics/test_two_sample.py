"""The set test against SciPy, all permutations of small samples, least squares, simulations."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ganfp_tf.errors import UserError
from ganfp_tf.statistics.sample import Resampling, Sample
from ganfp_tf.statistics.two_sample import set_test

SETTINGS = {"permutations": 199, "confidence": 0.95, "resamples": 200, "seed": 0}


def compare(x, y, x_patients, y_patients, *, strata=None, **settings):
    labels = np.repeat([1, 0], [len(x), len(y)])
    sample = Sample(labels, [*x, *y], [*x_patients, *y_patients], strata=strata)
    return set_test(sample, Resampling(**settings))


def names(n, prefix):
    return [f"{prefix}{i}" for i in range(n)]


def one_image_each(x, y, **changes):
    return compare(x, y, names(len(x), "s"), names(len(y), "r"), **{**SETTINGS, **changes})


def test_welch_is_scipys():
    rng = np.random.default_rng(0)
    for scale in (1e-6, 1.0, 1e6):
        x, y = scale * rng.normal(0.6, 2.0, 30), scale * rng.normal(0.0, 1.0, 12)
        found = one_image_each(x, y)
        expected = stats.ttest_ind(x, y, equal_var=False, alternative="greater")
        assert found.welch_t == pytest.approx(expected.statistic)
        assert found.welch_df == pytest.approx(expected.df)
        assert found.welch_p == pytest.approx(expected.pvalue)
        assert found.difference == pytest.approx(x.mean() - y.mean())
        deviation = math.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)
        assert found.effect == pytest.approx(found.difference / deviation)
        assert (found.suspects, found.reference, found.permutations) == (30, 12, 199)


def test_a_patients_images_are_pooled_to_their_mean():
    # Means 1, 5, 3 against 2, 0.
    found = compare([0, 2, 5, 3, 3, 3], [1, 3, 0], list("aabccc"), list("ddE"), **SETTINGS)
    expected = stats.ttest_ind([1, 5, 3], [2, 0], equal_var=False, alternative="greater")
    assert (found.difference, found.suspects, found.reference) == (2.0, 3, 2)
    assert found.welch_p == pytest.approx(expected.pvalue)


def exact_p(x, y):
    """Share of all ways to deal out the labels whose Welch t reaches the observed one."""
    both = np.concatenate([x, y])

    def t(chosen):
        rest = np.delete(both, chosen)
        return stats.ttest_ind(both[list(chosen)], rest, equal_var=False).statistic

    observed = t(range(len(x)))
    ways = itertools.combinations(range(len(both)), len(x))
    return np.mean([t(list(way)) >= observed - 1e-9 for way in ways])


def test_the_permutation_p_is_that_of_all_permutations():
    rng = np.random.default_rng(3)
    for x, y in (
        (rng.normal(0.8, 2, 4), rng.normal(size=4)),
        (np.array([1.0, 2, 2, 3]), np.array([0.0, 1, 2, 1, 0])),  # ties
    ):
        found = one_image_each(x, y, permutations=20_000)
        # Four standard errors of a share of 20 000 are 0.015 at most.
        assert found.permutation_p == pytest.approx(exact_p(x, y), abs=0.015)


def test_agrees_with_scipys_permutation_test():
    rng = np.random.default_rng(4)
    x, y = rng.normal(0.4, 1, 25), rng.exponential(1.0, 40) - 1

    def welch(one, other, axis):
        gap = one.mean(axis=axis) - other.mean(axis=axis)
        parts = (v.var(axis=axis, ddof=1) / v.shape[axis] for v in (one, other))
        return gap / np.sqrt(sum(parts))

    expected = stats.permutation_test(
        (x, y),
        welch,
        vectorized=True,
        n_resamples=5000,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    found = one_image_each(x, y, permutations=5000)
    assert found.permutation_p == pytest.approx(expected.pvalue, abs=0.02)


def test_the_interval_is_scipys_bootstrap():
    rng = np.random.default_rng(5)
    x, y = rng.normal(1, 1, 60), rng.normal(0, 2, 50)
    found = one_image_each(x, y, resamples=4000, confidence=0.9)
    expected = stats.bootstrap(
        (x, y),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=4000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.05)


def test_strata_are_the_least_squares_fit_of_a_constant_each():
    rng = np.random.default_rng(6)
    labels = np.repeat([1, 0], [20, 24])
    folds = rng.integers(0, 3, 44)
    scores = rng.normal(size=44) + labels + 50.0 * folds
    found = one_image_each(scores[:20], scores[20:], strata=folds)
    design = np.column_stack([labels, *(folds == fold for fold in range(3))]).astype(float)
    fit = np.linalg.lstsq(design, scores, rcond=None)[0]
    assert found.difference == pytest.approx(fit[0])
    adjusted = scores - design[:, 1:] @ fit[1:]
    expected = stats.ttest_ind(adjusted[:20], adjusted[20:], equal_var=False, alternative="greater")
    assert found.welch_t == pytest.approx(expected.statistic)
    assert found.welch_p == pytest.approx(expected.pvalue)


def test_folds_of_unequal_mixture_do_not_hide_the_difference():
    # Without noise every suspect lies 1 above its fold's reference, whatever the folds' scales'
    # origin; centring each fold to 0 would find 2/3 of it only.
    folds = np.array([0] * 6 + [1] * 2 + [0] * 2 + [1] * 6)
    scores = np.array([11.0] * 6 + [-4.0] * 2 + [10.0] * 2 + [-5.0] * 6)
    found = one_image_each(scores[:8], scores[8:], strata=folds)
    assert found.difference == pytest.approx(1.0)
    # Neither side has spread, so there is no t; the permutations never do as well.
    assert math.isnan(found.welch_t)
    assert math.isnan(found.welch_p)
    assert found.permutation_p < 0.05


def test_permutations_within_strata_are_those_of_all_ways_within_them():
    scores = np.array([3.0, 11.0, 12.5, 1.0, 2.0, 10.0, 9.0])  # suspects: the first three
    folds = np.array([0, 1, 1, 0, 0, 1, 1])
    members = [np.flatnonzero(folds == fold) for fold in (0, 1)]

    def t(chosen):
        label = np.isin(np.arange(7), chosen).astype(float)
        design = np.column_stack([label, folds == 0, folds == 1]).astype(float)
        fit = np.linalg.lstsq(design, scores, rcond=None)[0]
        adjusted = scores - design[:, 1:] @ fit[1:]
        one, other = adjusted[label == 1], adjusted[label == 0]
        return stats.ttest_ind(one, other, equal_var=False).statistic

    ways = itertools.product(members[0], itertools.combinations(members[1], 2))
    expected = np.mean([t([a, *pair]) >= t([0, 1, 2]) - 1e-9 for a, pair in ways])
    found = one_image_each(scores[:3], scores[3:], strata=folds, permutations=20_000)
    assert found.permutation_p == pytest.approx(expected, abs=0.015)


def test_a_fold_without_both_sides_is_left_out():
    x, y = [1.0, 3.0, 900.0], [0.0, 1.0, 0.5]
    found = one_image_each(x, y, strata=["a", "a", "b", "a", "a", "a"])
    alone = one_image_each(x[:2], y)
    assert (found.suspects, found.reference) == (2, 3)
    assert found.difference == pytest.approx(alone.difference)
    assert found.welch_p == pytest.approx(alone.welch_p)
    nothing = one_image_each(x, y, strata=list("aaabbb"))
    assert (nothing.suspects, nothing.reference) == (0, 0)
    assert math.isnan(nothing.permutation_p)
    assert math.isnan(nothing.difference)


def test_p_is_uniform_without_a_difference_even_if_spreads_differ():
    rng = np.random.default_rng(7)
    found = [
        one_image_each(rng.normal(0, 3, 12), rng.normal(0, 1, 30), seed=seed, resamples=1)
        for seed in range(400)
    ]
    for p in ([f.permutation_p for f in found], [f.welch_p for f in found]):
        # Four standard errors of a share of 400.
        assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.06)
        assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=0.1)


def test_constant_scores_have_p_one():
    for value in (0.1, 0.0, -3e7):
        patients = ["a", "a", "a", "b", "c"]
        found = compare(
            [value] * 5,
            [value] * 4,
            patients,
            list("wxyz"),
            strata=[0, 0, 0, 1, 1, 0, 1, 1, 1],
            **SETTINGS,
        )
        assert (found.difference, found.welch_t, found.welch_p, found.permutation_p) == (0, 0, 1, 1)
        assert abs(found.low) < 1e-6
        assert abs(found.high) < 1e-6
        assert math.isnan(found.effect)


def test_one_patient_a_side():
    found = compare(
        [5.0] * 4, [0.0, 1, 2, 3, 4], ["a"] * 4, names(5, "r"), **{**SETTINGS, "permutations": 6000}
    )
    # The suspect is the highest of six.
    assert found.permutation_p == pytest.approx(1 / 6, abs=0.02)
    assert found.difference == 3.0
    assert all(
        math.isnan(x) for x in (found.low, found.high, found.welch_t, found.welch_df, found.welch_p)
    )
    assert one_image_each([1.0], [0.0], permutations=2000).permutation_p == pytest.approx(
        0.5, abs=0.05
    )


def test_suspects_that_score_lower_are_no_evidence():
    rng = np.random.default_rng(8)
    found = one_image_each(rng.normal(-2, 1, 20), rng.normal(size=20))
    assert found.welch_p > 0.99
    assert found.permutation_p == 1.0
    assert found.high < 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_small_sample_has_a_p(data):
    n1, n0 = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    scores = st.lists(st.sampled_from([-1.0, 0.0, 0.1, 0.3, 1e6]), min_size=n1 + n0)
    values = data.draw(scores)[: n1 + n0]
    folds = data.draw(st.none() | st.lists(st.integers(0, 2), min_size=n1 + n0, max_size=n1 + n0))
    drawn = {"permutations": 40, "resamples": 20, "strata": folds}
    found = one_image_each(values[:n1], values[n1:], **drawn)
    if found.suspects == 0:
        assert math.isnan(found.permutation_p)
        return
    assert 1 / 41 <= found.permutation_p <= 1
    assert not math.isinf(found.welch_t)
    assert math.isnan(found.welch_p) or 0 <= found.welch_p <= 1
    # Neither a shift of all scores nor their unit matters.
    moved = one_image_each(
        [4 * v + 8 for v in values[:n1]], [4 * v + 8 for v in values[n1:]], **drawn
    )
    assert moved.permutation_p == found.permutation_p
    assert moved.difference == pytest.approx(4 * found.difference, abs=1e-6)


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match=r"both suspects and reference.*the first is 'b'"):
        compare([1, 2], [3], ["a", "b"], ["b"], **SETTINGS)
    with pytest.raises(ValueError, match="one stratum"):
        compare([1, 2], [3], ["a", "a"], ["b"], strata=[0, 1, 0], **SETTINGS)
    with pytest.raises(ValueError, match="must both have images"):
        compare([], [3], [], ["b"], **SETTINGS)
    with pytest.raises(ValueError, match="patients"):
        compare([1], [3], ["a", "b"], ["c"], **SETTINGS)
    for name, wrong in (("permutations", 0), ("resamples", 0), ("confidence", 95)):
        with pytest.raises(ValueError, match=name):
            one_image_each([1.0], [2.0], **{name: wrong})
    with pytest.raises(UserError, match="finite"):
        one_image_each([math.nan], [2.0])
