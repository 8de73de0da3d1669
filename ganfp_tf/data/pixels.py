"""Gray pixels of images, each content read once. No TensorFlow."""

import concurrent.futures
import dataclasses
import hashlib
import os
import warnings
from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np
import pandas as pd
from PIL import Image

from ganfp_tf.data import images
from ganfp_tf.data.cache import DigestCache
from ganfp_tf.data.images import DEFAULT_READER, ImageReader
from ganfp_tf.errors import UserError

ADDED = 2**14  # images that `PixelStore.add` takes: 256 MiB of 64 x 64 pixels
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class PixelStore:
    """Gray pixels of images; a content is read once, however many detectors ask for it.

    Attributes:
        side: images are resized to side x side pixels: by area where they shrink (each pixel the
            mean of what it covers), else bilinearly. Proportions are not kept.
        reader: reads the images.
        folder: where spaces that train a network keep it, interrupted or done; None: nowhere.
    """

    side: int = 64
    reader: ImageReader = DEFAULT_READER
    folder: str | None = None
    _rows: DigestCache = dataclasses.field(
        default_factory=DigestCache, init=False, repr=False, compare=False
    )
    _kept: dict = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make()` returned when it was first asked for under `key`.

        Detectors share through it what is costly and depends on images alone, such as principal
        components. The key must name everything that the result depends on; see `contents`.
        """
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def add(self, digest: str, pixels: np.ndarray) -> None:
        """Takes the (H, W, 3) pixels of an image that was decoded for its catalog.

        More than `ADDED` images are not taken: they are read again if they are asked for.
        """
        if len(self._rows.rows) < ADDED:
            self._rows.rows[digest] = self._row(pixels)

    def pixels(self, frame: pd.DataFrame) -> np.ndarray:
        """Gray values (mean of the channels) of the images of `frame`.

        Args:
            frame: DataFrame with path and digest (SHA-256 of the file).

        Returns:
            (len(frame), side * side) float32 in [0, 1], row by row.

        Raises:
            UserError: a file cannot be read, or has changed since the frame was made.
        """
        return self._rows.get(frame, self._read_all)

    def _read_all(self, frame):
        workers = min(8, os.cpu_count() or 1)
        with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
            # Libraries warn of odd tags and missing headers, which the catalog has judged.
            warnings.simplefilter("ignore")
            try:
                rows = list(pool.map(self._read, frame["path"], frame["digest"]))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return np.array(rows, "float32").reshape(len(frame), self.side**2)

    def _read(self, path, digest):
        try:
            data = images.read_bytes(path)
            pixels = self.reader.decode(data)
        except images.ImageError as error:
            raise UserError(f"{path} cannot be read: {error}.") from error
        # Under the wrong digest it would be taken for another image ever after.
        if hashlib.sha256(data).hexdigest() != digest:
            raise UserError(f"{path} has changed since the data were listed. Start anew.")
        return self._row(pixels)

    def _row(self, pixels):
        return shrink(pixels.mean(axis=2) / 255.0, self.side).ravel()


def contents(frame: pd.DataFrame) -> str:
    """A short text that is the same for the same images in any order, as a part of keys."""
    listed = "".join(sorted(frame["digest"])).encode()
    return hashlib.sha256(listed).hexdigest()[:16]


def shrink(gray: np.ndarray, side: int) -> np.ndarray:
    """Resizes a gray image (H, W) to (side, side) float32, as `PixelStore` says."""
    image = Image.fromarray(np.asarray(gray, "float32"))
    shrinks = min(image.size) >= side
    resampling = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(image.resize((side, side), resampling))
