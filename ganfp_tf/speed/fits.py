"""How cost grows: least squares on logarithms, and a cost an image and a pair."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls


def log_slope(sizes: ArrayLike, seconds: ArrayLike) -> float | None:
    """The power with which cost grows with size: the slope of log seconds on log size.

    Args:
        sizes: `(n,)` above 0.
        seconds: `(n,)` above 0.

    Returns:
        The slope, 1 for a cost in proportion; None if there are less than two sizes.
    """
    if len(set(sizes)) < 2:
        return None
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(seconds, float))
    x = x - x.mean()
    return float(np.sum(x * y) / np.sum(x * x))


def unit_costs(images: ArrayLike, pairs: ArrayLike, seconds: ArrayLike) -> tuple[float, ...]:
    """Seconds an image and a pair, neither below 0, that explain what was measured.

    Least squares on `seconds = a * images + b * pairs`, each point divided by its seconds: a
    relative error counts the same at every size.

    Args:
        images: `(n,)`, number of images of each point, or 0.
        pairs: `(n,)`, number of pairs of each point, or 0.
        seconds: `(n,)` above 0.

    Returns:
        `(seconds an image, seconds a pair)`.
    """
    seconds = np.asarray(seconds, float)
    matrix = np.stack([np.asarray(images, float), np.asarray(pairs, float)], axis=1)
    scale = np.maximum(np.abs(matrix / seconds[:, None]).max(axis=0), 1e-300)
    found, _ = nnls(matrix / seconds[:, None] / scale, np.ones(len(seconds)))
    return tuple(float(x) for x in found / scale)


def pair_flops(tokens: int, channels: int) -> int:
    """Floating-point operations of a pair's matrix products, tokens in memory; no softmax or sums.

    Both directions: queries by keys and weights by values, 2 T^2 D each, and the projection of the
    attended values, 2 T D^2. The number of heads that share the D channels does not change it.

    Args:
        tokens: T of an image.
        channels: D of a token.
    """
    return 2 * (4 * tokens**2 * channels + 2 * tokens * channels**2)
