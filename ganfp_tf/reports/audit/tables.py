"""The tables of the audit's page: audit.json in, headers and rows of text out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ganfp_tf.reports.audit.wording import (
    PASSED,
    UNRESOLVABLE,
    amount,
    duration,
    interval,
    memory,
    number,
    p_value,
    per_cent,
    typeset,
)
from ganfp_tf.reports.render.tables import NOTHING

DASH = typeset(NOTHING)
UNREADABLE_SHOWN = 50


@dataclasses.dataclass(frozen=True)
class Mark:
    """A cell that holds a result: words with a symbol, so that colour is not needed.

    Attributes:
        text: "passed", "failed", "not judged", "not resolvable".
        symbol: one character; empty for none.
        style: CSS class of the cell's text.
    """

    text: str
    symbol: str = ""
    style: str = "quiet"

    def __str__(self) -> str:
        return f"{self.symbol} {self.text}".strip()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        label: what it shows, for who hears it.
        headers: of the columns; the first column names the rows.
        rows: of cells, each a text or a `Mark`.
        titled: whether a heading above it says the same as `label`.
        cards: whether a row holds sentences, and becomes a card on a narrow screen.
        tags: (words behind the row's name) of the rows, by the row's name.
    """

    label: str
    headers: tuple[str, ...]
    rows: tuple[tuple, ...]
    titled: bool = False
    cards: bool = False
    tags: dict = dataclasses.field(default_factory=dict)


def tpr_table(rows: Sequence[dict[str, Any]], confidence: float, label: str) -> Table:
    """True positive rates at fixed false positive rates, with both intervals."""
    level = per_cent(confidence)
    return Table(
        label,
        (
            "false positive rate",
            "true positive rate",
            f"{level} interval, patients resampled",
            f"{level} interval, exact (Clopper-Pearson)",
            "false positives",
        ),
        tuple((per_cent(row["fpr"]), *_tpr_cells(row)) for row in rows),
    )


def _tpr_cells(row):
    of = f"{row['false_positives']} of {row['negatives']}"
    if not row["resolvable"]:
        return Mark(UNRESOLVABLE), DASH, DASH, DASH
    return number(row["value"], True), _ends(row, ""), _ends(row, "exact_"), of


def _ends(row, prefix):
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return DASH if low is None or high is None else f"{number(low, True)} to {number(high, True)}"


def controls_table(controls: Sequence[dict[str, Any]]) -> Table:
    """Every control: what it had to find, what it found, and whether it passed."""
    return Table(
        "Controls",
        ("control", "result", "expected", "found", "AUC", "p (adjusted)"),
        tuple(
            (
                row["title"],
                _passed(row["passed"]),
                row["expected"],
                row["found"],
                interval(row["auc"]),
                _adjusted(row),
            )
            for row in controls
        ),
        titled=True,
        cards=True,
        tags={row["title"]: row["kind"] for row in controls},
    )


def _adjusted(row):
    if row["p"] is None or row["adjusted_p"] is None:
        return p_value(row["p"])
    return f"{p_value(row['p'])} ({p_value(row['adjusted_p'])})"


def _passed(passed):
    style = {True: "good", False: "bad", None: "quiet"}[passed]
    return Mark(*PASSED[passed], style)


def detector_tables(audit: dict[str, Any]) -> list[Table]:
    """Detectors side by side in up to three tables; columns without any figure are left out."""
    detectors = audit["detectors"]
    tags = {row["title"]: _tag(row) for row in detectors}
    known = [row["tpr"] for row in detectors if row["tpr"]]
    rates = [rate["fpr"] for rate in known[0]] if known else []
    separation = Table(
        "Detectors: AUC and true positive rates",
        ("detector", "AUC", "p", *(f"TPR at {per_cent(rate)} FPR" for rate in rates)),
        tuple(
            (
                row["title"],
                interval(row["auc"]),
                p_value(row["p"]),
                *(map(_tpr, row["tpr"]) if row["tpr"] else [DASH] * len(rates)),
            )
            for row in detectors
        ),
        tags=tags,
    )
    compared = Table(
        "Detectors: difference to the best classical attack",
        ("detector", "AUC less that of", "best classical attack", "p of the difference"),
        tuple(_compared(row, detectors) for row in detectors if row["less_best"]),
        tags=tags,
    )
    names = ("kappa", "accuracy", "precision", "recall", "f1")
    decisions = Table(
        "Detectors: decisions and cost",
        (
            "detector",
            "kappa",
            "accuracy",
            "precision",
            "recall",
            "F1",
            "uses labels",
            "trains a network",
            "time",
            "peak memory",
        ),
        tuple(
            (
                row["title"],
                *(interval(row[name], percent=name not in ("kappa", "f1")) for name in names),
                _yes(row["uses_labels"]),
                _yes(row["network"]),
                duration(row["seconds"]),
                memory(row["peak_bytes"]),
            )
            for row in detectors
        ),
        tags=tags,
    )
    kept = [_without_empty(table) for table in (separation, compared, decisions)]
    return [table for table in kept if table.rows and len(table.headers) > 1]


