"""Conformal p-values: by hand, their level in a simulation, what can be flagged at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.errors import UserError
from ganfp_tf.statistics.conformal import (
    conformal_p,
    fewest_flagged,
    flag,
    leave_one_out_p,
    resolvable,
    smallest_p,
)
from ganfp_tf.statistics.multiple_testing import benjamini_hochberg

numbers = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=12)


def test_by_hand():
    # Of 4 in the reference none, 1, 3 (one a tie) and 4 reach the suspects.
    assert conformal_p([9, 3, 2, 0], [1, 2, 2.5, 5]).tolist() == [0.2, 0.4, 0.8, 1.0]
    assert conformal_p([], [1.0]).tolist() == []
    assert conformal_p([1.0, 2.0], []).tolist() == [1.0, 1.0]
    assert leave_one_out_p([3.0, 1.0, 2.0, 2.0]).tolist() == [0.25, 1.0, 0.75, 0.75]
    assert leave_one_out_p([3.0]).tolist() == [1.0]
    assert leave_one_out_p([]).tolist() == []


@given(numbers, numbers)
def test_is_what_counting_says(suspects, reference):
    expected = [(1 + sum(r >= s for r in reference)) / (1 + len(reference)) for s in suspects]
    assert conformal_p(suspects, reference).tolist() == pytest.approx(expected)
    others = [reference[:i] + reference[i + 1 :] for i in range(len(reference))]
    expected = [conformal_p([s], rest)[0] for s, rest in zip(reference, others, strict=True)]
    assert leave_one_out_p(reference).tolist() == pytest.approx(expected)


@given(numbers, numbers)
def test_a_higher_score_never_has_a_larger_p(suspects, reference):
    p = conformal_p(sorted(suspects), reference)
    assert (np.diff(p) <= 0).all()
    assert (p >= smallest_p(len(reference))).all()
    assert (p <= 1).all()


def test_unused_suspects_are_rarely_below_a_level():
    rng = np.random.default_rng(0)
    # Continuous scores: P(p <= k / (n0 + 1)) is k / (n0 + 1); with ties it is no more.
    smooth = np.array([conformal_p(rng.normal(size=1), rng.normal(size=19)) for _ in range(4000)])
    assert np.mean(smooth <= 0.2) == pytest.approx(0.2, abs=0.025)  # 4 standard errors
    ties = np.array([conformal_p(x[:1], x[1:]) for x in rng.integers(0, 4, size=(4000, 20))])
    assert np.mean(ties <= 0.2) < 0.2


def test_false_flags_keep_to_the_rate():
    rng = np.random.default_rng(1)
    wrong = []
    for _ in range(300):
        suspects = np.append(rng.normal(size=30), rng.normal(4.0, size=10))
        found = flag(conformal_p(suspects, rng.normal(size=200)), 0.2)
        wrong.append(found[:30].sum() / max(1, found.sum()))
    assert np.mean(wrong) < 0.2


def test_flagged_at_exactly_the_rate():
    # 1 / 20 three times is adjusted to 0.05 but for rounding.
    assert flag([1 / 20] * 3, 0.05).all()
    assert not flag([1 / 19] * 3, 0.05).any()
    assert flag([], 0.05).tolist() == []
    assert flag([0.01, 0.5], 0.05).dtype == bool


@settings(max_examples=150)
@given(st.integers(0, 60), st.integers(0, 30), st.sampled_from([0.01, 0.05, 0.1, 0.25]))
def test_what_can_be_flagged_is_what_is(n_reference, n_suspects, rate):
    smallest = conformal_p([1.0], np.zeros(n_reference))[0]
    assert smallest == smallest_p(n_reference)
    able = [
        k
        for k in range(1, n_suspects + 1)
        if flag([smallest] * k + [1.0] * (n_suspects - k), rate).any()
    ]
    assert fewest_flagged(n_reference, n_suspects, rate) == (able[0] if able else None)
    everyone = n_suspects > 0 and bool(flag([smallest] * n_suspects, rate).all())
    assert resolvable(n_reference, n_suspects, rate) is everyone


def test_flag_is_benjamini_hochberg():
    p = np.random.default_rng(2).uniform(size=50) ** 3
    assert (flag(p, 0.1) == (benjamini_hochberg(p) <= 0.1)).all()


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="rate must lie"):
        flag([0.1], 5)
    with pytest.raises(ValueError, match="n_reference"):
        smallest_p(-1)
    with pytest.raises(ValueError, match="n_suspects"):
        fewest_flagged(3, -1, 0.05)
    with pytest.raises(UserError, match="finite"):
        conformal_p([np.nan], [1.0])
    with pytest.raises(ValueError, match="shape"):
        conformal_p([[1.0]], [1.0])
