"""Detectors by how densely generated images lie around a real one, in any space. No TensorFlow.

Both take their width from the images: k = 1 gives the median heuristic of Hilprecht et al. (2019,
PoPETs), the median distance from a real image to the generated one nearest to it.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from ganfp_tf.detectors.attacks.base import InSpace, check_generated
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.detectors.spaces.base import GeneratedComponents, Space
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.neighbours.nearest import FLOOR, TIE, mean_of_nearest

COMPONENTS = GeneratedComponents()


@dataclasses.dataclass(frozen=True)
class MonteCarlo(InSpace):
    """Monte Carlo attack (Hilprecht et al. 2019, PoPETs): the share of G within eps of x.

    eps is the median of d_k(x, G) over candidates and images of fit(), each content once; d_k is
    the mean of the k smallest distances. By its choice, half of the images have next to no
    generated image so near and would tie. The nearest image therefore counts by a fraction that
    only parts images of equal counts:

        score = log((count(x) + eps / (eps + d_k(x, G))) / (M + 1))

    for M generated images.
    """

    k: int = 1

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"montecarlo_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"share of generated images nearby in {self.space.title} (Monte Carlo)"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError without a generated image."""
        check_generated(generated)
        pool = Pool.of(candidates, self._reference)
        space = self._vectors(generated, store)
        real, made = space.real(pool.unique), space.generated(generated.sort_values("digest"))
        near = distance_to_nearest(real, made, self.k)
        eps = np.median(near)
        count = np.empty(len(real))
        for part, block in distance_rows(real, made):
            count[part] = (block <= eps * (1 + TIE)).sum(axis=1)
        return np.log((count + eps / (eps + near)) / (len(made) + 1))[pool.rows]


@dataclasses.dataclass(frozen=True)
class DensityRatio(InSpace):
    """DOMIAS (van Breugel et al. 2023, AISTATS): score = log p_G(x) - log p_R(x).

    Both are Gaussian kernel densities of one bandwidth, `width` times the median of d_k(x, G) over
    candidates and images of fit(). R are the images of fit() but those of x's own patient and x
    itself. The median of all distances, the usual bandwidth, is far too wide in many dimensions:
    nearly all pairs are about equally far apart.

    Attributes:
        width: bandwidth in median nearest distances.
    """

    space: Space = COMPONENTS
    k: int = 1
    width: float = 0.5

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"density_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"density ratio in {self.space.title} (DOMIAS)"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError where x has no image to compare with."""
        check_generated(generated)
        pool = Pool.of(candidates, self._reference)
        space = self._vectors(generated, store)
        real, made = space.real(pool.unique), space.generated(generated.sort_values("digest"))
        reference = np.flatnonzero(pool.in_reference)
        bandwidth = self.width * np.median(distance_to_nearest(real, made, self.k))
        ratio = np.empty(len(real))
        for part, block in distance_rows(real, made):
            ratio[part] = log_density(block, bandwidth)
        for part, block in distance_rows(real, real[reference]):
            block[pool.groups[part, None] == pool.groups[reference]] = np.inf
            ratio[part] -= log_density(block, bandwidth)
        found = ratio[pool.rows]
        check_others(self.name, candidates["name"], found)
        return found


def distance_to_nearest(left: np.ndarray, right: np.ndarray, k: int) -> np.ndarray:
    """d_k: the mean of each row's k smallest distances to `right`, at least FLOOR: (n,) float64."""
    near = np.empty(len(left))
    for part, block in distance_rows(left, right):
        near[part] = mean_of_nearest(block, k)
    return np.maximum(near, FLOOR)


def log_density(block: np.ndarray, bandwidth: float) -> np.ndarray:
    """Log of the mean Gaussian kernel of each row's finite distances, -inf where it has none.

    With distances as root mean squares over d components, the bandwidth is one as well: a standard
    deviation of bandwidth * sqrt(d). The kernel's constant is left out; in a ratio it cancels.

    Args:
        block: (n, m) distances; inf leaves one out.
        bandwidth: positive, in the same unit.

    Returns:
        (n,) float64.
    """
    count = np.isfinite(block).sum(axis=1)
    total = logsumexp(-0.5 * (block / bandwidth) ** 2, axis=1)
    return np.where(count > 0, total - np.log(np.maximum(count, 1)), -np.inf)


def check_others(detector: str, images: pd.Series, found: np.ndarray) -> None:
    """Raises UserError where a score is infinite: no real image of another patient was there.

    Args:
        detector: its name.
        images: Series of what the images are called.
        found: (len(images),) scores.
    """
    lost = ~np.isfinite(found)
    if lost.any():
        raise UserError(
            f"{detector} compares a real image with those of other patients. Found none for "
            f"{images.iloc[int(lost.argmax())]}: hand in real images of at least two patients."
        )