def _tag(row):
    kinds = [
        word for word, holds in (("primary", row["primary"]), ("control", row["control"])) if holds
    ]
    return ", ".join(kinds)


def _tpr(row):
    if row["resolvable"]:
        return interval(row, percent=True)
    return DASH if not row["negatives"] else Mark(UNRESOLVABLE)


def _compared(row, detectors):
    titles = {other["name"]: other["title"] for other in detectors}
    less = row["less_best"]
    figure = {"value": less["difference"], "low": less["low"], "high": less["high"]}
    return (
        row["title"],
        interval(figure),
        titles.get(less["other"], less["other"]),
        p_value(less["p"]),
    )


def _without_empty(table):
    """`table` without the columns in which no row has a figure."""
    void = {DASH, UNRESOLVABLE}
    measured = any(str(row[1]) not in void for row in table.rows)
    columns = [
        place
        for place in range(len(table.headers))
        # Where AUCs are known, a rate that no detector resolves is worth seeing.
        if any(str(row[place]) not in (void if not measured else {DASH}) for row in table.rows)
    ]
    headers, *rows = (
        tuple(row[place] for place in columns) for row in (table.headers, *table.rows)
    )
    return dataclasses.replace(table, headers=headers, rows=tuple(rows))


def _yes(value):
    return "yes" if value else "no"


def curve_table(power: dict[str, Any]) -> Table:
    """The power of the test at each AUC of the curve."""
    return Table(
        "Power by AUC",
        ("AUC of the detector", "power"),
        tuple((number(auc), number(value, True)) for auc, value in power["curve"]),
    )


def counts_table(counts: Sequence[Sequence[Any]]) -> Table:
    """How many images and patients there are of each sort."""
    return Table(
        "Images and patients",
        ("images", "number", "patients"),
        tuple(
            (what, f"{images:,}", DASH if patients is None else f"{patients:,}")
            for what, images, patients in counts
        ),
    )


def sizes_table(sizes: Sequence[Sequence[Any]]) -> Table:
    """How many images there are of each size."""
    return Table(
        "Sizes",
        ("width and height in pixels", "images"),
        tuple((size, f"{images:,}") for size, images in sizes),
    )


def unreadable_table(unreadable: Sequence[Sequence[str]]) -> Table:
    """Files that could not be read, and why; the first of many."""
    rows = [tuple(row) for row in unreadable[:UNREADABLE_SHOWN]]
    left = len(unreadable) - len(rows)
    if left:
        rows.append((f"and {amount(left, 'more file')}", DASH))
    return Table(
        "Files that could not be read", ("file", "reason"), tuple(rows), titled=True, cards=True
    )


def digests_table(digests: Sequence[Sequence[str]]) -> Table:
    """The digest of each sort of images."""
    return Table(
        "Digests",
        ("images", "SHA-256 of the sorted digests"),
        tuple(map(tuple, digests)),
        titled=True,
    )


def values_table(label: str, values: Mapping[str, Any]) -> Table:
    """Settings or the environment, nested names joined by dots."""
    return Table(label, ("name", "value"), tuple(_flat(values)), titled=True)


def _flat(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + str(name), shown(value)


def shown(value: object) -> str:
    """A setting's value as text; what is empty is said to be so."""
    if value is None or value in ("", [], {}):
        return "(empty)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return str(value)
