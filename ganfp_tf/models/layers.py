"""Cross-attention and adaptive similarity (paper, section 3.2), and the scaling before them."""

import keras
import numpy as np
from keras import ops

from ganfp_tf.errors import UserError


@keras.saving.register_keras_serializable(package="ganfp")
class CrossAttention(keras.layers.Layer):
    """Lets the tokens of two images look at each other (paper, section 3.2).

    Both directions share their weights, so that swapping the images swaps the outputs:
    `a' = a + MHA(LN(a), LN(b))` and `b' = b + MHA(LN(b), LN(a))`, pre-norm with a residual as in
    Xiong et al. (2020), https://arxiv.org/abs/2002.04745.

    Args:
        heads: number of attention heads.
        key_dim: channels of a head; None: the channels of the input divided by `heads`.
        dropout: dropout rate of the attention weights.
        **kwargs: of `keras.layers.Layer`.

    Inputs: two tensors `(batch, tokens_a, channels)` and `(batch, tokens_b, channels)`.

    Output: two tensors of the inputs' shapes; with `return_attention_scores=True` also the maps
    `(batch, heads, tokens_a, tokens_b)` and `(batch, heads, tokens_b, tokens_a)`.

    Raises:
        UserError: where the inputs are not two 3-D shapes with the same number of channels, or
            `heads` does not divide the channels and no `key_dim` is given.
    """

    def __init__(self, heads, key_dim=None, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.key_dim = key_dim
        self.dropout = dropout
        self.norm = keras.layers.LayerNormalization(
            epsilon=1e-6, name="norm", dtype=self.dtype_policy
        )
        self.attention = None

    def build(self, input_shape):
        a, b = _two_shapes(self, input_shape)
        if len(a) != 3 or len(b) != 3 or a[-1] != b[-1]:
            raise UserError(
                "CrossAttention expects two inputs (batch, tokens, channels) with the same number "
                f"of channels. Received: input_shape={input_shape}"
            )
        if self.key_dim is None and a[-1] % self.heads:
            raise UserError(
                f"CrossAttention expects channels that heads={self.heads} divides, or a key_dim. "
                f"Received: channels={a[-1]}"
            )
        self.attention = keras.layers.MultiHeadAttention(
            num_heads=self.heads,
            key_dim=self.key_dim or a[-1] // self.heads,
            dropout=self.dropout,
            name="attention",
            dtype=self.dtype_policy,
        )
        self.norm.build(a)
        self.attention.build(a, b, b)
        self.built = True

    def call(self, inputs, return_attention_scores=False, training=None):
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

    def project(self, tokens):
        """What is the same of an image in every pair it is in.

        Args:
            tokens: `(images, tokens, channels)`.

        Returns:
            `(tokens, query, key, value)`: the tokens plus the output's bias; the query `(images,
            heads, tokens, key_dim)`, divided by the root of key_dim (Vaswani et al. 2017, equation
            1); the key `(images, heads, key_dim, tokens)`; the value `(images, heads, tokens,
            key_dim)`. Where that is less work a pair, the values have passed the output's weights
            already: `(images, heads * tokens, channels)`.
        """
        normed = self.norm(tokens)
        dense = (self.attention.query_dense, self.attention.key_dense, self.attention.value_dense)
        query, key, value = (ops.transpose(each(normed), (0, 2, 1, 3)) for each in dense)
        output = self.attention.output_dense
        if self._folds(tokens.shape):
            # Not a broadcast matmul: TensorFlow 2.21 writes past its end on a CPU with one head.
            value = ops.einsum("nhtd,hdc->nhtc", value, ops.cast(output.kernel, value.dtype))
            value = ops.reshape(value, (-1, self.heads * tokens.shape[1], tokens.shape[2]))
        query = query * ops.cast(query.shape[-1] ** -0.5, query.dtype)
        tokens = ops.cast(tokens, query.dtype) + ops.cast(output.bias, query.dtype)
        return tokens, query, ops.transpose(key, (0, 1, 3, 2)), value

    def attend(self, own, other):
        """What `call` makes of one image of each pair, from what `project` gave; no dropout.

        Args:
            own, other: of both images, one row a pair.

        Returns:
            `(pairs, tokens, channels)`, `own` having looked at `other`.
        """
        tokens, query, _, _ = own
        _, _, key, value = other
        weights = ops.softmax(ops.matmul(query, key))
        if self._folds(tokens.shape):
            weights = ops.transpose(weights, (0, 2, 1, 3))
            weights = ops.reshape(weights, (-1, tokens.shape[1], value.shape[1]))
            return tokens + ops.matmul(weights, value)
        return tokens + self._output(ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3)))

    def attend_all(self, own, other):
        """As `attend`, every image of `own` having looked at every image of `other`.

        Larger products than `attend` has, and nothing is copied for each pair.

        Args:
            own: `project` of n images.
            other: of m images.

        Returns:
            `(m, n, tokens, channels)`.
        """
        tokens, query, _, _ = own
        _, _, key, value = other
        n, m, (places, channels) = ops.shape(tokens)[0], ops.shape(key)[0], tokens.shape[1:]
        query = ops.reshape(ops.transpose(query, (1, 0, 2, 3)), (self.heads, -1, query.shape[3]))
        query = ops.broadcast_to(query[None], (m, self.heads, n * places, query.shape[2]))
        weights = ops.softmax(ops.matmul(query, key))  # (m, heads, n * places, places)
        if self._folds(tokens.shape):
            weights = ops.transpose(weights, (0, 2, 1, 3))
            weights = ops.reshape(weights, (m, n * places, self.heads * places))
            seen = ops.matmul(weights, value)
        else:
            seen = self._output(ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3)))
        return tokens[None] + ops.reshape(seen, (m, n, places, channels))

    def _output(self, seen):
        """The output's weights without their bias: (..., heads, key_dim) -> (..., channels)."""
        kernel = ops.cast(self.attention.output_dense.kernel, seen.dtype)
        return ops.tensordot(seen, kernel, axes=2)

    def _folds(self, shape):
        # Products a query's place: heads * T * C with folded values, T * C + C * C without.
        return (self.heads - 1) * shape[1] < shape[2]

    def compute_output_shape(self, input_shape):
        a, b = _two_shapes(self, input_shape)
        return tuple(a), tuple(b)

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "key_dim": self.key_dim,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="ganfp")
class AdaptiveSimilarity(keras.layers.Layer):
    """Absolute difference and dot product of two vectors, each with what it learns (section 3.2).

    `difference = w * |a - b|` with one learned weight a channel (1 at the start) and
    `dot = cos(a, b) / t`, the dot product scaled by both lengths and by a learned temperature
    `t = exp(log_temperature)` (0.1 at the start, as in contrastive learning). Both are symmetric.

    Args:
        signals: "both", "difference" or "dot".
        **kwargs: of `keras.layers.Layer`.

    Inputs: two tensors `(batch, ..., channels)`.

    Output: `(batch, ..., channels + 1)`, `(batch, ..., channels)` or `(batch, ..., 1)`, by
    `signals`.

    Raises:
        UserError: where `signals` is not one of the three, or the inputs' shapes do not agree.
    """

    def __init__(self, signals="both", **kwargs):
        super().__init__(**kwargs)
        if signals not in ("both", "difference", "dot"):
            raise UserError(
                "AdaptiveSimilarity expects signals to be both, difference or dot. "
                f"Received: signals={signals!r}"
            )
        self.signals = signals

    def build(self, input_shape):
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

    def call(self, inputs):
        a, b = inputs
        signals = []
        if self.signals != "dot":
            signals.append(ops.cast(self.channel_weights, a.dtype) * ops.abs(a - b))
        if self.signals != "difference":
            cosine = ops.sum(_unit(a) * _unit(b), axis=-1, keepdims=True)
            signals.append(cosine * ops.cast(ops.exp(-self.log_temperature), a.dtype))
        return ops.concatenate(signals, axis=-1) if len(signals) > 1 else signals[0]

    def pooled(self, a, b):
        """Mean over the places of what `call` gives, in float32, without keeping each place's.

        Args:
            a, b: `(pairs, places, channels)`.

        Returns:
            `(pairs, signals)`.
        """
        a, b = ops.cast(a, "float32"), ops.cast(b, "float32")
        signals = []
        if self.signals != "dot":
            weights = ops.cast(self.channel_weights, "float32")
            signals.append(weights * ops.mean(ops.abs(a - b), axis=1))
        if self.signals != "difference":
            lengths = [ops.maximum(ops.sum(x * x, axis=-1), 1e-6) for x in (a, b)]
            cosine = ops.sum(a * b, axis=-1) * ops.rsqrt(lengths[0]) * ops.rsqrt(lengths[1])
            mean = ops.mean(cosine, axis=1, keepdims=True)
            signals.append(mean * ops.exp(-ops.cast(self.log_temperature, "float32")))
        return ops.concatenate(signals, axis=-1)

    def compute_output_shape(self, input_shape):
        a, _ = _two_shapes(self, input_shape)
        channels = {"both": a[-1] + 1, "difference": a[-1], "dot": 1}[self.signals]
        return (*a[:-1], channels)

    def get_config(self):
        return {**super().get_config(), "signals": self.signals}


