"""Perceptual hashes as a space. No TensorFlow."""

import dataclasses

import numpy as np
import pandas as pd
from scipy import fft

from ganfp_tf.data.pixels import shrink
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.detectors.spaces.base import Vectors
from ganfp_tf.detectors.spaces.hand_made import per_image


@dataclasses.dataclass(frozen=True)
class HashSpace:
    """The perceptual hash of the discrete cosine transform (pHash), a bit a number.

    The paper's reference 8 (Subburam et al. 2023, CLEF) hashes images to judge generated ones.
    The image is reduced by area to 4 `bits` pixels a side and transformed; a bit says whether one
    of the `bits` x `bits` lowest frequencies lies above their median. The squared root mean square
    distance of two hashes is their Hamming distance as a share of all bits.

    Attributes:
        bits: frequencies along a side.
    """

    bits: int = 8

    @property
    def name(self) -> str:
        """Part of the names of detectors."""
        return "hash" if self.bits == 8 else f"hash{self.bits}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"perceptual hashes of {self.bits**2} bits"

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Returns `Vectors` of bits * bits zeros and ones; there is nothing to learn."""

        def vectors(frame):
            return per_image(frame, store, ("hash", self.bits), self.hashes)

        return Vectors(vectors, vectors)

    def hashes(self, images: np.ndarray) -> np.ndarray:
        """(n, side, side) gray values -> (n, bits * bits) float32 of zeros and ones."""
        side = 4 * self.bits
        small = np.empty((len(images), side, side))
        for place, image in enumerate(images):
            small[place] = shrink(image, side)
        low = fft.dctn(small, axes=(1, 2))[:, : self.bits, : self.bits]
        low = low.reshape(len(images), self.bits**2)
        return (low > np.median(low, axis=1, keepdims=True)).astype("float32")
