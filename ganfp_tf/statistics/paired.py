"""Two detectors on the same images: the difference of their AUC."""

import dataclasses
import math

import numpy as np

from ganfp_tf.statistics.intervals import BLOCK, check_confidence, draw_patients, majority_labels
from ganfp_tf.statistics.metrics import check_binary, check_codes, check_scores, weighted_auc_within


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """Detector a's AUC minus detector b's; nan throughout without a pair to rank.

    Attributes:
        difference: of the AUC on the images as they are.
        low, high: ends of the interval.
        p: two-sided, of "no difference".
        confidence: coverage of the interval.
        resamples: how many were drawn.
        method: how the interval was made.
    """

    difference: float
    low: float
    high: float
    p: float
    confidence: float
    resamples: int
    method: str


def paired_bootstrap(
    labels, scores_a, scores_b, patients, *, resamples, confidence, seed, strata=None
):
    """Difference of AUC, a minus b, with both detectors seeing the same resampled patients.

    What is hard or easy in a sample is so for both detectors and drops out of the difference, which
    two separate intervals do not know. Patients are drawn as in `intervals.patient_bootstrap`:
    whole, and within their class. Only the order of scores counts, so scales may differ.

    The interval is the percentile interval. p is the smallest level at which that interval leaves
    out 0 (Efron & Tibshirani 1993, chapter 15), 2 min(P(d <= 0), P(d >= 0)) over the resampled
    differences d, at most 1; each share counts the sample itself, (1 + #) / (1 + resamples), so
    that p is never 0 (Davison & Hinkley 1997, chapter 4). Where both detectors are faultless every
    difference is 0: the interval has no width, and says no more than that this sample cannot tell
    them apart.

    Args:
        labels, scores_a, scores_b, patients: (n,) arrays.
        resamples: number of resamples.
        confidence: coverage, between 0 and 1.
        seed: integer, at least 0.
        strata: (n,) fold of each item: only pairs within a fold are ranked. None: all pairs are.

    Raises:
        ValueError: arrays of different lengths, or impossible settings.
        UserError: a score that is not finite.
    """
    labels = check_binary(labels, "labels")
    n = len(labels)
    scores_a, scores_b = check_scores(scores_a, n), check_scores(scores_b, n)
    patients = check_codes(patients, "patients", n)
    strata = np.zeros(n, np.int64) if strata is None else check_codes(strata, "strata", n)
    check_confidence(confidence)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1. Received: resamples={resamples}")

    def differences(weights):  # (R, n) -> (R,)
        a, b = (weighted_auc_within(labels, s, strata, weights) for s in (scores_a, scores_b))
        return a - b

    patient_labels = majority_labels(labels, patients)
    rng = np.random.default_rng(seed)
    drawn = []
    block = max(1, BLOCK // n)
    for start in range(0, resamples, block):
        counts = draw_patients(patient_labels, min(block, resamples - start), rng)
        drawn.append(differences(counts[:, patients]))
    drawn = np.concatenate(drawn)
    drawn = drawn[~np.isnan(drawn)]

    low = high = p = math.nan
    if len(drawn):
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail]).tolist()
        rarer = min((drawn <= 0).sum(), (drawn >= 0).sum())
        p = min(1.0, 2 * (1 + int(rarer)) / (1 + len(drawn)))
    observed = float(differences(np.ones((1, n)))[0])
    return PairedDifference(observed, low, high, p, confidence, resamples, "percentile")
