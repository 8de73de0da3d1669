"""Figures against scikit-learn, hand-counted examples, and weights against repeated rows."""

import math

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from sklearn import metrics as reference

from ganfp_tf.errors import UserError
from ganfp_tf.statistics import metrics
from ganfp_tf.statistics.sample import Sample


@st.composite
def samples(draw, min_size=1):
    """labels, scores with many ties, decisions."""
    n = draw(st.integers(min_size, 30))
    binary = hnp.arrays(np.int64, n, elements=st.integers(0, 1))
    scores = draw(hnp.arrays(np.float64, n, elements=st.integers(-4, 4).map(float)))
    return draw(binary), scores, draw(binary)


@hypothesis.given(samples())
@hypothesis.settings(deadline=None, max_examples=150)
def test_figures_are_those_of_scikit_learn(sample):
    labels, scores, decisions = sample
    found = metrics.binary_metrics(Sample.independent(labels, scores, decisions))
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, decisions, average="binary", zero_division=0.0
    )
    assert (found.precision, found.recall, found.f1) == pytest.approx((precision, recall, f1))
    assert found.accuracy == pytest.approx(reference.accuracy_score(labels, decisions))
    assert (found.n, found.positives) == (len(labels), labels.sum())
    assert found.share == pytest.approx(labels.mean())
    if len(set(labels)) == 1:
        assert math.isnan(found.auc)
        assert math.isnan(found.tpr_at_10_fpr)
        return
    assert found.auc == pytest.approx(reference.roc_auc_score(labels, scores))
    assert found.kappa == pytest.approx(reference.cohen_kappa_score(labels, decisions))
    fpr, tpr, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    for name, limit in (("tpr_at_10_fpr", 0.1), ("tpr_at_5_fpr", 0.05), ("tpr_at_1_fpr", 0.01)):
        assert getattr(found, name) == pytest.approx(tpr[fpr <= limit].max())


@hypothesis.given(samples(min_size=2), st.data())
@hypothesis.settings(deadline=None, max_examples=100)
def test_weights_do_what_repeated_rows_do(sample, data):
    labels, scores, decisions = sample
    n = len(labels)
    weights = data.draw(hnp.arrays(np.int64, (3, n), elements=st.integers(0, 3)))
    hypothesis.assume((weights.sum(axis=1) > 0).all())
    strata = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, 2)))
    whole = Sample.independent(labels, scores, decisions, strata)
    found = metrics.weighted_metrics(whole, weights.astype(float))
    within = metrics.weighted_auc_within(whole, weights.astype(float))
    np.testing.assert_array_equal(found["auc_within"], within)
    for row, weight in enumerate(weights):
        repeated = [np.repeat(values, weight) for values in (labels, scores, decisions, strata)]
        expected = metrics.binary_metrics(Sample.independent(*repeated[:3]))
        for name in metrics.METRICS:
            assert found[name][row] == pytest.approx(getattr(expected, name), nan_ok=True)
        expected = metrics.auc_within(repeated[0], repeated[1], repeated[3])
        assert within[row] == pytest.approx(expected, nan_ok=True)


def test_auc_counts_pairs_and_half_of_the_ties():
    # used 3, 1 against not used 2, 1: right, right, wrong, tie.
    assert metrics.auc([1, 1, 0, 0], [3, 1, 2, 1]) == 2.5 / 4


def test_auc_within_never_compares_strata():
    # The second model's scores lie 100 higher. Within: 1 of 1 and 0 of 2 pairs are right.
    labels, scores = [1, 0, 1, 0, 0], [2.0, 1.0, 100.0, 101.0, 102.0]
    assert metrics.auc_within(labels, scores, ["a", "a", "b", "b", "b"]) == pytest.approx(1 / 3)
    assert metrics.auc(labels, scores) == pytest.approx(2 / 6)
    assert math.isnan(metrics.auc_within([1, 0], [1.0, 2.0], ["a", "b"]))


def test_auc_within_one_stratum_is_auc():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 50), rng.normal(size=50)
    assert metrics.auc_within(labels, scores, np.zeros(50)) == metrics.auc(labels, scores)


