"""A small encoder that is trained from scratch: five convolutions at 32x32, positions kept.

What a GAN repeats of an image lies at low spatial frequencies and in where things are: more
resolution or depth made it slower, not better (docs/detection.md).
"""

import keras

GRID = 32  # pixels a side after the pooling, at least; larger images are averaged down to it
CHANNELS = 32
WIDTH = 32


def build_network(size: int) -> keras.Model:
    """Makes scaled pixels (B, S, S, 3) -> features (B, S', S', 32); S' is 8 for S = 32, 64, 96, ...

    Args:
        size: side S of the images in pixels, at least 32.
    """
    x = inputs = keras.Input((size, size, 3), name="scaled")
    if size >= 2 * GRID:
        x = keras.layers.AveragePooling2D(size // GRID, name="shrink")(x)
    x = _convolve(CHANNELS, 5, 2, "stem")(x)
    x = keras.layers.Activation("gelu", name="stem_gelu")(x)
    x = _block(x, CHANNELS, 1, "block1")
    x = _block(x, 2 * CHANNELS, 2, "block2")
    x = keras.layers.Add(name="block3_add")([x, _block(x, 2 * CHANNELS, 1, "block3")])
    x = keras.layers.Conv2D(WIDTH, 1, name="top_conv")(x)
    return keras.Model(inputs, x, name="network")


def _convolve(channels, side, stride, name):
    return keras.layers.Conv2D(channels, side, stride, padding="same", name=f"{name}_conv")


def _block(x, channels, stride, name):
    x = _convolve(channels, 3, stride, name)(x)
    # Of each image alone: statistics of a batch would depend on who else is in it.
    x = keras.layers.GroupNormalization(4, name=f"{name}_norm")(x)
    return keras.layers.Activation("gelu", name=f"{name}_gelu")(x)
