"""What a detector is: fitted on real images, it scores others against generated ones."""

from collections.abc import Callable, Hashable
from typing import Protocol, Self, TypeVar

import numpy as np
import pandas as pd

T = TypeVar("T")


class ImageStore(Protocol):
    """What detectors read images from, such as a `pixels.PixelStore`."""

    def pixels(self, frame: pd.DataFrame) -> np.ndarray:
        """(len(frame), side * side) float32 gray values in [0, 1]."""
        ...

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make()` returned when it was first called for `key`."""
        ...


class Detector(Protocol):
    """What scores real images against generated ones.

    Attributes:
        name: its key in `DETECTORS`.
        title: for people, in lower case.
        uses_labels: whether fit() looks at labels; it must then not score what it was fitted on.
    """

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
        """Whether fit() looks at labels."""
        ...

    def prepare(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> "Detector":
        """Looks at all real images before cross-fitting, labels hidden; see `Unprepared`.

        Args:
            real: all real images, those to be scored among them; label is -1.
            generated: generated images.
            store: as in fit().

        Returns:
            A detector to be fitted.
        """
        ...

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> "Detector":
        """Learns from real images, and leaves the detector itself as it was.

        Args:
            labelled: real images; label is 1 or 0, or -1 for all if uses_labels is False.
            generated: generated images.
            store: gives images as vectors.

        Returns:
            A detector that scores: itself if there is nothing to learn, else a fitted copy.
        """
        ...

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """Scores real images; only what fit() returned can do it.

        Args:
            candidates: real images, whose labels are not looked at.
            generated: images of the generator that may have seen them.
            store: as in fit().

        Returns:
            (len(candidates),) finite float64, higher = used.
        """
        ...


class Unprepared:
    """A detector that has nothing to learn before it is fitted."""

    def prepare(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns itself."""
        return self
