"""DiffAugment: the discriminator sees all images changed alike, differentiably (Zhao et al. 2020).

With few images it keeps the discriminator from learning them by heart; a victim trained with it
leaks less.
"""

from collections.abc import Sequence

import tensorflow as tf

SHIFT = 8  # a translation is at most a side / SHIFT
HOLE = 2  # a hole has the side / HOLE


def augment(images: tf.Tensor, policies: Sequence[str], seed: tf.Tensor) -> tf.Tensor:
    """Changes each image on its own, by draws that follow from `seed`.

    Args:
        images: `(batch, height, width, 1)` in [-1, 1].
        policies: names out of `POLICIES`, applied in their order.
        seed: int32 tensor `(2,)`.
    """
    for number, name in enumerate(policies, start=1):
        images = POLICIES[name](images, tf.random.experimental.stateless_fold_in(seed, number))
    return images


def color(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Brightness by up to 0.5 either way, then contrast by a factor of 0.5 to 1.5."""
    shape = (tf.shape(images)[0], 2, 1, 1)
    draws = tf.cast(tf.random.stateless_uniform(shape, seed, -0.5, 0.5), images.dtype)
    images += draws[:, :1]
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return (images - mean) * (draws[:, 1:] + 1.0) + mean


def translation(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Shifts by up to an eighth of the side in both directions; zeros come in."""
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    reach = (height // SHIFT, width // SHIFT)
    padded = tf.pad(images, [[0, 0], [reach[0]] * 2, [reach[1]] * 2, [0, 0]])
    draws = tf.random.stateless_uniform((count, 2), seed)
    starts = tf.cast(draws * (2.0 * tf.constant(reach, tf.float32) + 1.0), tf.int32)
    rows = starts[:, :1] + tf.range(height)
    columns = starts[:, 1:] + tf.range(width)
    padded = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(padded, columns, axis=2, batch_dims=1)


def cutout(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Sets a square of half the side to zero; its centre is anywhere in the image."""
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    draws = tf.random.stateless_uniform((count, 2), seed)
    rows = _outside(draws[:, :1], height)[:, :, None, None]
    columns = _outside(draws[:, 1:], width)[:, None, :, None]
    return images * tf.cast(rows | columns, images.dtype)


def _outside(centre, side):
    """(batch, side) bool: what is more than half a hole away from the centre."""
    distance = tf.abs(tf.range(side, dtype=tf.float32) + 0.5 - centre * side)
    return distance > side / HOLE / 2


POLICIES = {"color": color, "translation": translation, "cutout": cutout}
