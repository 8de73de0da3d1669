"""All that can be said about scored images with known labels, and what it can show."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd

from ganfp_tf.statistics.intervals import Interval, patient_bootstrap
from ganfp_tf.statistics.metrics import (
    BinaryMetrics,
    binary_metrics,
    constant_answers,
    weighted_auc_within,
)
from ganfp_tf.statistics.permutation import PermutationResult, permutation_p
from ganfp_tf.statistics.power import detectable_auc, significant_auc
from ganfp_tf.statistics.sample import Resampling, Sample

ALPHA = 0.05
POWER = 0.8


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics, their uncertainty, and what this number of patients could have shown.

    Attributes:
        metrics: of the images as they are.
        intervals: metric -> Interval; "auc_within" too if strata were given.
        permutation: p-values.
        constants: answer -> metric -> value, of answers that look at no image.
        n_patients: patients; `used_patients` of them are counted as used (majority of images).
        significant_auc: AUC to be passed for p < .05, nan if none would do.
        detectable_auc: true AUC found with power .8, nan likewise.
        auc_within: AUC over pairs of the same stratum, None without strata.
    """

    metrics: BinaryMetrics
    intervals: dict[str, Interval]
    permutation: PermutationResult
    constants: dict[str, dict[str, float]]
    n_patients: int
    used_patients: int
    significant_auc: float
    detectable_auc: float
    confidence: float
    resamples: int
    auc_within: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: {"metrics": {metric: {"value", "low", "high"}}, ...}; None for nan."""
        values = dataclasses.asdict(self.metrics)
        if self.auc_within is not None:
            values["auc_within"] = self.auc_within
        metrics = {}
        for name, value in values.items():
            interval = self.intervals.get(name)
            metrics[name] = {
                "value": value,
                "low": None if interval is None else interval.low,
                "high": None if interval is None else interval.high,
            }
        return _without_nan(
            {
                "metrics": metrics,
                "permutation": dataclasses.asdict(self.permutation),
                "constants": self.constants,
                "n_patients": self.n_patients,
                "used_patients": self.used_patients,
                "significant_auc": self.significant_auc,
                "detectable_auc": self.detectable_auc,
                "confidence": self.confidence,
                "resamples": self.resamples,
            }
        )


def evaluate(sample: Sample, resampling: Resampling) -> Evaluation:
    """Evaluates scored images with decisions.

    Scores of different strata are ranked only within their stratum in auc_within and its p-value.
    """
    used, unused = sample.patient_counts
    both = used > 0 and unused > 0
    within = None
    if sample.strata is not None:
        within = float(weighted_auc_within(sample, np.ones((1, len(sample))))[0])
    return Evaluation(
        metrics=binary_metrics(sample),
        intervals=patient_bootstrap(sample, resampling),
        permutation=permutation_p(sample, resampling),
        constants=constant_answers(sample.labels),
        n_patients=used + unused,
        used_patients=used,
        significant_auc=significant_auc(used, unused, ALPHA) if both else math.nan,
        detectable_auc=detectable_auc(used, unused, ALPHA, POWER) if both else math.nan,
        confidence=resampling.confidence,
        resamples=resampling.resamples,
        auc_within=within,
    )


def evaluate_frame(
    frame: pd.DataFrame, resampling: Resampling, strata: str | None = None
) -> Evaluation:
    """`evaluate` of a DataFrame with the columns label, score, decision and patient.

    Args:
        frame: one row an image or pair.
        resampling: numbers of resamples and permutations, confidence and seed.
        strata: column that holds the fold of each row, or None.
    """
    return evaluate(Sample.from_frame(frame, strata), resampling)


def can_show(evaluation: Evaluation) -> str:
    """A few sentences: what a sample of this size can show, and what these metrics do show."""
    metrics, p = evaluation.metrics, evaluation.permutation.auc_p
    unused = metrics.n - metrics.positives
    size = (
        f"{_count(metrics.n, 'image')} ({metrics.positives} used, {unused} not used, "
        f"{_count(evaluation.n_patients, 'patient')})"
    )
    name = "auc" if evaluation.auc_within is None else "auc_within"
    value = metrics.auc if evaluation.auc_within is None else evaluation.auc_within
    if math.isnan(value) or math.isnan(p):
        return (
            f"{size}: without used and not used images to compare, nothing can be said about "
            "how well membership can be told."
        )
    return f"{size}: {_reach(evaluation)} {_verdict(evaluation, name, value, p)}"


def _reach(evaluation):
    if math.isnan(evaluation.significant_auc):
        return "too few for any AUC to be told from chance at p < .05."
    return (
        f"an AUC below {evaluation.significant_auc:.2f} cannot be told from chance at p < .05; a "
        f"detector would need a true AUC of {evaluation.detectable_auc:.2f} to be found with "
        "power .8."
    )


def _verdict(evaluation, name, value, p):
    interval = evaluation.intervals[name]
    where = " within folds" if name == "auc_within" else ""
    measured = (
        f"The measured AUC{where} {value:.2f} [{interval.low:.2f}, {interval.high:.2f}], "
        f"{_format_p(p)},"
    )
    significant, above = p < ALPHA, interval.low > 0.5
    if significant and above:
        text = (
            f"{measured} shows that membership can be told better than by chance, "
            "provided that used and not used images differ in nothing else."
        )
    elif significant or above:
        reason = "the interval includes 0.5" if significant else "p is not below .05"
        text = (
            f"{measured} is inconclusive, because {reason}: more patients are needed before it "
            "can be said whether membership can be told."
        )
    else:
        text = f"{measured} does not show that membership can be told."
        if interval.high < 0.5:
            text += " The scores point the wrong way: look for a bias between the two classes."
    if evaluation.permutation.level == "image":
        text += (
            " Some patients have images of both labels, so labels were permuted by image and p may "
            "be too small."
        )
    return text


def _format_p(p):
    if p < 0.001:
        return "p < .001"
    return "p = " + (f"{p:.3f}" if p < 0.095 else f"{p:.2f}").removeprefix("0")


def _count(number, noun):
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else float(value)
    return value
