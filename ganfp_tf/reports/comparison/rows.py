"""What was measured of each of several systems."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from ganfp_tf.reports.comparison import paper

CROSSED, TEST, PAIRS, TRAIN = "images_cross_fitted", "images_test", "pairs_test", "images_train"


@dataclasses.dataclass(frozen=True)
class Row:
    """One system or ablation, as measured.

    Attributes:
        name, title: of the `System`.
        ablates: name of the system it was taken from; empty for a system.
        settings: backbone, cross_attention, similarity, pairing and training_seed.
        weights: the run's weights.json, or {} for a mean of several runs.
        levels: level -> `Evaluation.to_dict()`.
        reference: title of the row that `difference` is against; empty for the first.
        difference: `PairedDifference` of the AUC, or None.
        cost: parameters, trained_parameters, seconds, embedding_seconds, embedded_images,
            peak_bytes; {} where nothing was run.
    """

    name: str
    title: str
    ablates: str
    settings: dict
    weights: dict
    levels: dict
    reference: str = ""
    difference: object = None
    cost: dict = dataclasses.field(default_factory=dict)

    @property
    def level(self) -> str:
        """The level that is compared: cross-fitted images, or test images without folds."""
        return CROSSED if CROSSED in self.levels else TEST

    def is_seed_of(self, other: "Row") -> bool:
        """Was it run, and does it differ from `other` in its training seed at most?"""
        same = {**self.settings, "training_seed": 0} == {**other.settings, "training_seed": 0}
        return same and bool(self.cost)

    @property
    def auc(self) -> tuple[float | None, float | None, float | None, float | None]:
        """(value, low, high, p) of the AUC that is compared."""
        level = self.levels[self.level]
        figure = level["metrics"]["auc_within" if self.level == CROSSED else "auc"]
        return figure["value"], figure["low"], figure["high"], level["permutation"]["auc_p"]


def as_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """One line a system and level, with every figure and its interval: a DataFrame."""
    lines = []
    for row in rows:
        for level, evaluation in row.levels.items():
            line = {"system": row.name, "title": row.title, "ablates": row.ablates}
            line |= row.settings
            line |= {
                "weights": row.weights.get("source", ""),
                "pretrained": row.weights.get("pretrained", ""),
                "level": level,
            }
            for name, figure in evaluation["metrics"].items():
                line[name] = figure["value"]
                if figure["low"] is not None:
                    line[f"{name}_low"], line[f"{name}_high"] = figure["low"], figure["high"]
            line["auc_p"] = evaluation["permutation"]["auc_p"]
            if level == row.level and row.difference is not None:
                line |= {
                    "reference": row.reference,
                    "auc_difference": row.difference.difference,
                    "auc_difference_low": row.difference.low,
                    "auc_difference_high": row.difference.high,
                    "auc_difference_p": row.difference.p,
                }
            printed = paper.row_of(row.name)
            if level == PAIRS and printed:
                line |= {f"paper_{key}": getattr(printed, key) for key in paper.FIGURES}
                line["paper_implied_share"] = paper.check(printed).share
            lines.append(line | row.cost)
    return pd.DataFrame(lines)
