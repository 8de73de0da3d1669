"""Several tests at once."""

import numpy as np
from scipy import stats


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values of Holm (1979): all below alpha hold together at level alpha.

    Args:
        p_values: (m,) between 0 and 1; may be empty.

    Returns:
        (m,) float64, in the order of `p_values`.
    """
    p = _check_p_values(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty_like(p)
    out[order] = np.minimum(adjusted, 1.0)
    return out


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values of Benjamini & Hochberg (1995), which bound the false discovery rate.

    Of all those at or below a rate, the expected share that should not be there is at most that
    rate, if the p-values are independent or positively dependent (Benjamini & Yekutieli 2001).

    Args:
        p_values: (m,) between 0 and 1; may be empty.

    Returns:
        (m,) float64, in the order of `p_values`.
    """
    return stats.false_discovery_control(_check_p_values(p_values))


def _check_p_values(p_values):
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must have shape (m,) and lie in [0, 1]. Received: {p_values}")
    return p
