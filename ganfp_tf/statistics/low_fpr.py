"""True-positive rates where few false alarms are allowed, and whether the sample has any to say."""

import dataclasses
import math

import numpy as np

from ganfp_tf.statistics.intervals import (
    BLOCK,
    clopper_pearson,
    draw_patients,
    majority_labels,
    wilson,
)
from ganfp_tf.statistics.metrics import (
    check_binary,
    check_codes,
    check_scores,
    tpr_at_fpr,
    weighted_roc,
    weighted_tpr,
)

RATES = (0.1, 0.05, 0.01, 0.001)


@dataclasses.dataclass(frozen=True)
class LowRate:
    """True-positive rate at one allowed false-positive rate.

    Attributes:
        fpr: the allowed rate.
        value: true-positive rate, as `metrics.tpr_at_fpr`; nan where it is not resolvable or a
            class is empty, and so are all ends.
        exact_low, exact_high: Clopper-Pearson, with the threshold taken as given.
        resolvable: whether the sample has enough images not used for a single one to be allowed.
        false_positives: at the highest threshold that reaches `value`.
        negatives, positives: images not used and used.
        low, high: bootstrap over patients, the threshold chosen anew in each resample; nan without
            patients.
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
    labels, scores, patients=None, rates=RATES, confidence=0.95, *, resamples=1000, seed=0
):
    """TPR at each of `rates`, with an exact interval and one over patients.

    A rate below 1 / negatives allows no false alarm at all, however many used images lie above the
    highest one not used: the sample cannot tell it from 0, and nothing is said about it.

    The exact interval is that of a share of the positives. It takes the threshold as if it had been
    fixed beforehand and images as independent, and both make it narrower than it should be. The
    bootstrap interval draws whole patients as `intervals.patient_bootstrap` does and takes neither
    for granted; where every resample gives 0 or 1, it is Wilson's over the used patients.

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,) finite.
        patients: (n,) names, or None for no bootstrap.
        rates: allowed false-positive rates, each in (0, 1].
        confidence: coverage of either interval.
        resamples, seed: of the bootstrap.

    Returns:
        A tuple of `LowRate`, in the order of `rates`.
    """
    labels = check_binary(labels, "labels")
    n = len(labels)
    scores = check_scores(scores, n)
    for rate in rates:
        if not 0.0 < rate <= 1.0:
            raise ValueError(f"A false-positive rate must lie in (0, 1]. Received: {rate}")
    drawn = {}
    if patients is not None:
        codes = check_codes(patients, "patients", n)
        if resamples < 1:
            raise ValueError(f"resamples must be at least 1. Received: resamples={resamples}")
        used_patients = int(majority_labels(labels, codes).sum())
        drawn = _bootstrap(labels, scores, codes, rates, resamples, seed)

    positives = int(labels.sum())
    negatives = n - positives
    found = []
    for rate in rates:
        # The allowance is for rounding alone, as in tpr_at_fpr.
        resolvable = bool(rate * negatives * (1 + 1e-9) >= 1.0)
        value = tpr_at_fpr(labels, scores, rate) if resolvable else math.nan
        if math.isnan(value):
            none = (math.nan,) * 3
            found.append(LowRate(rate, *none, resolvable, 0, negatives, positives))
            continue
        hits = round(value * positives)
        exact = clopper_pearson(hits, positives, confidence)
        low = high = math.nan
        if rate in drawn:
            tail = (1 - confidence) / 2
            low, high = np.nanquantile(drawn[rate], [tail, 1 - tail]).tolist()
            if low == high and low in (0.0, 1.0) and used_patients:
                wide = wilson(used_patients * int(low), used_patients, confidence)
                low, high = wide.low, wide.high
        found.append(
            LowRate(
                fpr=rate,
                value=value,
                exact_low=exact.low,
                exact_high=exact.high,
                resolvable=resolvable,
                false_positives=_false_positives(labels, scores, hits),
                negatives=negatives,
                positives=positives,
                low=low,
                high=high,
            )
        )
    return tuple(found)


def _false_positives(labels, scores, hits):
    """Images not used at or above the highest threshold that `hits` used images reach."""
    if hits == 0:
        return 0
    threshold = np.sort(scores[labels == 1])[-hits]
    return int((scores[labels == 0] >= threshold).sum())


def _bootstrap(labels, scores, patients, rates, resamples, seed):
    """rate -> (resamples,) true-positive rates, nan where a resample lacks a class."""
    patient_labels = majority_labels(labels, patients)
    rng = np.random.default_rng(seed)
    parts = {rate: [] for rate in rates}
    block = max(1, BLOCK // len(labels))
    for start in range(0, resamples, block):
        counts = draw_patients(patient_labels, min(block, resamples - start), rng)
        used, unused = weighted_roc(labels, scores, counts[:, patients])
        for rate in rates:
            parts[rate].append(weighted_tpr(used, unused, rate))
    return {rate: np.concatenate(values) for rate, values in parts.items()}
