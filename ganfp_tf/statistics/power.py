"""What a sample of this size can show at all, before anything is measured.

Sizes count independent units: patients, if patients have several images.
"""

import math

from scipy import optimize, stats


def null_auc_sd(n_used: int, n_unused: int) -> float:
    """Standard deviation of the AUC at chance, without ties (Mann & Whitney 1947)."""
    _check_sizes(n_used, n_unused)
    return math.sqrt((n_used + n_unused + 1) / (12 * n_used * n_unused))


def significant_auc(n_used: int, n_unused: int, alpha: float = 0.05) -> float:
    """AUC that a one-sided test at `alpha` takes as above chance (normal approximation).

    nan if not even an AUC of 1.0 would pass.
    """
    _check_probability("alpha", alpha)
    value = 0.5 + stats.norm.isf(alpha) * null_auc_sd(n_used, n_unused)
    return float(value) if value < 1.0 else math.nan


def auc_sd(auc: float, n_used: int, n_unused: int) -> float:
    """Standard deviation of a measured AUC whose true value is `auc` (Hanley & McNeil 1982)."""
    _check_sizes(n_used, n_unused)
    if not 0.0 <= auc <= 1.0:
        raise ValueError(f"auc must lie in [0, 1]. Received: auc={auc}")
    q1 = auc / (2 - auc)
    q2 = 2 * auc**2 / (1 + auc)
    square = auc**2
    variance = (auc * (1 - auc) + (n_used - 1) * (q1 - square) + (n_unused - 1) * (q2 - square)) / (
        n_used * n_unused
    )
    return math.sqrt(max(variance, 0.0))


def detectable_auc(n_used: int, n_unused: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true AUC that the one-sided test at `alpha` finds with probability `power`.

    nan if `significant_auc` is.
    """
    _check_probability("power", power)
    threshold = significant_auc(n_used, n_unused, alpha)
    if math.isnan(threshold):
        return math.nan
    z = stats.norm.ppf(power)

    def margin(auc):
        return auc - threshold - z * auc_sd(auc, n_used, n_unused)

    if margin(0.5) >= 0:
        return 0.5
    return float(optimize.brentq(margin, 0.5, 1.0))


def power_at(auc: float, n_used: int, n_unused: int, alpha: float = 0.05) -> float:
    """Probability that the one-sided test at `alpha` finds a detector whose true AUC is `auc`.

    Normal approximation, with the standard deviation of `auc_sd`; 0 if `significant_auc` is nan.
    """
    threshold = significant_auc(n_used, n_unused, alpha)
    if math.isnan(threshold):
        return 0.0
    deviation = auc_sd(auc, n_used, n_unused)
    if deviation == 0.0:
        return float(auc > threshold)
    return float(stats.norm.cdf((auc - threshold) / deviation))


def _check_sizes(n_used, n_unused):
    if n_used < 1 or n_unused < 1:
        raise ValueError(
            f"Both sizes must be at least 1. Received: n_used={n_used}, n_unused={n_unused}"
        )


def _check_probability(name, value):
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} must lie between 0 and 1. Received: {name}={value}")
