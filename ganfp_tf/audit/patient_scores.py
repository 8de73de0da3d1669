"""A patient's images taken together, and how often labels dealt out to patients look as good."""

from ganfp_tf.statistics.permutation import permutation_p


def pooled(scores):
    """The mean of each patient's images, in the order of their first.

    Args:
        scores: DataFrame with patient, label, split_id, score and decision.

    Returns:
        DataFrame of the same columns, one row a patient; decision is 1 where that of at least half
        of the images is.
    """
    keys = ["patient", "label", "split_id"]
    means = scores.groupby(keys, sort=False, as_index=False)[["score", "decision"]].mean()
    return means.assign(decision=(means["decision"] >= 0.5).astype(int))


def permuted_p(scores, config):
    """One-sided p of "the AUC is above 0.5", labels being exchanged between patients of a fold.

    It is of the patients' means. Ranks of single images could be exchanged only between patients
    with equally many of them, and where the patients of one side have more, p would be 1 whatever
    the scores.

    Args:
        scores: as in `pooled`.
        config: says permutations and seed.

    Returns:
        A float; nan where no fold has both sides.
    """
    means = pooled(scores)
    found = permutation_p(
        means["label"].to_numpy(),
        means["score"].to_numpy(),
        means["decision"].to_numpy(),
        means["patient"].to_numpy(),
        permutations=config.permutations,
        seed=config.seed,
        strata=means["split_id"].to_numpy(),
    )
    return found.auc_p
