"""The course of learning what a copy is."""

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ganfp_tf.reports.render.canvas import UNUSED, USED, headline, styled

if TYPE_CHECKING:
    import pandas as pd


@styled
def copy_curves(history: "pd.DataFrame") -> Figure:
    """A figure of losses, and of the share of copies found, against steps.

    Args:
        history: DataFrame of step, embedding_loss, pairs_loss, embedding_finds_copy and
            pairs_finds_copy.
    """
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    losses, found = figure.subplots(1, 2)
    names = {
        "embedding": ("embedding, all of a block", UNUSED),
        "pairs": ("comparator, the nearest ones", USED),
    }
    for name, (title, color) in names.items():
        losses.plot(history["step"], history[f"{name}_loss"], color=color)
        found.plot(history["step"], history[f"{name}_finds_copy"], color=color, label=title)
    losses.set(title="loss", xlabel="step", ylim=(0, None))
    found.set(title="share of copies found", xlabel="step", ylim=(0, 1.02))
    found.legend(loc="lower right", frameon=False)
    headline(figure, "Learning what a copy is")
    return figure
