"""Two detectors on the same images: the difference of their AUC."""

import dataclasses
import math

import numpy as np

from ganfp_tf.statistics.metrics import weighted_auc_within
from ganfp_tf.statistics.sample import Resampling, Sample


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


def paired_bootstrap(sample: Sample, other: np.ndarray, resampling: Resampling) -> PairedDifference:
    """Difference of AUC, a minus b, with both detectors seeing the same resampled patients.

    What is hard or easy in a sample is so for both detectors and drops out of the difference, which
    two separate intervals do not know. Patients are drawn as in `intervals.patient_bootstrap`:
    whole, and within their class. Only the order of scores counts, so scales may differ.

    The interval is the percentile interval. p is the smallest level at which that interval leaves
    out 0 (Efron & Tibshirani 1993, chapter 15), 2 min(P(d <= 0), P(d >= 0)) over the resampled
    differences d, at most 1; each share counts the sample itself, (1 + #) / (1 + resamples), so
    that p is never 0 (Davison & Hinkley 1997, chapter 4). If both detectors are faultless every
    difference is 0: the interval has no width, and says no more than that this sample cannot tell
    them apart.

    Args:
        sample: n items with the scores of detector a. If it has strata, only pairs within a
            stratum are ranked.
        other: (n,) scores of detector b.
        resampling: number of resamples, confidence and seed.

    Raises:
        ValueError: scores of another length.
        UserError: a score that is not finite.
    """
    beside = dataclasses.replace(sample, scores=other)

    def differences(weights):  # (R, n) -> (R,)
        return weighted_auc_within(sample, weights) - weighted_auc_within(beside, weights)

    blocks = sample.resamples(resampling.resamples, resampling.seed)
    drawn = np.concatenate([differences(weights) for weights in blocks])
    drawn = drawn[~np.isnan(drawn)]
    low, high = resampling.ends(drawn).tolist()
    p = math.nan
    if len(drawn):
        rarer = min((drawn <= 0).sum(), (drawn >= 0).sum())
        p = min(1.0, 2 * (1 + int(rarer)) / (1 + len(drawn)))
    return PairedDifference(
        difference=float(differences(np.ones((1, len(sample))))[0]),
        low=low,
        high=high,
        p=p,
        confidence=resampling.confidence,
        resamples=resampling.resamples,
        method="percentile",
    )
