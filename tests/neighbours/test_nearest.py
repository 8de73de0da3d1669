"""Nearest vectors: by hand, against sorting, and votes that add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganfp_tf.neighbours.nearest import FLOOR, mean_of_nearest, shared_votes

coordinates = st.integers(0, 3).map(lambda value: value / 3)
vectors = st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=8)


@given(vectors, vectors, st.integers(1, 4))
def test_every_row_gives_all_its_votes(left, right, k):
    left, right = np.array(left), np.array(right)
    votes = shared_votes(np.abs(left[:, None] - right).sum(axis=-1), k)
    assert votes.sum() == pytest.approx(len(left) * min(k, len(right)))
    assert (votes >= 0).all()
    assert (votes <= len(left) + 1e-9).all()


def test_mean_of_nearest_by_hand():
    block = np.array([[3.0, 1.0, 2.0], [5.0, np.inf, np.inf], [np.inf] * 3])
    assert mean_of_nearest(block.copy(), 2).tolist() == [1.5, 5.0, np.inf]
    assert mean_of_nearest(block.copy(), 9).tolist() == [2.0, 5.0, np.inf]
    assert mean_of_nearest(block.copy(), 0).tolist() == [np.inf] * 3
    assert mean_of_nearest(np.empty((2, 0)), 2).tolist() == [np.inf] * 2


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_the_mean_is_that_of_sorted_rows(k, seed):
    block = np.random.default_rng(seed).random((4, 6))
    expected = np.sort(block, axis=1)[:, :k].mean(axis=1)
    assert mean_of_nearest(block, k) == pytest.approx(expected)


def test_columns_as_near_as_the_last_share_its_vote():
    # The first row has two seconds, the second row three firsts.
    block = np.array([[0.1, 0.2, 0.2, 0.9], [0.3, 0.3, 0.3, 0.4]])
    assert shared_votes(block, 2) == pytest.approx([1 + 2 / 3, 1 / 2 + 2 / 3, 1 / 2 + 2 / 3, 0])


def test_distances_below_the_floor_are_equal():
    block = np.array([[0.0, FLOOR / 2, FLOOR * 1.1]])
    assert shared_votes(block, 1) == pytest.approx([1 / 2, 1 / 2, 0])


def test_a_row_votes_for_finite_distances_only():
    block = np.array([[0.5, np.inf, np.inf], [np.inf, np.inf, np.inf]])
    assert shared_votes(block, 2).tolist() == [1, 0, 0]
