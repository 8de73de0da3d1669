"""Spectra and noise residuals, where generators leave fingerprints. No TensorFlow.

After the paper's references 1 to 3. Its references 4 (fingerprints without content), 5 (a detector
that learns new generators one by one) and 6 (transfer learning) train networks to tell generated
images from real ones or generators apart; nothing of theirs is a membership signal of its own.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy import fft, ndimage
from scipy.sparse import coo_array

from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.detectors.spaces.base import Vectors
from ganfp_tf.detectors.spaces.hand_made import per_image, standardised

POWER = 1e-11
"""Added to spectral power before its logarithm; rounding to 255 gray levels leaves 4e-11."""


@dataclasses.dataclass(frozen=True)
class FrequencySpace:
    """The log power spectrum, averaged over rings (radially) and over wedges (azimuthally).

    Spectra give generated images away by what upsampling leaves at high frequencies (the paper's
    reference 3, Liu et al. 2022, learns noise patterns in the frequency domain). Standardised in
    each domain apart, what all generated images share is taken out, and what is left is how the
    spectrum of an image differs from others'. The mean is taken off and a Hann window multiplied
    in first, so that edges of the image are no edges of the spectrum.

    Attributes:
        wedges: of the half circle; spectra of real images are symmetric.
    """

    wedges: int = 18
    name: str = dataclasses.field(default="frequency", init=False)
    title: str = dataclasses.field(default="radial and azimuthal log power spectra", init=False)

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Takes both domains' statistics; those of images that are not there are not needed yet."""

        def features(frame):
            return per_image(frame, store, (self.name, self), self.features)

        return standardised(features, real, generated, self.name)

    def features(self, images: np.ndarray) -> np.ndarray:
        """(n, side, side) gray values -> (n, side // 2 + wedges) float32, not standardised.

        First the rings of radius 1 to side // 2 periods an image, then the wedges from 0 to 180
        degrees, over the same frequencies. What lies farther out, in the corners, is left out.
        """
        side = images.shape[1]
        window = np.hanning(side + 2)[1:-1]
        centred = images - images.mean(axis=(1, 2), keepdims=True)
        power = np.abs(fft.fft2(centred * np.outer(window, window))) ** 2 / side**4
        logs = np.log(power + POWER).reshape(len(images), -1)
        vertical, horizontal = np.meshgrid(*2 * [fft.fftfreq(side, 1 / side)], indexing="ij")
        ring = np.rint(np.hypot(vertical, horizontal)).astype(int).ravel()
        angle = np.arctan2(vertical, horizontal).ravel() % np.pi
        wedge = np.minimum((angle / np.pi * self.wedges).astype(int), self.wedges - 1)
        inside = (ring >= 1) & (ring <= side // 2)
        rings = _means(logs[:, inside], ring[inside] - 1, side // 2)
        return np.hstack([rings, _means(logs[:, inside], wedge[inside], self.wedges)])


@dataclasses.dataclass(frozen=True)
class NoiseResidualSpace:
    """Noise residuals at their places, each domain's mean residual taken off.

    The residual, image minus its median-filtered self, is where camera and GAN fingerprints lie
    (the paper's reference 1, Marra et al. 2019; reference 2, Yu et al. 2019, learns them). What
    all generated images share, their fingerprint, tells which generator, not which training image:
    the mean of each domain is taken off. Vectors have the length sqrt(d / 2), d their pixels, so
    that the root mean square distance is sqrt(1 - correlation).

    Attributes:
        size: side of the median filter, in pixels of the store.
    """

    size: int = 3
    name: str = dataclasses.field(default="residual", init=False)
    title: str = dataclasses.field(default="noise residuals", init=False)

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Takes both domains' mean residuals."""

        def centred(reference):
            mean = np.float32(0.0)
            if len(reference):
                mean = mean_residual(reference, store, self.size).astype("float32")

            def vectors(frame):
                rows = residuals(store.pixels(frame), self.size) - mean
                return unit_rows(rows) * np.float32(np.sqrt(rows.shape[1] / 2))

            return vectors

        return Vectors(centred(real), centred(generated))


def residuals(pixels: np.ndarray, size: int) -> np.ndarray:
    """(n, side * side) gray values -> what a median filter of `size` takes away, same shape."""
    side = round(pixels.shape[1] ** 0.5)
    images = pixels.reshape(len(pixels), side, side)
    smooth = ndimage.median_filter(images, (1, size, size), mode="nearest")
    return (images - smooth).reshape(len(pixels), -1)


def mean_residual(frame: pd.DataFrame, store: ImageStore, size: int) -> np.ndarray:
    """Mean residual of the images of `frame`: (side * side,) float64, whatever their order."""

    def mean():
        return residuals(store.pixels(frame.sort_values("digest")), size).mean(0, dtype="float64")

    return store.keep(("mean residual", size, contents(frame)), mean)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their length; rows of zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def _means(values, group, count):
    """Means of the columns of each group: (n, columns), (columns,) of 0..count-1 -> (n, count)."""
    columns = np.arange(len(group))
    size = np.maximum(np.bincount(group, minlength=count), 1)
    # Sparse, each row is summed alone and in one order: a dense product rounds by its neighbours.
    members = coo_array((1.0 / size[group], (group, columns)), shape=(count, len(group)))
    return (members.tocsr() @ values.T).T.astype("float32")
