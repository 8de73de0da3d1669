"""The comparator's layers for many pairs of few images: each image is projected once."""

import tensorflow as tf
from keras import ops

from ganfp_tf.models.layers import AdaptiveSimilarity, CrossAttention

# Tokens plus the output's bias, query, key and value of n images; see `project`.
Projected = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def project(layer: CrossAttention, tokens: tf.Tensor) -> Projected:
    """What is the same for an image in every pair it is in.

    Args:
        layer: The cross-attention.
        tokens: `(images, tokens, channels)`.

    Returns:
        `(tokens, query, key, value)`: the tokens plus the output's bias; the query `(images,
        num_heads, tokens, key_dim)`, divided by the root of key_dim (Vaswani et al. 2017, equation
        1); the key `(images, num_heads, key_dim, tokens)`; the value `(images, num_heads, tokens,
        key_dim)`. If that is less work for each pair, the output's weights are already applied to
        the values: `(images, num_heads * tokens, channels)`.
    """
    normed = layer.norm(tokens)
    attention = layer.attention
    dense = (attention.query_dense, attention.key_dense, attention.value_dense)
    query, key, value = (ops.transpose(each(normed), (0, 2, 1, 3)) for each in dense)
    output = attention.output_dense
    if _folds(layer, tokens.shape):
        # Not a broadcast matmul: TensorFlow 2.21 writes past its end on a CPU with one head.
        value = ops.einsum("nhtd,hdc->nhtc", value, ops.cast(output.kernel, value.dtype))
        value = ops.reshape(value, (-1, layer.num_heads * tokens.shape[1], tokens.shape[2]))
    query = query * ops.cast(query.shape[-1] ** -0.5, query.dtype)
    tokens = ops.cast(tokens, query.dtype) + ops.cast(output.bias, query.dtype)
    return tokens, query, ops.transpose(key, (0, 1, 3, 2)), value


def attend(layer: CrossAttention, own: Projected, other: Projected) -> tf.Tensor:
    """Tokens of one image of each pair after cross-attention, as `CrossAttention.call` gives them.

    Args:
        layer: The cross-attention.
        own: `project` of the image whose tokens are returned, one row for each pair.
        other: `project` of the image that it attends to, likewise.

    Returns:
        `(pairs, tokens, channels)`.
    """
    tokens, query, _, _ = own
    _, _, key, value = other
    weights = ops.softmax(ops.matmul(query, key))
    if _folds(layer, tokens.shape):
        weights = ops.transpose(weights, (0, 2, 1, 3))
        weights = ops.reshape(weights, (-1, tokens.shape[1], value.shape[1]))
        return tokens + ops.matmul(weights, value)
    return tokens + _output(layer, ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3)))


def attend_all(layer: CrossAttention, own: Projected, other: Projected) -> tf.Tensor:
    """As `attend`, for every image of `own` with every image of `other`.

    The products are larger than those of `attend`, and nothing is copied for each pair.

    Args:
        layer: The cross-attention.
        own: `project` of n images.
        other: `project` of m images.

    Returns:
        `(m, n, tokens, channels)`.
    """
    tokens, query, _, _ = own
    _, _, key, value = other
    heads = layer.num_heads
    n, m, (places, channels) = ops.shape(tokens)[0], ops.shape(key)[0], tokens.shape[1:]
    query = ops.reshape(ops.transpose(query, (1, 0, 2, 3)), (heads, -1, query.shape[3]))
    query = ops.broadcast_to(query[None], (m, heads, n * places, query.shape[2]))
    weights = ops.softmax(ops.matmul(query, key))  # (m, heads, n * places, places)
    if _folds(layer, tokens.shape):
        weights = ops.transpose(weights, (0, 2, 1, 3))
        weights = ops.reshape(weights, (m, n * places, heads * places))
        seen = ops.matmul(weights, value)
    else:
        seen = _output(layer, ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3)))
    return tokens[None] + ops.reshape(seen, (m, n, places, channels))


def pooled_similarity(layer: AdaptiveSimilarity, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Mean over the places of what `AdaptiveSimilarity.call` gives, in float32.

    The signals of the single places are not kept in memory.

    Args:
        layer: The adaptive similarity.
        a: `(pairs, places, channels)`.
        b: `(pairs, places, channels)`.

    Returns:
        `(pairs, signals)`.
    """
    a, b = ops.cast(a, "float32"), ops.cast(b, "float32")
    signals = []
    if layer.signals != "dot":
        weights = ops.cast(layer.channel_weights, "float32")
        signals.append(weights * ops.mean(ops.abs(a - b), axis=1))
    if layer.signals != "difference":
        lengths = [ops.maximum(ops.sum(x * x, axis=-1), 1e-6) for x in (a, b)]
        cosine = ops.sum(a * b, axis=-1) * ops.rsqrt(lengths[0]) * ops.rsqrt(lengths[1])
        mean = ops.mean(cosine, axis=1, keepdims=True)
        signals.append(mean * ops.exp(-ops.cast(layer.log_temperature, "float32")))
    return ops.concatenate(signals, axis=-1)


def _output(layer, seen):
    """Applies the output's weights without bias: (..., heads, key_dim) -> (..., channels)."""
    kernel = ops.cast(layer.attention.output_dense.kernel, seen.dtype)
    return ops.tensordot(seen, kernel, axes=2)


def _folds(layer, shape):
    # Products for each place of a query: heads * T * C with folded values, T * C + C * C without.
    return (layer.num_heads - 1) * shape[1] < shape[2]
