"""The images of a run that an export to small devices looks at, to calibrate and to check."""

import dataclasses

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


def calibration_images(folder, config):
    """Training images of the main split, drawn by the run's seed; no test image is among them."""
    return _read(
        folder, config, "train", lambda real, rng: _drawn(real, CALIBRATION, rng), CALIBRATION
    )


def test_images(folder, config):
    """Test images of the main split: real ones of both labels, and generated ones."""

    def both(real, rng):
        return pd.concat([_drawn(part, REAL_A_LABEL, rng) for _, part in real.groupby("label")])

    return _read(folder, config, "test", both, GENERATED)


def _read(folder, config, part, choose_real, count):
    frame = run_folder.read_images(folder)
    split = split_of(run_folder.read_splits(folder), "main")
    frame = frame[frame["path"].map(split) == part]
    rng = np.random.default_rng(config.seed)
    real = choose_real(frame[frame["role"] == "real"], rng)
    generated = _drawn(frame[frame["role"] == "generated"], count, rng)
    return Images(_decoded(real, config), _decoded(generated, config), real.reset_index(drop=True))


def _drawn(frame, count, rng):
    return frame.iloc[np.sort(rng.permutation(len(frame))[:count])]


def _decoded(frame, config):
    for path, digest in zip(frame["path"], frame["digest"], strict=True):
        try:
            same = run_folder.digest_of(path) == digest
        except OSError as error:
            raise UserError(
                f"{path} cannot be read: {error.strerror}. Ranges and agreement are measured on "
                "the run's own images: bring them back, or take --export_format=savedmodel."
            ) from error
        if not same:
            raise UserError(f"{path} has changed since the run was trained. Train anew.")
    images = encode.image_dataset(frame, config.image_size, reader=ImageReader.of(config))
    return np.concatenate([batch.numpy() for batch in images.batch(BATCH)])
