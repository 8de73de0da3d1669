"""Charts of an audit: what the test could find, and how its controls came out."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ganfp_tf.reports.render.canvas import (
    DASHED,
    LINE,
    QUIET,
    THIRD,
    UNUSED,
    USED,
    headline,
    styled,
    titled,
)
from ganfp_tf.reports.render.tables import format_interval, printable

WIDTH = 6.4  # inches; the writing can still be read at the width of a phone
SHADE = "#E4E4E4"
# Mark, word and colour of a control that passed, failed, or was not judged.
MARKS = {
    True: ("✓", "passed", THIRD),
    False: ("✗", "failed", USED),
    None: ("\u2013", "not judged", QUIET),
}
KINDS = ("negative", "positive")


@styled
def power_curve(
    curve: Any,
    *,
    alpha: float,
    detectable: float | None,
    measured: Mapping[str, Any] | None,
    title: str,
    note: str = "",
    power: float = 0.8,
) -> Figure:
    """The power of the test against the true AUC, and the measured AUC below on the same axis.

    Args:
        curve: (auc, power) each, by auc.
        alpha: level of the one-sided test.
        detectable: AUC that is found with probability `power`; None or nan: there is none.
        measured: {"value", "low", "high"}, or None.
        title: above the chart.
        note: text below the title.
        power: the power that belongs to `detectable`.
    """
    figure = Figure(figsize=(6.0, 4.9), layout="constrained")
    headline(figure, title)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.set_title(wrapped(note, 5.6), loc="left", color=QUIET)
    curve = np.asarray(curve, dtype=float).reshape(-1, 2)
    curve = curve[np.isfinite(curve).all(axis=1)]
    measured = measured or {}
    value, low, high = (_number(measured.get(key)) for key in ("value", "low", "high"))
    known = [end for end in (value, low) if not math.isnan(end)]
    left = min([0.45, *(end - 0.02 for end in known)])
    for each in (axes, below):
        each.axvline(0.5, color=LINE, linewidth=1, linestyle=DASHED, zorder=0)
    if len(curve):
        axes.plot(*curve.T, color=UNUSED, linewidth=2, clip_on=False)
        axes.axhline(alpha, color=LINE, linewidth=1, linestyle=(0, (1, 1.5)), zorder=0)
        axes.annotate(
            f"{100 * alpha:.3g}%: false alarms",
            (1, alpha),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            color=QUIET,
            ha="right",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
    else:
        axes.text(0.5, 0.5, "not known", color=QUIET, ha="center", transform=axes.transAxes)
    found = _number(detectable)
    if math.isnan(found):
        text = f"no AUC is found with power {power:.0%} at this size"
        axes.text(1, 1.02, text, color=QUIET, ha="right", transform=axes.transAxes)
    else:
        for each, top in ((axes, power), (below, 0.6)):
            each.vlines(found, 0, top, color=UNUSED, linewidth=1, linestyle=DASHED)
        axes.plot(found, power, "o", color=UNUSED, markersize=8, clip_on=False)
        late = found > 0.72
        axes.annotate(
            f"true AUC {found:.2f}\nis found with\npower {power:.0%}",
            (found, power),
            xytext=(-12 if late else 12, 0),
            textcoords="offset points",
            color=UNUSED,
            ha="right" if late else "left",
            va="top" if not late else "center",
            weight="bold",
        )
    if math.isnan(value):
        text, place = "measured: not defined", 0.5
    else:
        text, place = f"measured {format_interval(value, low, high)}", value
        if not (math.isnan(low) or math.isnan(high)):
            below.plot([low, high], [0.3, 0.3], color=USED, linewidth=3, solid_capstyle="butt")
        below.plot(value, 0.3, "o", color=USED, markersize=8, clip_on=False)
    side = "left" if place <= 0.72 else "right"
    below.text(
        place,
        0.85,
        text,
        color=USED,
        weight="bold",
        ha=side,
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
    axes.set(xlim=(left, 1), ylim=(0, 1), ylabel="power")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    below.set(ylim=(0, 1.2), yticks=[], xlabel="AUC (dashed grey: chance)")
    below.spines["left"].set_visible(False)
    return figure


@styled
def controls_chart(rows: Sequence[tuple], *, title: str, note: str = "") -> Figure:
    """AUC of each control with its interval, where it should be, and how it came out.

    The grey bar of a negative control is the interval that has its width and lies at chance; that
    of a positive one begins where the interval would begin to clear chance. A value lies within
    its bar exactly if the interval holds 0.5 (negative) or lies above it (positive).

    Args:
        rows: (title, kind, value, low, high, passed) each, from the top; kind "negative" or
            "positive"; numbers or None; passed True, False, or None where it could not be run.
        title: above the chart.
        note: text below the title.
    """
    if wrong := sorted({str(kind) for _, kind, *_ in rows} - set(KINDS)):
        raise ValueError(f"kind must be one of {', '.join(KINDS)}. Received: {wrong}")
    texts = []
    for name, kind, *_, passed in rows:
        mark, word, _ = MARKS[passed]
        texts.append(wrapped(f"{mark} {word}: {printable(name)} ({kind})", 5.6))
    lines = max((text.count("\n") + 1 for text in texts), default=1)
    tall = 0.3 + 0.17 * lines  # inches a row
    figure, axes = titled(WIDTH, 1.6 + tall * max(len(rows), 1), title, wrapped(note))
    axes.axvline(0.5, color=LINE, linewidth=1, linestyle=DASHED)
    blank = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    for number, (row, text) in enumerate(zip(rows, texts, strict=True)):
        _, kind, value, low, high, passed = row
        place, color = len(rows) - 1 - number, MARKS[passed][2]
        axes.text(0, place + 0.14 / tall, text, va="bottom", linespacing=1.05, zorder=4, bbox=blank)
        value, low, high = _number(value), _number(low), _number(high)
        if math.isnan(value):
            axes.text(0.5, place, "no figure", color=QUIET, ha="center", va="center", bbox=blank)
            continue
        if not (math.isnan(low) or math.isnan(high)):
            start = 0.5 + value - low if kind == "positive" else 0.5 - (high - value)
            end = 1.0 if kind == "positive" else 0.5 + value - low
            axes.barh(place, end - start, 0.2 / tall, start, color=SHADE, zorder=0)
            axes.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
        face = color if passed else "white"
        axes.plot(value, place, "o", color=color, markerfacecolor=face, clip_on=False)
        axes.text(1.02, place, f"{value:.2f}", color=color, va="center")
    if not rows:
        text = "no control was run"
        axes.text(0.5, 0, text, color=QUIET, ha="center", va="center", bbox=blank)
    axes.set(xlim=(0, 1), ylim=(-0.2 / tall, max(len(rows), 1) - 0.05 / tall), yticks=[])
    axes.set_xlabel(
        "AUC (dashed: chance)\ngrey bar: where the value belongs, by its interval alone"
    )
    axes.spines["left"].set_visible(False)
    return figure


def wrapped(text: str, width: float = WIDTH - 0.4) -> str:
    """`text` in lines of about `width` inches, at the size of a note."""
    return textwrap.fill(printable(text), int(width * 13.5))


def _number(value):
    return math.nan if value is None else float(value)
