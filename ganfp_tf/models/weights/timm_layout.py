"""Where each tensor of timm's DenseNet-161 and ViT-B/16 belongs in the networks here."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class Place:
    """One tensor of timm's state dict."""

    tensor: str
    shape: tuple[int, ...]  # in timm
    variables: tuple  # of the network, none where the network has no use for the tensor
    turn: Callable[[np.ndarray], tuple[np.ndarray, ...]] = lambda array: (array,)
    """The tensor -> an array for each variable."""


def same_place(name: str, variable: keras.Variable) -> Place:
    """A tensor that is a variable as it is."""
    return Place(name, tuple(variable.shape), (variable,))


def norm_places(name: str, layer: keras.layers.Layer) -> list[Place]:
    """The tensors of a normalization."""
    return [same_place(f"{name}.weight", layer.gamma), same_place(f"{name}.bias", layer.beta)]


def dense_places(name: str, layer: keras.layers.Layer) -> list[Place]:
    """The tensors of a dense layer."""
    inputs, outputs = layer.kernel.shape
    weight = Place(f"{name}.weight", (outputs, inputs), (layer.kernel,), lambda array: (array.T,))
    return [weight, same_place(f"{name}.bias", layer.bias)]


def convolution_place(name: str, kernel: keras.Variable) -> Place:
    """The kernel of a convolution."""
    height, width, inputs, outputs = kernel.shape
    shape = (outputs, inputs, height, width)
    return Place(name, shape, (kernel,), lambda array: (array.transpose(2, 3, 1, 0),))


def head_places(name: str, width: int) -> list[Place]:
    """The tensors of a classifier that the network leaves out."""
    return [Place(f"{name}.weight", (CLASSES, width), ()), Place(f"{name}.bias", (CLASSES,), ())]
