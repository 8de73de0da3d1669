"""Where each tensor of timm's DenseNet-161 and ViT-B/16 belongs in the networks here."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from ganfp_tf.models import vit_b16

CLASSES = 1000
GRID = 14  # patches a side of the published ViT-B/16, which saw images of 224 pixels
HEADS = 12


@dataclasses.dataclass(frozen=True)
class Place:
    """One tensor of timm's state dict."""

    tensor: str
    shape: tuple[int, ...]  # in timm
    variables: tuple  # of the network, none where the network has no use for the tensor
    turn: Callable[[np.ndarray], tuple[np.ndarray, ...]] = lambda array: (array,)
    """The tensor -> an array for each variable."""


def densenet161_places(network):
    """The places of timm's densenet161.

    Args:
        network: what `densenet161.build_network` returned.

    Returns:
        list of `Place`. Without variables are the classifier, which this network leaves out, and
        BatchNormalization's counts of batches, which decide nothing once training is over.
    """
    places = []
    for layer in network.layers:
        # "features_denseblock1_denselayer1_norm1": no name of torch's has a "_" of its own.
        name = layer.name.replace("_", ".")
        if isinstance(layer, keras.layers.Conv2D):
            places.append(_convolution(f"{name}.weight", layer.kernel))
        elif isinstance(layer, keras.layers.BatchNormalization):
            parts = {
                "weight": layer.gamma,
                "bias": layer.beta,
                "running_mean": layer.moving_mean,
                "running_var": layer.moving_variance,
            }
            places += [_same(f"{name}.{part}", variable) for part, variable in parts.items()]
            places.append(Place(f"{name}.num_batches_tracked", (), ()))
    return [*places, *_head("classifier", network.output.shape[-1])]


def vit_b16_places(network):
    """The places of timm's vit_base_patch16_224.

    Args:
        network: what `vit_b16.build_network` returned. Of another size than 224 pixels, it gets the
            position embedding interpolated.

    Returns:
        list of `Place`. Without variables is the classifier, which this network leaves out.
    """
    embedding, _, *blocks, norm = vit_b16.parts(network)
    patches, positions = embedding.patch_embedding, embedding.position_embedding.embeddings
    width, side = vit_b16.WIDTH, network.output.shape[1]
    places = [
        _same("cls_token", embedding.class_token),
        Place(
            "pos_embed",
            (1, GRID * GRID + 1, width),
            (positions,),
            lambda array: (resample_positions(array[0], side),),
        ),
        _convolution("patch_embed.proj.weight", patches.kernel),
        _same("patch_embed.proj.bias", patches.bias),
    ]
    for number, block in enumerate(blocks):
        places += _block(f"blocks.{number}.", block, width)
    return [*places, *_norm("norm", norm), *_head("head", width)]


def resample_positions(positions, side):
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
        *_norm(f"{prefix}norm1", block.layer_norm_1),
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
        _same(f"{prefix}attn.proj.bias", out.bias),
        *_norm(f"{prefix}norm2", block.layer_norm_2),
        *_dense(f"{prefix}mlp.fc1", mlp.dense_1),
        *_dense(f"{prefix}mlp.fc2", mlp.dense_2),
    ]


def _same(name, variable):
    return Place(name, tuple(variable.shape), (variable,))


def _norm(name, layer):
    return [_same(f"{name}.weight", layer.gamma), _same(f"{name}.bias", layer.beta)]


def _dense(name, layer):
    inputs, outputs = layer.kernel.shape
    weight = Place(f"{name}.weight", (outputs, inputs), (layer.kernel,), lambda array: (array.T,))
    return [weight, _same(f"{name}.bias", layer.bias)]


def _convolution(name, kernel):
    height, width, inputs, outputs = kernel.shape
    shape = (outputs, inputs, height, width)
    return Place(name, shape, (kernel,), lambda array: (array.transpose(2, 3, 1, 0),))


def _head(name, width):
    return [
        Place(f"{name}.weight", (CLASSES, width), ()),
        Place(f"{name}.bias", (CLASSES,), ()),
    ]
