"""How many generated images have a real one as their nearest. No TensorFlow."""

import dataclasses

import numpy as np
import pandas as pd

from ganfp_tf.detectors.attacks.base import InSpace, check_generated
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.neighbours.nearest import shared_votes


@dataclasses.dataclass(frozen=True)
class HitCount(InSpace):
    """How many generated images have x as their nearest real image, hubness taken out.

    The nearest one is sought among candidates and images of fit(); equally near ones share the hit.
    Some images are near to everything (hubs, Radovanovic et al. 2010, JMLR) and would be hit by
    the images of any generator. N_k(x) counts the other patients' real images that have x among
    their own k nearest of other patients (ties share again). If generated images chose as real
    ones do, x would expect

        expected(x) = M (N_k(x) + k) / sum over y of (N_k(y) + k)

    of M hits; the k added, which is about the mean of N_k, pulls a count of few images half-way to
    uniform. The score is log((hits(x) + 1) / (expected(x) + 1)).
    """

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"hits_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"hits in {self.space.title}, hubness taken out"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError without a generated image."""
        check_generated(generated)
        pool = Pool.of(candidates, self._reference)
        space = self._vectors(generated, store)
        vectors = space.real(pool.unique)
        hits = np.zeros(len(vectors))
        made = space.generated(generated.sort_values("digest"))
        for _, block in distance_rows(made, vectors):
            hits += shared_votes(block, 1)
        hubs = np.zeros(len(vectors))
        for part, block in distance_rows(vectors, vectors):
            block[pool.groups[part, None] == pool.groups] = np.inf
            hubs += shared_votes(block, self.k)
        expected = len(generated) * (hubs + self.k) / (hubs + self.k).sum()
        return np.log((hits + 1.0) / (expected + 1.0))[pool.rows]
