"""Scores of the comparator that was trained on copies."""

import dataclasses

import numpy as np
import pandas as pd

from ganfp_tf.detectors.attacks.base import InSpace, check_generated
from ganfp_tf.detectors.copies import retrieval
from ganfp_tf.detectors.copies.space import COPIES, CopySpace
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.groups import Pool


@dataclasses.dataclass(frozen=True)
class CopyComparator(InSpace):
    """The pairwise comparator on the candidates that the embedding retrieves.

    s(x, A) is the mean of the k highest logits of x with the `candidates` images of A that are
    nearest to it in the embedding. The score is s(x, G), less s(x, R) where `calibrated`: R are the
    real images of fit() but those of x's own patient, compared by the same network.

    Attributes:
        candidates: images that the embedding hands to the comparator.
        calibrated: whether s(x, R) is taken off.
    """

    space: CopySpace = COPIES
    candidates: int = 16
    calibrated: bool = True

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return "comparator_calibrated" if self.calibrated else "comparator"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        ending = ", calibrated by real images" if self.calibrated else ""
        return f"Siamese comparator trained on copies{ending}"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError without a generated image."""
        check_generated(generated)
        pool = Pool.of(candidates, self._reference)
        asked, places = np.unique(pool.rows, return_inverse=True)
        vectors = self._vectors(generated, store)
        rows = vectors.real(pool.unique)
        tokens = self.space.tokens(pool.unique, store)
        generated = generated.sort_values("digest")
        networks = self.space.networks
        near, _ = retrieval.nearest(rows[asked], vectors.generated(generated), self.candidates)
        made = self.space.tokens(generated, store)
        found = retrieval.top(retrieval.logits(networks, tokens[asked], made, near), self.k)
        if self.calibrated:
            reference = np.flatnonzero(pool.in_reference)
            same = pool.groups[asked, None] == pool.groups[reference]
            if same.all(axis=1).any():
                raise UserError(
                    f"{self.name} compares a real image with those of other patients: hand in real "
                    "images of at least two patients."
                )
            near, _ = retrieval.nearest(rows[asked], rows[reference], self.candidates, same)
            like = retrieval.logits(networks, tokens[asked], tokens[reference], near)
            found = found - retrieval.top(like, self.k)
        return found[places]
