"""The nearest vectors of a block of distances. No TensorFlow."""

import numpy as np

FLOOR = 1e-5
"""Distances below it (root mean square, gray values 0 to 1) count as it, so that a logarithm exists
for copies. One gray level of 255 in one pixel of 64x64 is 6e-5, the error of a distance below
1e-7."""


TIE = 1e-5  # distances of at most this relative difference are equal


def mean_of_nearest(block: np.ndarray, k: int) -> np.ndarray:
    """Mean of the k smallest finite values of each row, inf if a row has none.

    Args:
        block: (rows, columns) distances; its rows are reordered.
        k: number of neighbours, at least 0.

    Returns:
        (rows,) float64.
    """
    k = min(k, block.shape[1])
    if not k:
        return np.full(len(block), np.inf)
    block.partition(k - 1, axis=1)
    nearest = np.sort(block[:, :k], axis=1)
    finite = np.isfinite(nearest)
    total = np.where(finite, nearest, 0.0).sum(axis=1)
    count = finite.sum(axis=1)
    return np.divide(total, count, out=np.full(len(block), np.inf), where=count > 0)


def shared_votes(block: np.ndarray, k: int) -> np.ndarray:
    """Votes of the rows of `block` for their k nearest columns: (columns,) float64.

    A row with fewer finite values votes for those. Columns as near as the k-th share what is left
    for them.
    """
    k = min(k, block.shape[1])
    block = np.maximum(block, FLOOR)
    finite = np.isfinite(block)
    last = np.partition(block, k - 1, axis=1)[:, k - 1, None]
    sure = finite & (block < last * (1 - TIE))
    tied = finite & ~sure & (block <= last * (1 + TIE))
    left = k - sure.sum(axis=1, keepdims=True)
    share = np.minimum(1.0, left / np.maximum(tied.sum(axis=1, keepdims=True), 1))
    return (sure + tied * share).sum(axis=0)
