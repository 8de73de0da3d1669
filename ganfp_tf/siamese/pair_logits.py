"""Logits of any number of pairs in bounded memory; each image is read and projected once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # which needs TensorFlow, and this does not
    from ganfp_tf.models.pair_engine import PairEngine, Prepared

BATCH = 64  # images whose tokens are held beside what was prepared


def pair_logits(
    engine: PairEngine,
    real: Callable[[np.ndarray], np.ndarray],
    generated: Callable[[np.ndarray], np.ndarray],
    left: np.ndarray,
    right: np.ndarray,
    limit: int,
) -> np.ndarray:
    """Logits of the pairs (left[i], right[i]), in blocks of images that fit into memory.

    N real and M generated images are N + M readings if one side fits into a quarter of `limit`,
    and N + M * ceil(N / n) if not, n being the real images that fit.

    Args:
        engine: What scores the pairs.
        real: Function from row numbers `(n,)` to tokens `(n, T, D)` of real images.
        generated: The same of generated images.
        left: `(P,)` int, rows of real images.
        right: `(P,)` int, rows of generated images.
        limit: Bytes that prepared images may take.

    Returns:
        `(P,)` float32.
    """
    left, right = np.asarray(left), np.asarray(right)
    out = np.empty(len(left), "float32")
    if not len(left):
        return out
    # Half for each side, and each image twice while its batches are joined.
    most = max(1, int(limit / 4 / engine.image_bytes))
    rows_left, at_left = np.unique(left, return_inverse=True)
    rows_right, at_right = np.unique(right, return_inverse=True)
    block_of = at_left // most, at_right // most
    order = np.lexsort((at_left, block_of[1], block_of[0]))
    key = np.stack([block_of[0][order], block_of[1][order]])
    ends = np.flatnonzero(np.any(np.diff(key, axis=1) != 0, axis=0)) + 1
    held: dict[str, tuple[int, Prepared]] = {}

    def prepared(domain, rows, block, tokens):
        if domain not in held or held[domain][0] != block:
            held.pop(domain, None)  # Before the next is made: two would be over the limit.
            chosen = rows[block * most : (block + 1) * most]
            held[domain] = (block, _prepare(engine, domain, chosen, tokens))
        return held[domain][1]

    for pairs in np.split(order, ends):
        i, j = block_of[0][pairs[0]], block_of[1][pairs[0]]
        a = prepared("real", rows_left, i, real)
        b = prepared("generated", rows_right, j, generated)
        out[pairs] = _scored(engine, a, b, at_left[pairs] - i * most, at_right[pairs] - j * most)
    return out


def _scored(engine, a, b, left, right):
    place = left * len(b) + right
    if len(place) >= len(a) * len(b) and len(np.unique(place)) == len(a) * len(b):
        return engine.all_logits(a, b).ravel()[place]  # faster than pair by pair
    return engine.logits(a, b, left, right)


def _prepare(engine, domain, rows, tokens):
    batches = [
        engine.prepare(tokens(rows[start : start + BATCH]), domain)
        for start in range(0, len(rows), BATCH)
    ]
    return engine.joined(batches)
