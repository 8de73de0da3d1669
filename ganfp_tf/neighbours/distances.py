"""Blocks of distances between vectors. No TensorFlow."""

import functools
from collections.abc import Iterator

import numpy as np

ROWS, COLUMNS = 512, 1024  # vectors of either side that are held in float64 at once


def distance_rows(
    left: np.ndarray, right: np.ndarray, *, rows: int = ROWS, columns: int = COLUMNS
) -> Iterator[tuple[slice, np.ndarray]]:
    """Distances between vectors, a block of rows at a time, so that memory stays bounded.

    Computed in float64 from |a|^2 + |b|^2 - 2 ab: equal vectors come out below 1e-7, not always 0.

    Args:
        left: (n, d) float32.
        right: (m, d) float32.
        rows: rows of a block.
        columns: vectors of `right` that are multiplied at once.

    Yields:
        (slice of `left`, (rows, m) float64): root mean square difference over the d components,
        for pixels in gray values from 0 to 1.
    """
    size = left.shape[1]
    starts = range(0, len(right), columns)
    squares = functools.partial(np.einsum, "ij,ij->i")
    for start in range(0, len(left), rows):
        part = slice(start, start + rows)
        a = left[part].astype("float64")
        block = np.empty((len(a), len(right)))
        for begin in starts:
            b = right[begin : begin + columns].astype("float64")
            squared = squares(a, a)[:, None] + squares(b, b) - 2.0 * (a @ b.T)
            block[:, begin : begin + columns] = squared
        yield part, np.sqrt(np.maximum(block, 0.0, out=block) / size)
