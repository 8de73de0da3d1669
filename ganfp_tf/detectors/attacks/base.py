"""What attacks that compare images in a space share. No TensorFlow."""

import dataclasses
from typing import Self

import numpy as np
import pandas as pd

from ganfp_tf.detectors.protocol import ImageStore, Unprepared
from ganfp_tf.detectors.spaces.base import PIXELS, LearnedSpace, Space
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.neighbours.nearest import FLOOR, mean_of_nearest


@dataclasses.dataclass(frozen=True)
class InSpace(Unprepared):
    """What compares images in a space and knows the real images it was fitted on.

    Attributes:
        space: where images are compared.
        k: neighbours; with fewer images, as many as there are.
        reference: the images of fit(); their labels are not looked at.
    """

    space: Space = PIXELS
    k: int = 5
    uses_labels: bool = dataclasses.field(default=False, init=False)
    reference: pd.DataFrame | None = dataclasses.field(default=None, repr=False, compare=False)

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy that knows the real images, in a space that has learned from all."""
        space = self.space
        if isinstance(space, LearnedSpace):
            space = space.learn(labelled, generated, store)
        reference = labelled[["path", "digest", "patient"]]
        return dataclasses.replace(self, space=space, reference=reference)

    @property
    def _reference(self):
        if self.reference is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        return self.reference

    def _vectors(self, generated, store):
        return self.space.fit(self._reference, generated, store)

    def _log_to_generated(self, candidates, generated, vectors):
        check_generated(generated)
        # In the order of their contents, sums round the same way however the files were listed.
        unique = candidates.drop_duplicates("digest").sort_values("digest")
        means = np.empty(len(unique))
        made = vectors.generated(generated.sort_values("digest"))
        for part, block in distance_rows(vectors.real(unique), made):
            means[part] = mean_of_nearest(block, self.k)
        logs = pd.Series(np.log(np.maximum(means, FLOOR)), unique["digest"].to_numpy())
        return logs.reindex(candidates["digest"]).to_numpy()

    def _log_to_real(self, candidates, vectors):
        pool = Pool.of(candidates, self._reference)
        means = np.empty(len(pool.unique))
        reference = np.flatnonzero(pool.in_reference)
        rows = vectors.real(pool.unique)
        for part, block in distance_rows(rows, rows[reference]):
            block[pool.groups[part, None] == pool.groups[reference]] = np.inf
            means[part] = mean_of_nearest(block, self.k)
        found = means[pool.rows]
        if np.isinf(found).any():
            lost = candidates["name"].iloc[int(np.isinf(found).argmax())]
            raise UserError(
                f"{self.name} compares a real image with those of other patients. Found none for "
                f"{lost}: hand in real images of at least two patients."
            )
        return np.log(np.maximum(found, FLOOR))


def check_generated(generated: pd.DataFrame) -> None:
    """Raises UserError without a generated image."""
    if not len(generated):
        raise UserError(
            "A detector compares real images with generated ones. Expected at least 1 generated "
            "image, found none: add them to the data."
        )
