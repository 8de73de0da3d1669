"""Are the suspects' scores, as a set, higher than those of images known to be unused?"""

import dataclasses
import math

import numpy as np
from scipy import stats

from ganfp_tf.statistics.intervals import BLOCK, check_confidence, draw_patients
from ganfp_tf.statistics.metrics import check_codes, check_scores


@dataclasses.dataclass(frozen=True)
class SetTest:
    """One-sided tests of "the suspects score higher", with patients as units.

    Attributes:
        difference: mean of the suspects' patients less that of the reference's.
        low, high: bootstrap interval of it; nan with fewer than two patients on a side.
        welch_t, welch_df, welch_p: Welch's t; nan with fewer than two patients on a side, and where
            no side has any spread but the means differ.
        permutation_p: nan only where no stratum holds both sides.
        permutations: how many were drawn.
        suspects, reference: patients that were compared.
        effect: the difference in standard deviations (the root of the two variances' mean); nan
            where there is none.
        confidence: coverage of the interval.
        resamples: how many were drawn.
    """

    difference: float
    low: float
    high: float
    welch_t: float
    welch_df: float
    welch_p: float
    permutation_p: float
    permutations: int
    suspects: int
    reference: int
    effect: float
    confidence: float
    resamples: int


@dataclasses.dataclass(frozen=True)
class _Units:
    """Patients: mean score, label, code of the stratum; (P,) each."""

    scores: np.ndarray
    labels: np.ndarray
    strata: np.ndarray
    noise: float  # what rounding may have left of a difference of 0


