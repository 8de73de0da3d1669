"""Metrics of a binary detector, for one sample or for many weightings of it at once.

Labels are 1 (used in training) and 0 (not used); a higher score means "used".
"""

import dataclasses

import numpy as np
from scipy import stats

from ganfp_tf.statistics.sample import Sample

# What is estimated from a sample; n, positives and share are what the sample was made of.
METRICS = (
    "f1",
    "precision",
    "recall",
    "accuracy",
    "kappa",
    "auc",
    "tpr_at_10_fpr",
    "tpr_at_5_fpr",
    "tpr_at_1_fpr",
)
FALSE_POSITIVE_RATES = {"tpr_at_10_fpr": 0.10, "tpr_at_5_fpr": 0.05, "tpr_at_1_fpr": 0.01}


@dataclasses.dataclass(frozen=True)
class BinaryMetrics:
    """Metrics of `n` scored and decided items, `positives` of them used in training.

    Undefined precision, recall and F1 are 0.0; AUC and TPR are nan with a single class, kappa is
    nan if labels and decisions are all one and the same class.
    """

    n: int
    positives: int
    share: float
    f1: float
    precision: float
    recall: float
    accuracy: float
    kappa: float
    auc: float
    tpr_at_10_fpr: float
    tpr_at_5_fpr: float
    tpr_at_1_fpr: float


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the share of (used, unused) pairs that are ranked right.

    A tie counts half (Mann & Whitney 1947). nan with a single class.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
    """
    return auc_within(labels, scores, None)


def auc_within(labels: np.ndarray, scores: np.ndarray, strata: np.ndarray | None) -> float:
    """AUC over the (used, unused) pairs of the same stratum, pooled over strata.

    Scores of different strata (cross-fitted models) are never compared. nan without such a pair.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
        strata: (n,) fold of each item.
    """
    sample = Sample.independent(labels, scores, strata=strata)
    return float(weighted_auc_within(sample, _once(sample))[0])


def tpr_at_fpr(labels: np.ndarray, scores: np.ndarray, fpr: float) -> float:
    """Largest true-positive rate of a threshold whose false-positive rate is at most `fpr`.

    Nothing is interpolated: only thresholds that exist count. nan with a single class.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
        fpr: allowed false-positive rate, in [0, 1].
    """
    if not 0.0 <= fpr <= 1.0:
        raise ValueError(f"fpr must lie in [0, 1]. Received: fpr={fpr}")
    sample = Sample.independent(labels, scores)
    used, unused = weighted_roc(sample.labels, sample.scores, _once(sample))
    return float(weighted_tpr(used, unused, fpr)[0])


def kappa(labels: np.ndarray, decisions: np.ndarray) -> float:
    """Cohen's kappa (1960); nan if labels and decisions are all one and the same class.

    Args:
        labels: (n,) of 0 and 1.
        decisions: (n,) of 0 and 1.
    """
    sample = Sample.independent(labels, np.zeros(np.size(labels)), decisions)
    return float(_decided(sample, _once(sample))["kappa"][0])


def binary_metrics(sample: Sample) -> BinaryMetrics:
    """All metrics of a sample with decisions."""
    values = weighted_metrics(sample, _once(sample))
    return BinaryMetrics(
        n=len(sample),
        positives=int(sample.labels.sum()),
        share=float(sample.labels.mean()),
        **{name: float(values[name][0]) for name in METRICS},
    )


def _once(sample):
    return np.ones((1, len(sample)))


def constant_answers(labels: np.ndarray) -> dict[str, dict[str, float]]:
    """What no detector at all scores on these labels.

    Returns {"all used", "none used", "coin"} -> {f1, precision, recall, accuracy, kappa, auc}. The
    coin says "used" with probability 1/2; its metrics are expected values, exact at any size.

    Args:
        labels: (n,) of 0 and 1.
    """
    zeros = np.zeros(np.size(labels))
    labels = Sample.independent(labels, zeros).labels
    n, positives, share = len(labels), int(labels.sum()), float(labels.mean())
    names = ("f1", "precision", "recall", "accuracy", "kappa", "auc")
    answers = {}
    for name, decision in (("all used", 1), ("none used", 0)):
        metrics = binary_metrics(Sample.independent(labels, zeros, np.full(n, decision)))
        answers[name] = {metric: getattr(metrics, metric) for metric in names}
    # Given k images called used, k * share of them are right on average, so that F1 is
    # 2 k share / (k + positives); k is binomial.
    k = np.arange(1, n + 1)
    chance = 0.0 if 0 < positives < n else np.nan
    answers["coin"] = {
        "f1": float((stats.binom.pmf(k, n, 0.5) * 2 * k * share / (k + positives)).sum()),
        "precision": share * (1.0 - 0.5**n),
        "recall": 0.5 if positives else 0.0,
        "accuracy": 0.5,
        "kappa": chance,
        "auc": 0.5 + chance,
    }
    return answers


def weighted_metrics(sample: Sample, weights: np.ndarray) -> dict[str, np.ndarray]:
    """METRICS of each of R weightings of the same sample, and auc_within if it has strata.

    Args:
        sample: n items, with decisions.
        weights: (R, n) floats, at least 0; how often each item occurs in each resample.

    Returns:
        name -> (R,) float64.
    """
    used, unused = weighted_roc(sample.labels, sample.scores, weights)
    found = _decided(sample, weights)
    found["auc"] = _ratio(_wins(used, unused), used[:, -1] * unused[:, -1], np.nan)
    for name, fpr in FALSE_POSITIVE_RATES.items():
        found[name] = weighted_tpr(used, unused, fpr)
    if sample.strata is not None:
        found["auc_within"] = weighted_auc_within(sample, weights)
    return found


def weighted_auc_within(sample: Sample, weights: np.ndarray) -> np.ndarray:
    """`auc_within` of each of the R rows of `weights` (R, n), as (R,)."""
    wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    folds = sample.folds
    for stratum in np.unique(folds):
        rows = np.flatnonzero(folds == stratum)
        used, unused = weighted_roc(sample.labels[rows], sample.scores[rows], weights[:, rows])
        wins += _wins(used, unused)
        pairs += used[:, -1] * unused[:, -1]
    return _ratio(wins, pairs, np.nan)


def weighted_roc(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of used and of unused items at or above each distinct score, from the highest.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
        weights: (R, n) floats, at least 0.

    Returns:
        Two (R, U + 1) arrays; their first column is the threshold above every score.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    sorted_weights = weights[:, order]
    curves = []
    for label in (1, 0):
        total = np.cumsum(sorted_weights * (labels[order] == label), axis=1)[:, ends]
        curves.append(np.pad(total, ((0, 0), (1, 0))))
    return curves[0], curves[1]


def _wins(used, unused):
    """Weighted number of rightly ranked pairs, ties half: the trapezoids under the curve."""
    return (np.diff(unused, axis=1) * (used[:, 1:] + used[:, :-1])).sum(axis=1) / 2


def weighted_tpr(used: np.ndarray, unused: np.ndarray, fpr: float) -> np.ndarray:
    """`tpr_at_fpr` of each of the R curves of `weighted_roc`, as (R,); nan without both classes."""
    # The allowance is for rounding alone: 0.29 * 100 is a little less than 29.
    allowed = fpr * unused[:, -1:] * (1 + 1e-9)
    last = (unused <= allowed).sum(axis=1) - 1
    rate = _ratio(used[np.arange(len(used)), last], used[:, -1], np.nan)
    return np.where(unused[:, -1] > 0, rate, np.nan)


def _decided(sample, weights):
    decisions = sample.decided()
    tp, fp, fn, tn = (
        weights @ ((sample.labels == label) & (decisions == decision)).astype(np.float64)
        for label, decision in ((1, 1), (0, 1), (1, 0), (0, 0))
    )
    # Cohen's (po - pe) / (1 - pe), cleared of fractions so that equal values compare equal.
    chance = (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)
    return {
        "f1": _ratio(2 * tp, 2 * tp + fp + fn, 0.0),
        "precision": _ratio(tp, tp + fp, 0.0),
        "recall": _ratio(tp, tp + fn, 0.0),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn, np.nan),
        "kappa": _ratio(2 * (tp * tn - fn * fp), chance, np.nan),
    }


def _ratio(numerator, denominator, undefined):
    out = np.full(np.shape(denominator), undefined, dtype=np.float64)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)
