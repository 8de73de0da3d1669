"""Holm's and Benjamini & Hochberg's corrections, against SciPy and statsmodels."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ganfp_tf.statistics.multiple_testing import benjamini_hochberg, holm


def test_by_hand():
    # Sorted .01, .02, .03, .04 times 4, 3, 2, 1, each at least the one before.
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])
    assert holm([0.03]).tolist() == [0.03]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_is_the_closed_test_of_bonferroni(p):
    """A hypothesis falls when every intersection it is in falls by Bonferroni (Marcus 1976)."""
    for i, adjusted in enumerate(holm(p)):
        sets = [
            s
            for size in range(1, len(p) + 1)
            for s in itertools.combinations(range(len(p)), size)
            if i in s
        ]
        closed = max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets)
        assert adjusted == pytest.approx(closed)


@pytest.mark.parametrize("wrong", [[0.5, 1.1], [-0.1], [float("nan")], [[0.1]]])
def test_what_is_no_p_value_is_refused(wrong):
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match=r"lie in \[0, 1\]. Received"):
            adjust(wrong)


def test_benjamini_hochberg_by_hand():
    # Sorted .01, .02, .03, .5 times 4 / 1, 4 / 2, 4 / 3, 4 / 4, each at most the one after.
    found = benjamini_hochberg([0.5, 0.01, 0.03, 0.02])
    np.testing.assert_allclose(found, [0.5, 0.04, 0.04, 0.04])
    assert benjamini_hochberg([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_is_scipys_and_statsmodels(p):
    found = benjamini_hochberg(p)
    np.testing.assert_allclose(found, stats.false_discovery_control(p), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found, multipletests(p, method="fdr_bh")[1], rtol=1e-12, atol=1e-300)
    assert (found >= p).all()
    assert (found <= holm(p) + 1e-12).all()
