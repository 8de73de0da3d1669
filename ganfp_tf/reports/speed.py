"""Figures of speed as tables, and the curve of cost against the number of pairs."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ganfp_tf.reports.render.canvas import DASHED, INK, QUIET, THIRD, UNUSED, USED, styled, titled
from ganfp_tf.reports.render.page import Picture, Section
from ganfp_tf.reports.render.tables import NOTHING, text_table

if TYPE_CHECKING:
    from ganfp_tf.speed import timing

TITLE = "Speed of every part on this machine"
HEADERS = ("figure", "median", "unit", "quartiles", "repeats", "ratio")
PARTS = {
    "machine": "The machine's limit",
    "input": "Images read",
    "encoder": "Encoders",
    "pair scores": "Pair scores, tokens held",
    "training": "Training",
    "scoring": "Scoring all pairs of N real and M generated images",
    "memory": "Memory",
}
PICTURE = "figures/speed.png"


def as_frame(figures: "Sequence[timing.Figure]") -> pd.DataFrame:
    """One row a figure: part, name, value, unit, low, high, repeats, ratio, ratio_to."""
    return pd.DataFrame([dataclasses.asdict(figure) for figure in figures])


def as_text(figures: "Sequence[timing.Figure]") -> str:
    """All figures as one table for the terminal."""
    return text_table(HEADERS, [_cells(figure) for figure in figures])


def sections(
    figures: "Sequence[timing.Figure]",
    curve: dict[str, Any],
    notes: Sequence[str],
    machine: dict[str, Any],
) -> list[Section]:
    """The report's sections.

    Args:
        figures: `timing.Figure`s.
        curve: what `scoring.scoring` returned.
        notes: sentences on how things were measured.
        machine: what `machine.describe` returned.
    """
    gpus = f"; {', '.join(machine['gpus'])}" if machine["gpus"] else ""
    load = machine["load_at_start"]
    intro = (
        f"{machine['processor']}, {machine['cores']} cores{gpus}. "
        + ("" if load is None else f"Load when the run began: {load}. ")
        + "Each figure is the median of its repeats, with their quartiles. A ratio is the figure "
        "divided by the one that it names. Figures without repeats are computed from others.",
    )
    parts = [Section("How it was measured", intro, notes=tuple(notes))]
    for part in dict.fromkeys(figure.part for figure in figures):
        rows = tuple(_cells(figure) for figure in figures if figure.part == part)
        picture = None
        if part == "scoring":
            alt = "Seconds against the number of pairs, both axes logarithmic."
            picture = Picture(cost_curve(curve), PICTURE, alt)
        parts.append(Section(PARTS[part], headers=HEADERS, rows=rows, picture=picture))
    return parts


@styled
def cost_curve(curve: dict[str, Any]) -> Figure:
    """Seconds against N x M on logarithmic axes: measured, as fitted, and the naive way.

    Args:
        curve: what `scoring.scoring` returned.
    """
    image, pair = curve["seconds_image"], curve["seconds_pair"]
    naive, points = curve["seconds_naive_pair"], curve["points"]
    note = f"fitted: {number(image)} s an image and {number(pair)} s a pair"
    figure, axes = titled(7.2, 4.6, "Cost of scoring N real against M generated images", note)
    sizes = [point["real"] * point["generated"] for point in points]
    images = [point["real"] + point["generated"] for point in points]
    total = [image * n + pair * p for n, p in zip(images, sizes, strict=True)]
    lines = (
        ("naive way", [naive * p for p in sizes], None, QUIET, "s", None),
        ("store way in all", total, "seconds_total", USED, "o", curve["slope_total"]),
        (
            "pair scores",
            [pair * p for p in sizes],
            "seconds_pairs",
            UNUSED,
            "D",
            curve["slope_pairs"],
        ),
    )
    for name, fitted, key, color, mark, slope in lines:
        style = "-" if key else DASHED
        if min(fitted) > 0:
            axes.plot(sizes, fitted, color=color, linewidth=1.2, linestyle=style)
        found = [
            (p, point[key])
            for p, point in zip(sizes, points, strict=True)
            if key and point[key] is not None
        ]
        if found:
            axes.plot(*zip(*found, strict=True), color=color, marker=mark, linestyle="none")
        # A cost fitted as 0 has no place on a logarithmic axis.
        places = [value for value in [*(y for _, y in found), fitted[-1]] if value > 0]
        if not places:
            continue
        text = name if slope is None else f"{name}, power {slope:.2f}"
        axes.text(
            1.02,
            places[-1],
            text + ("" if key else "\n(from a sample)"),
            color=color,
            va="top" if key == "seconds_pairs" else "bottom",  # apart where they meet
            transform=axes.get_yaxis_transform(),
        )
    axes.set(xscale="log", yscale="log", xlabel="pairs N x M", ylabel="seconds")
    for axis in (axes.xaxis, axes.yaxis):  # matplotlib's own would be written as formulas
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())
    for p, point in zip(sizes, points, strict=True):
        axes.annotate(
            f"{point['real']}x{point['generated']}",
            (p, 0.0),
            color=INK,
            fontsize=8,
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
        )
    axes.grid(color=THIRD, alpha=0.12)
    return figure


def number(value: float | None) -> str:
    """Three digits, whole thousands with commas: 0.000123, 1.5, 47.2, 12,345."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(figure):
    spread = NOTHING
    if figure.low is not None:
        spread = f"{number(figure.low)} to {number(figure.high)}"
    ratio = NOTHING
    if figure.ratio is not None:
        ratio = f"{number(figure.ratio)} of {figure.ratio_to}"
    repeats = figure.repeats or NOTHING
    return (figure.name, number(figure.value), figure.unit, spread, repeats, ratio)
