"""Tables as text: for the terminal (ASCII rules, aligned columns) and as Markdown."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

# Figure -> row label, and whether it is shown in per cent.
FIGURES = {
    "auc": ("AUC (chance 0.50)", False),
    "auc_within": ("AUC within folds", False),
    "tpr_at_10_fpr": ("TPR at 10% FPR", True),
    "tpr_at_5_fpr": ("TPR at 5% FPR", True),
    "tpr_at_1_fpr": ("TPR at 1% FPR", True),
    "kappa": ("kappa (chance 0.00)", False),
    "accuracy": ("accuracy", True),
    "precision": ("precision", True),
    "recall": ("recall", True),
    "f1": ("F1", False),
}
# Constant answers are shown where they differ; all have AUC 0.5 and kappa 0.
WITH_CONSTANTS = ("accuracy", "precision", "recall", "f1")
CONSTANTS = ("all used", "none used", "coin")
NOTHING = "-"


def evaluation_table(rows: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Figures of several evaluations side by side, beside what constant answers score.

    Args:
        rows: (title, evaluation) each, where evaluation is `Evaluation.to_dict()`: "metrics" with
            {"value", "low", "high"} or a plain number for each figure, and where they are known
            "permutation", "constants", "n_patients", "used_patients", "significant_auc",
            "detectable_auc", "confidence" and "resamples". What is missing becomes a dash.
    """
    evaluations = [evaluation for _, evaluation in rows]
    lines = [["images or pairs (used)", *map(_count, evaluations)]]

    def add(label, cells):
        cells = list(cells)
        if any(cell != NOTHING for cell in cells):
            lines.append([label, *cells])

    add("patients (used)", map(_patients, evaluations))
    for name, (label, percent) in FIGURES.items():
        add(label, (_figure(evaluation, name, percent) for evaluation in evaluations))
        if name == "auc" and any("auc_within" in e.get("metrics", {}) for e in evaluations):
            continue  # p belongs to the AUC within folds where there is one
        of = {"auc": "AUC", "auc_within": "AUC", "kappa": "kappa"}.get(name)
        if of and lines[-1][0] == label:
            key = of.lower() + "_p"
            values = [_of(evaluation, "permutation", key) for evaluation in evaluations]
            add(f"  permutation p of {of}", map(format_p, values))
        if name in WITH_CONSTANTS:
            label = "  " + " / ".join(CONSTANTS)
            add(label, (_constants(evaluation, name, percent) for evaluation in evaluations))
    for key, label in (
        ("significant_auc", "AUC needed for p < .05"),
        ("detectable_auc", "AUC found with power .8"),
    ):
        add(label, (format_number(evaluation.get(key)) for evaluation in evaluations))
    table = text_table(["", *(title for title, _ in rows)], lines)
    notes = sorted({_note(evaluation) for evaluation in evaluations} - {""})
    return "".join(part + "\n" for part in [table, *notes]).rstrip("\n")


def text_table(headers: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table for the terminal: columns two blanks apart, a line of dashes under the headers."""
    cells = [[printable(cell) for cell in row] for row in [headers, *rows]]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        for row in cells
    ]
    lines.insert(1, "-" * (sum(widths) + 2 * len(widths) - 2))
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(headers: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table (GitHub's form); what Markdown or HTML would read in a cell is escaped."""
    cells = [[escape_markdown(cell) for cell in row] for row in [headers, *rows]]
    cells.insert(1, ["---"] * len(cells[0]))
    return "".join("| " + " | ".join(row) + " |\n" for row in cells)


def escape_markdown(value: object) -> str:
    """`value` as the text of one Markdown cell; an underscore within a word needs no escape."""
    text = printable(value).replace("&", "&amp;").replace("<", "&lt;")
    text = re.sub(r"([\\|`*\[\]])", r"\\\1", text)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


def printable(text: object, keep: str = "") -> str:
    """`text` with a blank for each control character or lone surrogate that is not in `keep`."""
    return "".join(c if c.isprintable() or c in keep else " " for c in str(text))


def format_interval(
    value: float | None, low: float | None, high: float | None, percent: bool = False
) -> str:
    """0.52, 0.30, 0.73 -> "0.52 [0.30, 0.73]", or "52% [30, 73]"; a dash for None and nan."""
    text = format_number(value, percent)
    ends = [format_number(end, percent).rstrip("%") for end in (low, high)]
    if NOTHING in (text, *ends):
        return text
    return f"{text} [{ends[0]}, {ends[1]}]"


def format_number(value: float | None, percent: bool = False) -> str:
    """Two decimals, or whole per cent; a dash for None and nan; never "-0.00"."""
    if value is None or math.isnan(value):
        return NOTHING
    text = f"{value:.0%}" if percent else f"{value:.2f}"
    return text.removeprefix("-") if not re.search("[1-9]", text) else text


def format_p(p: float | None) -> str:
    """A p-value without its leading zero: "<.001", ".034", ".48"; a dash for None and nan."""
    if p is None or math.isnan(p):
        return NOTHING
    if p < 0.001:
        return "<.001"
    return (f"{p:.3f}" if p < 0.095 else f"{p:.2f}").removeprefix("0")


def _of(evaluation, part, name):
    return (evaluation.get(part) or {}).get(name)


def _value(evaluation, name):
    figure = _of(evaluation, "metrics", name)
    return figure.get("value") if isinstance(figure, dict) else figure


def _figure(evaluation, name, percent):
    figure = _of(evaluation, "metrics", name)
    if isinstance(figure, dict):
        return format_interval(figure.get("value"), figure.get("low"), figure.get("high"), percent)
    return format_number(figure, percent)


def _count(evaluation):
    n, positives = _value(evaluation, "n"), _value(evaluation, "positives")
    if n is None or positives is None:
        return NOTHING
    return f"{n} ({positives}, {format_number(positives / n if n else None, True)})"


def _patients(evaluation):
    if evaluation.get("n_patients") is None:
        return NOTHING
    return f"{evaluation['n_patients']} ({evaluation.get('used_patients', NOTHING)})"


def _constants(evaluation, name, percent):
    constants = evaluation.get("constants") or {}
    if not constants:
        return NOTHING
    return " / ".join(format_number(_of(constants, key, name), percent) for key in CONSTANTS)


def _note(evaluation):
    if evaluation.get("confidence") is None:
        return ""
    note = f"[low, high]: {evaluation['confidence']:.0%} interval"
    if evaluation.get("resamples"):
        note += f", {evaluation['resamples']} resamples of patients"
    return note + "."


def _width(text):
    """Terminal columns of `text`: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )
