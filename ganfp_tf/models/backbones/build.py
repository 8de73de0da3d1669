"""The encoders, built: a registered network with its weights behind its own pixel scaling."""

import contextlib
import pathlib
import random

import keras

from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.applications import imagenet_scaling
from ganfp_tf.models.backbones.registry import BACKBONES
from ganfp_tf.models.backbones.stages import MergeStages
from ganfp_tf.models.weights.sources import WeightsReport, load_weights, weights_digest
from ganfp_tf.models.weights.timm import is_safetensors

MINIMUM_SIDE = 32  # Five halvings leave one position.


def build_backbone(
    name: str,
    *,
    image_size: int = 224,
    weights: str = "auto",
    normalization: str = "backbone",
    finetune: str = "none",
    features: str = "last",
    seed: int = 0,
) -> tuple[keras.Model, WeightsReport]:
    """Builds an encoder that owns its pixel scaling.

    Args:
        name: key of `BACKBONES`.
        image_size: side S of the images in pixels, at least 32; a multiple of 16 for vit_b16.
        weights: "auto", "imagenet", "none" or a path; see `load_weights`.
        normalization: "backbone", or "imagenet" for the paper's mean and deviation.
        finetune: what trains, see `set_trainable`.
        features: "last", the network's output, or "multi", its `stages` as `MergeStages` puts them
            together on the positions of the middle one.
        seed: random weights are a function of it alone. Python's `random`, from which Keras draws
            the seeds of its initialisers, is seeded for the build and put back after it.

    Returns:
        keras.Model "backbone", pixels in [0, 255] (B, S, S, 3) -> tokens (B, T, width), row by
        row, in the policy's compute dtype; and a `WeightsReport`, whose warning is to be printed.
        With "multi" the width is the sum of the stages' widths.

    Raises:
        UserError: unknown name or choice, an image size or weights that cannot be used.
    """
    entry = _entry(name)
    if features not in ("last", "multi"):
        raise UserError(f"--features must be last or multi. Received: {features!r}")
    if normalization not in ("backbone", "imagenet"):
        raise UserError(
            f"--normalization must be backbone or imagenet. Received: {normalization!r}"
        )
    network, (source, pretrained, warning) = _loaded_network(name, image_size, weights, seed)
    if features == "multi":
        network = entry.at_stages(network, entry.stages)
    x = inputs = keras.Input((image_size, image_size, 3), dtype="float32", name="pixels")
    for layer in entry.scaling() if normalization == "backbone" else imagenet_scaling():
        x = layer(x)
    x = network(x)
    if features == "multi":
        x = MergeStages(side=x[1].shape[1], name="merge")(x)
    tokens = keras.layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]), name="tokens")(x)
    backbone = keras.Model(inputs, tokens, name="backbone")
    set_trainable(backbone, name, finetune)
    return backbone, WeightsReport(source, pretrained, weights_digest(backbone), warning)


def build_stage(name: str, stage: str = "", *, image_size: int, weights: str) -> keras.Model:
    """Builds a backbone up to one of its stages, frozen.

    Args:
        name: key of `BACKBONES`.
        stage: a layer of its `stages`; empty: the middle one.
        image_size: side S of the images in pixels, as in `build_backbone`.
        weights: as in `build_backbone`; where they are random, their seed is 0.

    Returns:
        keras.Model "stage", pixels in [0, 255] (B, S, S, 3) -> features (B, h, w, channels).

    Raises:
        UserError: an unknown name or stage, an image size or weights that cannot be used.
    """
    entry = _entry(name)
    stage = stage or entry.stages[1]
    if stage not in entry.stages:
        raise UserError(f"The stages of {name} are {', '.join(entry.stages)}. Received: {stage!r}")
    network = entry.at_stages(_loaded_network(name, image_size, weights, 0)[0], (stage,))
    x = inputs = keras.Input((image_size, image_size, 3), dtype="float32", name="pixels")
    for layer in entry.scaling():
        x = layer(x)
    model = keras.Model(inputs, network(x)[0], name="stage")
    model.trainable = False
    return model


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


def _entry(name):
    if name not in BACKBONES:
        raise UserError(f"--backbone must be one of {', '.join(BACKBONES)}. Received: {name!r}")
    return BACKBONES[name]


def _loaded_network(name, image_size, weights, seed):
    """The network with its weights in it, and (source, pretrained, warning) of `WeightsReport`."""
    entry = _entry(name)
    if image_size < MINIMUM_SIDE:
        raise UserError(
            f"{name} needs images of at least {MINIMUM_SIDE} pixels a side. "
            f"Received: --image_size={image_size}"
        )
    with _seeded(seed):
        network = entry.build(image_size)
    load_file = _file_loader(name, weights)
    if load_file:
        load_file(network, weights)
        return network, (pathlib.Path(weights).name, True, "")
    return network, load_weights(network, name, weights, imagenet=entry.imagenet, seed=seed)


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
