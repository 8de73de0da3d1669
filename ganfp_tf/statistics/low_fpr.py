"""True-positive rates at low false-positive rates, if the sample is large enough to say."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ganfp_tf.statistics.intervals import clopper_pearson, wilson
from ganfp_tf.statistics.metrics import tpr_at_fpr, weighted_roc, weighted_tpr
from ganfp_tf.statistics.sample import Resampling, Sample

RATES = (0.1, 0.05, 0.01, 0.001)


@dataclasses.dataclass(frozen=True)
class LowRate:
    """True-positive rate at one allowed false-positive rate.

    Attributes:
        fpr: the allowed rate.
        value: true-positive rate, as `metrics.tpr_at_fpr`; nan if it is not resolvable or a
            class is empty, and so are all ends.
        exact_low, exact_high: Clopper-Pearson, with the threshold taken as given.
        resolvable: whether the sample has enough images not used for a single one to be allowed.
        false_positives: at the highest threshold that reaches `value`.
        negatives, positives: images not used and used.
        low, high: bootstrap over patients, with a new threshold in each resample.
    """

    fpr: float
    value: float
    exact_low: float
    exact_high: float
    resolvable: bool
    false_positives: int
    negatives: int
    positives: int
    low: float = math.nan
    high: float = math.nan


def tpr_at_low_rates(
    sample: Sample, resampling: Resampling, rates: Sequence[float] = RATES
) -> tuple[LowRate, ...]:
    """TPR at each of `rates`, with an exact interval and one over patients.

    A rate below 1 / negatives allows no false alarm at all, however many used images lie above the
    highest one not used: the sample cannot tell it from 0, and nothing is said about it.

    The exact interval is that of a share of the positives. It takes the threshold as if it had been
    fixed beforehand and images as independent, and both make it narrower than it should be. The
    bootstrap interval draws whole patients as `intervals.patient_bootstrap` does and takes neither
    for granted; if every resample gives 0 or 1, it is Wilson's over the used patients.

    Args:
        sample: n items.
        resampling: number of resamples, confidence of either interval, and seed.
        rates: allowed false-positive rates, each in (0, 1].

    Returns:
        A tuple of `LowRate`, in the order of `rates`.
    """
    for rate in rates:
        if not 0.0 < rate <= 1.0:
            raise ValueError(f"A false-positive rate must lie in (0, 1]. Received: {rate}")
    drawn = _bootstrap(sample, rates, resampling)
    return tuple(_low_rate(sample, rate, drawn[rate], resampling) for rate in rates)


def _low_rate(sample, rate, drawn, resampling):
    """The `LowRate` of one rate; drawn: (resamples,) true-positive rates."""
    positives = int(sample.labels.sum())
    negatives = len(sample) - positives
    # The allowance is for rounding alone, as in tpr_at_fpr.
    resolvable = bool(rate * negatives * (1 + 1e-9) >= 1.0)
    value = tpr_at_fpr(sample.labels, sample.scores, rate) if resolvable else math.nan
    if math.isnan(value):
        none = (math.nan,) * 3
        return LowRate(rate, *none, resolvable, 0, negatives, positives)
    hits = round(value * positives)
    exact = clopper_pearson(hits, positives, resampling.confidence)
    # A resample of patients who have images of both labels may lack a class.
    low, high = resampling.ends(drawn[~np.isnan(drawn)]).tolist()
    used = sample.patient_counts[0]
    if low == high and low in (0.0, 1.0) and used:
        wide = wilson(used * int(low), used, resampling.confidence)
        low, high = wide.low, wide.high
    return LowRate(
        fpr=rate,
        value=value,
        exact_low=exact.low,
        exact_high=exact.high,
        resolvable=resolvable,
        false_positives=_false_positives(sample.labels, sample.scores, hits),
        negatives=negatives,
        positives=positives,
        low=low,
        high=high,
    )


def _false_positives(labels, scores, hits):
    """Images not used at or above the highest threshold that `hits` used images reach."""
    if hits == 0:
        return 0
    threshold = np.sort(scores[labels == 1])[-hits]
    return int((scores[labels == 0] >= threshold).sum())


def _bootstrap(sample, rates, resampling):
    """True-positive rates (resamples,) of each rate, nan if a resample lacks a class."""
    parts = {rate: [] for rate in rates}
    for weights in sample.resamples(resampling.resamples, resampling.seed):
        used, unused = weighted_roc(sample.labels, sample.scores, weights)
        for rate in rates:
            parts[rate].append(weighted_tpr(used, unused, rate))
    return {rate: np.concatenate(values) for rate, values in parts.items()}
