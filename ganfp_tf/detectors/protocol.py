"""What a detector is: fitted on real images, it scores others against generated ones."""

from typing import Protocol

import numpy as np
import pandas as pd


class Detector(Protocol):
    """What scores real images against generated ones."""

    @property
    def name(self) -> str:
        """Its key in `DETECTORS`."""
        ...

    @property
    def title(self) -> str:
        """For people, in lower case."""
        ...

    @property
    def uses_labels(self) -> bool:
        """Whether fit() looks at labels; it must then not score what it was fitted on."""
        ...

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store) -> "Detector":
        """Learns from real images, and leaves the detector itself as it was.

        Args:
            labelled: real images; label is 1 or 0, or -1 for all where uses_labels is False.
            generated: generated images.
            store: gives images as vectors, such as a `spaces.PixelStore`.

        Returns:
            A detector that scores: itself where there is nothing to learn, else a fitted copy.
        """
        ...

    def score(self, candidates: pd.DataFrame, generated: pd.DataFrame, store) -> np.ndarray:
        """Scores real images; only what fit() returned can do it.

        Args:
            candidates: real images, whose labels are not looked at.
            generated: images of the generator that may have seen them.
            store: as in fit().

        Returns:
            (len(candidates),) finite float64, higher = used.
        """
        ...
