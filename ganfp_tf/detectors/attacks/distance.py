"""Detectors that need nothing but distances, in any space. No TensorFlow.

All follow the protocol in registry.py. Equal files count once among real images; generated images
count as often as there are, for how often a generator repeats itself is evidence. No score depends
on the order of the files or on labels.
"""

import dataclasses

import numpy as np
import pandas as pd

from ganfp_tf.detectors.attacks.base import InSpace
from ganfp_tf.detectors.protocol import ImageStore


@dataclasses.dataclass(frozen=True)
class NearestDistance(InSpace):
    """GAN-Leaks, full black box (Chen et al. 2020, CCS): score = -log d_k(x, G).

    d_k(x, G) is the mean of the distances from x to the k generated images nearest to it.
    """

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"nearest_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"nearest distance in {self.space.title} (GAN-Leaks)"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
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
    def name(self) -> str:
        """Its key in the registry."""
        return f"calibrated_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"nearest distance in {self.space.title}, calibrated by real images"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError where x has no image to compare with."""
        vectors = self._vectors(generated, store)
        near = self._log_to_generated(candidates, generated, vectors)
        return self._log_to_real(candidates, vectors) - near
