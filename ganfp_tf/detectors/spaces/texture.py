"""Texture statistics, as texture analysis of ImageCLEF's images used them. No TensorFlow."""

import dataclasses

import numpy as np
import pandas as pd
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.detectors.spaces.base import Vectors
from ganfp_tf.detectors.spaces.hand_made import per_image, standardised

PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)


@dataclasses.dataclass(frozen=True)
class TextureSpace:
    """Co-occurrence (GLCM) properties and local binary patterns (LBP) of gray images.

    After the paper's reference 7 (Ghazi and Ghazi 2023, CLEF), which compared distributions of
    texture maps of real and generated images. Co-occurrence: Haralick et al. 1973; the PROPERTIES
    of scikit-image at each distance and angle. LBP: Ojala et al. 2002; histograms of the rotation
    invariant uniform patterns in `grid` x `grid` cells. Each number is standardised over the real
    images of fit() for real images, over its generated images for generated ones.

    Attributes:
        levels: gray levels of the co-occurrence matrix.
        offsets: distances of co-occurring pixels, in pixels of the store.
        radii: of the LBP circles, in pixels; a circle of radius r has 8 r points.
        grid: cells along a side. 1 takes the histograms of the whole image, as the reference does.
    """

    levels: int = 32
    offsets: tuple[int, ...] = (1, 2, 4)
    radii: tuple[int, ...] = (1, 2)
    grid: int = 1
    name: str = dataclasses.field(default="texture", init=False)
    title: str = dataclasses.field(default="texture (GLCM and LBP)", init=False)

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Takes both domains' statistics; those of images that are not there are not needed yet."""

        def features(frame):
            return per_image(frame, store, (self.name, self), self.features)

        return standardised(features, real, generated, self.name)

    def features(self, images: np.ndarray) -> np.ndarray:
        """(n, side, side) gray values in [0, 1] -> (n, d) float32, not standardised.

        d is 6 len(offsets) 4 + grid^2 sum over radii of (8 r + 2).
        """
        gray = quantised(images, self.levels)
        # LBP compares interpolated values: of integers, equal ones come out equal.
        fine = quantised(images, 256)
        width = 6 * len(self.offsets) * len(ANGLES)
        width += self.grid**2 * sum(8 * radius + 2 for radius in self.radii)
        rows = np.empty((len(images), width), "float32")
        for place in range(len(images)):
            patterns = [self._patterns(fine[place], radius) for radius in self.radii]
            rows[place] = np.concatenate([self._cooccurrence(gray[place]), *patterns])
        return rows

    def _cooccurrence(self, gray):
        matrix = graycomatrix(gray, self.offsets, ANGLES, self.levels, symmetric=True, normed=True)
        return np.concatenate([graycoprops(matrix, each).ravel() for each in PROPERTIES])

    def _patterns(self, gray, radius):
        bins = 8 * radius + 2
        codes = local_binary_pattern(gray, 8 * radius, radius, method="uniform").astype(int)
        cell = np.arange(len(gray)) * self.grid // len(gray)
        cells = cell[:, None] * self.grid + cell
        counts = np.bincount((cells * bins + codes).ravel(), minlength=self.grid**2 * bins)
        counts = counts.reshape(self.grid**2, bins)
        return (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).ravel()


def quantised(images: np.ndarray, levels: int) -> np.ndarray:
    """Gray values in [0, 1] -> uint8 levels of equal width, 0 to levels - 1."""
    return np.clip(images * levels, 0, levels - 1).astype("uint8")
