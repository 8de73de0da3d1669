"""The Fréchet distance against closed forms and SciPy's matrix root."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from ganfp_tf.statistics.frechet import frechet_distance


def by_matrix_root(first, second, shrink=0.0):
    """The formula as it is written, with `shrink` added to both covariances' diagonals."""
    extra = shrink * np.eye(first.shape[1])
    one, two = np.cov(first, rowvar=False) + extra, np.cov(second, rowvar=False) + extra
    means = first.mean(axis=0) - second.mean(axis=0)
    return means @ means + np.trace(one + two - 2.0 * sqrtm(one @ two).real)


def sample(seed, rows, width, spread=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width))
    return shift + spread * rng.normal(size=(rows, width)) @ mixing


def test_one_dimension_has_a_closed_form():
    first, second = np.array([[1.0], [3.0], [5.0]]), np.array([[2.0], [2.0], [6.0], [10.0]])
    # Means 3 and 5; standard deviations 2 and sqrt(44 / 3).
    assert frechet_distance(first, second) == pytest.approx(4.0 + (2.0 - np.sqrt(44 / 3)) ** 2)


def test_equals_the_matrix_root_where_covariances_are_regular():
    first, second = sample(0, 200, 6), sample(1, 150, 6, spread=1.5, shift=0.7)
    assert frechet_distance(first, second) == pytest.approx(by_matrix_root(first, second), rel=1e-9)


def test_with_fewer_rows_than_columns_it_is_the_limit_of_shrinking_covariances():
    first, second = sample(2, 6, 12), sample(3, 9, 12, spread=0.5, shift=0.3)
    expected = frechet_distance(first, second)
    gaps = [abs(by_matrix_root(first, second, s) - expected) for s in (1e-2, 1e-4, 1e-6)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-2 * expected


def test_a_shift_alone_is_its_squared_length():
    first = sample(4, 40, 5)
    assert frechet_distance(first, first + np.array([3.0, 0, 4.0, 0, 0])) == pytest.approx(25.0)


def test_equal_sets_are_at_distance_zero():
    features = sample(5, 30, 50).astype("float32")
    assert frechet_distance(features, features[::-1]) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(np.ones((3, 4)), np.ones((5, 4))) == 0.0


def test_the_arrays_handed_in_stay_as_they_are():
    first, second = sample(6, 5, 3), sample(7, 5, 3)
    before = first.copy(), second.copy()
    frechet_distance(first, second)
    np.testing.assert_array_equal(first, before[0])
    np.testing.assert_array_equal(second, before[1])


@pytest.mark.parametrize(
    ("first", "second"), [((4, 3), (4, 2)), ((4,), (4, 1)), ((2, 2, 2), (2, 2)), ((1, 3), (4, 3))]
)
def test_what_cannot_be_compared_is_refused(first, second):
    with pytest.raises(ValueError, match="Received"):
        frechet_distance(np.zeros(first), np.zeros(second))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    width=st.integers(1, 8),
    spread=st.floats(0.01, 100.0),
)
def test_symmetric_never_negative_and_blind_to_row_order_and_rotation(seed, rows, width, spread):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(rows[0], width))
    second = spread * rng.normal(size=(rows[1], width)) + rng.normal(size=width)
    rotation = np.linalg.qr(rng.normal(size=(width, width)))[0]
    distance = frechet_distance(first, second)
    same = {"rel": 1e-7, "abs": 1e-9 * (1.0 + spread**2)}
    assert distance >= 0.0
    assert frechet_distance(second, first) == pytest.approx(distance, **same)
    assert frechet_distance(rng.permutation(first), second) == pytest.approx(distance, **same)
    rotated = frechet_distance(first @ rotation, second @ rotation)
    assert rotated == pytest.approx(distance, **same)
