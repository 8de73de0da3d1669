"""What a membership test shows about differential privacy."""

import dataclasses
import math

from ganfp_tf.statistics.intervals import clopper_pearson
from ganfp_tf.statistics.sample import check_confidence


@dataclasses.dataclass(frozen=True)
class EpsilonBound:
    """No (epsilon, delta) with an epsilon below `low` fits what was seen, at `confidence`.

    Attributes:
        low: at least 0; 0 says nothing.
        confidence: of all bounds that it rests on together.
        delta: of the differential privacy that is asked about.
        true_positives, used, false_positives, unused: what was counted.
    """

    low: float
    confidence: float
    delta: float
    true_positives: int
    used: int
    false_positives: int
    unused: int


def epsilon_lower_bound(
    true_positives: int,
    used: int,
    false_positives: int,
    unused: int,
    *,
    confidence: float,
    delta: float = 0.0,
) -> EpsilonBound:
    """A lower bound of epsilon from the errors of one attack.

    Under (epsilon, delta)-differential privacy TPR <= e^epsilon FPR + delta and TNR <= e^epsilon
    FNR + delta for every attack (Kairouz, Oh & Viswanath 2015). So epsilon is at least
    log((TPR - delta) / FPR) and log((TNR - delta) / FNR), with Clopper-Pearson bounds in the place
    of the rates, as in Jagielski, Ullman & Oprea (2020) and Nasr et al. (2021). A bound from below
    of TPR is one from above of FNR = 1 - TPR, and likewise FPR and TNR: the four bounds are two,
    each at 1 - (1 - confidence) / 2, so that all hold together at `confidence` (Bonferroni).

    A faultless attack on n used and n unused shows log(q / (1 - q)) with
    q = ((1 - confidence) / 2)^(1 / n), and no attack on as many can show more (at delta 0).

    The units must be independent: count patients, not images. The threshold must have been fixed
    without these patients; the one that looks best on them gives a bound that is too high. What is
    bounded is the epsilon of the whole release for one patient's data, and only if used and unused
    patients differ in nothing but the training.

    Args:
        true_positives: used units that were called used.
        used: number of used units.
        false_positives: unused units that were called used.
        unused: number of unused units.
        confidence: between 0 and 1.
        delta: in [0, 1).

    Raises:
        ValueError: impossible counts or settings.
    """
    check_confidence(confidence)
    if not 0.0 <= delta < 1.0:
        raise ValueError(f"delta must lie in [0, 1). Received: delta={delta}")
    # The lower or upper end alone of this interval misses with probability (1 - confidence) / 2.
    hits = clopper_pearson(true_positives, used, confidence)
    alarms = clopper_pearson(false_positives, unused, confidence)
    low = 0.0
    if used and unused:
        tpr, fpr = hits.low, alarms.high
        for right, wrong in ((tpr, fpr), (1.0 - fpr, 1.0 - tpr)):
            if right > delta:
                low = max(low, math.log((right - delta) / wrong))
    return EpsilonBound(low, confidence, delta, true_positives, used, false_positives, unused)
