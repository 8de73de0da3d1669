"""Pictures of an evaluation. Each function returns a matplotlib Figure.

Labels are 1 (used in training) and 0 (not used); higher scores mean "used". One class alone, or no
image at all, gives a picture that says so.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from ganfp_tf.reports.render.canvas import (
    DASHED,
    INK,
    LINE,
    QUIET,
    UNUSED,
    USED,
    save,
    styled,
    titled,
    to_rgb,
)
from ganfp_tf.reports.render.panels import pairs, training_curves

__all__ = [
    "confusion",
    "pairs",
    "precision_recall",
    "roc",
    "save",
    "score_histogram",
    "to_rgb",
    "training_curves",
]


@styled
def roc(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    title: str,
    auc_interval: tuple[float, float] | None = None,
    curves: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    confidence: float = 0.95,
) -> Figure:
    """ROC curve with the chance diagonal.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) floats; those that are not finite are left out.
        title: says which data.
        auc_interval: optional (low, high) of the AUC.
        curves: optional resampled curves, each a pair of arrays (false positive rate, true
            positive rate); the band between their percentiles covers `confidence`.
        confidence: share of the curves in the band.
    """
    labels, scores, note = _clean(labels, scores)
    figure, axes = titled(5.0, 5.0, title, note)
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle=DASHED)
    axes.text(0.82, 0.775, "chance", color=QUIET, rotation=45, ha="center", va="top")
    grid = np.linspace(0, 1, 201)
    if len(curves):
        tpr = np.stack([np.interp(grid, np.asarray(f), np.asarray(t)) for f, t in curves])
        low, high = np.quantile(tpr, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
        axes.fill_between(grid, low, high, color=USED, alpha=0.15, linewidth=0)
        axes.text(0.98, 0.13, f"shaded: {confidence:.0%} of resamples", ha="right", color=QUIET)
    false, true, _ = _cumulative(labels, scores)
    if false[-1] and true[-1]:
        false, true = false / false[-1], true / true[-1]
        axes.plot(false, true, color=USED, linewidth=2, clip_on=False)
        text = f"AUC {np.trapezoid(true, false):.2f}"
        if auc_interval is not None:
            text += f"  [{auc_interval[0]:.2f}, {auc_interval[1]:.2f}]"
    else:
        text = "AUC not defined: one class only"
    axes.text(0.98, 0.06, text, ha="right", color=USED, weight="bold", fontsize=12)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("not-used images called used")
    axes.set_ylabel("used images called used")
    _percent(axes.xaxis, axes.yaxis)
    return figure


@styled
def precision_recall(labels: np.ndarray, scores: np.ndarray, *, title: str) -> Figure:
    """Precision against recall, with the precision of calling everything "used" as the baseline.

    labels: (N,) of 0 and 1; scores: (N,). The label gives the average precision, the step-wise
    sum of precision times the gain in recall.
    """
    labels, scores, note = _clean(labels, scores)
    figure, axes = titled(5.0, 5.0, title, note)
    false, true, _ = _cumulative(labels, scores)
    share = labels.mean() if len(labels) else 0.0
    if share:
        axes.axhline(share, color=LINE, linewidth=1, linestyle=DASHED)
        above = share < 0.9
        axes.text(
            0.02,
            share + (0.015 if above else -0.015),
            f"call every image used: {share:.0%}",
            color=QUIET,
            va="bottom" if above else "top",
        )
    if true[-1]:
        recall, precision = true / true[-1], true[1:] / (true[1:] + false[1:])
        average = float(np.sum(np.diff(recall) * precision))
        # Each precision holds for the recall gained on the way to it, hence the step to the left.
        axes.step(recall, np.r_[precision[:1], precision], color=USED, linewidth=2, clip_on=False)
        text = f"average precision {average:.2f}"
    else:
        text = "not defined: no used image"
    # Out of the way of the baseline's own label.
    place = 0.06 if share > 0.15 else share + 0.1
    axes.text(0.98, place, text, ha="right", color=USED, weight="bold", fontsize=12)
    axes.set(xlim=(0, 1), ylim=(0, 1.0), aspect="equal")
    axes.set_xlabel("recall (used images called used)")
    axes.set_ylabel("precision (called used that were used)")
    _percent(axes.xaxis, axes.yaxis)
    return figure


@styled
def score_histogram(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    threshold: float | None,
    title: str,
    score_name: str = "score",
) -> Figure:
    """Scores of used images upwards, of not-used images downwards, in the same bins.

    Bars are shares of their own class, so that unequal classes can be compared; every image is a
    tick at the edge where there are at most 500. `threshold`: the decision limit (None: no line).
    """
    labels, scores, note = _clean(labels, scores)
    figure, axes = titled(6.4, 4.2, title, note)
    edges = _edges(scores, threshold)
    highest = 0.0
    groups = ((1, "used", USED, 1), (0, "not used", UNUSED, -1))
    for label, _, color, sign in groups:
        values = scores[labels == label]
        shares = np.histogram(values, edges)[0] / max(len(values), 1)
        highest = max(highest, shares.max())
        axes.stairs(sign * shares, edges, fill=True, color=color, alpha=0.75)
    limit = 1.3 * (highest or 1.0)
    for label, name, color, sign in groups:
        values = scores[labels == label]
        if len(scores) <= 500:
            axes.vlines(values, sign * 0.94 * limit, sign * limit, color=color, linewidth=0.8)
        text = f"{name} (n = {len(values)})"
        if threshold is not None and len(values):
            text += f"\n{np.mean(values >= threshold):.0%} at or above"
        axes.text(
            1.02,
            0.5 + sign * 0.25,
            text,
            color=color,
            weight="bold",
            va="center",
            transform=axes.transAxes,
        )
    axes.axhline(0, color=INK, linewidth=0.8)
    if threshold is not None and np.isfinite(threshold):
        axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=DASHED)
        axes.annotate(
            f"threshold {threshold:.2f}",
            (threshold, 0),
            xycoords=("data", "axes fraction"),
            xytext=(4, 20),
            textcoords="offset points",
            ha="left",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    axes.set(xlim=(edges[0], edges[-1]), ylim=(-limit, limit), xlabel=score_name)
    axes.set_ylabel("share of its class")
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{abs(value):.0%}" if abs(value) <= 1 else "")
    )
    axes.yaxis.set_major_locator(MaxNLocator(7, symmetric=True))
    return figure


@styled
def confusion(labels: np.ndarray, decisions: np.ndarray, *, title: str) -> Figure:
    """Counts of truth against decision, each with its share of the row. Both (N,) of 0 and 1."""
    labels, decisions = np.asarray(labels).ravel(), np.asarray(decisions).ravel()
    counts = np.array(
        [[np.sum((labels == t) & (decisions == d)) for d in (1, 0)] for t in (1, 0)], dtype=int
    )
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    figure, axes = titled(4.6, 4.2, title, f"{np.trace(counts)} of {counts.sum()} right")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            color = "white" if shares[row, column] > 0.7 else INK
            share = f"{shares[row, column]:.0%}" if totals[row] else "-"
            place = {"ha": "center", "color": color}
            axes.text(
                column, row - 0.02, str(counts[row, column]), fontsize=22, va="bottom", **place
            )
            axes.text(column, row + 0.08, share, va="top", **place)
    axes.set_xticks([0, 1], ["called used", "called not used"])
    axes.set_yticks([0, 1], [f"used\n(n = {totals[0]})", f"not used\n(n = {totals[1]})"])
    axes.tick_params(length=0, labelsize=11)
    axes.spines[:].set_visible(False)
    axes.set_xticks([0.5], minor=True)
    axes.set_yticks([0.5], minor=True)
    axes.grid(which="minor", color="white", linewidth=4)
    axes.tick_params(which="minor", length=0)
    return figure


def _clean(labels, scores):
    """Finite scores with their labels, and a note that says how many of each there are."""
    labels = np.asarray(labels).ravel().astype(int)
    scores = np.asarray(scores, dtype=float).ravel()
    if labels.shape != scores.shape:
        raise ValueError(f"one label a score. Received: {len(labels)}, {len(scores)}")
    kept = np.isfinite(scores)
    labels, scores = labels[kept], scores[kept]
    note = f"n = {len(labels)}: {np.sum(labels == 1)} used, {np.sum(labels == 0)} not used"
    if not kept.all():
        note += f" ({np.sum(~kept)} without a finite score left out)"
    return labels, scores, note


def _cumulative(labels, scores):
    """False and true positives, from the strictest threshold down; ties move together."""
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.flatnonzero(np.r_[np.diff(scores) != 0, True]) if len(scores) else []
    true = np.r_[0, np.cumsum(labels == 1)[last]] if len(scores) else np.zeros(1)
    false = np.r_[0, np.cumsum(labels == 0)[last]] if len(scores) else np.zeros(1)
    return false, true, scores[last] if len(scores) else scores


def _edges(scores, threshold):
    """About 2 sqrt(n) bins, between 10 and 30, over the scores and the threshold."""
    points = list(scores)
    if threshold is not None and np.isfinite(threshold):
        points.append(float(threshold))
    low, high = (min(points), max(points)) if points else (0.0, 1.0)
    if not high - low > 1e-9 * max(1.0, abs(low)):
        low, high = low - 0.5, high + 0.5
    margin = 0.03 * (high - low)
    bins = int(np.clip(np.sqrt(len(scores)) * 2, 10, 30))
    return np.linspace(low - margin, high + margin, bins + 1)


def _percent(*axes):
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set_ticks([0, 0.25, 0.5, 0.75, 1.0])
