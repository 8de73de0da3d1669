"""What all pictures share: colours, type, titles, and the way a Figure becomes a file or an array.

Only matplotlib's object-oriented interface is used: no pyplot, no window, no state between calls.
"""

import functools
import os
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from ganfp_tf.files import atomic_path
from ganfp_tf.reports.render.tables import printable

# Vermillion, blue, green and purple of the Okabe-Ito palette: colour-blind readers can tell them
# apart, and vermillion and blue differ in grey print.
USED, UNUSED, THIRD, FOURTH = "#D55E00", "#0072B2", "#009E73", "#CC79A7"
INK, QUIET, LINE = "#222222", "#5F5F5F", "#8A8A8A"
DASHED = (0, (4, 3))

STYLE = {
    "figure.dpi": 100,
    "font.size": 10.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a file name is a dollar sign
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "image.cmap": "gray",
    "image.interpolation": "antialiased",
}


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Runs `draw` under STYLE without leaving a trace in the caller's matplotlib settings."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs):
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes `figure` as PNG at 150 dpi, atomically; the same figure gives the same bytes."""
    with atomic_path(path) as temporary:
        write_png(figure, temporary)


@styled
def write_png(figure: Figure, target: Any) -> None:
    """Writes `figure` as PNG at 150 dpi to a path or a binary stream."""
    _settle(figure)
    figure.savefig(target, format="png", dpi=150, metadata={"Software": None})


@styled
def to_rgb(figure: Figure) -> np.ndarray:
    """The figure as (H, W, 3) uint8, at its own dpi (100)."""
    canvas = FigureCanvasAgg(figure)
    _settle(figure)
    canvas.draw()
    return np.array(np.asarray(canvas.buffer_rgba())[..., :3])


def _settle(figure):
    """Ends the automatic layout, which moves a little with every drawing until it has settled."""
    if figure.get_layout_engine() is not None:
        for _ in range(4):
            figure.draw_without_rendering()
        figure.set_layout_engine("none")


def titled(width: float, height: float, title: str, note: str = "") -> tuple[Figure, Axes]:
    """A figure of width x height inches with one axes, a bold title and a quiet note below it."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    headline(figure, title)
    axes.set_title(note, loc="left", color=QUIET)
    return figure, axes


def headline(figure: Figure, title: str, **place: Any) -> Text:
    """The bold title at the upper left, in at most three lines."""
    lines = textwrap.wrap(
        printable(title), int(figure.get_figwidth() * 10), max_lines=3, placeholder=" …"
    )
    place = {"x": 0.02, "ha": "left", "weight": "bold", "fontsize": 12} | place
    return figure.suptitle("\n".join(lines), **place)


def end_labels(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Writes names at the right edge of `axes`, pushed apart where they would overlap.

    labels: (value on the y axis, text, colour) each. Call it when the limits of y are final.
    """
    low, high = axes.get_ylim()
    height = axes.figure.get_figheight() / len(axes.figure.axes)
    gap, floor = 0.2 / max(height - 0.4, 0.5), -np.inf  # 0.2 inch a line of text
    for value, text, color in sorted(labels, key=lambda label: label[0]):
        place = max((value - low) / (high - low), floor + gap)
        floor = place
        axes.text(1.02, place, text, color=color, va="center", transform=axes.transAxes)
