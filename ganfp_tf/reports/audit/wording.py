"""Words and numbers of the audit's report, for its page and its card."""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from ganfp_tf.audit.verdict import HEADLINES
from ganfp_tf.reports.render.tables import NOTHING, format_interval, format_number, format_p
from ganfp_tf.reports.render.words import counted

# Code of a verdict -> a symbol beside its words, so that colour is not needed.
SYMBOLS = {
    "evidence": "\u25b2",
    "no_evidence": "\u25cb",
    "inconclusive": "?",
    "not_trustworthy": "\u2715",
}
KINDS = {
    "labelled": "Labels are known: images that were used against images that were not.",
    "reference": "Labels are not known: suspects against a reference that was not used.",
    "suspects": "Suspects alone, with nothing to compare them with.",
}
# What a part of the audit is missing for, where it is null.
MISSING = {
    "set": "Not tested: without a reference there is nothing to compare the suspects' scores with.",
    "images": "No image is tested: without a reference it is not known what scores arise without "
    "use.",
    "power": "Not known: without a reference there is no test whose power could be given.",
    "share": "Not estimated: the share of suspects that were used needs p-values of images, and "
    "there are none.",
    "epsilon": "No bound on epsilon is given: it needs images that were used and images that were "
    "not, both known to be so.",
    "patients": "Not given: patients are not known, or there are too few of them.",
    "siblings": "There are no siblings: no patient has both images that were used and images that "
    "were not.",
    "controls": "No control was run. Without controls a verdict rests on the figures alone.",
    "detectors": "No detector was run.",
    "riskiest": "No image is listed.",
    "unreadable": "All files could be read.",
    "duplicates": "No duplicates were found.",
    "warnings": "There are no warnings.",
}
# Other reasons, where there are suspects alone or no labels.
UNTESTED = "Nothing can be said of patients: without a reference there is no test."
UNLABELLED = "Not given: without labels it is not known which patients have images that were used."
PASSED = {True: ("passed", "\u2713"), False: ("failed", "\u2715"), None: ("not judged", "\u2013")}
UNRESOLVABLE = "not resolvable"


def typeset(text: str) -> str:
    """A formatted number with a true minus sign, and a dash for nothing."""
    return "\u2013" if text == NOTHING else re.sub(r"-(?=[.\d])", "\u2212", text)


def number(value: float | None, percent: bool = False) -> str:
    """As `format_number`, typeset."""
    return typeset(format_number(value, percent))


def interval(
    figure: Mapping[str, Any] | None, percent: bool = False, ends: tuple[str, str] = ("low", "high")
) -> str:
    """A figure of audit.json as "0.91 [0.86, 0.96]"; a dash where it is null."""
    if not figure:
        return typeset(NOTHING)
    low, high = (figure[end] for end in ends)
    return typeset(format_interval(figure["value"], low, high, percent))


def p_value(p: float | None) -> str:
    """As `format_p`, typeset: "<.001", ".034"."""
    return typeset(format_p(p))


def p_phrase(p: float | None, name: str = "p") -> str:
    """Such as "p < .001", "p = .034" or "p not known"."""
    text = format_p(p)
    if text == NOTHING:
        return f"{name} not known"
    return f"{name} < {text[1:]}" if text.startswith("<") else f"{name} = {text}"


def amount(count: int, noun: str) -> str:
    """Such as "1 image", "5,000 images"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def per_cent(share: float) -> str:
    """0.05 -> "5%", 0.001 -> "0.1%", 0.975 -> "97.5%"."""
    return f"{100 * share:.4g}%"


def duration(seconds: float) -> str:
    """Such as "0.4 s", "14 s", "6 min 52 s", "2 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def memory(size: float | None) -> str:
    """Bytes as "0.6 GB"; a dash where it is not known."""
    return f"{size / 1e9:.1f} GB" if size else typeset(NOTHING)


def moment(created: str) -> str:
    """An ISO time as "2026-11-24 20:00 UTC"; as it is where it is none."""
    try:
        time = datetime.datetime.fromisoformat(created)
    except ValueError:
        return created
    if time.tzinfo is None:
        return f"{time:%Y-%m-%d %H:%M}"
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def group(side: dict[str, Any]) -> str:
    """Such as "100 used images of 60 patients" for a side of the question."""
    text = f"{side['images']:,} {side['name']}"
    if side["name"] == "reference":
        text = amount(side["images"], "reference image")
    return text + (f" of {counted(side['patients'], 'patient')}" if side["patients"] else "")


def question(audit: dict[str, Any]) -> str:
    """What was asked, in one sentence."""
    asked = audit["question"]
    generated = amount(asked["generated"], "generated image")
    if asked["kind"] == "labelled":
        text = (
            f"Do {generated} give away that their generator was trained on "
            f"{group(asked['suspects'])}"
        )
    else:
        text = f"Was the generator of {generated} trained on {group(asked['suspects'])}"
    against = f", set against {group(asked['reference'])}" if asked["reference"] else ""
    return f"{text}{against}?"


def missing(key: str, kind: str) -> str:
    """Why a part of the audit is null, for a question of that kind."""
    if key == "patients" and kind == "suspects":
        return UNTESTED
    if key == "siblings" and kind != "labelled":
        return UNLABELLED
    return MISSING[key]


def verdict_words(verdict: dict[str, Any]) -> tuple[str, str]:
    """The words of its code, and the headline where it says more than these."""
    word = HEADLINES[verdict["code"]]
    same = verdict["headline"].strip().rstrip(".").lower() == word.lower()
    return word, "" if same else verdict["headline"]


def audited(audit: dict[str, Any]) -> str:
    """What was audited, as a title has it: the data handed in, or the demo data of the package."""
    return audit["question"]["data"] or "the demo data"


def primary(audit: dict[str, Any]) -> dict[str, Any] | None:
    """The primary detector's entry; None where it is not among the detectors."""
    rows = [row for row in audit["detectors"] if row["name"] == audit["primary"]]
    return rows[0] if rows else None


def gate_asked(gate: dict[str, Any]) -> bool:
    """Whether the audit was asked to fail under some condition."""
    return gate["fail_above_auc"] is not None or gate["fail_on_evidence"]


def gate_sentence(gate: dict[str, Any]) -> str:
    """The gate's result in words, with the exit code."""
    result = "did not hold" if gate["exit_code"] else "held"
    asked = []
    if gate["fail_above_auc"] is not None:
        asked.append(f"--fail_above_auc={gate['fail_above_auc']:g}")
    if gate["fail_on_evidence"]:
        asked.append("--fail_on_evidence")
    text = f"The gate ({' and '.join(asked)}) {result}; exit code {gate['exit_code']}."
    return f"{text} {gate['why']}".strip()


def failed_titles(audit: dict[str, Any]) -> list[str]:
    """Titles of the controls that failed."""
    titles = {control["name"]: control["title"] for control in audit["controls"]}
    return [titles.get(name, name) for name in audit["verdict"]["failed_controls"]]
