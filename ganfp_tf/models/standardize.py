"""The fixed scaling of features and of similarity signals, set from training images."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ganfp_tf.errors import UserError


@keras.saving.register_keras_serializable(package="ganfp")
class Standardize(keras.layers.Layer):
    """Subtracts each channel's mean and divides by its deviation, as given to `set_statistics`.

    `keras.layers.Normalization` turns its statistics into constants of the graph, so that a
    checkpoint cannot restore them; here they are non-trainable weights.

    Args:
        places: If True, each channel has a mean and a deviation at each place, so that what all
            images have in common there does not make them similar.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, ..., channels)`.

    Output:
        Tensor of the input's shape.

    Raises:
        UserError: If `set_statistics` is given another shape.

    Example:
        >>> layer = Standardize()
        >>> layer.build((None, 2))
        >>> layer.set_statistics(mean=[2.0, 10.0], deviation=[0.5, 20.0])
        >>> layer(np.array([[1.0, 30.0]], "float32")).numpy()
        array([[-2.,  1.]], dtype=float32)
    """

    def __init__(self, places: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.places = places

    def build(self, input_shape: Any) -> None:
        """Creates the weights for the inputs' shapes."""
        shape = tuple(input_shape[1:] if self.places else input_shape[-1:])
        self.mean = self.add_weight(shape, initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(
            shape, initializer="ones", trainable=False, name="deviation"
        )
        self.built = True

    def set_statistics(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Sets mean and deviation, `(channels,)`, or `(..., channels)` if `places`.

        A deviation below 1 % of their median is raised to it: a channel that hardly moved on the
        training images would otherwise rule all distances on the first image that moves it. With
        `places`, a channel's deviations count as their root mean square in that, and each is raised
        to a tenth of it: few images leave many places of a channel without anything.

        Args:
            mean: Mean of each channel.
            deviation: Standard deviation of each channel.

        Raises:
            UserError: If a shape is not that of the layer's weights.
        """
        mean, deviation = np.asarray(mean, "float32"), np.asarray(deviation, "float32")
        if mean.shape != self.mean.shape or deviation.shape != self.mean.shape:
            raise UserError(
                f"Standardize expects statistics of shape {tuple(self.mean.shape)}. "
                f"Received: mean {mean.shape}, deviation {deviation.shape}"
            )
        usual = deviation
        if self.places:
            usual = np.sqrt(np.mean(np.square(deviation.reshape(-1, deviation.shape[-1])), axis=0))
        floor: float | np.ndarray = max(0.01 * float(np.median(usual)), 1e-6)
        if self.places:
            floor = np.maximum(floor, 0.1 * usual)
        self.mean.assign(mean)
        self.deviation.assign(np.maximum(deviation, floor))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The standardized inputs."""
        mean = ops.cast(self.mean, inputs.dtype)
        return (inputs - mean) / ops.cast(self.deviation, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Shapes of the outputs for the inputs' shapes."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "places": self.places}