def set_test(
    suspects,
    reference,
    suspect_patients,
    reference_patients,
    *,
    permutations,
    confidence,
    resamples,
    seed,
    strata=None,
):
    """Welch's t-test (1947) and a studentised permutation test of suspects against reference.

    A patient's images are pooled to their mean first, so that ten images of one patient do not
    count as ten. Welch's p takes the means as normal. The permutation test does not: labels are
    exchanged between patients and the t-statistic is computed anew each time, which is exact where
    the scores of both sides have one distribution, and right in large samples where they merely
    have one mean, however different their spread or their patients' numbers of images (Janssen
    1997; Chung & Romano 2013). p = (1 + #{permuted >= observed}) / (1 + permutations) (Phipson &
    Smyth 2010). With a single patient on a side there is no t, and the difference itself is used.

    With strata, scores of different folds come from differently trained models and may differ by a
    constant. Labels are then exchanged within folds only. Subtracting each fold's mean would take
    away a part of the difference itself, and more of it the more the share of suspects differs
    between folds: a fold of suspects alone would be centred to 0. Instead a constant for each fold
    and one difference are fitted together by least squares, and the constants are taken away. The
    difference is the mean of the folds' differences, weighted by n1 n0 / (n1 + n0), in every
    permutation and resample too; a fold without both sides has nothing to compare and is left out.
    The constants' degrees of freedom are not subtracted in Welch's p, which is a little too small
    with many folds of few patients.

    Args:
        suspects, reference: (n1,) and (n0,) finite scores, higher means used.
        suspect_patients, reference_patients: (n1,) and (n0,) names.
        permutations, resamples: how many to draw.
        confidence: coverage of the percentile interval of patients drawn within either side.
        seed: integer, at least 0.
        strata: (n1 + n0,) fold of each suspect, then of each image of the reference; or None.

    Raises:
        ValueError: a patient with images on both sides or in two strata, an empty side, arrays of
            different lengths, or impossible settings.
        UserError: a score that is not finite.
    """
    check_confidence(confidence)
    for name, value in (("permutations", permutations), ("resamples", resamples)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
    units = _pool(suspects, reference, suspect_patients, reference_patients, strata)
    n1, n0 = int(units.labels.sum()), int((1 - units.labels).sum())
    if n1 == 0:
        nothing = (math.nan,) * 7
        return SetTest(*nothing, permutations, 0, 0, math.nan, confidence, resamples)

    difference, adjusted = _fit(units)
    low, high = _interval(units, resamples, confidence, seed)
    t, df, p, effect = _welch(difference, adjusted, units)
    return SetTest(
        difference=difference,
        low=low,
        high=high,
        welch_t=t,
        welch_df=df,
        welch_p=p,
        permutation_p=_permutation_p(units, permutations, seed),
        permutations=permutations,
        suspects=n1,
        reference=n0,
        effect=effect,
        confidence=confidence,
        resamples=resamples,
    )


def _pool(suspects, reference, suspect_patients, reference_patients, strata):
    """Images -> patients of the strata that hold both sides, centred by the stratum's mean."""
    sides = []
    for scores, names in ((suspects, suspect_patients), (reference, reference_patients)):
        n = np.size(scores)
        if n == 0:
            raise ValueError("Suspects and reference must both have images. Received: an empty one")
        names = np.asarray(names)
        if names.shape != (n,):
            raise ValueError(f"patients must have shape ({n},). Received: shape={names.shape}")
        sides.append((check_scores(scores, n), names))
    scores = np.concatenate([side[0] for side in sides])
    names = np.concatenate([side[1].astype(str) for side in sides])
    n1, n = len(sides[0][0]), len(scores)
    both = np.intersect1d(names[:n1], names[n1:])
    if len(both):
        raise ValueError(
            "A patient must not have images among both suspects and reference: leave those of one "
            f"side out. Received: {len(both)} such patients, the first is {str(both[0])!r}"
        )
    codes = check_codes(names, "patients", n)
    folds = np.zeros(n, np.int64) if strata is None else check_codes(strata, "strata", n)
    sizes = np.bincount(codes)
    unit_strata = np.zeros(len(sizes), np.int64)
    unit_strata[codes] = folds
    if (unit_strata[codes] != folds).any():
        raise ValueError("A patient's images must lie in one stratum. Received: one in several")
    unit_labels = np.zeros(len(sizes), np.int64)
    unit_labels[codes[:n1]] = 1
    # Sums of equal numbers differ by rounding; whatever is smaller counts as no difference.
    noise = 64 * np.finfo(np.float64).eps * float(np.abs(scores).max())
    means = np.bincount(codes, weights=scores) / sizes

    kept = np.zeros(len(means), bool)
    for stratum in np.unique(unit_strata):
        rows = unit_strata == stratum
        if np.ptp(unit_labels[rows]):
            kept |= rows
            means[rows] -= means[rows].mean()
    if kept.any() and np.abs(means[kept]).max() <= noise:
        means[:] = 0.0
    unit_strata = np.unique(unit_strata[kept], return_inverse=True)[1].reshape(-1)
    return _Units(means[kept], unit_labels[kept], unit_strata, noise)


def _fit(units):
    """The difference, and the patients' scores without their strata's constants (P,)."""
    difference = float(_differences(units, np.ones((1, len(units.scores))))[0])
    if abs(difference) <= units.noise:
        difference = 0.0
    share = np.bincount(units.strata, weights=units.labels) / np.bincount(units.strata)
    return difference, units.scores + difference * share[units.strata]


def _differences(units, weights):
    """Weighted difference of each row of `weights` (R, P); nan where no stratum has both sides."""
    members = units.strata[:, None] == np.arange(units.strata.max() + 1)  # (P, K)
    sums, sizes = [], []
    for label in (1, 0):
        side = members * (units.labels == label)[:, None]
        sums.append(weights @ (side * units.scores[:, None]))
        sizes.append(weights @ side.astype(np.float64))  # (R, K)
    (s1, s0), (n1, n0) = sums, sizes
    # Each stratum's difference times its weight n1 n0 / (n1 + n0); no division by an empty side.
    total = np.maximum(n1 + n0, 1)
    weight = (n1 * n0 / total).sum(axis=1)
    summed = ((s1 * n0 - s0 * n1) / total).sum(axis=1)
    out = np.full(len(weights), np.nan)
    return np.divide(summed, weight, out=out, where=weight > 0)


def _interval(units, resamples, confidence, seed):
    if min(np.bincount(units.labels)) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    drawn = []
    block = max(1, BLOCK // len(units.labels))
    for start in range(0, resamples, block):
        counts = draw_patients(units.labels, min(block, resamples - start), rng)
        drawn.append(_differences(units, counts))
    drawn = np.concatenate(drawn)
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]).tolist()
    return low, high


