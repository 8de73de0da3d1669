"""Scored images in a table -> what they show."""

from ganfp_tf.statistics.evaluation import evaluate_scores


def evaluate_frame(frame, config, strata=None):
    """`evaluate_scores` of a DataFrame with the columns label, score, decision and patient.

    Args:
        frame: one row an image or pair.
        config: says bootstrap, permutations, confidence and seed.
        strata: column that holds the fold of each row, or None.

    Returns:
        An `Evaluation`.
    """
    return evaluate_scores(
        frame["label"].to_numpy(), frame["score"].to_numpy(), frame["decision"].to_numpy(),
        frame["patient"].to_numpy(), resamples=config.bootstrap, permutations=config.permutations,
        confidence=config.confidence, seed=config.seed,
        strata=None if strata is None else frame[strata].to_numpy(),
    )  # fmt: skip
