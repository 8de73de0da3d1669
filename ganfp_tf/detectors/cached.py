"""A detector that was fitted once and stays so, however often it is asked. No TensorFlow."""

import dataclasses
from typing import Self

import numpy as np
import pandas as pd

from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors.protocol import Detector, ImageStore, Unprepared


@dataclasses.dataclass(frozen=True)
class Fixed(Unprepared):
    """A fitted detector that no fit() changes and that scores each image once.

    An audit fits what needs no label on all real images, then asks it again for every fold and for
    every control, some of them with other generated images. A network is then trained once, and
    the scores of a control come from the very detector that it is to judge.

    Attributes:
        fitted: what a label-free detector's fit() returned.
    """

    fitted: Detector
    _scores: dict = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)
    uses_labels: bool = dataclasses.field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.fitted.uses_labels:
            raise ValueError(f"{self.fitted.name} uses labels: it must be fitted for every fold.")

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return self.fitted.name

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return self.fitted.title

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns itself."""
        return self

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64, from memory where these generated images were seen."""
        known = self._scores.setdefault(contents(generated), {})
        # Of one content, images of two patients may be compared with others.
        keys = list(zip(candidates["digest"], candidates["patient"], strict=True))
        new = np.array([key not in known for key in keys], dtype=bool)
        if new.any():
            found = self.fitted.score(candidates[new].reset_index(drop=True), generated, store)
            known.update(zip((k for k, n in zip(keys, new, strict=True) if n), found, strict=True))
        return np.array([known[key] for key in keys], dtype=np.float64)