def _welch(difference, adjusted, units):
    """t, degrees of freedom, one-sided p, effect."""
    x, y = adjusted[units.labels == 1], adjusted[units.labels == 0]
    if len(x) < 2 or len(y) < 2:
        return (math.nan,) * 4
    variances = np.var(x, ddof=1), np.var(y, ddof=1)
    parts = variances[0] / len(x), variances[1] / len(y)
    se = math.sqrt(sum(parts))
    if se <= units.noise:
        return (0.0, math.nan, 1.0, math.nan) if difference == 0.0 else (math.nan,) * 4
    t = difference / se
    # Shares of the squared error, so that tiny variances do not vanish when squared.
    a, b = parts[0] / sum(parts), parts[1] / sum(parts)
    df = 1 / (a**2 / (len(x) - 1) + b**2 / (len(y) - 1))
    effect = difference / math.sqrt(sum(variances) / 2)
    return float(t), float(df), float(stats.t.sf(t, df)), float(effect)


def _permutation_p(units, permutations, seed):
    order = np.argsort(units.strata, kind="stable")
    spread = float(np.abs(units.scores).max()) or 1.0
    scores, labels = units.scores[order] / spread, units.labels[order].astype(np.float64)
    ends = np.cumsum(np.bincount(units.strata))
    slices = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    observed = _statistics(scores, labels[None], slices)[0]
    # Labels dealt out as they were must tie with what was observed, whatever the rounding.
    threshold = observed - 1e-9 * max(1.0, abs(observed)) if np.isfinite(observed) else observed
    rng = np.random.default_rng(seed)
    reached = 0
    block = max(1, BLOCK // len(labels))
    for start in range(0, permutations, block):
        permuted = np.tile(labels, (min(block, permutations - start), 1))  # (R, P)
        for part in slices:
            permuted[:, part] = rng.permuted(permuted[:, part], axis=1)
        reached += int((_statistics(scores, permuted, slices) >= threshold).sum())
    return (1 + reached) / (1 + permutations)


def _statistics(scores, labels, slices):
    """Welch's t of each row of `labels` (R, P), the difference where a side has one patient."""
    n1, n0 = int(labels[0].sum()), int((1 - labels[0]).sum())
    sums = np.stack([labels[:, part] @ scores[part] for part in slices], axis=1)  # (R, K)
    sizes = np.array([part.stop - part.start for part in slices])
    used = np.array([labels[0, part].sum() for part in slices])
    share = used / sizes
    # Scores sum to 0 in every stratum: with s of its suspects' scores its difference is
    # s / n1 + s / n0, which is s once it is weighted with n1 n0 / n.
    difference = sums.sum(axis=1) / (used * (1 - share)).sum()
    if n1 < 2 or n0 < 2:
        return difference
    # Mean squares of the scores plus their strata's constants d * share; the suspects' mean is then
    # d and the reference's 0.
    squares = labels @ scores**2
    offsets = difference[:, None] * share
    square1 = squares + (2 * offsets * sums + used * offsets**2).sum(axis=1)
    unused = sizes - used
    square0 = (scores**2).sum() - squares
    square0 = square0 + (-2 * offsets * sums + unused * offsets**2).sum(axis=1)
    variance1 = (square1 - n1 * difference**2) / (n1 - 1)
    variance0 = square0 / (n0 - 1)
    squared = np.maximum(variance1, 0.0) / n1 + np.maximum(variance0, 0.0) / n0
    # What rounding leaves of no spread at all; scores are at most 1.
    flat = squared < 1e-13
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference / np.sqrt(squared)
    limit = np.where(np.abs(difference) < 1e-9, 0.0, np.copysign(np.inf, difference))
    return np.where(flat, limit, t)
