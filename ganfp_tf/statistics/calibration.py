"""From scores to decisions and probabilities. Fit on validation data, never on what is reported."""

import dataclasses

import numpy as np
from scipy import optimize, special

from ganfp_tf.statistics.sample import Sample


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A score cut: decide "used" when score >= value. `kappa` is that of the n fitted items."""

    value: float
    kappa: float
    n: int

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """1 where a score reaches the cut, else 0; int64 of the shape of `scores`."""
        return (np.asarray(scores, dtype=np.float64) >= self.value).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Platt:
    """probability = sigmoid(slope * score + intercept), slope at least 0."""

    slope: float
    intercept: float

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """Probability of "used", float64 of the shape of `scores`."""
        return special.expit(self.slope * np.asarray(scores, dtype=np.float64) + self.intercept)


def choose_threshold(labels: np.ndarray, scores: np.ndarray) -> Threshold:
    """The cut with the highest Cohen's kappa.

    Among equally good cuts that between the two scores farthest apart wins, and it lies midway.
    If no cut between two scores is better than chance or they are all equal, the answer is the
    constant one of the larger class ("not used" when both are equal), at kappa 0. With a single
    class the cut is the median and kappa is nan.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
    """
    sample = Sample.independent(labels, scores)
    labels, scores = sample.labels, sample.scores
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


def platt(labels: np.ndarray, scores: np.ndarray) -> Platt:
    """Fits a sigmoid to scores (Platt 1999) by Newton's method with a trust region.

    The targets are Platt's, (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so that no probability reaches
    0 or 1. A slope below 0 becomes 0, the best sigmoid that does not fall: a detector that points
    the wrong way gets the base rate (the mean target) everywhere, as a constant score does.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
    """
    sample = Sample.independent(labels, scores)
    labels, scores = sample.labels, sample.scores
    used = int(labels.sum())
    unused = len(labels) - used
    targets = np.where(labels == 1, (used + 1) / (used + 2), 1 / (unused + 2))
    flat = Platt(slope=0.0, intercept=float(special.logit(targets.mean())))
    # In units of the scores' own spread, so that their size does not matter.
    largest = np.abs(scores).max()
    if largest < np.finfo(np.float64).tiny:
        return flat
    relative = scores / largest
    center, spread = relative.mean(), relative.std()
    if spread <= 1e-12:
        return flat
    slope, intercept = _fit((relative - center) / spread, targets, flat.intercept)
    if slope <= 0.0:
        return flat
    scaled = slope / spread
    return Platt(slope=float(scaled / largest), intercept=float(intercept - scaled * center))


def _fit(x, targets, intercept):
    """Minimises the cross-entropy of sigmoid(a x + b) against `targets`; returns (a, b)."""
    design = np.stack([x, np.ones_like(x)])  # (2, n)

    def loss(point):
        logits = point @ design
        return np.sum(np.logaddexp(0.0, logits) - targets * logits)

    def gradient(point):
        return design @ (special.expit(point @ design) - targets)

    def hessian(point):
        p = special.expit(point @ design)
        return (design * (p * (1 - p))) @ design.T

    return optimize.minimize(
        loss,
        [0.0, intercept],
        jac=gradient,
        hess=hessian,
        method="trust-exact",
        options={"gtol": 1e-9 * len(x)},
    ).x
