"""Detectors that ask whom a generated image resembles most, in any space. No TensorFlow."""

import dataclasses

import numpy as np
import pandas as pd
from scipy.special import softmax

from ganfp_tf.detectors.attacks.base import InSpace, check_generated
from ganfp_tf.detectors.attacks.density import distance_to_nearest
from ganfp_tf.detectors.attacks.distance import CalibratedDistance
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.neighbours.nearest import FLOOR, mean_of_nearest


@dataclasses.dataclass(frozen=True)
class InvertedAuthenticity(CalibratedDistance):
    """Authenticity (Alaa et al. 2022, ICML), asked of the real image instead of the generated one.

    A generated image is not authentic where it is closer to a real image than every other real
    image is. So x is suspect where d_1(x, G) < d_1(x, R), R being the images of fit() but those of
    x's own patient and x itself. As yes or no the answer has ties only; the score is its margin

        log d_1(x, R) - log d_1(x, G)

    above 0 where the answer is yes. It is `CalibratedDistance` with the single nearest image.
    """

    k: int = 1

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"authenticity_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"inverted authenticity in {self.space.title}"


@dataclasses.dataclass(frozen=True)
class SoftHits(InSpace):
    """Hits shared among all real images by nearness, hubness taken out; compare `HitCount`.

    Each generated image g spreads one hit over candidates and images of fit(), as if it were drawn
    from a mixture of equal Gaussians around them:

        share(x, g) = softmax over x of -d(x, g)^2 / (2 h^2)

    h is `width` times the median of d_k(g, real), the mean of the k smallest distances. The real
    images y spread one hit each over those of other patients in the same way, with an h from their
    own distances: N(x) is what x gets. If generated images chose as real ones do, x would expect

        expected(x) = M (N(x) + 1) / sum over y of (N(y) + 1)

    of M hits; the 1 added, which is about the mean of N, pulls a count of few images half-way to
    uniform. The score is log((hits(x) + 1) / (expected(x) + 1)).

    Attributes:
        width: h in median nearest distances. In many dimensions other images are hardly farther
            than the nearest one; at 1 a hit is spread over nearly all, towards 0 it is undivided.
    """

    k: int = 1
    width: float = 0.25

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"softhits_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"soft hits in {self.space.title}, hubness taken out"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError without a generated image."""
        check_generated(generated)
        pool = Pool.of(candidates, self._reference)
        space = self._vectors(generated, store)
        real, made = space.real(pool.unique), space.generated(generated.sort_values("digest"))
        hits, hubs = np.zeros(len(real)), np.zeros(len(real))
        h = self.width * np.median(distance_to_nearest(made, real, self.k))
        for _, block in distance_rows(made, real):
            hits += responsibilities(block, h)
        near = np.empty(len(real))
        for part, block in _to_others(real, pool):
            near[part] = mean_of_nearest(block, self.k)
        h = self.width * max(np.median(near), FLOOR)
        if np.isfinite(h):  # else all are of one patient
            for _, block in _to_others(real, pool):
                hubs += responsibilities(block, h)
        expected = len(made) * (hubs + 1.0) / (hubs + 1.0).sum()
        return np.log((hits + 1.0) / (expected + 1.0))[pool.rows]


def _to_others(real, pool):
    """As `distance_rows` among the images of a pool; inf between images of a patient."""
    for part, block in distance_rows(real, real):
        block[pool.groups[part, None] == pool.groups] = np.inf
        yield part, block


def responsibilities(block: np.ndarray, h: float) -> np.ndarray:
    """What each column gets where every row spreads 1 over the columns: (columns,) float64.

    Args:
        block: (n, columns) distances; inf leaves one out. A row without finite ones gives nothing.
        h: standard deviation of the Gaussians around the columns, in the same unit.
    """
    block = block[np.isfinite(block).any(axis=1)]
    return softmax(-0.5 * (block / h) ** 2, axis=1).sum(axis=0)
