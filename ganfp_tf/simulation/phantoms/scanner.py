"""A CT scanner in one slice: attenuation, projections, photon noise, filtered back projection.

HU and attenuation: Kak and Slaney, "Principles of Computerized Tomographic Imaging" (1988),
chapters 3 and 4; photon noise as Poisson counts of Beer-Lambert transmission.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from skimage.transform import iradon, radon

WATER = 0.0195  # attenuation of water at about 70 keV, per mm
WINDOW = (-300.0, 1500.0)  # centre and width in HU: a lung window that keeps the mediastinum


@dataclass(frozen=True)
class Scanner:
    """What a scanner does to a slice.

    photons: incident photons a detector bin and view; None for the low dose whose noise is mild at
        every image size; infinity for no noise.
    views: angles over half a turn; None for 1.5 an image column, at least 120.
    blur: standard deviation of the detector's blur, in bins.
    filter: name of iradon's filter ("ramp", "shepp-logan", "cosine", "hamming", "hann").
    """

    photons: float | None = None
    views: int | None = None
    blur: float = 0.5
    filter: str = "hann"

    def scan(self, hu: np.ndarray, field: float, rng: np.random.Generator) -> np.ndarray:
        """Images a slice.

        Args:
            hu: (2n, 2n) slice in HU, at twice the resolution of the image.
            field: side of the slice in mm; what lies outside its inscribed circle is not seen.
            rng: numpy Generator of the photon noise.

        Returns:
            (n, n) image in HU, -1000 outside the circle.
        """
        hu = np.asarray(hu, float)
        fine = hu.shape[0]
        if hu.shape != (fine, fine) or fine % 2:
            raise ValueError(f"scan: hu must be square with an even side. Received: {hu.shape}")
        pixel = field / fine
        rows, columns = np.ogrid[:fine, :fine]
        # radon() wants zeros outside the circle about pixel fine // 2.
        seen = (rows - fine // 2) ** 2 + (columns - fine // 2) ** 2 < (fine // 2 - 1) ** 2
        attenuation = np.where(seen, WATER * np.maximum(1 + hu / 1000, 0), 0.0)
        views = self.views or max(120, 3 * fine // 4)
        angles = np.arange(views) * 180.0 / views
        paths = radon(attenuation, angles, circle=True) * pixel  # (bins, views), no unit
        if self.blur:
            # The detector blurs what arrives at it, not its logarithm.
            paths = -np.log(gaussian_filter1d(np.exp(-paths), self.blur, axis=0))
        photons = low_dose(fine // 2) if self.photons is None else self.photons
        if np.isfinite(photons):
            # One photon is the least that a logarithm can take.
            counts = np.maximum(rng.poisson(photons * np.exp(-paths)), 1)
            paths = np.log(photons / counts)
        image = iradon(paths / pixel, angles, filter_name=self.filter, circle=True)
        image = np.where(seen, 1000 * (image / WATER - 1), -1000.0)
        return image.reshape(fine // 2, 2, fine // 2, 2).mean(axis=(1, 3))


def low_dose(size: int) -> float:
    """Photons a bin that give noise of 10 to 20 HU in the middle of a chest, at any image size."""
    return 500.0 * size


def window(hu: np.ndarray, centre: float = WINDOW[0], width: float = WINDOW[1]) -> np.ndarray:
    """HU as grey: uint8, 0 at centre - width / 2 and below, 255 at centre + width / 2 and above."""
    if width <= 0:
        raise ValueError(f"window: width must be positive. Received: width={width}")
    grey = (np.asarray(hu, float) - (centre - width / 2)) / width * 255
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)
