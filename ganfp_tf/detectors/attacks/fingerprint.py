"""The generator's fingerprint in noise residuals. No TensorFlow."""

import dataclasses
from typing import Self

import numpy as np
import pandas as pd

from ganfp_tf.detectors.attacks.base import check_generated
from ganfp_tf.detectors.protocol import ImageStore, Unprepared
from ganfp_tf.detectors.spaces.hand_made import per_content
from ganfp_tf.detectors.spaces.spectra import mean_residual, residuals, unit_rows


@dataclasses.dataclass(frozen=True)
class ResidualFingerprint(Unprepared):
    """Correlation of x's residual with the mean residual of the generated images.

    The test of source of the paper's reference 1 (Marra et al. 2019, MIPR), which asks whether an
    image is *made* by the generator. A real image is not; so this asks whether used images share
    what the generator leaves everywhere, such as edges at the same places.

    Attributes:
        size: side of the median filter, in pixels of the store.
    """

    size: int = 3
    name: str = dataclasses.field(default="residual_fingerprint", init=False)
    title: str = dataclasses.field(
        default="noise residual against the generator's mean residual", init=False
    )
    uses_labels: bool = dataclasses.field(default=False, init=False)

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns itself; there is nothing to learn from real images."""
        return self

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64 in [-1, 1]. Raises UserError without a generated image."""
        check_generated(generated)
        mean = mean_residual(generated, store, self.size)
        fingerprint = unit_rows(mean[None] - mean.mean())[0]

        def correlation(frame):
            rows = residuals(store.pixels(frame), self.size)
            return unit_rows(rows - rows.mean(axis=1, keepdims=True)) @ fingerprint

        return per_content(candidates, correlation)
