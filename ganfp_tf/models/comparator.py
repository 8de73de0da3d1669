"""The comparator of the Siamese network: the tokens of two images -> one logit."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from ganfp_tf.models import pair_operations
from ganfp_tf.models.layers import AdaptiveSimilarity, CrossAttention
from ganfp_tf.models.standardize import Standardize


@dataclasses.dataclass(frozen=True)
class _Parts:
    """Layers of a comparator.

    Attributes:
        halves: Whether each image is compared by one half of its tokens (--domain_norm).
        attention: The cross-attention, or None.
        similarity: The adaptive similarity.
        pool: The mean over the places.
        scale: The standardization of the pooled signals.
        head: Pooled signals -> logit.
    """

    halves: bool
    attention: CrossAttention | None
    similarity: AdaptiveSimilarity
    pool: keras.layers.Layer
    scale: Standardize
    head: keras.Model


@keras.saving.register_keras_serializable(package="ganfp")
class Comparator(keras.Model):
    """Compares the tokens of two images; a functional model made by `build_comparator`.

    `project` and `score` give the same logits as `call` and project an image once for all the
    pairs that it is in.

    Inputs:
        A dict of `real` and `generated`, both `(batch, tokens, channels)`.

    Output:
        Logits `(batch, 1)` in float32; higher means "used in training".
    """

    # No __init__: Keras restores a functional subclass only if its constructor is that of Model.

    @classmethod
    def of(cls, model: keras.Model) -> "Comparator":
        """The comparator read from a file; version 0.1 wrote a plain functional model."""
        return model if isinstance(model, cls) else cls(model.input, model.output, name=model.name)

    # Not an attribute: Keras would track the layers a second time.
    @functools.cached_property
    def _parts(self) -> _Parts:
        layers = {layer.name: layer for layer in self.layers}
        return _Parts(
            halves="as_real" in layers,
            attention=layers.get("cross_attention"),
            similarity=layers["similarity"],
            pool=layers["pool"],
            scale=layers["scale"],
            head=keras.Model(layers["pool"].output, self.output),
        )

    @property
    def token_shape(self) -> tuple[int, int]:
        """`(tokens, channels)` of an image."""
        return tuple(self.input["real"].shape[1:])

    @property
    def places(self) -> int:
        """Tokens of an image that are compared."""
        return self.token_shape[0] // (2 if self._parts.halves else 1)

    @property
    def num_heads(self) -> int:
        """Number of attention heads; 0 without cross-attention."""
        return self._parts.attention.num_heads if self._parts.attention else 0

    def pooled_signals(self) -> keras.Model:
        """The model from the inputs to the pooled similarity signals, `(batch, signals)`."""
        return keras.Model(self.input, self._parts.pool.output)

    def set_scale(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Sets mean and standard deviation of the pooled similarity signals, `(signals,)`."""
        self._parts.scale.set_statistics(mean, deviation)

    def project(self, tokens: tf.Tensor, domain: str) -> tuple[tf.Tensor, ...]:
        """Computes what is needed once for each image.

        Args:
            tokens: `(n, tokens, channels)`.
            domain: "real" or "generated"; they differ with `domain_norm`.

        Returns:
            Tensors `(n, ...)`: the tokens, or those of `pair_operations.project`.
        """
        parts = self._parts
        if parts.halves:
            own = slice(self.places) if domain == "real" else slice(self.places, None)
            tokens = tokens[:, own]
        if parts.attention is None:
            return (tokens,)
        return pair_operations.project(parts.attention, tokens)

    def score(
        self, real: tuple[tf.Tensor, ...], generated: tuple[tf.Tensor, ...], training: bool = False
    ) -> tf.Tensor:
        """Logits of pairs.

        Args:
            real: `project` of the real image of each pair, one row for each pair.
            generated: `project` of the generated image of each pair.
            training: Whether dropout is active.

        Returns:
            `(pairs, 1)` float32.
        """
        parts = self._parts
        x, y = real[0], generated[0]
        if parts.attention is not None:
            x = pair_operations.attend(parts.attention, real, generated)
            y = pair_operations.attend(parts.attention, generated, real)
        if training:
            # The gradient of pooled_similarity adds up in an order that changes between calls.
            return parts.head(tf.reduce_mean(parts.similarity((x, y)), axis=1), training=True)
        return self._score_aligned(x, y)

    def score_all(self, real: tuple[tf.Tensor, ...], generated: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Logits of every real image with every generated image.

        Args:
            real: `project` of n real images.
            generated: `project` of m generated images.

        Returns:
            `(n, m)` float32.
        """
        attention = self._parts.attention
        if attention is None:
            n, m = tf.shape(real[0])[0], tf.shape(generated[0])[0]
            x, y = tf.repeat(real[0], m, axis=0), tf.tile(generated[0], (n, 1, 1))
        else:
            x = tf.transpose(pair_operations.attend_all(attention, real, generated), (1, 0, 2, 3))
            y = pair_operations.attend_all(attention, generated, real)  # (n, m, T, D) as x
            n, m = tf.shape(x)[0], tf.shape(x)[1]
            x, y = (tf.reshape(each, (-1, *each.shape[2:])) for each in (x, y))
        return tf.reshape(self._score_aligned(x, y), (n, m))

    def _score_aligned(self, x, y):
        signals = pair_operations.pooled_similarity(self._parts.similarity, x, y)
        return self._parts.head(signals, training=False)


def build_comparator(
    token_shape: tuple[int, int],
    *,
    cross_attention: bool,
    heads: int = 4,
    similarity: str = "both",
    hidden: int = 64,
    dropout: float = 0.1,
    domain_norm: bool = False,
) -> Comparator:
    """Makes the untrained comparator.

    The logit is the output of a hidden layer plus a weighted sum of the similarity signals.
    Initially the first is zero, and the second counts similar tokens as used and different ones as
    not used: an untrained comparator compares, and training has to improve on that. With random
    initial weights instead, a network told 160 images apart before it had learned to compare any
    two.

    Args:
        token_shape: `(tokens, channels)` of the encoder's output.
        cross_attention: Whether the tokens of both images are aligned before they are pooled.
        heads: Number of attention heads.
        similarity: Signals of `AdaptiveSimilarity`.
        hidden: Units of the hidden layer.
        dropout: Dropout rate before and after the hidden layer.
        domain_norm: Whether the tokens are those of an encoder with `domain_norm`: of the first
            image the first half is compared, of the second image the second half.

    Returns:
        The `Comparator`.
    """
    real = keras.Input(token_shape, name="real")
    generated = keras.Input(token_shape, name="generated")
    a, b = real, generated
    if domain_norm:
        half = token_shape[0] // 2
        a = keras.layers.Cropping1D((0, half), name="as_real")(a)
        b = keras.layers.Cropping1D((half, 0), name="as_generated")(b)
    if cross_attention:
        a, b = CrossAttention(heads, name="cross_attention")((a, b))
    # Compared place by place, then pooled: pooled first, two images with the same things in other
    # places would be alike, and where things are is what a generator copies.
    x = AdaptiveSimilarity(similarity, name="similarity")((a, b))
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    x = signals = Standardize(name="scale")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(hidden, activation="gelu", name="hidden")(x)
    x = keras.layers.Dropout(dropout, name="dropout_hidden")(x)
    # float32 with any policy: half precision would round the logits that are ranked.
    learned = keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32", name="learned")(x)
    direct = keras.layers.Dense(1, use_bias=False, dtype="float32", name="direct")
    logit = keras.layers.Add(dtype="float32", name="logit")([direct(signals), learned])
    direct.kernel.assign(_similar_is_used(token_shape[-1], similarity))
    return Comparator({"real": real, "generated": generated}, logit, name="comparator")


def _similar_is_used(channels, similarity):
    """Start of the direct weights, (signals, 1): each kind of signal weighs 1 in total."""
    weights = []
    if similarity != "dot":
        weights += [-1.0 / channels] * channels
    if similarity != "difference":
        weights.append(1.0)
    return np.array(weights, "float32")[:, None]
