"""Cross-attention and adaptive similarity (paper, section 3.2)."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ganfp_tf.errors import UserError


@keras.saving.register_keras_serializable(package="ganfp")
class CrossAttention(keras.layers.Layer):
    """Cross-attention between the tokens of two images, in both directions.

    Both directions share their weights, so that swapping the images swaps the outputs:
    `a' = a + MHA(LN(a), LN(b))` and `b' = b + MHA(LN(b), LN(a))`, multi-head attention on
    normalized tokens (pre-norm) with a residual connection.

    Args:
        num_heads: Number of attention heads.
        key_dim: Channels of a head. If None, the channels of the input divided by `num_heads`.
        dropout: Dropout rate of the attention weights.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Two tensors `(batch, tokens_a, channels)` and `(batch, tokens_b, channels)`.
        return_attention_scores: Whether to return the attention maps too.
        training: Whether dropout is active.

    Output:
        Two tensors of the inputs' shapes. If `return_attention_scores`, also the maps
        `(batch, num_heads, tokens_a, tokens_b)` and `(batch, num_heads, tokens_b, tokens_a)`.

    Raises:
        UserError: If the inputs are not two 3-D shapes with the same number of channels, or if
            `num_heads` does not divide the channels and no `key_dim` is given.

    Example:
        >>> a, b = keras.random.normal((2, 49, 128)), keras.random.normal((2, 49, 128))
        >>> aligned_a, aligned_b = CrossAttention(num_heads=4)((a, b))

    References:
        - Areeb, Vashist and Kalinathan, "Controlling the Quality of Synthetic Medical Images
          Created via GANs", CLEF 2025, section 3.2.
        - Vaswani et al., "Attention Is All You Need", 2017, section 3.2,
          https://arxiv.org/abs/1706.03762.
        - Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020 (pre-norm),
          https://arxiv.org/abs/2002.04745.
    """

    def __init__(
        self, num_heads: int, key_dim: int | None = None, dropout: float = 0.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.dropout = dropout
        self.norm = keras.layers.LayerNormalization(
            epsilon=1e-6, name="norm", dtype=self.dtype_policy
        )
        self.attention: Any = None  # made in build()

    def build(self, input_shape: Any) -> None:
        """Creates the weights for the inputs' shapes."""
        a, b = _two_shapes(self, input_shape)
        if len(a) != 3 or len(b) != 3 or a[-1] != b[-1]:
            raise UserError(
                "CrossAttention expects two inputs (batch, tokens, channels) with the same number "
                f"of channels. Received: input_shape={input_shape}"
            )
        if self.key_dim is None and a[-1] % self.num_heads:
            raise UserError(
                f"CrossAttention expects channels that num_heads={self.num_heads} divides, or a "
                f"key_dim. Received: channels={a[-1]}"
            )
        self.attention = keras.layers.MultiHeadAttention(
            num_heads=self.num_heads,
            key_dim=self.key_dim or a[-1] // self.num_heads,
            dropout=self.dropout,
            name="attention",
            dtype=self.dtype_policy,
        )
        self.norm.build(a)
        self.attention.build(a, b, b)
        self.built = True

    def call(
        self,
        inputs: tuple[tf.Tensor, tf.Tensor],
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, ...]:
        """The tokens of both images, each with what it takes from the other."""
        a, b = inputs
        normed_a, normed_b = self.norm(a), self.norm(b)
        from_b, map_ab = self._attend(normed_a, normed_b, return_attention_scores, training)
        from_a, map_ba = self._attend(normed_b, normed_a, return_attention_scores, training)
        outputs = (a + from_b, b + from_a)
        return (*outputs, map_ab, map_ba) if return_attention_scores else outputs

    def _attend(self, query, value, with_scores, training):
        # Asked for the maps, Keras leaves its fused attention for the explicit one.
        result = self.attention(
            query, value, return_attention_scores=with_scores, training=training
        )
        return result if with_scores else (result, None)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Shapes of the outputs for the inputs' shapes."""
        a, b = _two_shapes(self, input_shape)
        return tuple(a), tuple(b)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CrossAttention":
        """Makes the layer from `get_config`; version 0.1 wrote `heads` instead of `num_heads`."""
        config = dict(config)
        if "heads" in config:
            config["num_heads"] = config.pop("heads")
        return cls(**config)


