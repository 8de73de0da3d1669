"""Curves of the benchmark against the number of members, and its figures in words."""

import dataclasses
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from ganfp_tf.reports.render.canvas import (
    DASHED,
    FOURTH,
    INK,
    LINE,
    QUIET,
    THIRD,
    UNUSED,
    USED,
    headline,
    styled,
)
from ganfp_tf.reports.render.tables import format_interval, format_number, printable


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Attributes:
        title: its name.
        chance: what no signal gives.
        needed: non-members needed, so that the false-positive rate is one image at least.
        limits: the part of the y axis that is always shown, so that noise does not look large.
    """

    title: str
    chance: float
    needed: int
    limits: tuple[float, float]

    @property
    def percent(self) -> bool:
        """Is it shown in per cent?"""
        return self.needed > 1

    @property
    def chance_text(self) -> str:
        """0.5 or 1%."""
        return f"{self.chance:.0%}" if self.percent else f"{self.chance}"

    def missing(self, rows: pd.DataFrame) -> str:
        """Why none of `rows` has a value, in two words."""
        if rows.empty:
            return "not run"
        return "not resolvable" if self.percent and rows["auc"].notna().any() else "not defined"


METRICS = {
    "auc": Metric("AUC", 0.5, 1, (0.35, 0.75)),
    "tpr_1": Metric("TPR at 1% FPR", 0.01, 100, (0.0, 0.2)),
    "tpr_10": Metric("TPR at 10% FPR", 0.1, 10, (0.0, 0.4)),
}
PANEL = ["real", "architecture"]
# Okabe-Ito with wine for its yellow and black: yellow is lost on white, and a pale black is the
# grey of blind baselines. Seven colours and ten marks: a pair comes back after 70 detectors.
COLORS = (UNUSED, USED, THIRD, FOURTH, "#56B4E9", "#882255", "#E69F00")
DOTTED = (0, (1, 1.5))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")


def resolved(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of `frame` in which a TPR at a rate of less than one non-member is nan.

    With 60 non-members 1 % are 0.6 images: the threshold is then that of no false positive at all,
    which is another figure, so it is not shown under this name. Where fewer non-members were scored
    than there are, the frame has nan already: a TPR that is nan beside a known AUC means just this.
    """
    frame = frame.copy()
    for name, metric in METRICS.items():
        columns = [name, f"{name}_low", f"{name}_high"]
        frame[columns] = frame[columns].astype(float)
        frame.loc[frame["non_members"] < metric.needed, columns] = np.nan
    return frame


