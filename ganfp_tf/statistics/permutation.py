"""How often would labels dealt out at random look as good?"""

import dataclasses

import numpy as np
from scipy import stats

from ganfp_tf.statistics.metrics import check_binary, check_codes, check_scores

# Cells of a block of permuted labels.
BLOCK = 2**21


@dataclasses.dataclass(frozen=True)
class PermutationResult:
    """One-sided p-values of "better than chance".

    Attributes:
        auc_p: of the AUC (within strata where they are given); nan without a pair to rank.
        kappa_p: of Cohen's kappa; nan with a single class.
        permutations: how many were drawn.
        level: "patient", or "image" where a patient has images of both labels, so that images had
            to be exchanged one by one and p is too small if a patient's images resemble each other.
        fixed: units (patients or images) with no other of their size, stratum and another label to
            be exchanged with. Where all are fixed, p is 1 by construction.
    """

    auc_p: float
    kappa_p: float
    permutations: int
    level: str
    fixed: int


def permutation_p(labels, scores, decisions, patients, *, permutations, seed, strata=None):
    """Permutation test of AUC and kappa; scores and decisions stay, labels move.

    Labels are exchanged between patients with equally many images (in every stratum, where strata
    are given). p = (1 + #{permuted >= observed}) / (1 + permutations) (Phipson & Smyth 2010).

    Args:
        labels, scores, decisions, patients: (n,) arrays.
        permutations: how many to draw.
        seed: integer, at least 0.
        strata: (n,) fold of each item, or None.
    """
    labels = check_binary(labels, "labels")
    n = len(labels)
    scores = check_scores(scores, n)
    decisions = check_binary(decisions, "decisions", n)
    units = check_codes(patients, "patients", n)
    strata = np.zeros(n, np.int64) if strata is None else check_codes(strata, "strata", n)
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1. Received: permutations={permutations}")

    used, sizes = np.bincount(units, weights=labels), np.bincount(units)
    level = "patient"
    if ((used > 0) & (used < sizes)).any():
        level, units = "image", np.arange(n)
    unit_labels = np.zeros(units.max() + 1, dtype=np.float64)
    unit_labels[units] = labels

    # Exchanges keep the number of used images of every stratum, so the AUC moves with the sum of
    # the used images' midranks within their stratum, and kappa with the number of true positives.
    ranks = np.zeros(n)
    for stratum in np.unique(strata):
        rows = strata == stratum
        ranks[rows] = stats.rankdata(scores[rows])
    evidence = np.stack(
        [np.bincount(units, weights=ranks), np.bincount(units, weights=decisions)], axis=1
    )  # (U, 2), halves and integers: sums are exact
    observed = unit_labels @ evidence

    groups = _exchangeable(units, strata, unit_labels)
    rng = np.random.default_rng(seed)
    reached = np.zeros(2, dtype=np.int64)
    block = max(1, BLOCK // len(unit_labels))
    for start in range(0, permutations, block):
        rows = min(block, permutations - start)
        permuted = np.tile(unit_labels, (rows, 1))  # (R, U)
        for members in groups:
            permuted[:, members] = rng.permuted(permuted[:, members], axis=1)
        reached += (permuted @ evidence >= observed).sum(axis=0)
    p = (1 + reached) / (1 + permutations)

    single_class = labels.min() == labels.max()
    rankable = any(np.ptp(labels[strata == stratum]) for stratum in np.unique(strata))
    return PermutationResult(
        auc_p=float(p[0]) if rankable else np.nan,
        kappa_p=np.nan if single_class else float(p[1]),
        permutations=permutations,
        level=level,
        fixed=len(unit_labels) - sum(len(members) for members in groups),
    )


def _exchangeable(units, strata, unit_labels):
    """Lists of units with the same number of images in every stratum and with both labels."""
    n_strata = int(strata.max()) + 1
    counts = np.bincount(units * n_strata + strata, minlength=len(unit_labels) * n_strata)
    shapes = np.unique(counts.reshape(-1, n_strata), axis=0, return_inverse=True)[1].reshape(-1)
    groups = (np.flatnonzero(shapes == shape) for shape in range(shapes.max() + 1))
    return [members for members in groups if np.ptp(unit_labels[members])]
