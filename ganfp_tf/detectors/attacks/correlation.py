"""Copies by a threshold that the real images set, in any space. No TensorFlow."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ganfp_tf.detectors.attacks.base import InSpace, check_generated
from ganfp_tf.detectors.attacks.density import check_others
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.neighbours.distances import ROWS
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.neighbours.nearest import FLOOR, mean_of_nearest

SPREAD = 1e-3
"""Least spread of correlations that the score is divided by, where all real images are alike."""


@dataclasses.dataclass(frozen=True)
class CopyThreshold(InSpace):
    """Correlation against a threshold set by real images (Dar et al. 2025).

    r(x, G) is the mean of the k highest Pearson correlations of x with generated images. Likewise
    each image of fit() has one with those of other patients. Their `level` quantile t is what
    hardly any two different patients reach, so that what does counts as a copy; m is their median.

        score = (r(x, G) - t) / (t - m) + log(1 + count(x))

    where count(x) are the generated images whose correlation with x is above t. With k = 1 it is
    above 0 exactly where x has a copy by Dar's rule, and -1 where x is as close to its generated
    image as a typical real image to its nearest other one. The count alone is 0 for most images;
    the first term orders those. A correlation with a constant image counts as 0.

    Attributes:
        level: quantile of correlations among real images, in (0, 1).
    """

    k: int = 1
    level: float = 0.95

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"copies_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"correlation above that of real images in {self.space.title}"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError where fit() had one patient only."""
        check_generated(generated)
        pool = Pool.of(candidates, self._reference)
        space = self._vectors(generated, store)
        real = unit_rows(space.real(pool.unique))
        made = unit_rows(space.generated(generated.sort_values("digest")))
        threshold, spread = self._threshold(real, pool)
        score = np.empty(len(real))
        for part, block in correlation_rows(real, made):
            count = (block > threshold).sum(axis=1)
            best = -mean_of_nearest(-block, self.k)
            score[part] = (best - threshold) / spread + np.log1p(count)
        return score[pool.rows]

    def _threshold(self, real, pool):
        """The quantile of correlations of the images of fit() with their nearest other, spread."""
        known = np.flatnonzero(pool.in_reference)
        groups = pool.groups[known]
        near = np.empty(len(known))
        for part, block in correlation_rows(real[known], real[known]):
            block[groups[part, None] == groups] = -np.inf
            near[part] = -mean_of_nearest(-block, self.k)
        check_others(self.name, pool.unique["path"].iloc[known], near)
        median, threshold = np.quantile(near, [0.5, self.level])
        return threshold, max(threshold - median, SPREAD)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """(n, d) -> float32 with mean 0 and length 1 in each row; a constant row becomes zeros."""
    rows = np.empty(vectors.shape, "float32")
    for start in range(0, len(vectors), ROWS):
        part = slice(start, start + ROWS)
        wide = vectors[part].astype("float64")
        mean = wide.mean(axis=1, keepdims=True)
        wide -= mean
        deviation = np.sqrt((wide**2).mean(axis=1, keepdims=True))
        length = deviation * np.sqrt(wide.shape[1])
        # What is left of a constant row is rounding.
        varies = deviation > FLOOR * np.maximum(np.abs(mean), 1.0)
        rows[part] = np.divide(wide, length, out=np.zeros_like(wide), where=varies)
    return rows


def correlation_rows(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Products of unit vectors, a block of rows at a time, so that memory stays bounded.

    Yields:
        (slice of `left`, (rows, len(right)) float64).
    """
    for start in range(0, len(left), ROWS):
        part = slice(start, start + ROWS)
        block = np.empty((len(left[part]), len(right)))
        for begin in range(0, len(right), ROWS):
            columns = right[begin : begin + ROWS].astype("float64")
            block[:, begin : begin + ROWS] = left[part].astype("float64") @ columns.T
        yield part, block
