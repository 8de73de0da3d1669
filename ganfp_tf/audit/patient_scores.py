"""A patient's images taken together, and how often labels dealt out to patients look as good."""

import pandas as pd

from ganfp_tf.statistics.permutation import permutation_p
from ganfp_tf.statistics.sample import Resampling, Sample


def pooled(scores: pd.DataFrame) -> pd.DataFrame:
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


def permuted_p(scores: pd.DataFrame, resampling: Resampling) -> float:
    """One-sided p of "the AUC is above 0.5", labels being exchanged between patients of a fold.

    It is of the patients' means. Ranks of single images could be exchanged only between patients
    with equally many of them, and where the patients of one side have more, p would be 1 whatever
    the scores.

    Args:
        scores: as in `pooled`.
        resampling: number of permutations, and seed.

    Returns:
        A float; nan if no fold has both sides.
    """
    sample = Sample.from_frame(pooled(scores), strata="split_id")
    return permutation_p(sample, resampling).auc_p
