"""Pictures of a run rather than of scores: pairs of images, and the course of training."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ganfp_tf.reports.render.canvas import (
    DASHED,
    FOURTH,
    LINE,
    QUIET,
    THIRD,
    UNUSED,
    USED,
    end_labels,
    headline,
    styled,
)
from ganfp_tf.reports.render.tables import printable

if TYPE_CHECKING:
    import pandas as pd


@styled
def pairs(
    real: Sequence[np.ndarray] | np.ndarray,
    generated: Sequence[np.ndarray] | np.ndarray,
    captions: Sequence[str],
    *,
    title: str,
    columns: int = 4,
) -> Figure:
    """Real images, each with its generated partner to the right and a caption below.

    Args:
        real: sequence of uint8 images, (H, W), (H, W, 1) or (H, W, 3).
        generated: a sequence of the same length.
        captions: one text a pair, such as "used, p = 0.83"; long ones are wrapped to two lines.
        title: above the pairs.
        columns: pairs a row.
    """
    if not len(real) == len(generated) == len(captions):
        raise ValueError(
            f"pairs: lengths must agree. Received: {len(real)}, {len(generated)}, {len(captions)}"
        )
    columns = max(1, min(columns, len(real)))
    rows = max(1, -(-len(real) // columns))
    captions = [
        textwrap.wrap(printable(text), 32, max_lines=2, placeholder=" …") for text in captions
    ]
    side, gap = 1.3, 0.25  # inches
    width = columns * (2 * side + gap) + gap
    figure = Figure(figsize=(width, 1.0))
    heading = headline(figure, title, x=gap / width, va="top")
    lines = heading.get_text().count("\n") + 1
    top = 0.4 + 0.2 * lines
    below = 0.22 + 0.16 * max((len(caption) for caption in captions), default=1)
    height = top + rows * (side + below)
    figure.set_figheight(height)
    heading.set_y(1 - 0.12 / height)
    for index, (left, right, caption) in enumerate(zip(real, generated, captions, strict=True)):
        row, column = divmod(index, columns)
        x = gap + column * (2 * side + gap)
        y = height - top - row * (side + below) - side
        for half, (image, name) in enumerate(((left, "real"), (right, "generated"))):
            # 0.02 inch of white keeps the two images of a pair apart.
            axes = figure.add_axes(
                ((x + half * side) / width, y / height, (side - 0.02) / width, side / height)
            )
            image = np.asarray(image)
            axes.imshow(image[..., 0] if image.shape[2:] == (1,) else image, vmin=0, vmax=255)
            axes.set_axis_off()
            if row == 0:
                axes.set_title(name, color=QUIET, pad=3)
        figure.text(x / width, (y - 0.07) / height, "\n".join(caption), va="top", fontsize=9.5)
    return figure


@styled
def training_curves(history: "pd.DataFrame", *, title: str = "Training") -> Figure:
    """Loss, validation AUC of images and learning rate by epoch, one panel a kind.

    history: DataFrame with a column `epoch` (else rows are epochs 1, 2, ...). A column belongs to
    the panel whose word (loss, auc, learning_rate) its name contains; others are not drawn.
    """
    epochs = history["epoch"] if "epoch" in history else np.arange(1, len(history) + 1)
    epochs = np.asarray(epochs, dtype=float)
    panels = []
    for word, label in (("loss", "loss"), ("auc", "AUC"), ("learning_rate", "learning rate")):
        names = [name for name in history.columns if word in str(name).lower()]
        if names:
            panels.append((word, label, names))
    figure = Figure(figsize=(6.4, 0.8 + 1.7 * max(len(panels), 1)), layout="constrained")
    headline(figure, title)
    grid = figure.subplots(max(len(panels), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (word, label, names) in zip(grid, panels, strict=False):
        ends = []
        for name, color in zip(names, (USED, UNUSED, THIRD, FOURTH) * len(names), strict=False):
            values = np.asarray(history[name], dtype=float)
            known = np.flatnonzero(np.isfinite(values))
            marker = "o" if len(known) == 1 else None
            axes.plot(epochs[known], values[known], color=color, linewidth=1.8, marker=marker)
            if len(known):
                ends.append((values[known[-1]], printable(name), color))
            if word == "auc" and len(known) and (len(names) == 1 or "val" in str(name).lower()):
                best = known[np.argmax(values[known])]
                axes.plot(epochs[best], values[best], "o", color=color)
                axes.set_title(
                    f"best {values[best]:.2f} at epoch {epochs[best]:.0f}", loc="right", color=color
                )
        if word == "auc":
            axes.axhline(0.5, color=LINE, linewidth=1, linestyle=DASHED)
            ends.append((0.5, "chance", QUIET))
        end_labels(axes, ends)
        axes.set_ylabel(label)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    grid[-1].set_xlabel("epoch")
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epochs) == 1:
        grid[-1].set(xticks=epochs, xlim=(epochs[0] - 0.5, epochs[0] + 0.5))
    return figure