def test_tpr_allows_no_more_false_positives_than_said():
    # From the top: used, not used, used, used, then nine not used: rates of 1/10 are exact.
    labels = [1, 0, 1, 1] + [0] * 9
    scores = np.arange(13, 0, -1.0)
    assert metrics.tpr_at_fpr(labels, scores, 0.10) == 1.0
    assert metrics.tpr_at_fpr(labels, scores, 0.099) == pytest.approx(1 / 3)
    assert metrics.tpr_at_fpr(labels, scores, 0.0) == pytest.approx(1 / 3)
    assert metrics.tpr_at_fpr(labels, np.zeros(13), 0.10) == 0.0
    # 0.29 * 100 is 28.999999999999996 in floating point; 29 of 100 are 29 %.
    labels = [0] * 29 + [1] + [0] * 71
    assert metrics.tpr_at_fpr(labels, np.arange(101, 0, -1.0), 0.29) == 1.0


def test_tpr_needs_both_classes():
    assert math.isnan(metrics.tpr_at_fpr([1, 1], [0.0, 1.0], 0.1))
    assert math.isnan(metrics.tpr_at_fpr([0, 0], [0.0, 1.0], 0.1))


def test_kappa_by_hand():
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: po 0.7, pe 0.5, kappa 0.4.
    labels = [1] * 25 + [0] * 25
    decisions = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert metrics.kappa(labels, decisions) == pytest.approx(0.4)
    assert math.isnan(metrics.kappa([1, 1], [1, 1]))


def test_constant_answers_of_the_papers_test_sets():
    # facts.md: at 10 % positives "never used" is right in 0.900; in 2023 "all used" has F1 0.667.
    tenth = metrics.constant_answers([1] * 20 + [0] * 180)
    assert tenth["none used"]["accuracy"] == pytest.approx(0.9)
    assert tenth["none used"]["f1"] == 0.0
    half = metrics.constant_answers([1] * 100 + [0] * 100)
    assert half["all used"]["f1"] == pytest.approx(2 / 3)
    assert half["all used"]["kappa"] == 0.0
    assert half["all used"]["auc"] == 0.5


def test_the_coins_figures_are_the_mean_over_all_its_outcomes():
    labels = np.array([1, 1, 0, 0, 0])
    outcomes = [[int(bit) for bit in f"{number:05b}"] for number in range(32)]
    found = metrics.constant_answers(labels)["coin"]
    for name, score in (
        ("f1", reference.f1_score),
        ("precision", reference.precision_score),
        ("recall", reference.recall_score),
    ):
        mean = np.mean([score(labels, outcome, zero_division=0.0) for outcome in outcomes])
        assert found[name] == pytest.approx(mean), name
    for name, score in (
        ("accuracy", reference.accuracy_score),
        ("kappa", reference.cohen_kappa_score),
        ("auc", reference.roc_auc_score),
    ):
        mean = np.mean([score(labels, outcome) for outcome in outcomes])
        assert found[name] == pytest.approx(mean), name


def test_what_is_handed_in_stays_as_it_is():
    labels, scores = np.array([1, 0, 1]), np.array([3.0, 1.0, 2.0])
    labels.flags.writeable = scores.flags.writeable = False
    assert metrics.binary_metrics(Sample.independent(labels, scores, labels)).accuracy == 1.0


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([1, 2], [0.0, 1.0], "must be 0 or 1. Received: \\[1, 2\\]"),
        ([[1, 0]], [0.0, 1.0], "shape \\(n,\\)"),
        ([], [], "not empty"),
        ([1, 0], [0.0], "shape \\(2,\\)"),
        (["1", "0"], [0.0, 1.0], "must be 0 or 1"),
    ],
)
def test_wrong_arrays_are_refused(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        metrics.auc(labels, scores)


def test_scores_that_are_not_finite_are_a_users_error():
    with pytest.raises(UserError, match="1 of 2"):
        metrics.auc([1, 0], [0.0, np.nan])
