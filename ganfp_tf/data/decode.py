"""Reading images inside a tf.data pipeline."""

import os

import numpy as np
import tensorflow as tf

from ganfp_tf.data import images


def decode_encoded(encoded):
    """PNG or JPEG bytes -> (H, W, 3) float32 in [0, 255], in graph.

    Agrees with `images.decode` on the files that `images.is_fast` names.
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
    # As 16 bits, 8-bit samples are multiplied by 257: one division is exact for both depths.
    pixels = tf.io.decode_png(encoded, channels=3, dtype=tf.uint16)
    return tf.cast(pixels, tf.float32) / 257.0


def load_image(path, fast, *, window=None, nifti_slice=-1):
    """Reads one image, in graph where it can be.

    Args:
        path: scalar string tensor.
        fast: scalar bool tensor, the catalog's column of that name.
        window: (center, width) for DICOM and NIfTI, or None.
        nifti_slice: axial slice of NIfTI volumes; -1 is the middle one.

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
            return images.read_image(name, window=window, nifti_slice=nifti_slice)
        except images.ImageError as error:
            raise images.ImageError(f"{name}: {error}") from error

    pixels = tf.cond(
        fast,
        lambda: decode_encoded(tf.io.read_file(path)),
        lambda: tf.numpy_function(read, [path], tf.float32),
    )
    return tf.ensure_shape(pixels, (None, None, 3))


def resize(image, size):
    """(H, W, 3) or (B, H, W, 3) -> (size, size, 3) or (B, size, size, 3) float32 in [0, 255].

    Bilinear with antialiasing; the aspect ratio is not kept.
    """
    resized = tf.image.resize(image, (size, size), method="bilinear", antialias=True)
    return tf.clip_by_value(tf.cast(resized, tf.float32), np.float32(0.0), np.float32(255.0))
