"""The spaces that images are compared in, and distances in them. No TensorFlow."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy import ndimage
from sklearn.decomposition import PCA

from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors.protocol import ImageStore


@dataclasses.dataclass(frozen=True)
class Vectors:
    """What a space makes of images: both functions take a frame and return (len, d) float32."""

    real: Callable[[pd.DataFrame], np.ndarray]
    generated: Callable[[pd.DataFrame], np.ndarray]


class Space(Protocol):
    """Where images are compared."""

    @property
    def name(self) -> str:
        """The end of the names of its detectors."""
        ...

    @property
    def title(self) -> str:
        """For people, after "in"."""
        ...

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Learns from images; no label is looked at.

        Args:
            real: real images to learn from; may be empty where a space does not need them.
            generated: generated images to learn from.
            store: a `PixelStore`.
        """
        ...


@runtime_checkable
class LearnedSpace(Space, Protocol):
    """A space that learns more than statistics: a detector's fit() lets it learn once.

    Scored against other generated images, a shadow's for example, it stays what it is.
    """

    def learn(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Space:
        """Returns the space that has learned from these images; arguments as of fit()."""
        ...


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Gray values, smoothed or not.

    Attributes:
        blur: standard deviation of the Gaussian that smooths, in pixels of the store; 0 leaves it
            out. What a GAN repeats of an image lies at low spatial frequencies.
    """

    blur: float = 0.0

    @property
    def name(self) -> str:
        """Part of the names of detectors."""
        return f"blur{self.blur:g}" if self.blur else "pixels"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"pixels smoothed by {self.blur:g}" if self.blur else "pixels"

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Returns `Vectors` of side * side gray values in [0, 1]; there is nothing to learn."""
        if not self.blur:
            return Vectors(store.pixels, store.pixels)

        def smoothed(frame):
            rows = store.pixels(frame).reshape(len(frame), store.side, store.side)
            widths = (0.0, self.blur, self.blur)
            return ndimage.gaussian_filter(rows, widths, mode="nearest").reshape(len(frame), -1)

        return Vectors(smoothed, smoothed)


PIXELS = Pixels()


@dataclasses.dataclass(frozen=True)
class GeneratedComponents:
    """Principal components of the generated images, in pixels.

    Directions in which the generator does not vary, it cannot copy; leaving them out leaves noise
    out. Distances in it are root mean squares over the components, not over the pixels.

    Attributes:
        count: components, fewer where there are fewer images.
    """

    count: int = 60
    name: str = dataclasses.field(default="components", init=False)

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"{self.count} principal components of the generated images"

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Fits the components to `generated`, in the order of their digests."""
        key = (self.name, self.count, contents(generated))
        model = store.keep(key, lambda: self._fitted(generated, store))

        def project(frame):
            return model.transform(store.pixels(frame)).astype("float32")

        return Vectors(project, project)

    def _fitted(self, generated, store):
        rows = store.pixels(generated.sort_values("digest"))
        count = min(self.count, *rows.shape)
        return PCA(count, svd_solver="randomized", random_state=0).fit(rows)
