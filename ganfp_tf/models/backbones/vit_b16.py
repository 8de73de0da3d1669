"""ViT-B/16 (Dosovitskiy et al., 2021): KerasHub's layers, without a classifier."""

import collections
import hashlib
import pathlib
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ganfp_tf.errors import UserError
from ganfp_tf.models.weights.keras_files import read_entries
from ganfp_tf.models.weights.timm_layout import (
    Place,
    convolution_place,
    dense_places,
    head_places,
    norm_places,
    same_place,
)

PATCH = 16
WIDTH = 768


def build_network(image_size: int) -> keras.Model:
    """ViT-B/16 without its head, with random weights.

    Args:
        image_size: side S in pixels, a multiple of 16.

    Returns:
        keras.Model, pixels (B, S, S, 3) scaled to [-1, 1] -> (B, S/16, S/16, 768): the patches'
        tokens behind the last normalization, in their places. The class token takes part in the
        attention and is then left out.

    Raises:
        UserError: S is not a multiple of 16.
    """
    if image_size % PATCH:
        raise UserError(
            f"vit_b16 cuts images into patches of {PATCH} x {PATCH} pixels: --image_size must be a "
            f"multiple of {PATCH}, such as 224. Received: --image_size={image_size}"
        )
    # Here, because importing KerasHub takes time that no other backbone should cost.
    import keras_hub

    transformer = keras_hub.models.ViTBackbone(
        image_shape=(image_size, image_size, 3),
        patch_size=PATCH,
        num_layers=12,
        num_heads=12,
        hidden_dim=WIDTH,
        mlp_dim=3072,
        data_format="channels_last",
        name="vit",
    )
    side = image_size // PATCH
    inputs = keras.Input((image_size, image_size, 3))
    # The model as a whole, because its layers cannot be loaded from a file one by one.
    x = keras.layers.Cropping1D((1, 0), name="without_class_token")(transformer(inputs))
    x = keras.layers.Reshape((side, side, WIDTH), name="grid")(x)
    return keras.Model(inputs, x, name="network")


@keras.saving.register_keras_serializable(package="ganfp")
class TransformerStages(keras.layers.Layer):
    """The patches' tokens behind several blocks of a transformer, in their places.

    Args:
        transformer: KerasHub's ViTBackbone.
        stages: names of its encoder's blocks, or "ln" for its last normalization.
        **kwargs: of `keras.layers.Layer`.

    Input: pixels (B, S, S, 3).

    Output: list of (B, S/16, S/16, width), one a stage. The class token is left out.
    """

    def __init__(self, transformer, stages, **kwargs):
        super().__init__(**kwargs)
        self.transformer = transformer
        self.stages = list(stages)

    def build(self, input_shape: Any) -> None:
        """Creates the weights."""
        self.built = True

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """The layer's output."""
        encoder = self.transformer.get_layer("vit_encoder")
        x = self.transformer.get_layer("vit_patching_and_embedding")(images)
        x = encoder.dropout(x)
        found = {}
        for layer in [*encoder.encoder_layers, encoder.layer_norm]:
            x = layer(x)
            found[layer.name] = x
        side, width = images.shape[1] // PATCH, x.shape[-1]
        return [
            keras.ops.reshape(found[stage][:, 1:], (-1, side, side, width)) for stage in self.stages
        ]

    def compute_output_shape(self, input_shape: Any) -> list[tuple]:
        """The shape of the output."""
        side, width = input_shape[1] // PATCH, self.transformer.output.shape[-1]
        return [(input_shape[0], side, side, width) for _ in self.stages]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        transformer = keras.saving.serialize_keras_object(self.transformer)
        return {**super().get_config(), "transformer": transformer, "stages": self.stages}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TransformerStages":
        """Makes the layer from `get_config`."""
        transformer = keras.saving.deserialize_keras_object(config.pop("transformer"))
        return cls(transformer, **config)


def at_stages(network: keras.Model, stages: tuple[str, ...]) -> keras.Model:
    """Model "network" over the network's transformer: its input -> list of tokens at `stages`."""
    inputs = keras.Input(network.input.shape[1:])
    layer = TransformerStages(network.get_layer("vit"), stages, name="stages")
    return keras.Model(inputs, layer(inputs), name="network")


def parts(network: keras.Model) -> list[keras.layers.Layer]:
    """The layers that fine-tuning tells apart: the embedding, the encoder's blocks and its norm.

    Args:
        network: what `build_network` or `at_stages` returned, or the same loaded from a file.

    Returns:
        list of layers; "transformer_block_12" is the last block and "ln" the last normalization.
    """
    names = [layer.name for layer in network.layers]
    if "stages" in names:
        transformer = network.get_layer("stages").transformer
    else:
        transformer = network.get_layer("vit")
    encoder = transformer.get_layer("vit_encoder")
    return [
        transformer.get_layer("vit_patching_and_embedding"),
        encoder.dropout,
        *encoder.encoder_layers,
        encoder.layer_norm,
    ]


