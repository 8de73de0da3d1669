"""How many of the suspects were used? An estimate of their share, not of who."""

import dataclasses
import math

import numpy as np

from ganfp_tf.statistics.intervals import BLOCK, check_confidence, draw_patients, wilson
from ganfp_tf.statistics.metrics import check_codes, check_scores


@dataclasses.dataclass(frozen=True)
class Share:
    """A share between 0 and 1; ends are nan with fewer than two patients in a group."""

    value: float
    low: float
    high: float
    method: str


def share_used(
    suspects, reference, *, suspect_patients, reference_patients, resamples, confidence, seed
):
    """1 - pi0 of Storey (2002) at lambda 1/2, from conformal p-values.

    An unused suspect's p lies above 1/2 half of the time, so twice the share of suspects below the
    reference's median (ties half) is what of them may be unused. Used images that score below the
    median count as unused: an estimate from below, and 0 for a detector that sees nothing.

    Patients are drawn with replacement within either group, and the percentile interval is cut to
    [0, 1]. Where no resample has a suspect below the median the lower end is from Wilson's interval
    of none among the suspects' patients.

    Args:
        suspects, reference: (n1,) and (n0,) finite scores, higher means used.
        suspect_patients, reference_patients: (n1,) and (n0,) names.
        resamples: how many to draw.
        confidence: coverage of the interval.
        seed: integer, at least 0.

    Raises:
        ValueError: an empty group, arrays of different lengths, or impossible settings.
        UserError: a score that is not finite.
    """
    groups = [
        _group("suspects", suspects, suspect_patients),
        _group("reference", reference, reference_patients),
    ]

    def estimate(weights):  # two (R, n) -> (R,)
        middle = _medians(groups[1][0], weights[1])
        return 1.0 - 2.0 * _below(groups[0][0], weights[0], middle)

    value, drawn = _resample(groups, estimate, resamples, confidence, seed)
    method = "Storey, lambda 1/2"
    if drawn is None:
        return Share(_clip(value), math.nan, math.nan, method)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]).tolist()
    if low == 1.0:
        low = 1.0 - 2.0 * wilson(0, int(groups[0][1].max()) + 1, confidence).high
    return Share(_clip(value), _clip(low), _clip(high), method)


def _group(what, scores, patients):
    """Checked scores and codes of patients, by rising score."""
    n = np.size(scores)
    if n == 0:
        raise ValueError(f"{what} must have at least one image. Received: none")
    scores = check_scores(scores, n)
    order = np.argsort(scores, kind="stable")
    return scores[order], check_codes(patients, f"patients of {what}", n)[order]


def _resample(groups, estimate, resamples, confidence, seed):
    """The estimate of the sample, and (resamples,) of it, None where a group has one patient."""
    check_confidence(confidence)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1. Received: resamples={resamples}")
    value = float(estimate([np.ones((1, len(scores))) for scores, _ in groups])[0])
    sizes = [int(patients.max()) + 1 for _, patients in groups]
    if min(sizes) < 2:
        return value, None
    rng = np.random.default_rng(seed)
    drawn = []
    block = max(1, BLOCK // sum(len(scores) for scores, _ in groups))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        weights = [
            draw_patients(np.zeros(size, np.int64), rows, rng)[:, patients]
            for size, (_, patients) in zip(sizes, groups, strict=True)
        ]
        drawn.append(estimate(weights))
    return value, np.concatenate(drawn)


def _medians(scores, weights):
    """Median of rising `scores` (n,), each repeated as often as each row of weights says: (R,)."""
    total = np.cumsum(weights, axis=1)
    half = total[:, -1:] / 2
    lower, upper = (total < half).sum(axis=1), (total <= half).sum(axis=1)
    # Halved first, so that the middle of two equal scores is that score.
    return scores[lower] / 2 + scores[upper] / 2


def _below(scores, weights, middle):
    """Weighted share of rising `scores` below each row's `middle`, ties half: (R,)."""
    total = np.pad(np.cumsum(weights, axis=1), ((0, 0), (1, 0)))
    rows = np.arange(len(weights))
    below, upto = (np.searchsorted(scores, middle, side=side) for side in ("left", "right"))
    return (total[rows, below] + total[rows, upto]) / (2 * total[:, -1])


def _clip(value):
    return value if math.isnan(value) else min(1.0, max(0.0, value))
