"""From pairs to an image: candidates by embedding, logits by comparator, the mean of the best."""

from typing import TYPE_CHECKING

import numpy as np

from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.neighbours.nearest import FLOOR, mean_of_nearest
from ganfp_tf.siamese.pair_logits import pair_logits

if TYPE_CHECKING:
    from ganfp_tf.siamese.networks import SiameseNetworks

BEST = 5  # an image's score is the mean of so many highest logits
LIMIT = 2**30  # bytes of images that are prepared for the comparison


def nearest(
    left: np.ndarray, right: np.ndarray, count: int, hidden: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
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


def logits(
    networks: "SiameseNetworks",
    tokens: np.ndarray,
    others: np.ndarray,
    near: np.ndarray,
    limit: int = LIMIT,
) -> np.ndarray:
    """Logits of each row with its nearest, -inf where there is none: (n, K) float32.

    Args:
        networks: what compares.
        tokens: (n, T, D).
        others: (m, T, D).
        near: (n, K) rows of `others`, -1 for none.
        limit: bytes that images prepared for the comparison may take.
    """
    logits = np.full(near.shape, -np.inf, "float32")
    left, column = np.nonzero(near >= 0)
    logits[left, column] = pair_logits(
        networks.engine, tokens.__getitem__, others.__getitem__, left, near[left, column], limit
    )
    return logits


def top(logits: np.ndarray, count: int = BEST) -> np.ndarray:
    """Mean of the highest finite logits of each row: (n,) float64."""
    best = np.sort(logits.astype("float64"), axis=1)[:, ::-1][:, :count]
    finite = np.isfinite(best)
    return np.where(finite, best, 0.0).sum(axis=1) / finite.sum(axis=1)
