"""Encoder, comparator, and the Siamese network they make together (design: two models, not one)."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ganfp_tf.models.comparator import Comparator
from ganfp_tf.models.standardize import Standardize

DOMAINS = ("real", "generated")


def build_encoder(
    backbone: keras.Model,
    *,
    cross_attention: bool,
    width: int,
    positions: bool = False,
    domain_norm: bool = False,
) -> tuple[keras.Model, keras.Model]:
    """Makes image -> tokens: the backbone and what all images share behind it.

    Args:
        backbone: model `(batch, size, size, 3)` -> `(batch, tokens, channels)`.
        cross_attention: True: every token is projected to `width`. False: the tokens are pooled
            to the feature vector of the paper's baseline (2048 channels for ResNet50).
        width: channels of a projected token.
        positions: True: tokens are projected, and not pooled, without cross-attention too.
        domain_norm: standardise real and generated images apart, each channel at each place. The
            encoder does not know which of them an image is: it gives all tokens as a real image's
            and behind them, along the axis of the tokens, all as a generated image's. The
            comparator takes what it needs.

    Returns:
        `(encoder, head)`: models `(batch, size, size, 3)` -> `(batch, tokens, width)` or
        `(batch, 1, channels)`, with `domain_norm` twice as many tokens; and the encoder's part
        after the backbone, which takes the tokens that the embedding store holds. They share their
        layers.
    """
    tokens, channels = backbone.output.shape[1:]
    features = keras.Input((tokens, channels), name="features")
    if cross_attention or positions:
        last = keras.layers.Dense(width, name="projection")
    else:
        last = keras.layers.GlobalAveragePooling1D(keepdims=True, name="pool")
    # Adapted on training images: without it, every vector of an untrained network points the same
    # way (cosine 0.999) and the dot product has nothing to tell.
    if domain_norm:
        norms = [Standardize(places=True, name=f"standardize_{domain}") for domain in DOMAINS]
        views = [last(norm(features)) for norm in norms]
        x = keras.layers.Concatenate(axis=1, name="views")(views)
    else:
        x = last(Standardize(name="standardize")(features))
    head = keras.Model(features, x, name="head")
    encoder = keras.Model(backbone.input, head(backbone.output), name="encoder")
    return encoder, head


def standardize_signals(comparator: Comparator, batches: Iterable[dict[str, np.ndarray]]) -> None:
    """Sets the comparator's scale from its similarity signals on pairs of training images.

    Args:
        comparator: made by `build_comparator`, before training.
        batches: iterable of dicts `real` and `generated`, tokens `(pairs, tokens, channels)`.
    """
    signals = compiled(comparator.pooled_signals())
    found = np.concatenate([signals(batch) for batch in batches]).astype("float64")
    comparator.set_scale(found.mean(axis=0), found.std(axis=0))


def build_siamese(encoder: keras.Model, comparator: Comparator) -> keras.Model:
    """Makes (image, image) -> logit: the same encoder object called twice, then the comparator."""
    shape = encoder.input.shape[1:]
    real = keras.Input(shape, name="real")
    generated = keras.Input(shape, name="generated")
    logit = comparator({"real": encoder(real), "generated": encoder(generated)})
    return keras.Model({"real": real, "generated": generated}, logit, name="siamese")


@keras.saving.register_keras_serializable(package="ganfp")
class AllPairs(keras.layers.Layer):
    """Scores every real image of a block with every generated image of it.

    An image is encoded and projected once, however many pairs it is in.

    Args:
        encode: model image or features -> tokens.
        compare: the comparator.
        **kwargs: of `keras.layers.Layer`.

    Inputs: `real` `(blocks, R, ...)` and `generated` `(blocks, G, ...)`.

    Output: logits `(blocks, R, G)`.
    """

    def __init__(self, encode: keras.Model, compare: Comparator, **kwargs: Any):
        super().__init__(**kwargs)
        self.encode = encode
        self.compare = compare

    def build(self, input_shape: Any) -> None:
        """Creates the weights."""
        self.built = True

    def call(
        self, real: tf.Tensor, generated: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """The layer's output."""
        a = self._encode(real, training)  # (B, R, T, D)
        b = self._encode(generated, training)  # (B, G, T, D)
        blocks, n_real = ops.shape(a)[:2]
        n_generated = ops.shape(b)[1]
        pairs = (blocks, n_real, n_generated)

        def each(parts, axis):
            # (B, R, ...) -> (B, R, 1, ...) -> (B, R, G, ...), generated images alike.
            for part in parts:
                shape = part.shape[1:]
                part = ops.reshape(part, (blocks, -1, *shape))
                part = ops.broadcast_to(ops.expand_dims(part, axis), (*pairs, *shape))
                yield ops.reshape(part, (-1, *shape))

        shape = a.shape[2:]
        real = self.compare.project(ops.reshape(a, (-1, *shape)), "real")
        generated = self.compare.project(ops.reshape(b, (-1, *shape)), "generated")
        real, generated = tuple(each(real, 2)), tuple(each(generated, 1))
        return ops.reshape(self.compare.score(real, generated, training=bool(training)), pairs)

    def _encode(self, images, training):
        shape = ops.shape(images)
        tokens = self.encode(ops.reshape(images, (-1, *shape[2:])), training=training)
        return ops.reshape(tokens, (shape[0], shape[1], *tokens.shape[1:]))

    def compute_output_shape(self, real_shape: tuple, generated_shape: tuple) -> tuple:
        """The shape of the output."""
        return (real_shape[0], real_shape[1], generated_shape[1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "encode": keras.saving.serialize_keras_object(self.encode),
            "compare": keras.saving.serialize_keras_object(self.compare),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AllPairs":
        """Makes the layer from `get_config`."""
        for name in ("encode", "compare"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        config["compare"] = Comparator.of(config["compare"])
        return cls(**config)


def build_trainer(encode: keras.Model, comparator: Comparator) -> keras.Model:
    """Makes the model that `fit` sees: `real` (B, R, ...), `generated` (B, G, ...) -> (B, R, G)."""
    shape = encode.input.shape[1:]
    real = keras.Input((None, *shape), name="real")
    generated = keras.Input((None, *shape), name="generated")
    logits = AllPairs(encode, comparator, name="all_pairs")(real, generated)
    return keras.Model({"real": real, "generated": generated}, logits, name="trainer")


def compiled(model: keras.Model) -> Callable[[Any], np.ndarray]:
    """Makes a graph of `model` for inference; NumPy or tensors in, NumPy out.

    `predict_on_batch` would run a batch once on every device of a strategy and hand back its rows
    as often; and arrays given to the bare model would be cast one layer at a time.
    """
    # One trace for batches of any length.
    spec = tf.nest.map_structure(
        lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype), model.input
    )
    call = tf.function(lambda inputs: model(inputs, training=False), input_signature=[spec])

    def convert(array, wanted):
        return tf.cast(tf.convert_to_tensor(array), wanted.dtype)

    return lambda inputs: call(tf.nest.map_structure(convert, inputs, spec)).numpy()
