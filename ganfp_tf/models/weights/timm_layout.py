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
