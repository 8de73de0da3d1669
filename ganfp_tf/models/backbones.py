"""The encoders: name -> network without top, its width and its own pixel scaling."""

import contextlib
import dataclasses
import pathlib
import random
from collections.abc import Callable

import keras

from ganfp_tf.errors import UserError
from ganfp_tf.models import densenet161, efficientnet_lite, vit_b16
from ganfp_tf.models.builders import CaffeScaling as CaffeScaling  # registered by being imported
from ganfp_tf.models.builders import (
    build_densenet121,
    build_efficientnetb2,
    build_efficientnetv2b0,
    build_resnet50,
    build_tiny,
    caffe_scaling,
    imagenet_scaling,
    lite_scaling,
    symmetric_scaling,
)
from ganfp_tf.models.timm_names import densenet161_places, vit_b16_places
from ganfp_tf.models.timm_weights import TimmWeights, is_safetensors
from ganfp_tf.models.weights import PublishedFile, WeightsReport, load_weights, weights_digest

MINIMUM_SIDE = 32  # Five halvings leave one position.
HUB = "https://storage.googleapis.com/"


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One entry of the registry."""

    build: Callable[[int], keras.Model]
    """image size S -> network, scaled pixels (B, S, S, 3) -> features (B, h, w, width)."""
    width: int
    """Channels of the features."""
    parameters: int
    """Weights of the network without top, BatchNormalization's moving statistics included; at 224
    pixels where they depend on the image size."""
    scaling: Callable[[], list[keras.layers.Layer]]
    """() -> layers that take pixels in [0, 255] to what the network wants."""
    last_stage: tuple[str, ...]
    """Beginnings of the names of the layers that --finetune=last_stage trains."""
    imagenet: Callable[[keras.Model], str] | None = None
    """Puts ImageNet weights into the network and returns their source; None: nobody has any."""
    load_file: Callable[[keras.Model, str], None] | None = None
    """Puts a Keras file's weights into the network; None: `weight_files` does, layer by layer."""
    parts: Callable[[keras.Model], list[keras.layers.Layer]] = lambda network: network.layers
    """Network -> the layers that `last_stage` speaks of."""
    timm: TimmWeights | None = None
    """Reads timm's `.safetensors` file of the network; None: no such file can be read."""


DENSENET161 = TimmWeights("densenet161.tv_in1k", densenet161_places)
VIT_B16 = TimmWeights("vit_base_patch16_224.augreg2_in21k_ft_in1k", vit_b16_places)

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
    "densenet161": Backbone(
        densenet161.build_network,
        densenet161.WIDTH,
        26_691_936,
        imagenet_scaling,
        ("features_denseblock4_", "features_norm5"),
        DENSENET161.load,
        timm=DENSENET161,
    ),
    "vit_b16": Backbone(
        vit_b16.build_network,
        vit_b16.WIDTH,
        85_798_656,
        symmetric_scaling,
        ("transformer_block_12", "ln"),
        VIT_B16.load,
        vit_b16.load_file,
        vit_b16.parts,
        VIT_B16,
    ),
    "densenet121": Backbone(
        build_densenet121,
        1024,
        7_037_504,
        imagenet_scaling,
        ("conv5_", "bn"),
        PublishedFile(
            HUB + "tensorflow/keras-applications/densenet/"
            "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "30ee3e1110167f948a6b9946edeeb738",
        ).load,
    ),
    "efficientnetv2b0": Backbone(
        build_efficientnetv2b0,
        1280,
        5_919_312,
        imagenet_scaling,
        ("block6", "top_"),
        PublishedFile(
            HUB + "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b0_notop.h5",
            "893217f2bb855e2983157299931e43ff",
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
        image_size: side S of the images in pixels, at least 32; a multiple of 16 for vit_b16.
        weights: "auto", "imagenet", "none" or a path; see `load_weights`.
        normalization: "backbone", or "imagenet" for the paper's mean and deviation.
        finetune: what trains, see `set_trainable`.
        seed: random weights are a function of it alone. Python's `random`, from which Keras draws
            the seeds of its initialisers, is seeded for the build and put back after it.

    Returns:
        keras.Model "backbone", pixels in [0, 255] (B, S, S, 3) -> tokens (B, T, width), row by
        row, in the policy's compute dtype; and a `WeightsReport`, whose warning is to be printed.

    Raises:
        UserError: unknown name or choice, an image size or weights that cannot be used.
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
    load_file = _file_loader(name, weights)
    if load_file:
        load_file(network, weights)
        source, pretrained, warning = pathlib.Path(weights).name, True, ""
    else:
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

    BatchNormalization is frozen throughout, moving statistics in use: a batch of few patients has
    no statistics to offer, and devices that share a batch would each take their own. Dropout before
    the trained part is off for good, so that tokens from the store and tokens computed in training
    agree. Call this again on a backbone that comes from a `.keras` file before training on: Keras
    thaws every layer of a model that is not wholly frozen when it loads it.

    Args:
        backbone: what `build_backbone` returned, or the same loaded from a file.
        name: its key in `BACKBONES`.
        finetune: "none", "last_stage" or "all".

    Raises:
        UserError: unknown name or choice.
    """
    entry = _entry(name)
    if finetune not in ("none", "last_stage", "all"):
        raise UserError(f"--finetune must be none, last_stage or all. Received: {finetune!r}")
    backbone.trainable = finetune != "none"
    for layer in entry.parts(backbone.get_layer("network")):
        in_stage = finetune == "last_stage" and layer.name.startswith(entry.last_stage)
        trained = finetune == "all" or in_stage
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


def _file_loader(name, weights):
    """The function that puts a file into the network; None: `load_weights` knows what to do."""
    if weights in ("auto", "imagenet", "none"):
        return None
    entry = _entry(name)
    if not is_safetensors(weights):
        return entry.load_file
    if entry.timm is None:
        takers = ", ".join(key for key, other in BACKBONES.items() if other.timm)
        raise UserError(
            f"{pathlib.Path(weights).name} is a timm .safetensors file, which {takers} take, and "
            f"{name} does not. Hand in a Keras .h5, .weights.h5 or .keras file, or choose another "
            "--backbone."
        )
    return entry.timm.load_file


@contextlib.contextmanager
def _seeded(seed):
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
