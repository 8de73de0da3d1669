"""The spaces that images are compared in, and distances in them. No TensorFlow."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import warnings
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from sklearn.decomposition import PCA

from ganfp_tf.data import images
from ganfp_tf.errors import UserError

ROWS, COLUMNS = 512, 1024  # vectors of either side that are held in float64 at once


@dataclasses.dataclass(frozen=True)
class PixelStore:
    """Gray pixels of images; a content is read once, however many detectors ask for it.

    Attributes:
        side: images are resized to side x side pixels: by area where they shrink (each pixel the
            mean of what it covers), else bilinearly. Proportions are not kept.
        window: (center, width) of DICOM and NIfTI intensities, or None.
        nifti_slice: axial slice of NIfTI volumes; -1 is the middle one.
        folder: where spaces that train a network keep it, interrupted or done; None: nowhere.
    """

    side: int = 64
    window: tuple[float, float] | None = None
    nifti_slice: int = -1
    folder: str | None = None
    _rows: dict = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)
    _kept: dict = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def keep(self, key, make):
        """What `make()` returned when it was first asked for under `key`.

        Detectors share through it what is costly and depends on images alone, such as principal
        components. The key must name everything that the result depends on; see `contents`.
        """
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def pixels(self, frame):
        """Gray values (mean of the channels) of the images of `frame`.

        Args:
            frame: DataFrame with path and digest (SHA-256 of the file).

        Returns:
            (len(frame), side * side) float32 in [0, 1], row by row.

        Raises:
            UserError: a file cannot be read, or has changed since the frame was made.
        """
        new = frame[~frame["digest"].isin(self._rows.keys())].drop_duplicates("digest")
        if len(new):
            workers = min(8, os.cpu_count() or 1)
            with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
                # Libraries warn of odd tags and missing headers, which the catalog has judged.
                warnings.simplefilter("ignore")
                try:
                    read = pool.map(self._read, new["path"], new["digest"])
                    self._rows.update(zip(new["digest"], read, strict=True))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        found = np.empty((len(frame), self.side**2), "float32")
        for place, digest in enumerate(frame["digest"]):
            found[place] = self._rows[digest]
        return found

    def _read(self, path, digest):
        try:
            data = images.read_bytes(path)
            pixels = images.decode(data, window=self.window, nifti_slice=self.nifti_slice)
        except images.ImageError as error:
            raise UserError(f"{path} cannot be read: {error}.") from error
        # Under the wrong digest it would be taken for another image ever after.
        if hashlib.sha256(data).hexdigest() != digest:
            raise UserError(f"{path} has changed since the data were listed. Start anew.")
        return shrink(pixels.mean(axis=2) / 255.0, self.side).ravel()


def contents(frame):
    """A short text that is the same for the same images in any order, as a part of keys."""
    listed = "".join(sorted(frame["digest"])).encode()
    return hashlib.sha256(listed).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Vectors:
    """What a space makes of images: both functions take a frame and return (len, d) float32."""

    real: Callable[[pd.DataFrame], np.ndarray]
    generated: Callable[[pd.DataFrame], np.ndarray]


class Space(Protocol):
    """Where images are compared.

    Attributes:
        name: the end of the names of its detectors.
        title: for people, after "in".
    """

    name: str
    title: str

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store) -> Vectors:
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

    def learn(self, real: pd.DataFrame, generated: pd.DataFrame, store) -> Space:
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
    def name(self):
        return f"blur{self.blur:g}" if self.blur else "pixels"

    @property
    def title(self):
        return f"pixels smoothed by {self.blur:g}" if self.blur else "pixels"

    def fit(self, real, generated, store):
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
    def title(self):
        return f"{self.count} principal components of the generated images"

    def fit(self, real, generated, store):
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


def shrink(gray, side):
    """Resizes a gray image (H, W) to (side, side) float32, as `PixelStore` says."""
    image = Image.fromarray(np.asarray(gray, "float32"))
    shrinks = min(image.size) >= side
    resampling = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(image.resize((side, side), resampling))


def distance_rows(left, right, *, rows=ROWS, columns=COLUMNS):
    """Distances between vectors, a block of rows at a time, so that memory stays bounded.

    Computed in float64 from |a|^2 + |b|^2 - 2 ab: equal vectors come out below 1e-7, not always 0.

    Args:
        left: (n, d) float32.
        right: (m, d) float32.
        rows: rows of a block.
        columns: vectors of `right` that are multiplied at once.

    Yields:
        (slice of `left`, (rows, m) float64): root mean square difference over the d components,
        for pixels in gray values from 0 to 1.
    """
    size = left.shape[1]
    starts = range(0, len(right), columns)
    squares = functools.partial(np.einsum, "ij,ij->i")
    for start in range(0, len(left), rows):
        part = slice(start, start + rows)
        a = left[part].astype("float64")
        block = np.empty((len(a), len(right)))
        for begin in starts:
            b = right[begin : begin + columns].astype("float64")
            squared = squares(a, a)[:, None] + squares(b, b) - 2.0 * (a @ b.T)
            block[:, begin : begin + columns] = squared
        yield part, np.sqrt(np.maximum(block, 0.0, out=block) / size)
