"""Detectors that need nothing but distances, in any space. No TensorFlow.

All follow the protocol in registry.py. Equal files count once among real images; generated images
count as often as there are, for how often a generator repeats itself is evidence. No score depends
on the order of the files or on labels.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ganfp_tf.detectors.attacks.base import InSpace

FLOOR = 1e-5
"""Distances below it (root mean square, gray values 0 to 1) count as it, so that a logarithm exists
for copies. One gray level of 255 in one pixel of 64x64 is 6e-5, the error of a distance below
1e-7."""
TIE = 1e-5  # distances of at most this relative difference are equal


@dataclasses.dataclass(frozen=True)
class NearestDistance(InSpace):
    """GAN-Leaks, full black box (Chen et al. 2020, CCS): score = -log d_k(x, G).

    d_k(x, G) is the mean of the distances from x to the k generated images nearest to it.
    """

    @property
    def name(self):
        return f"nearest_{self.space.name}"

    @property
    def title(self):
        return f"nearest distance in {self.space.title} (GAN-Leaks)"

    def score(self, candidates, generated, store):
        """(len(candidates),) float64. Raises UserError without a generated image."""
        vectors = self._vectors(generated, store)
        return -self._log_to_generated(candidates, generated, vectors)


@dataclasses.dataclass(frozen=True)
class CalibratedDistance(InSpace):
    """Nearest distance calibrated by real images: score = log d_k(x, R) - log d_k(x, G).

    The log ratio of GAN-Leaks' calibrated attack (Chen et al. 2020), with real images in the place
    of a reference generator's: an unusual image is far from the generated ones, used or not, and
    from other real ones as well. R are the images of fit() but those of x's own patient and x
    itself. d_k is the mean of the k smallest distances, as in `NearestDistance`.
    """

    @property
    def name(self):
        return f"calibrated_{self.space.name}"

    @property
    def title(self):
        return f"nearest distance in {self.space.title}, calibrated by real images"

    def score(self, candidates, generated, store):
        """(len(candidates),) float64. Raises UserError where x has no image to compare with."""
        vectors = self._vectors(generated, store)
        near = self._log_to_generated(candidates, generated, vectors)
        return self._log_to_real(candidates, vectors) - near


@dataclasses.dataclass(frozen=True)
class Pool:
    """Candidates and reference, each content once, in the order of their digests.

    Attributes:
        unique: one row a content.
        rows: (candidates,) row of `unique` that each candidate is.
        groups: (len(unique),) who may not be compared: one number for all images of a patient, and
            for all patients that share an identical image.
        in_reference: (len(unique),) bool, whether it was seen in fit().
    """

    unique: pd.DataFrame
    rows: np.ndarray
    groups: np.ndarray
    in_reference: np.ndarray

    @classmethod
    def of(cls, candidates, reference):
        both = pd.concat([candidates[["path", "digest", "patient"]], reference], ignore_index=True)
        digests, place = np.unique(both["digest"].to_numpy(dtype=str), return_inverse=True)
        # A real image without a patient is a patient of its own.
        named = both["patient"].where(both["patient"] != "", "\0" + both["digest"])
        patients, names = pd.factorize(named)
        edges = coo_array(
            (np.ones(len(both)), (place, patients + len(digests))),
            shape=(len(digests) + len(names),) * 2,
        )
        groups = connected_components(edges, directed=False)[1][: len(digests)]
        first = np.unique(place, return_index=True)[1]
        return cls(
            both.iloc[first], place[: len(candidates)], groups,
            np.isin(np.arange(len(digests)), place[len(candidates) :]),
        )  # fmt: skip


def mean_of_nearest(block, k):
    """Mean of the k smallest finite values of each row, inf where a row has none; sorts `block`."""
    k = min(k, block.shape[1])
    if not k:
        return np.full(len(block), np.inf)
    block.partition(k - 1, axis=1)
    nearest = np.sort(block[:, :k], axis=1)
    finite = np.isfinite(nearest)
    total = np.where(finite, nearest, 0.0).sum(axis=1)
    count = finite.sum(axis=1)
    return np.divide(total, count, out=np.full(len(block), np.inf), where=count > 0)


def shared_votes(block, k):
    """Votes of the rows of `block` for their k nearest columns: (columns,) float64.

    A row with fewer finite values votes for those. Columns as near as the k-th share what is left
    for them.
    """
    k = min(k, block.shape[1])
    block = np.maximum(block, FLOOR)
    finite = np.isfinite(block)
    last = np.partition(block, k - 1, axis=1)[:, k - 1, None]
    sure = finite & (block < last * (1 - TIE))
    tied = finite & ~sure & (block <= last * (1 + TIE))
    left = k - sure.sum(axis=1, keepdims=True)
    share = np.minimum(1.0, left / np.maximum(tied.sum(axis=1, keepdims=True), 1))
    return (sure + tied * share).sum(axis=0)
