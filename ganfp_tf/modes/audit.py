"""--mode=audit: every detector, every control, one report."""

import dataclasses
import json
import time

import pandas as pd

from ganfp_tf import files
from ganfp_tf.audit import assembly, controls, description, measure
from ganfp_tf.audit.case import Case, open_case
from ganfp_tf.audit.control import Control
from ganfp_tf.audit.result import AuditResult
from ganfp_tf.audit.riskiest import Entry
from ganfp_tf.config import Config
from ganfp_tf.data.pixels import contents
from ganfp_tf.reports.audit import card, method, page, pictures
from ganfp_tf.reports.render import canvas
from ganfp_tf.runs import run_folder
from ganfp_tf.timing import peak_bytes

CONTROL_SETTINGS = ("bootstrap", "permutations", "confidence")


def run(config: Config) -> int:
    """Audits and writes the report; returns the exit code that the gates ask for."""
    started = time.monotonic()
    folder = run_folder.folder_of(config)
    case = open_case(config, folder)
    frame = pd.concat([case.real, case.generated], ignore_index=True)
    run_folder.start(config, frame.assign(fast=frame["fast"]))
    print(f"run folder: {json.dumps(str(folder), ensure_ascii=False)}")
    stored = measure.StoredResults(case)
    measured = measure.measure(case, stored)
    settings = {name: getattr(config, name) for name in CONTROL_SETTINGS}
    unrelated = controls.unrelated_images(case)
    settings |= {
        "primary": case.detectors.primary,
        "unrelated": "" if unrelated is None else contents(unrelated),
    }

    def control(name, make):
        print(f"control: {name}", flush=True)
        return stored(f"controls/{name}", settings, make)

    result, images, entries = assemble(
        case, measured, controls.run_controls(case, control, unrelated)
    )
    seconds = time.monotonic() - started
    result = dataclasses.replace(result, seconds=seconds, peak_bytes=peak_bytes())
    write(case, result, measured, images, entries)
    print("", method.spoken(result.to_dict()), sep="\n")
    print(f"written: {folder}/report.html, audit.json, scores.csv and audit_card.md")
    return result.gate.exit_code


def assemble(
    case: Case, measured: list[measure.Measured], answers: list[Control]
) -> tuple[AuditResult, pd.DataFrame, list[Entry]]:
    """`assembly.assemble` with the report's sentences on method and limits."""
    return assembly.assemble(
        case,
        measured,
        answers,
        why=method.why,
        method=method.method(case),
        limits=method.limits(case),
    )


def write(
    case: Case,
    result: AuditResult,
    measured: list[measure.Measured],
    images: pd.DataFrame,
    entries: list[Entry],
) -> None:
    """Writes the report and its parts into the run folder."""
    folder, audit = case.folder, result.to_dict()
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
    files.write_json(folder / "audit.json", audit)
    files.write_text(folder / "audit_card.md", card.audit_card(audit))
    files.write_text(folder / "report.html", page.as_html(audit, drawn))
