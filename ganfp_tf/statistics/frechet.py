"""The Fréchet distance of two sets of features, for small sets of high dimension."""

import numpy as np


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al. 2017, equation 6).

    The trace of the root is the sum of the singular values of X1 X2^T / sqrt((n1-1)(n2-1)), X being
    the centred features: with fewer images than features the covariances are singular, and their
    product's matrix root loses digits that this does not need. The distance is biased upwards by
    small samples; only distances at equal numbers can be compared.

    Args:
        first: (n, d) features, at least two rows.
        second: (m, d) features, at least two rows.

    Returns:
        The distance in squared units of the features, at least 0.

    Raises:
        ValueError: shapes that do not fit, or fewer than two rows.
    """
    first, second = (np.asarray(features, "float64") for features in (first, second))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"expected (n, d) and (m, d). Received: {first.shape}, {second.shape}")
    if min(len(first), len(second)) < 2:
        raise ValueError(f"expected two rows or more. Received: {len(first)} and {len(second)}")
    means = first.mean(axis=0) - second.mean(axis=0)
    first = (first - first.mean(axis=0)) / np.sqrt(len(first) - 1)
    second = (second - second.mean(axis=0)) / np.sqrt(len(second) - 1)
    root = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    distance = means @ means + np.sum(first**2) + np.sum(second**2) - 2.0 * root
    return float(max(distance, 0.0))
