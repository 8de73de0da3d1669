"""Intervals: patients are resampled, because images of one patient are not independent."""

import dataclasses
import math

import numpy as np
from scipy import stats

from ganfp_tf.statistics.metrics import METRICS, weighted_metrics
from ganfp_tf.statistics.sample import Resampling, Sample, check_confidence


@dataclasses.dataclass(frozen=True)
class Interval:
    """A two-sided interval; nan at both ends if the metric was never defined."""

    low: float
    high: float
    confidence: float
    method: str


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (1927) of a share of `successes` among `n`, which may be 0."""
    return _share_interval(successes, n, confidence, "wilson", "wilson")


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Clopper & Pearson's exact interval (1934) of a share of `successes` among `n`.

    Either end alone leaves out the true share with probability (1 - confidence) / 2 at most, so an
    end is a one-sided bound at (1 + confidence) / 2. n may be 0: the ends are then nan.
    """
    return _share_interval(successes, n, confidence, "exact", "clopper-pearson")


def _share_interval(successes, n, confidence, method, name):
    check_confidence(confidence)
    if n < 0 or not 0 <= successes <= n:
        raise ValueError(f"Expected 0 <= successes <= n. Received: successes={successes}, n={n}")
    if n == 0:
        return Interval(math.nan, math.nan, confidence, name)
    found = stats.binomtest(successes, n).proportion_ci(confidence, method=method)
    return Interval(float(found.low), float(found.high), confidence, name)


def patient_bootstrap(sample: Sample, resampling: Resampling) -> dict[str, Interval]:
    """Percentile intervals of metrics.METRICS, and of auc_within if the sample has strata.

    Whole patients are drawn with replacement among the patients of the same label (that of most of
    their images, "used" in a tie), so the class sizes are those of the sample and the intervals of
    precision, F1, accuracy and kappa hold at this share of used images.

    A bootstrap cannot leave the end of a scale: a metric that is exactly 0 or 1 in every resample
    would get an interval without width, however few the patients. AUC, accuracy, recall, precision
    and TPR then get Wilson's interval over independent trials: patients (those of the class that
    the metric is a share of), or for AUC disjoint pairs of a used and an unused patient. Kappa and
    F1 of a faultless decision get what they would be if each class erred at Wilson's bound.

    Args:
        sample: n items, with decisions.
        resampling: number of resamples, confidence and seed.

    Returns:
        dict of name -> Interval.
    """
    drawn: dict[str, list[np.ndarray]] = {}
    for weights in sample.resamples(resampling.resamples, resampling.seed):
        for name, values in weighted_metrics(sample, weights).items():
            drawn.setdefault(name, []).append(values)
    intervals = {
        name: _percentile(np.concatenate(parts), resampling) for name, parts in drawn.items()
    }
    return _widen_ends(intervals, sample)


def _percentile(values, resampling):
    low, high = resampling.ends(values[~np.isnan(values)])
    return Interval(float(low), float(high), resampling.confidence, "percentile")


def _widen_ends(intervals, sample):
    labels, decisions = sample.labels, sample.decided()
    used, unused = sample.patient_counts
    called = len(np.unique(sample.patients[decisions == 1]))
    trials = {name: used for name in METRICS if name.startswith("tpr")}
    trials |= {"recall": used, "precision": called, "accuracy": used + unused}
    trials["auc"] = min(used, unused)
    if sample.strata is not None:
        trials["auc_within"] = _disjoint_pairs(sample)
    widened = dict(intervals)
    for name, n in trials.items():
        interval = intervals[name]
        if n and interval.low == interval.high and interval.low in (0.0, 1.0):
            widened[name] = wilson(n * int(interval.low), n, interval.confidence)
    if np.array_equal(labels, decisions) and 0 < labels.sum() < len(labels):
        # Both classes right with probability r: the metrics at this share of used images.
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


def _disjoint_pairs(sample):
    """Most pairs of a used and an unused patient of one stratum, each patient in one pair."""
    total = 0
    seen = np.unique(np.stack([sample.strata, sample.patients]), axis=1)
    for stratum in np.unique(seen[0]):
        used = sample.patient_labels[seen[1, seen[0] == stratum]]
        total += min(int(used.sum()), int((1 - used).sum()))
    # A patient in several strata must not be counted as several independent ones.
    return min(total, *sample.patient_counts)