@keras.saving.register_keras_serializable(package="ganfp")
class Standardize(keras.layers.Layer):
    """Subtracts each channel's mean and divides by its deviation, as `set_statistics` was told.

    `keras.layers.Normalization` turns its statistics into constants of the graph, so that a
    checkpoint cannot bring them back; here they are non-trainable weights.

    Args:
        places: True: each channel has a mean and a deviation at each place, so that what all images
            have in common there is no likeness.
        **kwargs: of `keras.layers.Layer`.

    Inputs: `(batch, ..., channels)`.

    Output: the input's shape.

    Raises:
        UserError: where `set_statistics` is given another shape.
    """

    def __init__(self, places=False, **kwargs):
        super().__init__(**kwargs)
        self.places = places

    def build(self, input_shape):
        shape = tuple(input_shape[1:] if self.places else input_shape[-1:])
        self.mean = self.add_weight(shape, initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(
            shape, initializer="ones", trainable=False, name="deviation"
        )
        self.built = True

    def set_statistics(self, mean, deviation):
        """Sets both, `(channels,)` or with `places` `(..., channels)`.

        A deviation below 1 % of their median is raised to it: a channel that hardly moved on the
        training images would otherwise rule all distances on the first image that moves it. With
        `places`, a channel's deviations count as their root mean square in that, and each is raised
        to a tenth of it: few images leave many places of a channel without anything.
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
        floor = max(0.01 * float(np.median(usual)), 1e-6)
        if self.places:
            floor = np.maximum(floor, 0.1 * usual)
        self.mean.assign(mean)
        self.deviation.assign(np.maximum(deviation, floor))

    def call(self, inputs):
        mean = ops.cast(self.mean, inputs.dtype)
        return (inputs - mean) / ops.cast(self.deviation, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "places": self.places}


def _unit(vectors):
    # The floor keeps the gradient finite where a vector is zero. In float16 the squared length of
    # a long vector would overflow, and its cosine with anything become zero.
    squared = ops.sum(ops.square(ops.cast(vectors, "float32")), axis=-1, keepdims=True)
    return vectors * ops.cast(ops.rsqrt(ops.maximum(squared, 1e-6)), vectors.dtype)


def _two_shapes(layer, input_shape):
    if len(input_shape) != 2 or not all(isinstance(shape, (tuple, list)) for shape in input_shape):
        raise UserError(
            f"{type(layer).__name__} expects two inputs. Received: input_shape={input_shape}"
        )
    return input_shape
