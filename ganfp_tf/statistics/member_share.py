"""How many of the suspects were used? An estimate of their share, not of who."""

import dataclasses
import math

import numpy as np

from ganfp_tf.statistics.intervals import wilson
from ganfp_tf.statistics.sample import Resampling, Sample


@dataclasses.dataclass(frozen=True)
class Share:
    """A share between 0 and 1; ends are nan with fewer than two patients in a group."""

    value: float
    low: float
    high: float
    method: str


def share_used(sample: Sample, resampling: Resampling) -> Share:
    """1 - pi0 of Storey (2002) at lambda 1/2, from conformal p-values.

    An unused suspect's p lies above 1/2 half of the time, so twice the share of suspects below the
    reference's median (ties half) is what of them may be unused. Used images that score below the
    median count as unused: an estimate from below, and 0 for a detector that sees nothing.

    Patients are drawn with replacement within either group, and the percentile interval is cut to
    [0, 1]. If no resample has a suspect below the median the lower end is from Wilson's interval
    of none among the suspects' patients.

    Args:
        sample: suspects (label 1) and reference (label 0). A patient in both is taken as two.
        resampling: number of resamples, confidence and seed.

    Raises:
        ValueError: an empty group.
    """
    groups = [_group("suspects", sample, 1), _group("reference", sample, 0)]
    (suspects, ours), (reference, theirs) = groups

    def estimate(weights):  # (R, n1 + n0) -> (R,)
        middle = _medians(reference, weights[:, len(suspects) :])
        return 1.0 - 2.0 * _below(suspects, weights[:, : len(suspects)], middle)

    value = float(estimate(np.ones((1, len(sample))))[0])
    method = "Storey, lambda 1/2"
    n1, n0 = int(ours.max()) + 1, int(theirs.max()) + 1
    if min(n1, n0) < 2:
        return Share(_clip(value), math.nan, math.nan, method)
    # The patients of label 0 are drawn first: here the suspects'.
    both = Sample(
        np.repeat([0, 1], [len(suspects), len(reference)]),
        np.concatenate([suspects, reference]),
        np.concatenate([ours, n1 + theirs]),
    )
    blocks = both.resamples(resampling.resamples, resampling.seed)
    drawn = np.concatenate([estimate(weights) for weights in blocks])
    low, high = resampling.ends(drawn).tolist()
    if low == 1.0:
        low = 1.0 - 2.0 * wilson(0, n1, resampling.confidence).high
    return Share(_clip(value), _clip(low), _clip(high), method)


def _group(what, sample, label):
    """Scores of one side and codes of its patients, by rising score."""
    rows = np.flatnonzero(sample.labels == label)
    if not len(rows):
        raise ValueError(f"{what} must have at least one image. Received: none")
    rows = rows[np.argsort(sample.scores[rows], kind="stable")]
    return sample.scores[rows], np.unique(sample.patients[rows], return_inverse=True)[1]


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
