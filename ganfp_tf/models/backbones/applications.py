"""Pixel scalings, and the small builders on top of keras.applications."""

from typing import Any

import keras
import tensorflow as tf

from ganfp_tf.models.weights.keras_files import IMAGENET_DEVIATION, IMAGENET_MEAN


@keras.saving.register_keras_serializable(package="ganfp")
class CaffeScaling(keras.layers.Layer):
    """RGB pixels in [0, 255] -> BGR with ImageNet's mean taken away, as Caffe's networks want.

    Input and output: (batch, height, width, 3).
    """

    def call(self, pixels: tf.Tensor) -> tf.Tensor:
        """The layer's output."""
        mean_bgr = keras.ops.convert_to_tensor([103.939, 116.779, 123.68], pixels.dtype)
        return keras.ops.flip(pixels, axis=-1) - mean_bgr

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """The shape of the output."""
        return input_shape


# Scaling is done in float32 under every policy: half precision would round the pixels.


def caffe_scaling() -> list[keras.layers.Layer]:
    """Scaling as Caffe's models expect it."""
    return [CaffeScaling(dtype="float32", name="scaling")]


def imagenet_scaling() -> list[keras.layers.Layer]:
    """(x / 255 - mean) / deviation with ImageNet's mean and deviation of each channel."""
    return [
        keras.layers.Rescaling(
            scale=[1.0 / (255.0 * deviation) for deviation in IMAGENET_DEVIATION],
            offset=[
                -mean / deviation
                for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)
            ],
            dtype="float32",
            name="scaling",
        )
    ]


def lite_scaling() -> list[keras.layers.Layer]:
    """(x - 127) / 128."""
    return [keras.layers.Rescaling(1 / 128, offset=-127 / 128, dtype="float32", name="scaling")]


def symmetric_scaling() -> list[keras.layers.Layer]:
    """Scaling by x / 127.5 - 1."""
    return [keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="scaling")]


def at_stages(network: keras.Model, stages: tuple[str, ...]) -> keras.Model:
    """Model "network" over the network's layers: its input -> list of its outputs at `stages`."""
    outputs = [network.get_layer(stage).output for stage in stages]
    return keras.Model(network.input, outputs, name="network")


def build_tiny(image_size: int) -> keras.Model:
    """Three strided convolutions, for tests: (B, S, S, 3) -> (B, S/8, S/8, 32)."""
    x = inputs = keras.Input((image_size, image_size, 3))
    for number, filters in enumerate((16, 24, 32), start=1):
        x = keras.layers.Conv2D(
            filters, 3, 2, padding="same", use_bias=False, name=f"block{number}_conv"
        )(x)
        x = keras.layers.BatchNormalization(name=f"block{number}_bn")(x)
        x = keras.layers.ReLU(name=f"block{number}_relu")(x)
    return keras.Model(inputs, x, name="network")


def build_resnet50(image_size: int) -> keras.Model:
    """ResNet50 (He et al., 2016), (B, S, S, 3) in Caffe's scaling -> (B, S/32, S/32, 2048)."""
    return _application(keras.applications.ResNet50, image_size)


def build_densenet121(image_size: int) -> keras.Model:
    """DenseNet-121 (Huang et al., 2017), ImageNet-scaled (B, S, S, 3) -> (B, S/32, S/32, 1024)."""
    return _application(keras.applications.DenseNet121, image_size)


def build_efficientnetv2b0(image_size: int) -> keras.Model:
    """EfficientNetV2-B0 (Tan and Le, 2021), ImageNet-scaled (B, S, S, 3) -> (B, S/32, S/32, 1280).

    Keras's own network scales in front of the stem; here `imagenet_scaling` does.
    """
    return _application(
        keras.applications.EfficientNetV2B0, image_size, include_preprocessing=False
    )


def _application(constructor, image_size, **options):
    network = constructor(
        include_top=False, weights=None, input_shape=(image_size, image_size, 3), **options
    )
    return keras.Model(network.input, network.output, name="network")


def build_efficientnetb2(image_size: int) -> keras.Model:
    """EfficientNetB2 (Tan and Le, 2019), ImageNet-scaled (B, S, S, 3) -> (B, S/32, S/32, 1408).

    Keras's network begins with its own Rescaling and Normalization; they are cut off, so that
    the stem sees what the scaling in front of the network gives.
    """
    network = keras.applications.EfficientNetB2(
        include_top=False, weights=None, input_shape=(image_size, image_size, 3)
    )
    stem = network.get_layer("stem_conv_pad").input
    cut = keras.Model(stem, network.output, name="network")
    # New layers, because the old ones still answer with the uncut graph's tensors when asked
    # for their input or output.
    return keras.Model.from_config(cut.get_config())
