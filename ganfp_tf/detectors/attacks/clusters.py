"""Clusters of generated images, and how real images relate to them. No TensorFlow."""

import dataclasses
import warnings
from typing import Self

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors.attacks.base import check_generated
from ganfp_tf.detectors.protocol import ImageStore, Unprepared
from ganfp_tf.detectors.spaces.base import GeneratedComponents, Space
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.neighbours.nearest import FLOOR, mean_of_nearest

COMPONENTS = GeneratedComponents()


@dataclasses.dataclass(frozen=True)
class ClusterRelations(Unprepared):
    """How x sits in its cluster of generated images, against how other real images do.

    The paper's reference 9 (Bharathi et al. 2023, CLEF) compares features of real and generated
    images by learnt relations and by clustering. Here k-means clusters the generated images alone.
    With c the cluster whose centre is nearest to x, M generated images, R the real images of fit()
    but x and those of its patient, and K clusters, the score is the sum of two relations:

        fuller: log (generated in c + 1) / (M + K) - log (real of R in c + 1) / (|R| + K)
        nearer: log d_k(centre of c, R) - log d(centre of c, x)

    d_k is the mean of the k smallest distances. The first asks whether the generator favours the
    place where x is, the second whether the cluster lies about x rather than about others.

    Attributes:
        space: where images are clustered.
        clusters: with fewer generated images, as many as there are.
        k: neighbours; with fewer images, as many as there are.
        reference: the images of fit(); their labels are not looked at.
    """

    space: Space = COMPONENTS
    clusters: int = 64
    k: int = 5
    name: str = dataclasses.field(default="clusters", init=False)
    title: str = dataclasses.field(
        default="clusters of generated images, and relations to them", init=False
    )
    uses_labels: bool = dataclasses.field(default=False, init=False)
    reference: pd.DataFrame | None = dataclasses.field(default=None, repr=False, compare=False)

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy that knows the real images."""
        return dataclasses.replace(self, reference=labelled[["path", "digest", "patient"]])

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64.

        Raises:
            UserError: no generated image, or x has no other patient's image to compare with.
        """
        if self.reference is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        check_generated(generated)
        pool = Pool.of(candidates, self.reference)
        vectors = self.space.fit(self.reference, generated, store)
        centres, made = self._clusters(generated, vectors, store)
        rows = vectors.real(pool.unique)
        apart = np.concatenate([block for _, block in distance_rows(rows, centres)])
        own = apart.argmin(axis=1)
        scores = np.empty(len(rows))
        reference = np.flatnonzero(pool.in_reference)
        for i in range(0, len(rows), 512):  # a block of images against all of the reference
            part = slice(i, i + 512)
            others = pool.groups[part, None] != pool.groups[reference]
            beside = (others & (own[part, None] == own[reference])).sum(axis=1)
            distances = np.where(others, apart[reference][:, own[part]].T, np.inf)
            usual = mean_of_nearest(distances, self.k)
            nearer = _log(usual) - _log(apart[part].min(axis=1))
            share = (made[own[part]] + 1.0) / (made.sum() + len(made))
            usual_share = (beside + 1.0) / (others.sum(axis=1) + len(made))
            scores[part] = nearer + np.log(share / usual_share)
        found = scores[pool.rows]
        if np.isinf(found).any():
            lost = candidates["name"].iloc[int(np.isinf(found).argmax())]
            raise UserError(
                f"{self.name} compares a real image with those of other patients. Found none for "
                f"{lost}: hand in real images of at least two patients."
            )
        return found

    def _clusters(self, generated, vectors, store):
        """Centres (K, d) float32 and how many generated images are of each (K,)."""

        def fitted():
            made = vectors.generated(generated.sort_values("digest")).astype("float64")
            model = KMeans(min(self.clusters, len(made)), random_state=0)
            # Threads add up in the order in which they end: one makes the last digits repeatable.
            with threadpool_limits(1, "openmp"), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # equal images: fewer clusters
                model.fit(made)
            counts = np.bincount(model.labels_, minlength=len(model.cluster_centers_))
            return model.cluster_centers_.astype("float32"), counts

        # Other spaces than components may depend on the real images too.
        key = (self.name, self.space, self.clusters, contents(generated), contents(self.reference))
        return store.keep(key, fitted)


def _log(distances):
    return np.log(np.maximum(distances, FLOOR))
