"""Are the suspects' scores, as a set, higher than those of images known to be unused?"""

import dataclasses
import math

import numpy as np
from scipy import stats

from ganfp_tf.statistics.permutation import permuted_labels
from ganfp_tf.statistics.sample import Resampling, Sample


@dataclasses.dataclass(frozen=True)
class SetTest:
    """One-sided tests of "the suspects score higher", with patients as units.

    Attributes:
        difference: mean of the suspects' patients minus that of the reference's.
        low, high: bootstrap interval of it; nan with fewer than two patients on a side.
        welch_t, welch_df, welch_p: Welch's t; nan with fewer than two patients on a side, and if
            no side has any spread but the means differ.
        permutation_p: nan only if no stratum holds both sides.
        permutations: how many were drawn.
        suspects, reference: patients that were compared.
        effect: the difference in standard deviations (the root of the two variances' mean); nan
            if there is none.
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


def set_test(sample: Sample, resampling: Resampling) -> SetTest:
    """Welch's t-test (1947) and a studentised permutation test of suspects against reference.

    A patient's images are pooled to their mean first, so that ten images of one patient do not
    count as ten. Welch's p takes the means as normal. The permutation test does not: labels are
    exchanged between patients and the t-statistic is recomputed each time, which is exact if
    the scores of both sides have one distribution, and right in large samples if they merely
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
        sample: suspects (label 1) and reference (label 0), with folds as strata.
        resampling: number of permutations and resamples, confidence of the percentile interval of
            patients drawn within either side, and seed.

    Raises:
        ValueError: a patient with images on both sides or in two strata, or an empty side.
    """
    units = _pool(sample)
    n1, n0 = int(units.labels.sum()), int((1 - units.labels).sum())
    difference = low = high = t = df = welch_p = permutation_p = effect = math.nan
    if n1:
        difference, adjusted = _fit(units)
        low, high = _interval(units, resampling)
        t, df, welch_p, effect = _welch(difference, adjusted, units)
        permutation_p = _permutation_p(units, resampling)
    return SetTest(
        difference=difference,
        low=low,
        high=high,
        welch_t=t,
        welch_df=df,
        welch_p=welch_p,
        permutation_p=permutation_p,
        permutations=resampling.permutations,
        suspects=n1,
        reference=n0,
        effect=effect,
        confidence=resampling.confidence,
        resamples=resampling.resamples,
    )


def _pool(sample):
    """Images -> patients of the strata that hold both sides, centred by the stratum's mean."""
    labels, codes, folds = sample.labels, sample.patients, sample.folds
    if labels.min() == labels.max():
        raise ValueError("Suspects and reference must both have images. Received: an empty one")
    both = np.intersect1d(codes[labels == 1], codes[labels == 0])
    if len(both):
        raise ValueError(
            "A patient must not have images among both suspects and reference: leave those of one "
            f"side out. Received: {len(both)} such patients, the first is "
            f"{str(sample.names[both[0]])!r}"
        )
    sizes = np.bincount(codes)
    unit_strata = np.zeros(len(sizes), np.int64)
    unit_strata[codes] = folds
    if (unit_strata[codes] != folds).any():
        raise ValueError("A patient's images must lie in one stratum. Received: one in several")
    unit_labels = sample.patient_labels
    # Sums of equal numbers differ by rounding; whatever is smaller counts as no difference.
    noise = 64 * np.finfo(np.float64).eps * float(np.abs(sample.scores).max())
    means = np.bincount(codes, weights=sample.scores) / sizes

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
    """Weighted difference of each row of `weights` (R, P); nan if no stratum has both sides."""
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


def _interval(units, resampling):
    if min(np.bincount(units.labels)) < 2:
        return math.nan, math.nan
    sample = Sample.independent(units.labels, units.scores)
    blocks = sample.resamples(resampling.resamples, resampling.seed)
    drawn = np.concatenate([_differences(units, counts) for counts in blocks])
    low, high = resampling.ends(drawn[~np.isnan(drawn)]).tolist()
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


def _permutation_p(units, resampling):
    order = np.argsort(units.strata, kind="stable")
    spread = float(np.abs(units.scores).max()) or 1.0
    scores, labels = units.scores[order] / spread, units.labels[order].astype(np.float64)
    ends = np.cumsum(np.bincount(units.strata))
    slices = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    observed = _statistics(scores, labels[None], slices)[0]
    # Labels dealt out as they were must tie with what was observed, whatever the rounding.
    threshold = observed - 1e-9 * max(1.0, abs(observed)) if np.isfinite(observed) else observed
    reached = 0
    for permuted in permuted_labels(labels, slices, resampling):
        reached += int((_statistics(scores, permuted, slices) >= threshold).sum())
    return (1 + reached) / (1 + resampling.permutations)


def _statistics(scores, labels, slices):
    """Welch's t of each row of `labels` (R, P), the difference if a side has one patient."""
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
