"""Pictures of an audit: a ROC with logarithmic axes, scores by image; and those of `audit_charts`.

Labels are 1 (suspect) and 0 (reference); higher scores mean "used". Each picture is at most 6.4
inches wide, so that its writing can still be read at the width of a phone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ganfp_tf.reports.audit.charts import WIDTH, controls_chart, power_curve, wrapped
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
from ganfp_tf.statistics.roc_bands import rate_grid, roc_band

__all__ = ["controls_chart", "log_roc", "power_curve", "rate_grid", "roc_band", "scores_by_image"]

COLORS = (USED, UNUSED, THIRD, FOURTH)
DASHES = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.2)))
SHADE = "#EDEDED"


@styled
def log_roc(
    curves: Sequence[tuple], *, title: str, note: str = "", floor: float | tuple[float, float]
) -> Figure:
    """ROC curves with both axes logarithmic, so that low false-positive rates can be read.

    That is where an attack on privacy has to be judged (Carlini et al. 2022, "Membership inference
    attacks from first principles"). Steps, nothing interpolated.

    Args:
        curves: (name, fpr, tpr, low, high, quiet) each; fpr rises, all arrays are (G,), and low and
            high are the ends of a band, or None. A quiet curve is drawn in grey. For instance
            `(name, grid, *roc_band(...), False)`.
        title: above the chart.
        note: text below the title.
        floor: where a rate of 0 is drawn, which a logarithmic axis does not have: half of one
            image, 0.5 / images. One number, or one for each axis: (0.5 / negatives, 0.5 /
            positives).

    Raises:
        ValueError: if a floor does not lie between 0 and 1.
    """
    floors = [float(value) for value in np.broadcast_to(floor, 2)]
    if not all(0 < value < 1 for value in floors):
        raise ValueError(f"floor must lie between 0 and 1. Received: floor={floor}")
    left, bottom = floors
    names = [wrapped(name, 4.2) for name, *_ in curves]
    lines = sum(name.count("\n") + 1 for name in names)
    note = wrapped(note, 4.8)
    tall = 5.75 + 0.15 * len(note.split("\n")) + 0.21 * lines
    figure, axes = titled(5.6, tall, title, note)
    axes.axvspan(left, min(2 * left, 1.0), color=SHADE, linewidth=0)
    axes.text(
        left * math.sqrt(2),
        0.98,
        "under one image: not resolvable",
        color=QUIET,
        rotation=90,
        ha="center",
        va="top",
        fontsize=9,
        zorder=5,
        transform=axes.get_xaxis_transform(),
        bbox={"facecolor": SHADE, "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
    )
    axes.plot([max(floors), 1], [max(floors), 1], color=LINE, linewidth=1, linestyle=DASHED)
    middle = math.exp(0.35 * math.log(max(floors)))
    axes.annotate(
        "chance",
        (middle, middle),
        xytext=(6, -6),
        textcoords="offset points",
        color=QUIET,
        rotation=math.degrees(math.atan2(math.log(left), math.log(bottom))) % 180,
        ha="center",
        va="center",
        rotation_mode="anchor",
    )
    handles, loud = [], 0
    for name, (_, fpr, tpr, low, high, quiet) in zip(names, curves, strict=True):
        color = QUIET if quiet else COLORS[loud % len(COLORS)]
        dashes = DASHED if quiet else DASHES[loud % len(DASHES)]
        loud += not quiet
        fpr, tpr = np.asarray(fpr, dtype=float), np.asarray(tpr, dtype=float)
        known = np.isfinite(tpr)
        place = np.maximum(fpr, left)
        axes.plot(
            place[known],
            np.maximum(tpr[known], bottom),
            drawstyle="steps-post",
            color=color,
            linestyle=dashes,
            linewidth=1.4 if quiet else 2,
            clip_on=False,
            zorder=3 - quiet,
        )
        if low is not None and high is not None:
            ends = [np.maximum(np.asarray(end, dtype=float), bottom) for end in (low, high)]
            axes.fill_between(place, *ends, step="post", color=color, alpha=0.15, linewidth=0)
        label = name if known.any() else f"{name} (not defined)"
        handles.append(_handle(label, color=color, linestyle=dashes, linewidth=2))
    axes.set(xscale="log", yscale="log", xlim=(left, 1), ylim=(bottom, 1))
    axes.set_box_aspect(1)
    for axis, end in ((axes.xaxis, left), (axes.yaxis, bottom)):
        axis.set_major_locator(FixedLocator(_log_ticks(end)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}%"))
    axes.set_xlabel("false-positive rate (log scale)\nlower edge: 0, drawn at half of one image")
    axes.set_ylabel("true-positive rate (log scale)")
    if handles:
        figure.legend(handles=handles, loc="outside lower left", frameon=False, handlelength=2.8)
    return figure


@styled
def scores_by_image(
    groups: Any,
    scores: np.ndarray,
    *,
    threshold: float | None,
    flagged: np.ndarray | None,
    title: str,
    note: str = "",
    names: Mapping[str, str],
) -> Figure:
    """One dot an image, a row a group: filled where flagged, above a box of the quartiles.

    Dots of about the same score stand above and below each other; their height means nothing.

    Args:
        groups: (n,) keys of `names`.
        scores: (n,); those that are not finite are left out and
            counted.
        threshold: limit that is drawn as a line; None or nan: no line.
        flagged: (n,) of bool, or None.
        title: above the chart.
        note: text below the title.
        names: group -> its name, from the top.

    Raises:
        ValueError: if lengths differ, or a group has no name.
    """
    groups = [str(group) for group in groups]
    scores = np.asarray(scores, dtype=float).ravel()
    flagged = np.zeros(len(scores), bool) if flagged is None else np.asarray(flagged, bool).ravel()
    if not len(groups) == len(scores) == len(flagged):
        raise ValueError(
            "groups, scores and flagged must be of one length. Received: "
            f"{len(groups)}, {len(scores)}, {len(flagged)}"
        )
    if unknown := sorted(set(groups) - set(names)):
        raise ValueError(f"each group needs a name. Received: {unknown} without one")
    codes = np.array([list(names).index(group) for group in groups], dtype=int)
    finite = np.isfinite(scores)
    limit = float(threshold) if threshold is not None and math.isfinite(threshold) else None
    low, high = _range(scores[finite], limit)
    size = float(np.clip(30 / max(len(scores), 1) ** 0.3, 2.0, 6.0))  # points across a dot
    figure, axes = titled(WIDTH, 1.9 + 1.15 * len(names), title, wrapped(note))
    for number, name in enumerate(names.values()):
        base, color = len(names) - 1 - number, COLORS[number % len(COLORS)]
        own = (codes == number) & finite
        values, marked = scores[own], flagged[own]
        places = base + 0.05 + _swarm((values - low) / (high - low), size)
        for which, face, layer in ((~marked, "white", 2), (marked, color, 3)):
            axes.scatter(
                values[which],
                places[which],
                s=size**2,
                facecolor=face,
                edgecolor=color,
                linewidth=0.7,
                zorder=layer,
                clip_on=False,
            )
        if len(values):
            first, median, third = np.quantile(values, [0.25, 0.5, 0.75])
            box = Rectangle((first, base - 0.4), third - first, 0.09, color=color, alpha=0.35)
            axes.add_patch(box)
            axes.vlines(median, base - 0.42, base - 0.29, color=color, linewidth=2)
        lost = int(np.sum((codes == number) & ~finite))
        text = _group_text(name, len(values), int(marked.sum()), number == 0, lost)
        axes.text(
            0,
            base + 0.41,
            text,
            color=color,
            weight="bold",
            va="center",
            transform=axes.get_yaxis_transform(),
        )
    if limit is not None:
        axes.axvline(limit, color=INK, linewidth=1.2, linestyle=DASHED)
        right = limit > (low + high) / 2
        axes.annotate(
            f"threshold {limit:.3g}",
            (limit, 0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if right else 4, 3),
            textcoords="offset points",
            ha="right" if right else "left",
        )
    axes.set(xlim=(low, high), ylim=(-0.75, len(names) - 0.4), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("score (higher means used)\nfilled dot: flagged; bar: quartiles and median")
    return figure


def _handle(label, **style):
    # Matplotlib leaves a label that begins with an underscore out of a legend.
    return Line2D([], [], label="\u200b" + label if label.startswith("_") else label, **style)


def _log_ticks(end):
    """Powers of ten from 1 down to `end`; with halves and fifths where they would be one or two."""
    powers = [10.0**-number for number in range(math.floor(-math.log10(end) + 1e-9) + 1)]
    if len(powers) > 2:
        return powers
    return [tick for power in (1.0, 0.1) for tick in (power, power / 2, power / 5) if tick >= end]


def _range(scores, threshold):
    """Limits of the score axis: all scores and the threshold, with a margin."""
    points = [] if threshold is None else [threshold]
    points += [scores.min(), scores.max()] if len(scores) else []
    low, high = (min(points), max(points)) if points else (0.0, 1.0)
    if not high - low > 1e-9 * max(1.0, abs(low)):
        low, high = low - 0.5, high + 0.5
    margin = 0.03 * (high - low)
    return float(low - margin), float(high + margin)


def _swarm(places, size):
    """Heights of dots at `places` of the axis (0 to 1), so that near ones do not lie on each other.

    Dots of the same bin, which is as wide as a dot, get the heights 0, 1, -1, 2, ... dots in the
    order of the images; where a bin is too full for that, they are pressed together.
    """
    bins = np.floor(places * (WIDTH - 0.4) * 72 / size).astype(int)
    order = np.argsort(bins, kind="stable")
    counts = np.bincount(bins) if len(bins) else np.zeros(1, int)
    rank = np.empty(len(bins), int)
    rank[order] = np.arange(len(bins)) - np.repeat(np.cumsum(counts) - counts, counts)
    steps = np.where(rank % 2, (rank + 1) // 2, -(rank // 2))
    step = size / 72 / 1.1  # a row is about 1.1 inches high
    return steps * min(step, 0.5 / max(counts.max() - 1, 1))


def _group_text(name, images, flagged, first, lost):
    text = f"{printable(name)}: {images} image{'' if images == 1 else 's'}"
    if first or flagged:
        text += f", {flagged} flagged"
    return text + (f" ({lost} without a finite score left out)" if lost else "")
