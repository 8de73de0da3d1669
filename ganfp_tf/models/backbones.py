"""The encoders: name -> network without top, its width and its own pixel scaling."""

import contextlib
import dataclasses
import random
from collections.abc import Callable

import keras

from ganfp_tf.errors import UserError
from ganfp_tf.models import efficientnet_lite
from ganfp_tf.models.weight_files import IMAGENET_DEVIATION, IMAGENET_MEAN
from ganfp_tf.models.weights import PublishedFile, WeightsReport, load_weights, weights_digest

MINIMUM_SIDE = 32  # Five halvings leave one position.
HUB = "https://storage.googleapis.com/"


@keras.saving.register_keras_serializable(package="ganfp")
class CaffeScaling(keras.layers.Layer):
    """RGB pixels in [0, 255] -> BGR with ImageNet's mean taken away, as Caffe's networks want.

    Input and output: (batch, height, width, 3).
    """

    def call(self, pixels):
        mean_bgr = keras.ops.convert_to_tensor([103.939, 116.779, 123.68], pixels.dtype)
        return keras.ops.flip(pixels, axis=-1) - mean_bgr

    def compute_output_shape(self, input_shape):
        return input_shape


# Scaling is done in float32 under every policy: half precision would round the pixels.


def caffe_scaling():
    return [CaffeScaling(dtype="float32", name="scaling")]


def imagenet_scaling():
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


def lite_scaling():
    """(x - 127) / 128."""
    return [keras.layers.Rescaling(1 / 128, offset=-127 / 128, dtype="float32", name="scaling")]


def symmetric_scaling():
    """x / 127.5 - 1."""
    return [keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="scaling")]


def build_tiny(image_size):
    """Three strided convolutions, for tests: (B, S, S, 3) -> (B, S/8, S/8, 32)."""
    x = inputs = keras.Input((image_size, image_size, 3))
    for number, filters in enumerate((16, 24, 32), start=1):
        x = keras.layers.Conv2D(
            filters, 3, 2, padding="same", use_bias=False, name=f"block{number}_conv"
        )(x)
        x = keras.layers.BatchNormalization(name=f"block{number}_bn")(x)
        x = keras.layers.ReLU(name=f"block{number}_relu")(x)
    return keras.Model(inputs, x, name="network")


def build_resnet50(image_size):
    """ResNet50 (He et al., 2016), (B, S, S, 3) in Caffe's scaling -> (B, S/32, S/32, 2048)."""
    network = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(image_size, image_size, 3)
    )
    return keras.Model(network.input, network.output, name="network")


def build_efficientnetb2(image_size):
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


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One entry of the registry."""

    build: Callable[[int], keras.Model]
    """image size S -> network, scaled pixels (B, S, S, 3) -> features (B, h, w, width)."""
    width: int
    """Channels of the features."""
    parameters: int
    """Weights of the network without top, BatchNormalization's moving statistics included."""
    scaling: Callable[[], list[keras.layers.Layer]]
    """() -> layers that take pixels in [0, 255] to what the network wants."""
    last_stage: tuple[str, ...]
    """Beginnings of the names of the layers that --finetune=last_stage trains."""
    imagenet: Callable[[keras.Model], str] | None = None
    """Puts ImageNet weights into the network and returns their source; None: nobody has any."""


BACKBONES: dict[str, Backbone] = {
    "tiny": Backbone(build_tiny, 32, 11_088, symmetric_scaling, ("block3_",)),
    "efficientnetlite0": Backbone(
        efficientnet_lite.build_network,
        1280,
        3_413_024,
        lite_scaling,
        ("block7", "top_"),
        efficientnet_lite.load_imagenet,
    ),
    "efficientnetb2": Backbone(
        build_efficientnetb2,
        1408,
        7_768_562,
        imagenet_scaling,
        ("block7", "top_"),
        PublishedFile(
            HUB + "keras-applications/efficientnetb2_notop.h5",
            "111f8e2ac8aa800a7a99e3239f7bfb39",
        ).load,
    ),
    "resnet50": Backbone(
        build_resnet50,
        2048,
        23_587_712,
        caffe_scaling,
        ("conv5_",),
        PublishedFile(
            HUB + "tensorflow/keras-applications/resnet/"
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "4d473c1dd8becc155b73f8504c6f6626",
        ).load,
    ),
}


