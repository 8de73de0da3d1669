"""Latents in, images out."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

CHUNK = 64  # images generated at once
STREAM = 7  # of random numbers


def latents(width: int, count: int, seed: int) -> np.ndarray:
    """`(count, width)` float32, standard normal; the first of them do not depend on the count."""
    return np.random.default_rng([seed, STREAM]).normal(size=(count, width)).astype("float32")


def generate(generator: "keras.Model", count: int, seed: int) -> np.ndarray:
    """`count` images of a generator, `(count, size, size)` uint8."""
    drawn = latents(generator.input_shape[-1], count, seed)
    chunks = [drawn[start : start + CHUNK] for start in range(0, count, CHUNK)]
    return np.concatenate([to_bytes(generator.predict_on_batch(chunk)) for chunk in chunks])


def to_bytes(images: np.ndarray) -> np.ndarray:
    """`(N, size, size, 1)` in [-1, 1] -> `(N, size, size)` uint8."""
    shades = np.rint((np.asarray(images, "float64")[..., 0] + 1.0) * 127.5)
    return np.clip(shades, 0, 255).astype("uint8")


def to_unit(images: np.ndarray) -> np.ndarray:
    """The other way: `(N, size, size)` uint8 -> `(N, size, size, 1)` float32 in [-1, 1]."""
    return np.asarray(images, "float32")[..., None] / 127.5 - 1.0
