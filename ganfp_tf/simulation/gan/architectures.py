"""Generators and discriminators of victims, each a functional Keras model.

Every layer has a name: Keras numbers unnamed ones by what the process has built before, TensorFlow
orders sums by names, and a second victim would differ in its last digits from a first.
"""

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


def dcgan_generator(size: int, latent: int, channels: int) -> keras.Model:
    """Transposed convolutions with batch normalisation (Radford et al. 2016)."""
    widths = _widths(size, channels)
    inputs = keras.Input((latent,), name="latent")
    x = layers.Dense(START * START * widths[0], use_bias=False, name="dense")(inputs)
    x = layers.Reshape((START, START, widths[0]), name="start")(x)
    x = layers.BatchNormalization(name="norm_0")(x)
    x = layers.ReLU(name="relu_0")(x)
    for level, width in enumerate(widths[1:], start=1):
        up = dict(strides=2, padding="same", use_bias=False, name=f"up_{level}")
        x = layers.Conv2DTranspose(width, 4, **up)(x)
        x = layers.BatchNormalization(name=f"norm_{level}")(x)
        x = layers.ReLU(name=f"relu_{level}")(x)
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", name="to_gray")(x)
    return keras.Model(inputs, _to_image(x), name="dcgan_generator")


def dcgan_discriminator(size: int, channels: int) -> keras.Model:
    """Strided convolutions; no batch normalisation, which R1's single images do not allow."""
    inputs = keras.Input((size, size, 1), name="image")
    x = inputs
    for level, width in enumerate(reversed(_widths(size, channels))):
        x = layers.Conv2D(width, 4, strides=2, padding="same", name=f"down_{level}")(x)
        x = layers.LeakyReLU(SLOPE, name=f"relu_{level}")(x)
    return keras.Model(inputs, _to_logit(x), name="dcgan_discriminator")


def residual_generator(size: int, latent: int, channels: int) -> keras.Model:
    """Upsampling residual blocks, each scaled and shifted by a style mapped from the latent.

    Modulation as in StyleGAN (Karras et al. 2019, section 2: a mapping network, an affine map for
    each layer, normalised features), blocks as in BigGAN (Brock et al. 2019, appendix B), at a size
    that a CPU can train.
    """
    widths = _widths(size, channels)
    inputs = keras.Input((latent,), name="latent")
    style = inputs
    for number in range(2):
        style = layers.Dense(latent, name=f"map_{number}")(style)
        style = layers.LeakyReLU(SLOPE, name=f"map_relu_{number}")(style)
    x = layers.Dense(START * START * widths[0], name="dense")(inputs)
    x = layers.Reshape((START, START, widths[0]), name="start")(x)
    for level, width in enumerate([*widths[1:], widths[-1]]):

        def named(what, level=level):
            return f"block_{level}_{what}"

        shortcut = layers.UpSampling2D(name=named("shortcut_up"))(x)
        shortcut = layers.Conv2D(width, 1, use_bias=False, name=named("shortcut"))(shortcut)
        y = _modulate(x, style, named("style_0"))
        y = layers.UpSampling2D(name=named("up"))(y)
        y = layers.Conv2D(width, 3, padding="same", name=named("conv_0"))(y)
        y = _modulate(y, style, named("style_1"))
        y = layers.Conv2D(width, 3, padding="same", name=named("conv_1"))(y)
        x = layers.Add(name=named("sum"))([shortcut, y])
    x = layers.Conv2D(1, 3, padding="same", name="to_gray")(_modulate(x, style, "style"))
    return keras.Model(inputs, _to_image(x), name="residual_generator")


def residual_discriminator(size: int, channels: int) -> keras.Model:
    """Residual blocks that halve the side by averaging (Brock et al. 2019, appendix B)."""
    inputs = keras.Input((size, size, 1), name="image")
    widths = list(reversed(_widths(size, channels)))
    x = layers.Conv2D(widths[0], 3, padding="same", name="from_gray")(inputs)
    for level, width in enumerate(widths):

        def named(what, level=level):
            return f"block_{level}_{what}"

        shortcut = layers.AveragePooling2D(2, name=named("shortcut_down"))(x)
        shortcut = layers.Conv2D(width, 1, use_bias=False, name=named("shortcut"))(shortcut)
        y = layers.LeakyReLU(SLOPE, name=named("relu_0"))(x)
        y = layers.Conv2D(width, 3, padding="same", name=named("conv_0"))(y)
        y = layers.LeakyReLU(SLOPE, name=named("relu_1"))(y)
        y = layers.AveragePooling2D(2, name=named("down"))(y)
        y = layers.Conv2D(width, 3, padding="same", name=named("conv_1"))(y)
        x = layers.Add(name=named("sum"))([shortcut, y])
    x = layers.LeakyReLU(SLOPE, name="relu")(x)
    return keras.Model(inputs, _to_logit(x), name="residual_discriminator")


ARCHITECTURES = {
    "dcgan": Architecture(dcgan_generator, dcgan_discriminator),
    "residual": Architecture(residual_generator, residual_discriminator),
}


def _widths(size, channels):
    """Channels of the feature maps of side 4, 8, ..., size / 2: halved each time, at most 512."""
    levels = int(math.log2(size // START))
    return [min(channels * 2**level, 512) for level in reversed(range(levels))]


def _modulate(x, style, name):
    """Leaky ReLU of features normalised at each place, times scale, plus shift.

    Both are linear in the style; the scale starts near 1.
    """
    width = x.shape[-1]
    x = layers.LayerNormalization(center=False, scale=False, name=f"{name}_norm")(x)
    scale = layers.Dense(width, bias_initializer="ones", name=f"{name}_scale")(style)
    scale = layers.Reshape((1, 1, width), name=f"{name}_scale_map")(scale)
    shift = layers.Dense(width, name=f"{name}_shift")(style)
    shift = layers.Reshape((1, 1, width), name=f"{name}_shift_map")(shift)
    x = layers.Multiply(name=f"{name}_times")([x, scale])
    x = layers.Add(name=f"{name}_plus")([x, shift])
    return layers.LeakyReLU(SLOPE, name=f"{name}_relu")(x)


def _to_image(x):
    # In float32 whatever the policy: sixteen bits are too coarse for 256 shades.
    return layers.Activation("tanh", dtype="float32", name="image")(x)


def _to_logit(x):
    x = layers.Flatten(name="flat")(x)
    return layers.Dense(1, dtype="float32", name="logit")(x)
