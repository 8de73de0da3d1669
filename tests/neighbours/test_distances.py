"""Blocks of distances against SciPy."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ganfp_tf.neighbours.distances import distance_rows


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (512, 1024)])
def test_distances_are_root_mean_squares_whatever_the_blocks(rows, columns):
    rng = np.random.default_rng(0)
    left, right = rng.random((5, 12), "float32"), rng.random((7, 12), "float32")
    blocks = list(distance_rows(left, right, rows=rows, columns=columns))
    assert [part.start for part, _ in blocks] == list(range(0, 5, rows))
    found = np.concatenate([block for _, block in blocks])
    assert found == pytest.approx(cdist(left, right) / np.sqrt(12), abs=1e-7)


def test_equal_vectors_are_nearly_0_apart():
    images = np.random.default_rng(0).random((20, 4096), "float32")
    ((_, block),) = distance_rows(images, images)
    assert block.diagonal().max() < 1e-7
