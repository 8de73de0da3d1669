"""What each detector of an audit found, beside the best classical attack."""

import dataclasses

import pandas as pd

from ganfp_tf.audit.case import Case
from ganfp_tf.audit.measure import Measured
from ganfp_tf.audit.metrics import estimate, known, low_rates
from ganfp_tf.audit.parts import DetectorResult, Difference
from ganfp_tf.audit.patient_scores import permuted_p
from ganfp_tf.detectors import registry
from ganfp_tf.statistics.evaluation import evaluate_frame
from ganfp_tf.statistics.metrics import auc_within
from ganfp_tf.statistics.paired import paired_bootstrap
from ganfp_tf.statistics.sample import Resampling, Sample

FIGURES = ("kappa", "accuracy", "f1", "precision", "recall")  # of decisions: labels are needed
STACKS = ("mean", "stack")  # the ends of names that are no single attack


def detector_results(case: Case, measured: list[Measured]) -> tuple[DetectorResult, ...]:
    """One row a detector, in the order of `measured`."""
    best = _best_classical(case, measured)
    return tuple(_detector_result(case, each, best) for each in measured)


def _detector_result(case, each, best):
    result = DetectorResult(
        name=each.name,
        title=each.title,
        primary=each.name == case.detectors.primary,
        control=each.control,
        network=each.network,
        uses_labels=each.uses_labels,
        seconds=each.seconds,
        peak_bytes=each.peak_bytes,
    )
    if case.kind == "suspects":
        return result
    resampling = Resampling.of(case.config)
    evaluation = evaluate_frame(each.scores, resampling, strata="split_id")
    result = dataclasses.replace(
        result,
        auc=estimate(evaluation, "auc_within"),
        p=known(permuted_p(each.scores, resampling)),
        less_best=_less(each, best, resampling) if best and each.name != best.name else None,
    )
    if not case.labelled:
        return result
    of_decisions = {name: estimate(evaluation, name) for name in FIGURES}
    return dataclasses.replace(result, tpr=low_rates(each.scores, resampling), **of_decisions)


def _best_classical(case, measured):
    """The single attack without a network that has the highest AUC, picked with hindsight."""
    if case.kind == "suspects":
        return None
    single = [each for each in measured if _is_classical(each.name)]
    return max(single, key=_auc, default=None)


def _is_classical(name):
    entry = registry.DETECTORS.get(name)
    learned = not entry or entry.control or entry.network or entry.shadow
    return not learned and name.rsplit("_", 1)[-1] not in STACKS


def _auc(each):
    scores = each.scores
    return auc_within(scores["label"], scores["score"], scores["split_id"])


def _less(each, best, resampling):
    # Scores of two folds are not of one scale, whichever of the two detectors has folds.
    folds = each.scores["split_id"] + " " + best.scores["split_id"]
    sample = Sample(
        each.scores["label"].to_numpy(),
        each.scores["score"].to_numpy(),
        pd.factorize(each.scores["patient"])[0],
        strata=folds.to_numpy(),
    )
    found = paired_bootstrap(sample, best.scores["score"].to_numpy(), resampling)
    return Difference(
        other=best.name,
        difference=found.difference,
        low=found.low,
        high=found.high,
        p=found.p,
        method="paired bootstrap",
    )
