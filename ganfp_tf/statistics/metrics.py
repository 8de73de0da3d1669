"""Figures of a binary detector, for one sample or for many weightings of it at once.

Labels are 1 (used in training) and 0 (not used); a higher score means "used".
"""

import dataclasses

import numpy as np
from scipy import stats

from ganfp_tf.errors import UserError

# What is estimated from a sample; n, positives and share are what the sample was made of.
FIGURES = (
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
    """Figures of `n` scored and decided items, `positives` of them used in training.

    Undefined precision, recall and F1 are 0.0; AUC and TPR are nan with a single class, kappa is
    nan where labels and decisions are all one and the same class.
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


def check_binary(values, what, length=None):
    """Returns `values` as an int64 copy of shape (n,); ValueError unless all are 0 or 1."""
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or (length is not None and len(array) != length):
        size = "not empty" if length is None else f"of length {length}"
        raise ValueError(f"{what} must have shape (n,), {size}. Received: shape={array.shape}")
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise ValueError(f"{what} must be 0 or 1. Received: {np.unique(array)[:5].tolist()}")
    return array.astype(np.int64)


def check_scores(scores, length):
    """Returns `scores` as a float64 copy of shape (length,).

    Raises UserError where one is not finite: that is what a diverged training leaves behind.
    """
    array = np.array(scores, dtype=np.float64)
    if array.shape != (length,):
        raise ValueError(f"scores must have shape ({length},). Received: shape={array.shape}")
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise UserError(
            f"All scores must be finite numbers. Received: {wrong} of {length} that are not. If a "
            "training diverged, lower its learning rate; if a file holds the scores, correct it."
        )
    return array


def check_codes(values, what, length):
    """Returns group names of shape (length,) as codes 0..k-1, int64."""
    array = np.asarray(values)
    if array.shape != (length,):
        raise ValueError(f"{what} must have shape ({length},). Received: shape={array.shape}")
    if array.dtype.kind == "O":
        array = array.astype(str)
    return np.unique(array, return_inverse=True)[1].reshape(-1).astype(np.int64)


def auc(labels, scores):
    """Area under the ROC curve: the share of (used, unused) pairs that are ranked right.

    A tie counts half (Mann & Whitney 1947). nan with a single class.
    """
    labels = check_binary(labels, "labels")
    scores = check_scores(scores, len(labels))
    ones = np.ones((1, len(labels)))
    return float(weighted_auc_within(labels, scores, np.zeros(len(labels), np.int64), ones)[0])


def auc_within(labels, scores, strata):
    """AUC over the (used, unused) pairs of the same stratum, pooled over strata.

    Scores of different strata (cross-fitted models) are never compared. nan without such a pair.
    """
    labels = check_binary(labels, "labels")
    scores = check_scores(scores, len(labels))
    strata = check_codes(strata, "strata", len(labels))
    return float(weighted_auc_within(labels, scores, strata, np.ones((1, len(labels))))[0])


def tpr_at_fpr(labels, scores, fpr):
    """Largest true-positive rate of a threshold whose false-positive rate is at most `fpr`.

    Nothing is interpolated: only thresholds that exist count. nan with a single class.
    """
    if not 0.0 <= fpr <= 1.0:
        raise ValueError(f"fpr must lie in [0, 1]. Received: fpr={fpr}")
    labels = check_binary(labels, "labels")
    scores = check_scores(scores, len(labels))
    used, unused = weighted_roc(labels, scores, np.ones((1, len(labels))))
    return float(weighted_tpr(used, unused, fpr)[0])


def kappa(labels, decisions):
    """Cohen's kappa (1960); nan where labels and decisions are all one and the same class."""
    labels = check_binary(labels, "labels")
    decisions = check_binary(decisions, "decisions", len(labels))
    return float(_decided(labels, decisions, np.ones((1, len(labels))))["kappa"][0])


def binary_metrics(labels, scores, decisions):
    """All figures of shape-(n,) arrays, as `BinaryMetrics`."""
    labels = check_binary(labels, "labels")
    scores = check_scores(scores, len(labels))
    decisions = check_binary(decisions, "decisions", len(labels))
    figures = weighted_figures(labels, scores, decisions, np.ones((1, len(labels))))
    return BinaryMetrics(
        n=len(labels),
        positives=int(labels.sum()),
        share=float(labels.mean()),
        **{name: float(values[0]) for name, values in figures.items()},
    )


def constant_answers(labels):
    """What no detector at all scores on these labels.

    Returns {"all used", "none used", "coin"} -> {f1, precision, recall, accuracy, kappa, auc}. The
    coin says "used" with probability 1/2; its figures are expected values, exact at any size.
    """
    labels = check_binary(labels, "labels")
    n, positives, share = len(labels), int(labels.sum()), float(labels.mean())
    names = ("f1", "precision", "recall", "accuracy", "kappa", "auc")
    answers = {}
    for name, decision in (("all used", 1), ("none used", 0)):
        metrics = binary_metrics(labels, np.zeros(n), np.full(n, decision))
        answers[name] = {figure: getattr(metrics, figure) for figure in names}
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


def weighted_figures(labels, scores, decisions, weights):
    """FIGURES of each of R weightings of the same n items.

    Args:
        labels, scores, decisions: checked arrays of shape (n,).
        weights: (R, n) floats, at least 0; how often each item occurs in each resample.

    Returns:
        name -> (R,) float64.
    """
    used, unused = weighted_roc(labels, scores, weights)
    figures = _decided(labels, decisions, weights)
    figures["auc"] = _ratio(_wins(used, unused), used[:, -1] * unused[:, -1], np.nan)
    for name, fpr in FALSE_POSITIVE_RATES.items():
        figures[name] = weighted_tpr(used, unused, fpr)
    return {name: figures[name] for name in FIGURES}


def weighted_auc_within(labels, scores, strata, weights):
    """`auc_within` of each of the R rows of `weights` (R, n), as (R,); strata are codes (n,)."""
    wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        used, unused = weighted_roc(labels[rows], scores[rows], weights[:, rows])
        wins += _wins(used, unused)
        pairs += used[:, -1] * unused[:, -1]
    return _ratio(wins, pairs, np.nan)


def weighted_roc(labels, scores, weights):
    """Weight of used and of unused items at or above each distinct score, from the highest.

    Returns two (R, U + 1) arrays; their first column is the threshold above every score.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    sorted_weights = weights[:, order]
    curves = []
    for label in (1, 0):
        total = np.cumsum(sorted_weights * (labels[order] == label), axis=1)[:, ends]
        curves.append(np.pad(total, ((0, 0), (1, 0))))
    return curves


def _wins(used, unused):
    """Weighted number of rightly ranked pairs, ties half: the trapezoids under the curve."""
    return (np.diff(unused, axis=1) * (used[:, 1:] + used[:, :-1])).sum(axis=1) / 2


def weighted_tpr(used, unused, fpr):
    """`tpr_at_fpr` of each of the R curves of `weighted_roc`, as (R,); nan without both classes."""
    # The allowance is for rounding alone: 0.29 * 100 is a little less than 29.
    allowed = fpr * unused[:, -1:] * (1 + 1e-9)
    last = (unused <= allowed).sum(axis=1) - 1
    rate = _ratio(used[np.arange(len(used)), last], used[:, -1], np.nan)
    return np.where(unused[:, -1] > 0, rate, np.nan)


def _decided(labels, decisions, weights):
    tp, fp, fn, tn = (
        weights @ ((labels == label) & (decisions == decision)).astype(np.float64)
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
