"""From pairs to an image: candidates by embedding, logits by comparator, the mean of the best."""

import numpy as np

from ganfp_tf.detectors.distance import FLOOR, mean_of_nearest
from ganfp_tf.detectors.spaces import distance_rows

BEST = 5  # an image's score is the mean of so many highest logits
PAIRS = 512  # pairs the comparator takes at once


def nearest(left, right, count, hidden=None):
    """Who is nearest to whom.

    Args:
        left: (n, d).
        right: (m, d).
        count: how many of them, at most.
        hidden: (n, m) bool, which must not be taken; None hides nothing.

    Returns:
        `(places (n, K) int, -1 where a row has no more; mean distance of the BEST nearest (n,))`.
    """
    count = min(count, len(right))
    near, means = np.empty((len(left), count), int), np.empty(len(left))
    for part, block in distance_rows(left, right):
        if hidden is not None:
            block[hidden[part]] = np.inf
        places = np.argsort(block, axis=1, kind="stable")[:, :count]
        near[part] = np.where(np.isinf(np.take_along_axis(block, places, axis=1)), -1, places)
        means[part] = mean_of_nearest(block, BEST)
    return near, np.maximum(means, FLOOR)


def logits(networks, tokens, others, near):
    """Logits of each row with its nearest, -inf where there is none: (n, K) float32."""
    logits = np.full(near.shape, -np.inf, "float32")
    left, column = np.nonzero(near >= 0)
    right = near[left, column]
    for start in range(0, len(left), PAIRS):
        part = slice(start, start + PAIRS)
        found = networks.compare(tokens[left[part]], others[right[part]])
        logits[left[part], column[part]] = found
    return logits


def top(logits, count=BEST):
    """Mean of the highest finite logits of each row: (n,) float64."""
    best = np.sort(logits.astype("float64"), axis=1)[:, ::-1][:, :count]
    finite = np.isfinite(best)
    return np.where(finite, best, 0.0).sum(axis=1) / finite.sum(axis=1)