def panels(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The (real, architecture) that occur, sorted."""
    return sorted(set(frame[PANEL].itertuples(index=False, name=None)))


def detectors(frame: pd.DataFrame) -> list[tuple[str, str, bool]]:
    """(name, title, control) of each detector, controls last, by title: the order of the legend."""
    found = {}
    for row in frame.sort_values(["detector", "title"]).itertuples():
        found.setdefault(row.detector, (row.detector, row.title, bool(row.control)))
    return sorted(found.values(), key=lambda item: (item[2], item[1], item[0]))


def sides(frame: pd.DataFrame, metric: str) -> pd.Series:
    """Where each row's interval lies: "above" chance, "below" it, "holds" it; "none" if unknown."""
    low, high, chance = frame[f"{metric}_low"], frame[f"{metric}_high"], METRICS[metric].chance
    cases = [low > chance, high < chance, low.notna() & high.notna()]
    return pd.Series(np.select(cases, ["above", "below", "holds"], "none"), frame.index)


def trend(rows: pd.DataFrame, metric: str) -> tuple[str, int | None, int | None]:
    """(verdict, smallest N, largest N) of the rows of one detector on one kind of victims.

    "falls" or "rises" only where all intervals at one end lie apart from all at the other, which
    is stricter than a test of the difference; else "overlap", or "one N" where no two are known.
    """
    low, high = f"{metric}_low", f"{metric}_high"
    known = rows[rows[low].notna() & rows[high].notna()]
    if known["members"].nunique() < 2:
        return "one N", None, None
    ends = int(known["members"].min()), int(known["members"].max())
    first, last = (known[known["members"] == n] for n in ends)
    if first[low].min() > last[high].max():
        return "falls", *ends
    if first[high].max() < last[low].min():
        return "rises", *ends
    return "overlap", *ends


def interval(row: Any, metric: str) -> str:
    """The value of one row with its interval, as text; metric: a key of METRICS, or "kappa"."""
    of = METRICS.get(metric)
    values = [getattr(row, metric + end) for end in ("", "_low", "_high")]
    if of and of.percent and pd.isna(values[0]) and not pd.isna(row.auc):
        return "not resolvable"
    return format_interval(*values, bool(of and of.percent))


def intervals(rows: pd.DataFrame, metric: str, between: str = "; ") -> str:
    """The values of several rows, as text; empty for none."""
    return between.join(interval(row, metric) for row in rows.itertuples())


def mean(rows: pd.DataFrame, metric: str) -> str:
    """The mean over victims with its range, as text."""
    values, of = rows[metric].dropna(), METRICS[metric]
    if values.empty:
        return of.missing(rows)
    three = values.mean(), values.min(), values.max()
    middle, low, high = (format_number(value, of.percent) for value in three)
    return f"{middle}, from {low} to {high} over {len(values)} victims"


def against_chance(rows: pd.DataFrame, metric: str) -> str:
    """Where the intervals of `rows` lie, as text."""
    chance, where = METRICS[metric].chance_text, sides(rows, metric).value_counts()
    if len(rows) == 1:
        words = {
            "above": f"lies above {chance}",
            "holds": f"holds {chance}",
            "below": f"lies below {chance}",
            "none": "is not defined",
        }
        return f"its interval {words[where.index[0]]}"
    words = {
        "above": f"above {chance}",
        "holds": f"holding {chance}",
        "below": f"below {chance}",
        "none": "not defined",
    }
    return "intervals: " + ", ".join(f"{where[key]} {words[key]}" for key in words if key in where)


@styled
def against_members(frame: pd.DataFrame, metric: str, *, title: str, note: str = "") -> Figure:
    """A metric against the number of members, a panel for each kind of real images x architecture.

    A point is one victim, with its interval; a line goes through the means over seeds and breaks
    where there is none. Points are moved aside a little, so that none hides another.

    Args:
        frame: a row a victim and detector, with real, architecture, members, non_members, seed,
            detector, title, control, and the metric with its `_low` and `_high`.
        metric: a key of METRICS.
        title: above the panels.
        note: below them.
    """
    frame = resolved(frame)
    of = METRICS[metric]
    styles = _styles(detectors(frame))
    reals, architectures = sorted(set(frame["real"])), sorted(set(frame["architecture"]))
    members, seeds = sorted(set(frame["members"])), sorted(set(frame["seed"]))
    crowd = len(styles) * len(seeds)
    wide = min(max(3.6, 5.0 / len(architectures), 0.9 + len(members) * (0.35 + 0.055 * crowd)), 6.0)
    lines = sum(style["handle"].get_label().count("\n") + 1.7 for style in styles.values())
    tall = max(3.1 * len(reals) + 0.9, 0.17 * lines + 1.2)
    figure = Figure(figsize=(wide * len(architectures) + 2.4, tall), layout="constrained")
    headline(figure, title)
    grid = figure.subplots(len(reals), len(architectures), squeeze=False, sharex=True, sharey=True)
    for row, real in zip(grid, reals, strict=True):
        for axes, architecture in zip(row, architectures, strict=True):
            here = frame[(frame["real"] == real) & (frame["architecture"] == architecture)]
            axes.set_title(printable(f"{real}, {architecture}"), loc="left", color=INK)
            axes.axhline(of.chance, color=LINE, linewidth=1, linestyle=DOTTED, zorder=0)
            _draw(axes, here, metric, styles, members, seeds)
    _frame_of(grid, frame, metric, members)
    figure.legend(
        handles=[*(style["handle"] for style in styles.values()), _chance(of)],
        loc="outside right center",
        frameon=False,
        handlelength=2.6,
        labelspacing=0.7,
    )
    if note:
        wrapped = "\n".join(textwrap.wrap(note, int(figure.get_figwidth() * 13)))
        figure.supxlabel(wrapped, x=0.02, ha="left", color=QUIET, fontsize=9.5)
    return figure


def _styles(found):
    styles, number = {}, 0
    for name, title, control in found:
        color, dashes = (QUIET, DASHED) if control else (COLORS[number % len(COLORS)], "-")
        mark = MARKS[len(styles) % len(MARKS)]
        number += not control
        points = {
            "color": color,
            "marker": mark,
            "markersize": 5,
            "markerfacecolor": "white" if control else color,
        }
        label = textwrap.fill(printable(title), 26, break_long_words=False)
        # Matplotlib leaves a label that begins with an underscore out of a legend.
        label = "\u200b" + label if label.startswith("_") else label
        handle = Line2D([], [], linestyle=dashes, linewidth=1.5, label=label, **points)
        styles[name] = {"color": color, "dashes": dashes, "points": points, "handle": handle}
    return styles


def _chance(of):
    text = f"chance ({of.chance_text})"
    return Line2D([], [], color=LINE, linewidth=1, linestyle=DOTTED, label=text)


def _draw(axes, here, metric, styles, members, seeds):
    """The lines, points and intervals of one panel, each detector and seed in its own place."""
    width = 0.7 * _gap(members)
    step = width / (len(styles) * len(seeds))
    for number, (name, style) in enumerate(styles.items()):
        rows = here[here["detector"] == name].sort_values(["members", "seed"])
        first = number * len(seeds) - (len(styles) * len(seeds) - 1) / 2
        middle = np.exp(step * (first + (len(seeds) - 1) / 2))
        means = rows.groupby("members")[metric].mean().reindex(members)
        axes.plot(
            np.array(members) * middle,
            means.to_numpy(),
            color=style["color"],
            linewidth=1.5,
            linestyle=style["dashes"],
            alpha=0.8,
            label=name,
            zorder=2,
        )
        rows = rows[rows[metric].notna()]
        aside = np.exp(step * (first + rows["seed"].map(seeds.index).to_numpy(dtype=float)))
        places = rows["members"].to_numpy() * aside
        axes.vlines(
            places,
            rows[f"{metric}_low"],
            rows[f"{metric}_high"],
            color=style["color"],
            linewidth=1.2,
            alpha=0.55,
            zorder=1,
            label=f"_{name}",
        )
        axes.plot(
            places,
            rows[metric].to_numpy(),
            linestyle="none",
            label=f"_{name}",
            zorder=3,
            **style["points"],
        )
    for count in members:
        edges = count * np.exp((-width / 2, width / 2))
        axes.axvspan(*edges, color="#F4F4F4", linewidth=0, zorder=-1)
        at = here[here["members"] == count]
        if at[metric].isna().all():
            axes.text(
                count,
                0.98,
                METRICS[metric].missing(at),
                color=QUIET,
                rotation=90,
                ha="center",
                va="top",
                fontsize=9,
                transform=axes.get_xaxis_transform(),
            )


def _gap(members):
    """The smallest distance of two neighbours on the log axis; that of a doubling at most."""
    return min([np.log(2), *np.diff(np.log(members))])


def _frame_of(grid, frame, metric, members):
    """Limits, ticks and names of the axes, which all panels share."""
    of = METRICS[metric]
    known = frame[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy().ravel()
    known = known[np.isfinite(known)]
    low, high = min([of.limits[0], *known]), max([of.limits[1], *known])
    edge = 0.03 * (high - low)
    side = np.exp(0.55 * _gap(members))
    axes = grid[0, 0]
    axes.set_xscale("log")
    axes.set(xlim=(members[0] / side, members[-1] * side), ylim=(low - edge, high + edge))
    axes.xaxis.set_major_locator(FixedLocator(members))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if of.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in grid[-1]:
        axes.set_xlabel("members N (log scale)")
    for axes in grid[:, 0]:
        axes.set_ylabel(of.title)
