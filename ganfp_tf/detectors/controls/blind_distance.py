"""A control that sees no generated image: distance to other real images."""

import dataclasses

import numpy as np
import pandas as pd

from ganfp_tf.detectors.attacks.base import InSpace
from ganfp_tf.detectors.protocol import ImageStore


@dataclasses.dataclass(frozen=True)
class BlindDistance(InSpace):
    """A control that never sees a generated image: score = log d_k(x, R).

    It is the part of `CalibratedDistance` that knows nothing of the generator, with its sign: an
    image far from the other real ones scores high. An AUC that differs from 0.5 either way shows
    that used and not used images differ of themselves. Its space must not look at generated images
    either.
    """

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"blind_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"distance to other real images in {self.space.title} (blind control)"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64; `generated` is not looked at."""
        return self._log_to_real(candidates, self._vectors(generated.iloc[:0], store))