def build_backbone(
    name: str,
    *,
    image_size: int = 224,
    weights: str = "auto",
    normalization: str = "backbone",
    finetune: str = "none",
    seed: int = 0,
) -> tuple[keras.Model, WeightsReport]:
    """Builds an encoder that owns its pixel scaling.

    Args:
        name: key of `BACKBONES`.
        image_size: side S of the images in pixels, at least 32.
        weights: "auto", "imagenet", "none" or a path; see `load_weights`.
        normalization: "backbone", or "imagenet" for the paper's mean and deviation.
        finetune: what trains, see `set_trainable`.
        seed: random weights are a function of it alone. Python's `random`, from which Keras draws
            the seeds of its initialisers, is seeded for the build and put back after it.

    Returns:
        keras.Model "backbone", pixels in [0, 255] (B, S, S, 3) -> tokens (B, T, width), row by
        row, in the policy's compute dtype; and a `WeightsReport`, whose warning is to be printed.

    Raises:
        UserError: unknown name or choice, images too small, weights that cannot be used.
    """
    entry = _entry(name)
    if image_size < MINIMUM_SIDE:
        raise UserError(
            f"{name} needs images of at least {MINIMUM_SIDE} pixels a side. "
            f"Received: --image_size={image_size}"
        )
    if normalization not in ("backbone", "imagenet"):
        raise UserError(
            f"--normalization must be backbone or imagenet. Received: {normalization!r}"
        )
    with _seeded(seed):
        network = entry.build(image_size)
    source, pretrained, warning = load_weights(
        network, name, weights, imagenet=entry.imagenet, seed=seed
    )
    x = inputs = keras.Input((image_size, image_size, 3), dtype="float32", name="pixels")
    for layer in entry.scaling() if normalization == "backbone" else imagenet_scaling():
        x = layer(x)
    x = network(x)
    tokens = keras.layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]), name="tokens")(x)
    backbone = keras.Model(inputs, tokens, name="backbone")
    set_trainable(backbone, name, finetune)
    return backbone, WeightsReport(source, pretrained, weights_digest(backbone), warning)


def set_trainable(backbone: keras.Model, name: str, finetune: str) -> None:
    """Says what of a backbone is trained.

    What is frozen also computes the same in training as otherwise: BatchNormalization uses its
    moving statistics, and Dropout before the trained part is off for good, so that tokens from
    the store and tokens computed in training agree. Call this again on a backbone that comes from
    a `.keras` file before training on: Keras thaws every layer of a model that is not wholly frozen
    when it loads it.

    Args:
        backbone: what `build_backbone` returned, or the same loaded from a file.
        name: its key in `BACKBONES`.
        finetune: "none"; "last_stage", whose BatchNormalization stays frozen; "all", where
            BatchNormalization trains too.

    Raises:
        UserError: unknown name or choice.
    """
    entry = _entry(name)
    if finetune not in ("none", "last_stage", "all"):
        raise UserError(f"--finetune must be none, last_stage or all. Received: {finetune!r}")
    backbone.trainable = finetune != "none"
    if finetune == "all":
        return
    for layer in backbone.get_layer("network").layers:
        trained = finetune == "last_stage" and layer.name.startswith(entry.last_stage)
        layer.trainable = trained and not isinstance(layer, keras.layers.BatchNormalization)
        if isinstance(layer, keras.layers.Dropout) and not trained:
            layer.rate = 0.0


def imagenet_classifier(name: str = "efficientnetlite0") -> keras.Model:
    """The backbone with the ImageNet head that its weights were published with.

    Args:
        name: only "efficientnetlite0" comes with its head.

    Returns:
        keras.Model, pixels in [0, 255] (B, 224, 224, 3) -> logits (B, 1000).

    Raises:
        UserError: another name, or the package with the weights is not installed.
    """
    if name != "efficientnetlite0":
        raise UserError(f"Only efficientnetlite0 has an ImageNet head here. Received: {name!r}")
    x = inputs = keras.Input((224, 224, 3), dtype="float32", name="pixels")
    for layer in BACKBONES[name].scaling():
        x = layer(x)
    network = efficientnet_lite.build_network(224)
    return keras.Model(inputs, efficientnet_lite.attach_classifier(network)(x), name="classifier")


def _entry(name):
    if name not in BACKBONES:
        raise UserError(f"--backbone must be one of {', '.join(BACKBONES)}. Received: {name!r}")
    return BACKBONES[name]


@contextlib.contextmanager
def _seeded(seed):
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
