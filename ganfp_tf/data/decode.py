"""Reading images inside a tf.data pipeline."""

import os

import numpy as np
import tensorflow as tf

from ganfp_tf.data import images
from ganfp_tf.data.images import DEFAULT_READER, ImageReader


def decode_encoded(encoded: tf.Tensor) -> tf.Tensor:
    """PNG or JPEG bytes -> (H, W, 3) float32 in [0, 255], in graph.

    Agrees with `ImageReader.decode` on the files that `images.is_fast` names.
    """
    return tf.cond(
        tf.io.is_jpeg(encoded), lambda: _decode_jpeg(encoded), lambda: _decode_png(encoded)
    )


def _decode_jpeg(encoded):
    # The settings of libjpeg that Pillow uses; TensorFlow's default transform is a faster one.
    pixels = tf.io.decode_jpeg(
        encoded, channels=3, fancy_upscaling=True, dct_method="INTEGER_ACCURATE"
    )
    return tf.cast(pixels, tf.float32)


def _decode_png(encoded):
    depth = tf.strings.substr(encoded, 24, 1)  # of a sample, in bits
    return tf.cond(
        tf.equal(depth, b"\x10"),
        lambda: tf.cast(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16), tf.float32) / 257.0,
        lambda: tf.cast(tf.io.decode_png(encoded, channels=3), tf.float32),
    )


def load_image(
    path: tf.Tensor, fast: tf.Tensor | bool, reader: ImageReader = DEFAULT_READER
) -> tf.Tensor:
    """Reads one image, in graph where it can be.

    Args:
        path: scalar string tensor.
        fast: scalar bool tensor, the catalog's column of that name; or True: no way through Python
            is built, which spares time where every image is fast.
        reader: reads what is not fast.

    Returns:
        (H, W, 3) float32 in [0, 255], static shape (None, None, 3).

    Raises:
        tf.errors.OpError: when the element is computed, where the file cannot be read any more
            (`images.ImageError` outside a graph).
    """

    def read(name):
        # Eagerly the path arrives as an array of no dimensions, in graph as bytes.
        name = os.fsdecode(name.item() if isinstance(name, np.ndarray) else name)
        try:
            return reader.read(name)
        except images.ImageError as error:
            raise images.ImageError(f"{name}: {error}") from error

    def in_graph():
        return decode_encoded(tf.io.read_file(path))

    if fast is True:
        pixels = in_graph()
    else:
        # Not stateful: else op determinism lets tf.data read one image after another.
        pixels = tf.cond(
            fast, in_graph, lambda: tf.numpy_function(read, [path], tf.float32, stateful=False)
        )
    return tf.ensure_shape(pixels, (None, None, 3))


def resize(image: tf.Tensor | np.ndarray, size: int) -> tf.Tensor:
    """(H, W, 3) or (B, H, W, 3) -> (size, size, 3) or (B, size, size, 3) float32 in [0, 255].

    Bilinear with antialiasing; the aspect ratio is not kept.
    """
    image = tf.cast(image, tf.float32)

    def resized(antialias):
        return tf.image.resize(image, (size, size), method="bilinear", antialias=antialias)

    # Antialiasing does nothing but where it shrinks, and takes about eight times as long.
    sides = image.shape[-3:-1]
    if sides.is_fully_defined():
        made = resized(max(sides) > size)
    else:
        made = tf.cond(
            tf.reduce_any(tf.shape(image)[-3:-1] > size),
            lambda: resized(True),
            lambda: resized(False),
        )
    return tf.clip_by_value(made, np.float32(0.0), np.float32(255.0))
