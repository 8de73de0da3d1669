"""Where each tensor of timm's DenseNet-161 and ViT-B/16 belongs in the networks here."""

import dataclasses
from collections.abc import Callable

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


def same_place(name, variable):
    return Place(name, tuple(variable.shape), (variable,))


def norm_places(name, layer):
    return [same_place(f"{name}.weight", layer.gamma), same_place(f"{name}.bias", layer.beta)]


def dense_places(name, layer):
    inputs, outputs = layer.kernel.shape
    weight = Place(f"{name}.weight", (outputs, inputs), (layer.kernel,), lambda array: (array.T,))
    return [weight, same_place(f"{name}.bias", layer.bias)]


def convolution_place(name, kernel):
    height, width, inputs, outputs = kernel.shape
    shape = (outputs, inputs, height, width)
    return Place(name, shape, (kernel,), lambda array: (array.transpose(2, 3, 1, 0),))


def head_places(name, width):
    return [Place(f"{name}.weight", (CLASSES, width), ()), Place(f"{name}.bias", (CLASSES,), ())]
