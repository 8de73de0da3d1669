"""The settings of evaluation and prediction."""

import dataclasses

from ganfp_tf.config.field import Condition, setting


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How a trained detector is evaluated."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    partners: int = setting(
        64, "Generated partners whose logits make a real image's score; with pairing nearest at "
        "most --neighbours.", group="Evaluation", unit="images", low=1, high=100000, role="report")
    bootstrap: int = setting(
        2000, "Bootstrap resamples of patients.", group="Evaluation", unit="resamples", low=100,
        high=1000000, role="report")
    permutations: int = setting(
        2000, "Label permutations.", group="Evaluation", unit="permutations", low=100,
        high=1000000, role="report")
    confidence: float = setting(
        0.95, "Coverage of the intervals.", group="Evaluation", low=0.5, high=0.999, role="report")
    submission: str = setting(
        "", "With --mode=predict: also a run file in the form of this year's task.",
        group="Evaluation", choices=("", "2023", "2025"), role="place", modes=("predict",))
    predictions: str = setting(
        "", "With --mode=evaluate and --truth: a predictions.csv or a run file to be scored.",
        group="Evaluation", role="place", modes=("evaluate",), needs=Condition("truth"))
    truth: str = setting(
        "", "With --predictions: a CSV with the columns name, label and optionally patient.",
        group="Evaluation", role="place", modes=("evaluate",), needs=Condition("predictions"))
    # fmt: on
