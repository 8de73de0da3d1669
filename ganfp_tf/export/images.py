"""The images of a run that calibrate and check an export to small devices."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ganfp_tf.data import encode
from ganfp_tf.data.images import ImageReader
from ganfp_tf.data.split import split_of
from ganfp_tf.errors import UserError
from ganfp_tf.runs import run_folder

CALIBRATION = 64  # training images of each kind, real and generated, that set the 8-bit ranges
REAL_A_LABEL, GENERATED = 32, 32  # test images that the agreement is measured on, at most
BATCH = 16  # images decoded at once


@dataclasses.dataclass(frozen=True)
class Images:
    """Some images of a run, decoded.

    Attributes:
        real, generated: (n, S, S, 3) and (m, S, S, 3) float32 in [0, 255].
        frame: rows of the run's images.csv of the real ones.
    """

    real: np.ndarray
    generated: np.ndarray
    frame: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class RunImages:
    """Draws images of a run's main split, and decodes them.

    Attributes:
        folder: the run folder.
        size: S, in pixels.
        reader: reads the files.
        seed: the run's seed.
    """

    folder: Path
    size: int
    reader: ImageReader
    seed: int

    def calibration(self) -> Images:
        """Training images; no test image is among them."""
        return self._read("train", lambda real, rng: _drawn(real, CALIBRATION, rng), CALIBRATION)

    def test(self) -> Images:
        """Test images: real ones of both labels, and generated ones."""

        def both(real, rng):
            return pd.concat([_drawn(part, REAL_A_LABEL, rng) for _, part in real.groupby("label")])

        return self._read("test", both, GENERATED)

    def _read(self, part: str, choose_real: Callable, count: int) -> Images:
        frame = run_folder.read_images(self.folder)
        split = split_of(run_folder.read_splits(self.folder), "main")
        frame = frame[frame["path"].map(split) == part]
        rng = np.random.default_rng(self.seed)
        real = choose_real(frame[frame["role"] == "real"], rng)
        generated = _drawn(frame[frame["role"] == "generated"], count, rng)
        return Images(self._decode(real), self._decode(generated), real.reset_index(drop=True))

    def _decode(self, frame: pd.DataFrame) -> np.ndarray:
        for path, digest in zip(frame["path"], frame["digest"], strict=True):
            try:
                same = run_folder.digest_of(path) == digest
            except OSError as error:
                raise UserError(
                    f"{path} cannot be read: {error.strerror}. Ranges and agreement are measured "
                    "on the run's own images: bring them back, or take "
                    "--export_format=savedmodel."
                ) from error
            if not same:
                raise UserError(f"{path} has changed since the run was trained. Train anew.")
        images = encode.image_dataset(frame, self.size, reader=self.reader)
        return np.concatenate([batch.numpy() for batch in images.batch(BATCH)])


def _drawn(frame, count, rng):
    return frame.iloc[np.sort(rng.permutation(len(frame))[:count])]
