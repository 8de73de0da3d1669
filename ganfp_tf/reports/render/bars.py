"""Charts of several systems side by side. Each function returns a matplotlib Figure."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ganfp_tf.reports.render.canvas import (
    DASHED,
    FOURTH,
    INK,
    LINE,
    QUIET,
    THIRD,
    UNUSED,
    USED,
    styled,
    titled,
)
from ganfp_tf.reports.render.tables import printable

# The four figures of the paper's Table 1 and Figure 4.
PAIR_FIGURES = {
    "f1": ("F1", USED),
    "precision": ("precision", UNUSED),
    "recall": ("recall", THIRD),
    "accuracy": ("accuracy", FOURTH),
}


@styled
def auc_chart(rows: Sequence[tuple], *, title: str, note: str = "", above: bool = False) -> Figure:
    """AUC with its interval, a line a system, and the line of chance.

    Args:
        rows: (name, value, low, high, quiet) each; a quiet one is drawn in grey.
        title: above the chart.
        note: text below the title.
        above: write the names above the intervals, for long ones: beside them they would leave
            little room for the chart, and none at the width of a phone.
    """
    if above:
        note = textwrap.fill(printable(note), 80)
        figure, axes = titled(6.4, 1.5 + 0.46 * len(rows), title, note)
    else:
        figure, axes = titled(8.0, 1.3 + 0.34 * len(rows), title, note)
    places = np.arange(len(rows))[::-1]
    axes.axvline(0.5, color=LINE, linewidth=1, linestyle=DASHED)
    axes.annotate(
        "chance",
        (0.5, 0),
        xycoords=("data", "axes fraction"),
        xytext=(3, 3),
        textcoords="offset points",
        color=QUIET,
    )
    for place, (_, value, low, high, quiet) in zip(places, rows, strict=True):
        if not _known(value):
            axes.text(0.5, place, "not defined", color=QUIET, va="center", ha="center")
            continue
        color = QUIET if quiet else UNUSED
        if _known(low) and _known(high):
            axes.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
        axes.plot(value, place, "o", color=color, markersize=6)
        axes.text(1.02, place, f"{value:.2f}", color=color, va="center")
    if above:
        axes.set_yticks([])
        for place, (name, *_) in zip(places, rows, strict=True):
            text = textwrap.shorten(printable(name), 80, placeholder=" …")
            axes.text(
                0,
                place + 0.25,
                text,
                va="bottom",
                fontsize=9.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
    else:
        axes.set_yticks(places, [name for name, *_ in rows])
    axes.set(xlim=(0, 1), ylim=(-0.7, len(rows) - 0.3), xlabel="AUC")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


@styled
def pair_chart(rows: Sequence[tuple], *, title: str, note: str = "") -> Figure:
    """F1, precision, recall and accuracy of each system, with intervals, as the paper's Figure 4.

    Args:
        rows: (name, ours, paper) each: `ours` maps a figure to (value, low, high), `paper` a figure
            to the paper's value, or is None.
        title: above the chart.
        note: text below the title.
    """
    figure, axes = titled(max(6.0, 1.6 + 1.35 * len(rows)), 4.6, title, note)
    width = 0.8 / len(PAIR_FIGURES)
    marked = False
    for number, (key, (label, color)) in enumerate(PAIR_FIGURES.items()):
        places = np.arange(len(rows)) + (number - 1.5) * width
        values = [ours[key][0] for _, ours, _ in rows]
        axes.bar(places, values, width * 0.92, color=color, alpha=0.75, label=label)
        for place, (_, ours, paper) in zip(places, rows, strict=True):
            _, low, high = ours[key]
            if _known(low) and _known(high):
                axes.plot([place, place], [low, high], color=INK, linewidth=1.2)
            if paper:
                axes.plot(
                    place,
                    paper[key],
                    "D",
                    color="white",
                    markeredgecolor=INK,
                    markersize=5,
                    label="the paper's" if not marked else None,
                )
                marked = True
    axes.set_xticks(np.arange(len(rows)), [_broken(name) for name, *_ in rows])
    axes.tick_params(axis="x", length=0)
    axes.set(ylim=(0, 1.02), xlim=(-0.6, len(rows) - 0.4))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, handlelength=1.2)
    return figure


def _broken(name):
    """The name in lines of about 14 characters, "+ CA" on a line of its own."""
    lines = name.replace(" + ", "\n+ ").split("\n")
    return "\n".join(textwrap.fill(line, 14, break_long_words=False) for line in lines)


def _known(value):
    return value is not None and not math.isnan(value)
