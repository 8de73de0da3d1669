"""Intervals: patients are resampled, because images of one patient are not independent."""

import dataclasses
import math

import numpy as np
from scipy import stats

from ganfp_tf.statistics.metrics import (
    FIGURES,
    check_binary,
    check_codes,
    check_scores,
    weighted_auc_within,
    weighted_figures,
)

# Cells of a block of weights; 16 MiB of float64.
BLOCK = 2**21


@dataclasses.dataclass(frozen=True)
class Interval:
    """A two-sided interval; nan at both ends where the figure was never defined."""

    low: float
    high: float
    confidence: float
    method: str


def wilson(successes, n, confidence=0.95):
    """Wilson's score interval (1927) of a share of `successes` among `n`, which may be 0."""
    check_confidence(confidence)
    if n < 0 or not 0 <= successes <= n:
        raise ValueError(f"Expected 0 <= successes <= n. Received: successes={successes}, n={n}")
    if n == 0:
        return Interval(math.nan, math.nan, confidence, "wilson")
    z = stats.norm.isf((1 - confidence) / 2)
    share = successes / n
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At the ends the formula is exactly 0 or 1 but for rounding.
    low = 0.0 if successes == 0 else max(0.0, float(center - half))
    high = 1.0 if successes == n else min(1.0, float(center + half))
    return Interval(low, high, confidence, "wilson")


def clopper_pearson(successes, n, confidence=0.95):
    """Clopper & Pearson's exact interval (1934) of a share of `successes` among `n`.

    Either end alone leaves out the true share with probability (1 - confidence) / 2 at most, so an
    end is a one-sided bound at (1 + confidence) / 2. n may be 0: the ends are then nan.
    """
    check_confidence(confidence)
    if n < 0 or not 0 <= successes <= n:
        raise ValueError(f"Expected 0 <= successes <= n. Received: successes={successes}, n={n}")
    if n == 0:
        return Interval(math.nan, math.nan, confidence, "clopper-pearson")
    tail = (1 - confidence) / 2
    low, high = 0.0, 1.0
    if successes > 0:
        low = float(stats.beta.ppf(tail, successes, n - successes + 1))
    if successes < n:
        high = float(stats.beta.isf(tail, successes + 1, n - successes))
    return Interval(low, high, confidence, "clopper-pearson")


def patient_bootstrap(
    labels, scores, decisions, patients, *, resamples, confidence, seed, strata=None
):
    """Percentile intervals of metrics.FIGURES, and of auc_within where strata are given.

    Whole patients are drawn with replacement among the patients of the same label (that of most of
    their images, "used" in a tie), so the class sizes are those of the sample and the intervals of
    precision, F1, accuracy and kappa hold at this share of used images.

    A bootstrap cannot leave the end of a scale: a figure that is exactly 0 or 1 in every resample
    would get an interval without width, however few the patients. AUC, accuracy, recall, precision
    and TPR then get Wilson's interval over independent trials: patients (those of the class that
    the figure is a share of), or for AUC disjoint pairs of a used and an unused patient. Kappa and
    F1 of a faultless decision get what they would be if each class erred at Wilson's bound.

    Args:
        labels, scores, decisions, patients: (n,) arrays.
        resamples: number of resamples.
        confidence: coverage, between 0 and 1.
        seed: integer, at least 0.
        strata: (n,) fold of each item, or None.

    Returns:
        dict of name -> Interval.
    """
    labels = check_binary(labels, "labels")
    n = len(labels)
    scores = check_scores(scores, n)
    decisions = check_binary(decisions, "decisions", n)
    patients = check_codes(patients, "patients", n)
    strata = None if strata is None else check_codes(strata, "strata", n)
    check_confidence(confidence)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1. Received: resamples={resamples}")

    patient_labels = majority_labels(labels, patients)
    rng = np.random.default_rng(seed)
    drawn = {}
    block = max(1, BLOCK // n)
    for start in range(0, resamples, block):
        counts = draw_patients(patient_labels, min(block, resamples - start), rng)
        weights = counts[:, patients]  # (R, n)
        figures = weighted_figures(labels, scores, decisions, weights)
        if strata is not None:
            figures["auc_within"] = weighted_auc_within(labels, scores, strata, weights)
        for name, values in figures.items():
            drawn.setdefault(name, []).append(values)

    intervals = {}
    for name, parts in drawn.items():
        intervals[name] = _percentile(np.concatenate(parts), confidence)
    return _widen_ends(intervals, labels, decisions, patients, patient_labels, strata)


def majority_labels(labels, patients):
    """Label of most of each patient's images, 1 in a tie: (P,) for patient codes 0..P-1."""
    return (2 * np.bincount(patients, weights=labels) >= np.bincount(patients)).astype(np.int64)


def draw_patients(patient_labels, resamples, rng):
    """How often each patient occurs in each resample: (R, P) float64."""
    counts = np.zeros((resamples, len(patient_labels)))
    offsets = np.arange(resamples)[:, None]
    for label in (0, 1):
        members = np.flatnonzero(patient_labels == label)
        if len(members):
            picks = rng.integers(len(members), size=(resamples, len(members)))
            flat = np.bincount(
                (picks + offsets * len(members)).ravel(), minlength=resamples * len(members)
            )
            counts[:, members] = flat.reshape(resamples, len(members))
    return counts


def _percentile(values, confidence):
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(math.nan, math.nan, confidence, "percentile")
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high), confidence, "percentile")


def _widen_ends(intervals, labels, decisions, patients, patient_labels, strata):
    used, unused = int(patient_labels.sum()), int((1 - patient_labels).sum())
    called = len(np.unique(patients[decisions == 1]))
    trials = {name: used for name in FIGURES if name.startswith("tpr")}
    trials |= {"recall": used, "precision": called, "accuracy": used + unused}
    trials["auc"] = min(used, unused)
    if strata is not None:
        trials["auc_within"] = _disjoint_pairs(patients, patient_labels, strata)
    widened = dict(intervals)
    for name, n in trials.items():
        interval = intervals[name]
        if n and interval.low == interval.high and interval.low in (0.0, 1.0):
            widened[name] = wilson(n * int(interval.low), n, interval.confidence)
    if np.array_equal(labels, decisions) and 0 < labels.sum() < len(labels):
        # Both classes right with probability r: the figures at this share of used images.
        right, share = widened["accuracy"].low, labels.mean()
        said = share * right + (1 - share) * (1 - right)
        chance = share * said + (1 - share) * (1 - said)
        bounds = {
            "f1": 2 * share * right / (share + said),
            "kappa": (right - chance) / (1 - chance),
        }
        for name, low in bounds.items():
            widened[name] = Interval(float(low), 1.0, intervals[name].confidence, "wilson")
    return widened


def _disjoint_pairs(patients, patient_labels, strata):
    """Most pairs of a used and an unused patient of one stratum, each patient in one pair."""
    total = 0
    seen = np.unique(np.stack([strata, patients]), axis=1)
    for stratum in np.unique(seen[0]):
        used = patient_labels[seen[1, seen[0] == stratum]]
        total += min(int(used.sum()), int((1 - used).sum()))
    # A patient in several strata must not be counted as several independent ones.
    return min(total, int(patient_labels.sum()), int((1 - patient_labels).sum()))


def check_confidence(confidence):
    """Raises ValueError unless `confidence` lies between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1. Received: confidence={confidence}")
