"""Feature maps of several depths of a network, put together (--features=multi)."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="ganfp")
class MergeStages(keras.layers.Layer):
    """Puts feature maps of several depths together, place by place.

    Each map comes to `side` x `side` positions, by the mean over each position's area where it has
    more of them and bilinearly where it has fewer. It is then divided by the root mean square of
    its vectors' lengths over the image, so that no depth drowns the others: each has the same share
    in the tokens' squared lengths.

    Args:
        side: rows and columns of the output.
        **kwargs: of `keras.layers.Layer`.

    Inputs: list of feature maps `(batch, height, width, channels)`, square, of any sides.

    Output: `(batch, side, side, sum of channels)`, the maps' channels in the inputs' order.
    """

    def __init__(self, side: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.side = side

    def build(self, input_shape: Any) -> None:
        """Creates the weights."""
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        """The layer's output."""
        # float32: squares of long vectors would overflow in half precision.
        maps = [self._scaled(ops.cast(features, "float32")) for features in inputs]
        return ops.cast(ops.concatenate(maps, axis=-1), self.compute_dtype)

    def _scaled(self, features):
        rows = ops.convert_to_tensor(regrid(features.shape[1], self.side))
        columns = ops.convert_to_tensor(regrid(features.shape[2], self.side))
        features = ops.einsum("ip,jq,bpqc->bijc", rows, columns, features)
        lengths = ops.sum(ops.square(features), axis=-1, keepdims=True)
        mean = ops.mean(lengths, axis=(1, 2), keepdims=True)
        return features * ops.rsqrt(ops.maximum(mean, 1e-20))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """The shape of the output."""
        channels = sum(shape[-1] for shape in input_shape)
        return (input_shape[0][0], self.side, self.side, channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "side": self.side}


def regrid(found: int, wanted: int) -> np.ndarray:
    """The matrix (wanted, found) float32 that brings a line of positions to another number.

    Fewer are means over the area of each new position, more are interpolated linearly between the
    middles of the old ones. Its rows sum to 1.
    """
    ends = np.arange(wanted + 1) * (found / wanted)
    if found >= wanted:
        place = np.arange(found)
        low = np.maximum(ends[:-1, None], place)
        high = np.minimum(ends[1:, None], place + 1)
        shares = np.maximum(high - low, 0.0)
        return (shares / shares.sum(axis=1, keepdims=True)).astype("float32")
    middles = np.clip((ends[:-1] + ends[1:]) / 2 - 0.5, 0, found - 1)
    return np.maximum(1 - np.abs(middles[:, None] - np.arange(found)), 0.0).astype("float32")