@keras.saving.register_keras_serializable(package="ganfp")
class AdaptiveSimilarity(keras.layers.Layer):
    """Absolute difference and scaled dot product of two vectors, both with learned weights.

    `difference = w * |a - b|` with one learned weight for each channel (initially 1) and
    `dot = cos(a, b) / t`, the dot product divided by both lengths and by a learned temperature
    `t = exp(log_temperature)` (initially 0.1, as in contrastive learning). Both are symmetric.

    Args:
        signals: "both", "difference" or "dot".
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Two tensors `(batch, ..., channels)`.

    Output:
        `(batch, ..., channels + 1)` for "both", `(batch, ..., channels)` for "difference" and
        `(batch, ..., 1)` for "dot".

    Raises:
        UserError: If `signals` is not one of the three, or if the inputs' shapes do not agree.

    Example:
        >>> a, b = keras.random.normal((2, 49, 128)), keras.random.normal((2, 49, 128))
        >>> AdaptiveSimilarity("both")((a, b)).shape
        TensorShape([2, 49, 129])

    References:
        - The paper (see `CrossAttention`), sections 3.2 and 4.
        - Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
          2018 (temperature), https://arxiv.org/abs/1805.01978.
    """

    def __init__(self, signals: str = "both", **kwargs: Any):
        super().__init__(**kwargs)
        if signals not in ("both", "difference", "dot"):
            raise UserError(
                "AdaptiveSimilarity expects signals to be both, difference or dot. "
                f"Received: signals={signals!r}"
            )
        self.signals = signals

    def build(self, input_shape: Any) -> None:
        """Creates the weights for the inputs' shapes."""
        a, b = _two_shapes(self, input_shape)
        if len(a) < 2 or tuple(a[1:]) != tuple(b[1:]):
            raise UserError(
                "AdaptiveSimilarity expects two inputs (batch, ..., channels) of the same shape. "
                f"Received: input_shape={input_shape}"
            )
        if self.signals != "dot":
            self.channel_weights = self.add_weight(
                shape=(a[-1],), initializer="ones", name="channel_weights"
            )
        if self.signals != "difference":
            self.log_temperature = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(-2.302585), name="log_temperature"
            )
        self.built = True

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """The similarity signals of both vectors."""
        a, b = inputs
        signals = []
        if self.signals != "dot":
            signals.append(ops.cast(self.channel_weights, a.dtype) * ops.abs(a - b))
        if self.signals != "difference":
            cosine = ops.sum(_unit(a) * _unit(b), axis=-1, keepdims=True)
            signals.append(cosine * ops.cast(ops.exp(-self.log_temperature), a.dtype))
        return ops.concatenate(signals, axis=-1) if len(signals) > 1 else signals[0]

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Shapes of the outputs for the inputs' shapes."""
        a, _ = _two_shapes(self, input_shape)
        channels = {"both": a[-1] + 1, "difference": a[-1], "dot": 1}[self.signals]
        return (*a[:-1], channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "signals": self.signals}


def _unit(vectors):
    # The floor keeps the gradient finite if a vector is zero. In float16 the squared length of
    # a long vector would overflow, and its cosine with anything become zero.
    squared = ops.sum(ops.square(ops.cast(vectors, "float32")), axis=-1, keepdims=True)
    return vectors * ops.cast(ops.rsqrt(ops.maximum(squared, 1e-6)), vectors.dtype)


def _two_shapes(layer, input_shape):
    if len(input_shape) != 2 or not all(isinstance(shape, (tuple, list)) for shape in input_shape):
        raise UserError(
            f"{type(layer).__name__} expects two inputs. Received: input_shape={input_shape}"
        )
    return input_shape
