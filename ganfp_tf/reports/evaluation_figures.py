"""The set of figures that goes with scored images."""

from typing import TYPE_CHECKING

import numpy as np

from ganfp_tf.reports.render import plots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ganfp_tf.statistics.evaluation import Evaluation


def of_scores(frame: "pd.DataFrame", title: str, evaluation: "Evaluation") -> "dict[str, Figure]":
    """ROC, score histogram and confusion matrix of one set of images.

    Args:
        frame: columns label, score, decision; where all decisions are one cut, it is drawn.
        title: which images.
        evaluation: their `Evaluation`.

    Returns:
        dict name -> Figure: roc, scores, confusion.
    """
    labels, scores = frame["label"].to_numpy(), frame["score"].to_numpy()
    decisions = frame["decision"].to_numpy()
    interval = evaluation.intervals["auc"]
    return {
        "roc": plots.roc(
            labels,
            scores,
            title=title,
            auc_interval=(interval.low, interval.high),
            confidence=evaluation.confidence,
        ),
        "scores": plots.score_histogram(
            labels, scores, threshold=_cut(scores, decisions), title=title
        ),
        "confusion": plots.confusion(labels, decisions, title=title),
    }


def _cut(scores, decisions):
    """Midway between the highest refused and the lowest accepted score; None if they overlap."""
    used, unused = scores[decisions == 1], scores[decisions == 0]
    if not len(used) or not len(unused) or unused.max() >= used.min():
        return None
    return float(np.mean([unused.max(), used.min()]))
