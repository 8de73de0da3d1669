"""From scores to decisions and probabilities. Fit on validation data, never on what is reported."""

import dataclasses

import numpy as np
from scipy import special

from ganfp_tf.statistics.metrics import check_binary, check_scores


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A score cut: decide "used" when score >= value. `kappa` is that of the n fitted items."""

    value: float
    kappa: float
    n: int

    def decide(self, scores):
        """1 where a score reaches the cut, else 0; int64 of the shape of `scores`."""
        return (np.asarray(scores, dtype=np.float64) >= self.value).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Platt:
    """probability = sigmoid(slope * score + intercept), slope at least 0."""

    slope: float
    intercept: float

    def probability(self, scores):
        """Probability of "used", float64 of the shape of `scores`."""
        return special.expit(self.slope * np.asarray(scores, dtype=np.float64) + self.intercept)


def choose_threshold(labels, scores):
    """The cut with the highest Cohen's kappa.

    Among equally good cuts that between the two scores farthest apart wins, and it lies midway.
    Where no cut between two scores is better than chance or they are all equal, the answer is the
    constant one of the larger class ("not used" when both are equal), at kappa 0. With a single
    class the cut is the median and kappa is nan.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
    """
    labels = check_binary(labels, "labels")
    scores = check_scores(scores, len(labels))
    n, used = len(labels), int(labels.sum())
    if used in (0, n):
        return Threshold(value=float(np.median(scores)), kappa=np.nan, n=n)
    values, codes = np.unique(scores, return_inverse=True)
    # Items at or above each distinct score but the lowest: what the cut below it calls "used".
    tp = np.cumsum(np.bincount(codes, weights=labels)[::-1])[::-1][1:]
    fp = np.cumsum(np.bincount(codes, weights=1 - labels)[::-1])[::-1][1:]
    fn, tn = used - tp, n - used - fp
    kappas = 2 * (tp * tn - fn * fp) / ((tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))
    if not len(kappas) or kappas.max() < 0:
        all_used = 2 * used > n
        value = values[0] if all_used else np.nextafter(values[-1], np.inf)
        return Threshold(value=float(value), kappa=0.0, n=n)
    best = np.flatnonzero(kappas == kappas.max())
    # Halved first, so that the widest of finite gaps stays finite.
    gaps = values[best + 1] / 2 - values[best] / 2
    chosen = best[np.argmax(gaps)]
    low, high = values[chosen], values[chosen + 1]
    middle = low / 2 + high / 2
    value = middle if low < middle <= high else high
    return Threshold(value=float(value), kappa=float(kappas[chosen]), n=n)


def platt(labels, scores):
    """Fits a sigmoid to scores (Platt 1999) by Newton's method (Lin, Lin & Weng 2007).

    The targets are Platt's, (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so that no probability reaches
    0 or 1. A slope below 0 becomes 0, the best sigmoid that does not fall: a detector that points
    the wrong way gets the base rate (the mean target) everywhere, as a constant score does.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
    """
    labels = check_binary(labels, "labels")
    scores = check_scores(scores, len(labels))
    used = int(labels.sum())
    unused = len(labels) - used
    targets = np.where(labels == 1, (used + 1) / (used + 2), 1 / (unused + 2))
    flat = Platt(slope=0.0, intercept=float(special.logit(targets.mean())))
    # Newton's method in units of the scores' own spread, so that their size does not matter.
    largest = np.abs(scores).max()
    if largest < np.finfo(np.float64).tiny:
        return flat
    relative = scores / largest
    center, spread = relative.mean(), relative.std()
    if spread <= 1e-12:
        return flat
    slope, intercept = _newton((relative - center) / spread, targets, flat.intercept)
    if slope <= 0.0:
        return flat
    scaled = slope / spread
    return Platt(slope=float(scaled / largest), intercept=float(intercept - scaled * center))


def _newton(x, targets, intercept):
    """Minimises the cross-entropy of sigmoid(a x + b) against `targets`; returns (a, b)."""

    def loss(point):
        logits = point[0] * x + point[1]
        return np.sum(np.logaddexp(0.0, logits) - targets * logits)

    design = np.stack([x, np.ones_like(x)])  # (2, n)
    point = np.array([0.0, intercept])
    value = loss(point)
    for _ in range(100):
        p = special.expit(point @ design)
        gradient = design @ (p - targets)
        if np.abs(gradient).max() < 1e-9 * len(x):
            break
        # The ridge keeps the matrix invertible where all probabilities are near 0 or 1.
        hessian = (design * (p * (1 - p))) @ design.T + 1e-12 * np.eye(2)
        step = -np.linalg.solve(hessian, gradient)
        size, descent = 1.0, gradient @ step
        while size > 1e-10:
            moved = loss(point + size * step)
            if moved <= value + 1e-4 * size * descent:
                break
            size /= 2
        else:
            break
        point, value = point + size * step, moved
    return point
