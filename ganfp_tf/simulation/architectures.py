"""Generators and discriminators of victims, each a functional Keras model."""

import dataclasses
import math
from collections.abc import Callable

import keras
from keras import layers

START = 4  # side of the first feature map
SLOPE = 0.2  # of the leaky ReLU (Radford et al. 2016, section 3)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """How a victim's two networks are made.

    Attributes:
        generator: `(size, latent, channels) -> keras.Model`: `(batch, latent)` to
            `(batch, size, size, 1)` in [-1, 1].
        discriminator: `(size, channels) -> keras.Model`: `(batch, size, size, 1)` to
            `(batch, 1)`, a logit, higher = real.
    """

    generator: Callable
    discriminator: Callable


def dcgan_generator(size, latent, channels):
    """Transposed convolutions with batch normalisation (Radford et al. 2016)."""
    widths = _widths(size, channels)
    inputs = keras.Input((latent,), name="latent")
    x = layers.Dense(START * START * widths[0], use_bias=False)(inputs)
    x = layers.Reshape((START, START, widths[0]))(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for width in widths[1:]:
        x = layers.Conv2DTranspose(width, 4, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same")(x)
    return keras.Model(inputs, _to_image(x), name="dcgan_generator")


def dcgan_discriminator(size, channels):
    """Strided convolutions; no batch normalisation, which R1's single images do not allow."""
    inputs = keras.Input((size, size, 1), name="image")
    x = inputs
    for width in reversed(_widths(size, channels)):
        x = layers.Conv2D(width, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(SLOPE)(x)
    return keras.Model(inputs, _to_logit(x), name="dcgan_discriminator")


def residual_generator(size, latent, channels):
    """Upsampling residual blocks, each scaled and shifted by a style mapped from the latent.

    Modulation as in StyleGAN (Karras et al. 2019, section 2: a mapping network, an affine map for
    each layer, normalised features), blocks as in BigGAN (Brock et al. 2019, appendix B), at a size
    that a CPU can train.
    """
    widths = _widths(size, channels)
    inputs = keras.Input((latent,), name="latent")
    style = inputs
    for _ in range(2):
        style = layers.LeakyReLU(SLOPE)(layers.Dense(latent)(style))
    x = layers.Dense(START * START * widths[0])(inputs)
    x = layers.Reshape((START, START, widths[0]))(x)
    for width in [*widths[1:], widths[-1]]:
        shortcut = layers.Conv2D(width, 1, use_bias=False)(layers.UpSampling2D()(x))
        y = layers.UpSampling2D()(layers.LeakyReLU(SLOPE)(_modulate(x, style)))
        y = layers.Conv2D(width, 3, padding="same")(y)
        y = layers.LeakyReLU(SLOPE)(_modulate(y, style))
        y = layers.Conv2D(width, 3, padding="same")(y)
        x = layers.Add()([shortcut, y])
    x = layers.LeakyReLU(SLOPE)(_modulate(x, style))
    x = layers.Conv2D(1, 3, padding="same")(x)
    return keras.Model(inputs, _to_image(x), name="residual_generator")


def residual_discriminator(size, channels):
    """Residual blocks that halve the side by averaging (Brock et al. 2019, appendix B)."""
    inputs = keras.Input((size, size, 1), name="image")
    widths = list(reversed(_widths(size, channels)))
    x = layers.Conv2D(widths[0], 3, padding="same")(inputs)
    for width in widths:
        shortcut = layers.Conv2D(width, 1, use_bias=False)(layers.AveragePooling2D(2)(x))
        y = layers.Conv2D(width, 3, padding="same")(layers.LeakyReLU(SLOPE)(x))
        y = layers.AveragePooling2D(2)(layers.LeakyReLU(SLOPE)(y))
        y = layers.Conv2D(width, 3, padding="same")(y)
        x = layers.Add()([shortcut, y])
    return keras.Model(inputs, _to_logit(layers.LeakyReLU(SLOPE)(x)), name="residual_discriminator")


ARCHITECTURES = {
    "dcgan": Architecture(dcgan_generator, dcgan_discriminator),
    "residual": Architecture(residual_generator, residual_discriminator),
}


def _widths(size, channels):
    """Channels of the feature maps of side 4, 8, ..., size / 2: halved each time, at most 512."""
    levels = int(math.log2(size // START))
    return [min(channels * 2**level, 512) for level in reversed(range(levels))]


def _modulate(x, style):
    """Features normalised at each place, times 1 + scale, plus shift, both linear in the style."""
    width = x.shape[-1]
    x = layers.LayerNormalization(center=False, scale=False)(x)
    scale = layers.Reshape((1, 1, width))(layers.Dense(width, bias_initializer="ones")(style))
    shift = layers.Reshape((1, 1, width))(layers.Dense(width)(style))
    return layers.Add()([layers.Multiply()([x, scale]), shift])


def _to_image(x):
    # In float32 whatever the policy: sixteen bits are too coarse for 256 shades.
    return layers.Activation("tanh", dtype="float32", name="image")(x)


def _to_logit(x):
    return layers.Dense(1, dtype="float32", name="logit")(layers.Flatten()(x))
