"""Two detectors on the same images: DeLong's test of their AUC, in closed form."""

import dataclasses
import math

import numpy as np
from scipy import stats

from ganfp_tf.statistics.intervals import check_confidence
from ganfp_tf.statistics.metrics import check_binary, check_scores


@dataclasses.dataclass(frozen=True)
class DeLong:
    """Detector a's AUC minus detector b's, with images as independent units.

    Attributes:
        auc_a, auc_b, difference: nan with a single class.
        low, high: normal interval of the difference.
        p: two-sided, of "no difference".
        se: standard error of the difference; nan with fewer than two images of a class.
    """

    auc_a: float
    auc_b: float
    difference: float
    low: float
    high: float
    p: float
    se: float


def delong(labels, scores_a, scores_b, confidence=0.95):
    """Test of DeLong, DeLong & Clarke-Pearson (1988), from midranks (Sun & Xu 2014).

    Every image counts as independent. Where patients have several images that is not so, and
    `paired.paired_bootstrap` is the one to go by. Where the standard error is 0, a difference of 0
    has p 1 and an interval of no width; any other difference has neither p nor interval.

    Args:
        labels: (n,) of 0 and 1.
        scores_a, scores_b: (n,) finite; only their order counts.
        confidence: coverage of the interval.

    Raises:
        ValueError: arrays of different lengths, or an impossible confidence.
        UserError: a score that is not finite.
    """
    labels = check_binary(labels, "labels")
    scores = [check_scores(s, len(labels)) for s in (scores_a, scores_b)]
    check_confidence(confidence)
    used, unused = int(labels.sum()), int((1 - labels).sum())
    if used == 0 or unused == 0:
        return DeLong(*(math.nan,) * 7)
    (wins_a, losses_a), (wins_b, losses_b) = (_components(labels, s) for s in scores)
    # Counts of pairs are halves, so that equal detectors differ by exactly 0.
    by_used, by_unused = wins_a - wins_b, losses_a - losses_b
    auc_a, auc_b = (float(wins.sum() / (used * unused)) for wins in (wins_a, wins_b))
    difference = float(by_used.sum() / (used * unused))
    if used == 1 or unused == 1:
        return DeLong(auc_a, auc_b, difference, *(math.nan,) * 4)
    variance = (
        np.var(by_used / unused, ddof=1) / used + np.var(by_unused / used, ddof=1) / unused
        if np.ptp(by_used) or np.ptp(by_unused)
        else 0.0
    )
    se = math.sqrt(variance)
    if se == 0.0:
        low, high, p = (0.0, 0.0, 1.0) if difference == 0.0 else (math.nan,) * 3
        return DeLong(auc_a, auc_b, difference, low, high, p, se)
    half = float(stats.norm.isf((1 - confidence) / 2)) * se
    p = float(2 * stats.norm.sf(abs(difference) / se))
    return DeLong(auc_a, auc_b, difference, difference - half, difference + half, p, se)


def _components(labels, scores):
    """Unused images below each used one and used images above each unused one, ties half."""
    x, y = scores[labels == 1], scores[labels == 0]
    together = stats.rankdata(np.concatenate([x, y]))
    wins = together[: len(x)] - stats.rankdata(x)
    losses = len(x) - (together[len(x) :] - stats.rankdata(y))
    return wins, losses