def load_file(network: keras.Model, path: pathlib.Path | str) -> None:
    """Puts a file's weights into the network of `build_network`.

    By Keras's own loader, because the names of the layers inside a transformer block repeat.

    Args:
        network: the network; after an error it may be half filled.
        path: a `.weights.h5` or `.keras` file of it, or of KerasHub's ViTBackbone of its size.

    Raises:
        UserError: missing, damaged or of another network or image size.
    """
    path = pathlib.Path(path)
    # Refuses what is missing, damaged or empty.
    arrays = [array for entry in read_entries(path) for array in entry.arrays]
    # KerasHub's own files have one level less.
    reason = _failure(network, path) and _failure(network.get_layer("vit"), path)
    # Keras passes over some of what it does not find in a file with no more than a warning.
    if not reason and _digests(arrays) != _digests(network.get_weights()):
        reason = f"its {len(arrays)} arrays are not the network's {len(network.weights)}"
    if reason:
        raise UserError(
            f"{path.name} does not fit the backbone vit_b16. Expected a .weights.h5 or .keras file "
            "of this network, made with the same --image_size (it decides how many positions the "
            f"network knows). Found: {reason}"
        )
    for weight in network.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise UserError(f"{path.name} has numbers in {weight.path} that are not finite.")


def _failure(model, path):
    """Why the file cannot be loaded into the model; empty where it is loaded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `load_file` sees for itself whether all was loaded.
            model.load_weights(path)
    except Exception as error:  # Keras raises many kinds.
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""


def _digests(arrays):
    return collections.Counter(
        hashlib.sha256(np.ascontiguousarray(array, "float32")).digest() for array in arrays
    )


GRID = 14  # patches a side of the published ViT-B/16, which saw images of 224 pixels


HEADS = 12


def vit_b16_places(network: keras.Model) -> list[Place]:
    """The places of timm's vit_base_patch16_224.

    Args:
        network: what `vit_b16.build_network` returned. Of another size than 224 pixels, it gets the
            position embedding interpolated.

    Returns:
        list of `Place`. Without variables is the classifier, which this network leaves out.
    """
    embedding, _, *blocks, norm = parts(network)
    patches, positions = embedding.patch_embedding, embedding.position_embedding.embeddings
    width, side = WIDTH, network.output.shape[1]
    places = [
        same_place("cls_token", embedding.class_token),
        Place(
            "pos_embed",
            (1, GRID * GRID + 1, width),
            (positions,),
            lambda array: (resample_positions(array[0], side),),
        ),
        convolution_place("patch_embed.proj.weight", patches.kernel),
        same_place("patch_embed.proj.bias", patches.bias),
    ]
    for number, block in enumerate(blocks):
        places += _block(f"blocks.{number}.", block, width)
    return [*places, *norm_places("norm", norm), *head_places("head", width)]


def resample_positions(positions: np.ndarray, side: int) -> np.ndarray:
    """A square grid of position embeddings for another size of image; class token kept.

    Bicubic with antialiasing, as timm's `resample_abs_pos_embed` has it from torch: Keys' kernel
    (a = -0.5, Keys 1981), stretched by the factor of shrinking, cut off at the border.

    Args:
        positions: float array (1 + g * g, width), the class token's first, then row by row.
        side: patches a side of the wanted grid.

    Returns:
        float32 array (1 + side * side, width).
    """
    grid = round((len(positions) - 1) ** 0.5)
    if side == grid:
        return positions
    weights = _bicubic(grid, side)
    old = positions[1:].reshape(grid, grid, -1).astype("float64")
    new = np.einsum("yv,xu,vuc->yxc", weights, weights, old, optimize=True)
    return np.concatenate([positions[:1], new.reshape(side * side, -1)]).astype("float32")


def _bicubic(old, new):
    """Matrix (new, old) that takes a line of `old` samples to `new` samples; rows sum to 1."""
    scale = old / new
    stretch = max(scale, 1.0)
    centres = scale * (np.arange(new) + 0.5)
    x = np.abs(np.arange(old) + 0.5 - centres[:, None]) / stretch
    inner, outer = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, inner, np.where(x < 2, outer, 0.0))
    return weights / weights.sum(axis=1, keepdims=True)


def _block(prefix, block, width):
    attention, mlp = block.mha, block.mlp
    in_heads = (width, HEADS, width // HEADS)
    into = (attention.query_dense, attention.key_dense, attention.value_dense)
    out = attention.output_dense
    return [
        *norm_places(f"{prefix}norm1", block.layer_norm_1),
        # Query, key and value one below the other; the rows of each are head by head.
        Place(
            f"{prefix}attn.qkv.weight",
            (3 * width, width),
            tuple(dense.kernel for dense in into),
            lambda array: tuple(part.T.reshape(in_heads) for part in np.split(array, 3)),
        ),
        Place(
            f"{prefix}attn.qkv.bias",
            (3 * width,),
            tuple(dense.bias for dense in into),
            lambda array: tuple(array.reshape(3, *in_heads[1:])),
        ),
        Place(
            f"{prefix}attn.proj.weight",
            (width, width),
            (out.kernel,),
            lambda array: (array.T.reshape(*in_heads[1:], width),),
        ),
        same_place(f"{prefix}attn.proj.bias", out.bias),
        *norm_places(f"{prefix}norm2", block.layer_norm_2),
        *dense_places(f"{prefix}mlp.fc1", mlp.dense_1),
        *dense_places(f"{prefix}mlp.fc2", mlp.dense_2),
    ]
