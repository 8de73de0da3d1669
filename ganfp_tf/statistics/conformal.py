"""p-values of single images: how many images known to be unused score as high?"""

import math

import numpy as np

from ganfp_tf.statistics.multiple_testing import benjamini_hochberg
from ganfp_tf.statistics.sample import check_scores


def conformal_p(suspects: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Conformal p of each suspect s: (1 + #{reference >= s}) / (1 + n0) (Bates et al. 2023).

    An unused suspect has p <= a with probability a at most, whatever the scores' distribution, if
    it could change places with any image of the reference. Ties count against the suspect, which
    makes p conservative. All suspects share one reference, so their p-values are not independent,
    yet positively dependent if images are independent (Bates, Candès, Lei, Romano & Sesia 2023,
    Annals of Statistics 51, theorem 2), which is what Benjamini & Hochberg's procedure asks for.
    Several images of a patient are beyond that theorem: the rate of false flags is then
    approximate.

    Args:
        suspects: (n1,) finite; may be empty.
        reference: (n0,) finite, higher means used; if empty, every p is 1.

    Returns:
        (n1,) float64.
    """
    suspects = check_scores(suspects, np.size(suspects))
    reference = np.sort(check_scores(reference, np.size(reference)))
    reached = len(reference) - np.searchsorted(reference, suspects, side="left")
    return (1.0 + reached) / (1.0 + len(reference))


def leave_one_out_p(reference: np.ndarray) -> np.ndarray:
    """`conformal_p` of each image of the reference against all the others; (n0,) float64."""
    reference = check_scores(reference, np.size(reference))
    # The image itself, counted among those that reach it, is the 1 that is added.
    reached = len(reference) - np.searchsorted(np.sort(reference), reference, side="left")
    return reached / max(1.0, float(len(reference)))


def flag(p: np.ndarray, rate: float) -> np.ndarray:
    """Which images are flagged at the false discovery rate `rate`; (m,) bool."""
    _check_rate(rate)
    # The allowance is for rounding alone: three p of exactly 1/20 are flagged at .05.
    return benjamini_hochberg(p) <= rate * (1 + 1e-9)


def smallest_p(n_reference: int) -> float:
    """The p of an image that scores above all of `n_reference` images."""
    if n_reference < 0:
        raise ValueError(f"n_reference must be at least 0. Received: n_reference={n_reference}")
    return 1.0 / (1.0 + n_reference)


def fewest_flagged(n_reference: int, n_suspects: int, rate: float) -> int | None:
    """How many suspects must have the smallest p before any of `n_suspects` is flagged at `rate`.

    None if not even all of them would do.
    """
    _check_rate(rate)
    if n_suspects < 0:
        raise ValueError(f"n_suspects must be at least 0. Received: n_suspects={n_suspects}")
    needed = max(1, math.ceil(n_suspects * smallest_p(n_reference) / rate * (1 - 1e-9)))
    return needed if needed <= n_suspects else None


def resolvable(n_reference: int, n_suspects: int, rate: float) -> bool:
    """Whether all suspects would be flagged if each scored above the whole reference.

    If not, the reference is too small for any image to be flagged at `rate`. With at least one
    suspect the answer depends on the reference alone: the adjusted p-values of equal p-values are
    these p-values. `fewest_flagged` says how many suspects it takes.
    """
    return fewest_flagged(n_reference, n_suspects, rate) is not None


def _check_rate(rate):
    if not 0.0 < rate < 1.0:
        raise ValueError(f"rate must lie between 0 and 1. Received: rate={rate}")
