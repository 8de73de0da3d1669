"""A ROC curve at given false-positive rates, with a band from resampled patients.

Labels are 1 (used in training) and 0 (not used); a higher score means "used".
"""

import numpy as np

from ganfp_tf.statistics.intervals import (
    BLOCK,
    check_confidence,
    draw_patients,
    majority_labels,
    wilson,
)
from ganfp_tf.statistics.metrics import check_binary, check_codes, check_scores


def rate_grid(negatives, points=200):
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


def roc_band(labels, scores, patients, *, grid, resamples, confidence, seed, strata=None):
    """True-positive rate at each false-positive rate of `grid`, with a pointwise band.

    Steps as in metrics.tpr_at_fpr: the largest true-positive rate of a threshold whose
    false-positive rate is at most that of the grid. The band is the percentile interval over
    resamples of whole patients within their class (intervals.patient_bootstrap); where all
    resamples give exactly 0 or 1 it is Wilson's interval over the used patients.

    With strata each has a threshold of its own, since scores of different folds do not compare,
    and the used images found are counted over all strata that have images of both classes.

    Args:
        labels, scores, patients: (n,) arrays.
        grid: (G,) false-positive rates in [0, 1].
        resamples: number of resamples, at least 1.
        confidence: coverage, between 0 and 1.
        seed: integer, at least 0.
        strata: (n,) fold of each item, or None.

    Returns:
        (tpr, low, high), each (G,) float64; nan where there is only one class.
    """
    labels = check_binary(labels, "labels")
    n = len(labels)
    scores = check_scores(scores, n)
    patients = check_codes(patients, "patients", n)
    strata = np.zeros(n, int) if strata is None else check_codes(strata, "strata", n)
    check_confidence(confidence)
    grid = np.asarray(grid, dtype=np.float64)
    if grid.ndim != 1 or not ((grid >= 0) & (grid <= 1)).all():
        raise ValueError(f"grid must be false-positive rates (G,) in [0, 1]. Received: {grid}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1. Received: resamples={resamples}")

    tpr = _rates(labels, scores, strata, np.ones((1, n)), grid)[0]
    patient_labels = majority_labels(labels, patients)
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK // max(n, len(grid)))
    drawn = []
    for start in range(0, resamples, block):
        counts = draw_patients(patient_labels, min(block, resamples - start), rng)
        drawn.append(_rates(labels, scores, strata, counts[:, patients], grid))
    drawn = np.concatenate(drawn)
    defined = drawn[~np.isnan(drawn).any(axis=1)]
    if not len(defined) or np.isnan(tpr).any():
        nothing = np.full(len(grid), np.nan)
        return nothing, nothing.copy(), nothing.copy()
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail], axis=0)
    # A bootstrap cannot leave the end of the scale, however few the patients.
    used = int(patient_labels.sum())
    for end in (0, 1):
        if used:
            bound = wilson(end * used, used, confidence)
            stuck = (low == end) & (high == end)
            low[stuck], high[stuck] = bound.low, bound.high
    return tpr, low, high


def _rates(labels, scores, strata, weights, grid):
    """True-positive rates of each of the R rows of `weights` (R, n) at each of `grid`: (R, G)."""
    found, total = np.zeros((len(weights), len(grid))), np.zeros((len(weights), 1))
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
