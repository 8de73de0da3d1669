"""A ROC curve at given false-positive rates, with a band from resampled patients.

Labels are 1 (used in training) and 0 (not used); a higher score means "used".
"""

import numpy as np

from ganfp_tf.statistics.intervals import wilson
from ganfp_tf.statistics.sample import Resampling, Sample


def rate_grid(negatives: int, points: int = 200) -> np.ndarray:
    """False-positive rates k / negatives that can occur, from 0 to 1, about evenly in log(k).

    Returns an array of at most `points` + 1 rising rates.
    """
    if negatives < 1 or points < 2:
        raise ValueError(
            "negatives must be at least 1 and points at least 2. Received: "
            f"negatives={negatives}, points={points}"
        )
    counts = np.unique(np.rint(np.geomspace(1, negatives, points)).astype(int))
    return np.r_[0, counts] / negatives


def roc_band(
    sample: Sample, grid: np.ndarray, resampling: Resampling
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True-positive rate at each false-positive rate of `grid`, with a pointwise band.

    Steps as in metrics.tpr_at_fpr: the largest true-positive rate of a threshold whose
    false-positive rate is at most that of the grid. The band is the percentile interval over
    resamples of whole patients within their class (intervals.patient_bootstrap); if all
    resamples give exactly 0 or 1 it is Wilson's interval over the used patients.

    With strata each has a threshold of its own, since scores of different folds do not compare,
    and the used images found are counted over all strata that have images of both classes.

    Args:
        sample: n items.
        grid: (G,) false-positive rates in [0, 1].
        resampling: number of resamples, confidence and seed.

    Returns:
        (tpr, low, high), each (G,) float64; nan if there is only one class.
    """
    grid = np.asarray(grid, dtype=np.float64)
    if grid.ndim != 1 or not ((grid >= 0) & (grid <= 1)).all():
        raise ValueError(f"grid must be false-positive rates (G,) in [0, 1]. Received: {grid}")
    tpr = _rates(sample, np.ones((1, len(sample))), grid)[0]
    blocks = sample.resamples(resampling.resamples, resampling.seed, cells=len(grid))
    drawn = np.concatenate([_rates(sample, weights, grid) for weights in blocks])
    defined = drawn[~np.isnan(drawn).any(axis=1)]
    if not len(defined) or np.isnan(tpr).any():
        nothing = np.full(len(grid), np.nan)
        return nothing, nothing.copy(), nothing.copy()
    low, high = resampling.ends(defined)
    # A bootstrap cannot leave the end of the scale, however few the patients.
    used = sample.patient_counts[0]
    for end in (0, 1):
        if used:
            bound = wilson(end * used, used, resampling.confidence)
            stuck = (low == end) & (high == end)
            low[stuck], high[stuck] = bound.low, bound.high
    return tpr, low, high


def _rates(sample, weights, grid):
    """True-positive rates of each of the R rows of `weights` (R, n) at each of `grid`: (R, G)."""
    found, total = np.zeros((len(weights), len(grid))), np.zeros((len(weights), 1))
    labels, scores, strata = sample.labels, sample.scores, sample.folds
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        ranked = scores[rows]
        ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
        used, unused = (
            np.pad(
                np.cumsum(weights[:, rows] * (labels[rows] == label), axis=1)[:, ends],
                ((0, 0), (1, 0)),
            )
            for label in (1, 0)
        )
        negatives, positives = unused[:, -1:], used[:, -1:]
        # The allowance is for rounding alone: 0.29 * 100 is a little less than 29.
        allowed = np.floor(grid * negatives * (1 + 1e-9))
        # All rows in one sorted array: each is lifted above the row before it.
        lift = np.arange(len(weights))[:, None] * (unused.max() + 1)
        last = np.searchsorted((unused + lift).ravel(), (allowed + lift).ravel(), side="right") - 1
        both = (negatives > 0) & (positives > 0)
        found += np.where(both, used.ravel()[last].reshape(found.shape), 0.0)
        total += np.where(both, positives, 0.0)
    return np.divide(found, total, out=np.full(found.shape, np.nan), where=total > 0)
