"""Puts the parts of an audit together: metrics, controls, verdict and gate."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence

import pandas as pd

from ganfp_tf import __version__
from ganfp_tf.audit import controls, description, metrics, verdict
from ganfp_tf.audit.case import Case
from ganfp_tf.audit.control import Control
from ganfp_tf.audit.detector_results import detector_results
from ganfp_tf.audit.measure import Measured
from ganfp_tf.audit.parts import ControlResult, Estimate, Gate
from ganfp_tf.audit.result import SCHEMA_ID, AuditResult
from ganfp_tf.audit.riskiest import Entry
from ganfp_tf.runs import run_folder
from ganfp_tf.statistics.evaluation import ALPHA


def assemble(
    case: Case,
    measured: list[Measured],
    answers: list[Control],
    *,
    why: Callable[[Control], str],
    method: Sequence[str],
    limits: Sequence[str],
) -> tuple[AuditResult, pd.DataFrame, list[Entry]]:
    """Judges an audit whose detectors and controls were run.

    Args:
        case: the `Case`.
        measured: the detectors, the primary one first.
        answers: what `controls.run_controls` returned.
        why: gives the sentence that says why a failed control failed.
        method: sentences, as in `AuditResult`.
        limits: likewise.

    Returns:
        The result, whose `seconds` and `peak_bytes` are not known yet (0 and None); the table of
        `metrics.image_table`; and the images that look used most.
    """
    config = case.config
    rows = detector_results(case, measured)
    images = metrics.image_table(case, measured[0].scores)
    one_by_one = metrics.image_level(case, images)
    together, share = metrics.set_level(case, images)
    power = metrics.power(case, images, rows[0].auc)
    auc = rows[0].auc or Estimate(None, None, None)
    found = controls.judge_controls(answers, case.kind, auc.low)
    failed = [control for control, _, passed in found if passed is False]
    judged = verdict.judge(
        kind=case.kind,
        p=rows[0].p,
        auc=auc.value,
        auc_low=auc.low,
        auc_high=auc.high,
        detectable_auc=None if power is None else power.detectable_auc,
        alpha=ALPHA,
        failed=[(control.title, why(control)) for control in failed],
        not_run=[control.title for control, _, _ in found if control.auc is None],
        confidence=config.confidence,
        n_flagged=one_by_one.flagged if one_by_one else 0,
        fdr=config.fdr,
    )
    entries = description.riskiest(case, images)
    result = AuditResult(
        schema=SCHEMA_ID,
        ganfp=__version__,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        question=description.question(case),
        verdict=dataclasses.replace(
            judged,
            because=(*judged.because, *controls.remarks(found)),
            failed_controls=tuple(control.name for control in failed),
        ),
        gate=_gate(case, judged.code, auc.value),
        primary=case.detectors.primary,
        confidence=config.confidence,
        alpha=ALPHA,
        fdr=config.fdr,
        resamples=config.bootstrap,
        permutations=config.permutations,
        folds=case.folds,
        seed=config.seed,
        detectors=rows,
        images=one_by_one,
        set=together,
        power=power,
        share=share,
        patients=metrics.patient_level(case, images),
        siblings=metrics.sibling_level(case, images),
        epsilon=metrics.epsilon(case, images),
        controls=tuple(_control_result(*each) for each in found),
        data=description.data(case),
        riskiest=description.riskiest_rows(entries, case.kind),
        method=tuple(method),
        limits=tuple(limits),
        environment=run_folder.environment(),
        settings=config.to_dict() | {"data": description.source(config.data)},
        seconds=0.0,
        peak_bytes=None,
    )
    return result, images, entries


def _gate(case, code, auc):
    above, evidence = case.config.fail_above_auc or None, case.config.fail_on_evidence
    exit_code, why = verdict.gate(code, auc, fail_above_auc=above, fail_on_evidence=evidence)
    return Gate(above, evidence, exit_code, why)


def _control_result(control, adjusted_p, passed):
    auc = None if control.auc is None else Estimate(control.auc, control.low, control.high)
    return ControlResult(
        name=control.name,
        title=control.title,
        kind=control.kind,
        auc=auc,
        p=control.p,
        adjusted_p=adjusted_p,
        passed=passed,
        expected=control.expected,
        found=control.found,
        seconds=control.seconds,
        share=control.share,
        recovered=control.recovered,
    )
