"""--mode=audit: every detector, every control, one report."""

import datetime
import json
import time

import pandas as pd

from ganfp_tf import __version__, files
from ganfp_tf.audit import controls, description, measure, metrics, verdict
from ganfp_tf.audit.case import open_case
from ganfp_tf.data.pixels import contents
from ganfp_tf.reports.audit import card, method, page, pictures
from ganfp_tf.reports.audit.card import SCHEMA_ID
from ganfp_tf.reports.render import canvas
from ganfp_tf.runs import run_folder
from ganfp_tf.statistics.evaluation import ALPHA
from ganfp_tf.timing import peak_bytes

CONTROL_SETTINGS = ("bootstrap", "permutations", "confidence")


def run(config):
    """Audits and writes the report; returns the exit code that the gates ask for."""
    started = time.monotonic()
    folder = run_folder.folder_of(config)
    case = open_case(config, folder)
    frame = pd.concat([case.real, case.generated], ignore_index=True)
    run_folder.start(config, frame.assign(fast=frame["fast"]))
    print(f"run folder: {json.dumps(str(folder), ensure_ascii=False)}")
    kept = measure.Kept(case)
    measured = measure.measure(case, kept)
    asked = {name: getattr(config, name) for name in CONTROL_SETTINGS}
    unrelated = controls.unrelated_images(case)
    asked |= {
        "primary": case.primary,
        "unrelated": "" if unrelated is None else contents(unrelated),
    }

    def control(name, make):
        print(f"control: {name}", flush=True)
        return kept(f"controls/{name}", asked, make)

    audit, images, entries = assemble(
        case, measured, controls.run_controls(case, control, unrelated)
    )
    audit |= {"seconds": time.monotonic() - started, "peak_bytes": peak_bytes()}
    write(case, audit, measured, images, entries)
    print("", method.spoken(audit), sep="\n")
    print(f"written: {folder}/report.html, audit.json, scores.csv and audit_card.md")
    return audit["gate"]["exit_code"]


def assemble(case, measured, answers):
    """What is known, as the dict of audit.json; the images' table; the riskiest images.

    Args:
        case: the `Case`.
        measured: list of `panel.Measured`, the primary detector first.
        answers: what `controls.run_controls` returned.
    """
    config = case.config
    rows = metrics.detector_rows(case, measured)
    images = metrics.judged_images(case, measured[0].scores)
    one_by_one = metrics.image_level(case, images)
    together, share = metrics.set_level(case, images)
    power = metrics.power(case, images, rows[0]["auc"])
    auc = rows[0]["auc"] or dict.fromkeys(("value", "low", "high"))
    found = controls.judged(answers, case.kind, auc["low"])
    judged = verdict.judge(
        kind=case.kind,
        p=rows[0]["p"],
        auc=auc["value"],
        auc_low=auc["low"],
        auc_high=auc["high"],
        detectable_auc=power and power["detectable_auc"],
        alpha=ALPHA,
        failed=[(c.title, method.why(c)) for c, _, passed in found if passed is False],
        not_run=[c.title for c, _, _ in found if c.auc is None],
        confidence=config.confidence,
        n_flagged=one_by_one["flagged"] if one_by_one else 0,
        fdr=config.fdr,
    )
    code, why = verdict.gate(
        judged.code,
        auc["value"],
        fail_above_auc=config.fail_above_auc or None,
        fail_on_evidence=config.fail_on_evidence,
    )
    entries = description.riskiest(case, images)
    failed = [c.name for c, _, passed in found if passed is False]
    audit = {
        "schema": SCHEMA_ID,
        "ganfp": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "question": description.question(case),
        "verdict": {
            "code": judged.code,
            "headline": judged.headline,
            "because": [*judged.because, *controls.remarks(found)],
            "not_shown": list(judged.not_shown),
            "failed_controls": failed,
        },
        "gate": {
            "fail_above_auc": config.fail_above_auc or None,
            "fail_on_evidence": config.fail_on_evidence,
            "exit_code": code,
            "why": why,
        },
        "primary": case.primary,
        "confidence": config.confidence,
        "alpha": ALPHA,
        "fdr": config.fdr,
        "resamples": config.bootstrap,
        "permutations": config.permutations,
        "folds": case.folds,
        "seed": config.seed,
        "detectors": rows,
        "images": one_by_one,
        "set": together,
        "power": power,
        "share": share,
        "patients": metrics.patient_level(case, images),
        "siblings": metrics.sibling_level(case, images),
        "epsilon": metrics.epsilon(case, images),
        "controls": [_control_row(*each) for each in found],
        "data": description.data(case),
        "riskiest": description.riskiest_rows(entries, case.kind),
        "method": method.method(case),
        "limits": method.limits(case),
        "environment": run_folder.environment(),
        "settings": config.to_dict() | {"data": description.source(config)},
    }
    return audit, images, entries


def write(case, audit, measured, images, entries):
    """Writes the report and its parts into the run folder."""
    folder = case.folder
    columns = {each.name: each.scores["score"].to_numpy() for each in measured}
    table = pd.concat([images, description.best_matches(case, images)], axis=1)
    for name, scores in columns.items():
        table.loc[: len(scores) - 1, name] = scores
    files.write_csv(folder / "scores.csv", table.drop(columns=["path", "digest"]))
    drawn = pictures.draw(case, audit, measured, images, entries)
    for picture in (
        *(p for p in drawn.values() if not isinstance(p, list)),
        *(picture for picture, _ in drawn["riskiest"]),
    ):
        canvas.save(picture.figure, folder / picture.path)
    # As it is read back: numbers that are not finite are null in both.
    files.write_json(folder / "audit.json", audit)
    audit = files.read_json(folder / "audit.json")
    files.write_text(folder / "audit_card.md", card.audit_card(audit))
    files.write_text(folder / "report.html", page.as_html(audit, drawn))


def _control_row(control, adjusted, passed):
    figure = {"value": control.auc, "low": control.low, "high": control.high}
    return {
        "name": control.name,
        "title": control.title,
        "kind": control.kind,
        "auc": None if control.auc is None else figure,
        "p": control.p,
        "adjusted_p": adjusted,
        "passed": passed,
        "expected": control.expected,
        "found": control.found,
        "seconds": control.seconds,
        "share": control.share,
        "recovered": control.recovered,
    }
