"""How often would labels dealt out at random look as good?"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from ganfp_tf.statistics.sample import Resampling, Sample, blocks


@dataclasses.dataclass(frozen=True)
class PermutationResult:
    """One-sided p-values of "better than chance".

    Attributes:
        auc_p: of the AUC (within strata if they are given); nan without a pair to rank.
        kappa_p: of Cohen's kappa; nan with a single class.
        permutations: how many were drawn.
        level: "patient", or "image" if a patient has images of both labels, so that images had
            to be exchanged one by one and p is too small if a patient's images resemble each other.
        fixed: units (patients or images) with no other of their size, stratum and another label to
            be exchanged with. If all are fixed, p is 1 by construction.
    """

    auc_p: float
    kappa_p: float
    permutations: int
    level: str
    fixed: int


def permutation_p(sample: Sample, resampling: Resampling) -> PermutationResult:
    """Permutation test of AUC and kappa; scores and decisions stay, labels move.

    Labels are exchanged between patients with equally many images (in every stratum, if there are
    strata). p = (1 + #{permuted >= observed}) / (1 + permutations) (Phipson & Smyth 2010).

    Args:
        sample: n items, with decisions.
        resampling: number of permutations, and seed.
    """
    labels, strata, units = sample.labels, sample.folds, sample.patients
    used, sizes = np.bincount(units, weights=labels), np.bincount(units)
    level = "patient"
    if ((used > 0) & (used < sizes)).any():
        level, units = "image", np.arange(len(sample))
    unit_labels = np.zeros(units.max() + 1, dtype=np.float64)
    unit_labels[units] = labels

    # Exchanges keep the number of used images of every stratum, so the AUC moves with the sum of
    # the used images' midranks within their stratum, and kappa with the number of true positives.
    ranks = np.zeros(len(sample))
    for stratum in np.unique(strata):
        rows = strata == stratum
        ranks[rows] = stats.rankdata(sample.scores[rows])
    evidence = np.stack(
        [np.bincount(units, weights=ranks), np.bincount(units, weights=sample.decided())], axis=1
    )  # (U, 2), halves and integers: sums are exact
    observed = unit_labels @ evidence

    groups = _exchangeable(units, strata, unit_labels)
    reached = np.zeros(2, dtype=np.int64)
    for permuted in permuted_labels(unit_labels, groups, resampling):
        reached += (permuted @ evidence >= observed).sum(axis=0)
    p = (1 + reached) / (1 + resampling.permutations)

    single_class = labels.min() == labels.max()
    rankable = any(np.ptp(labels[strata == stratum]) for stratum in np.unique(strata))
    return PermutationResult(
        auc_p=float(p[0]) if rankable else np.nan,
        kappa_p=np.nan if single_class else float(p[1]),
        permutations=resampling.permutations,
        level=level,
        fixed=len(unit_labels) - sum(len(members) for members in groups),
    )


def permuted_labels(
    labels: np.ndarray, groups: Sequence[np.ndarray | slice], resampling: Resampling
) -> Iterator[np.ndarray]:
    """Labels permuted within each group, `resampling.permutations` times.

    Args:
        labels: (U,) float64.
        groups: indices or slices of units whose labels may be exchanged.
        resampling: number of permutations, and seed.

    Yields:
        (R, U) float64, in blocks of bounded memory.
    """
    rng = np.random.default_rng(resampling.seed)
    for rows in blocks(resampling.permutations, len(labels)):
        permuted = np.tile(labels, (rows, 1))
        for members in groups:
            permuted[:, members] = rng.permuted(permuted[:, members], axis=1)
        yield permuted


def _exchangeable(units, strata, unit_labels):
    """Lists of units with the same number of images in every stratum and with both labels."""
    n_strata = int(strata.max()) + 1
    counts = np.bincount(units * n_strata + strata, minlength=len(unit_labels) * n_strata)
    shapes = np.unique(counts.reshape(-1, n_strata), axis=0, return_inverse=True)[1].reshape(-1)
    groups = (np.flatnonzero(shapes == shape) for shape in range(shapes.max() + 1))
    return [members for members in groups if np.ptp(unit_labels[members])]
