"""What learns that a generated image is a copy of a real one: embedding and comparator at once."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ganfp_tf.data.copy_augmentation import Recipe
from ganfp_tf.models.comparator import Comparator
from ganfp_tf.models.schedule import UNDECAYED, warmed_cosine

WARMUP = 0.05  # share of the steps in which the learning rate rises
TEMPERATURE = 10.0  # the embedding's cosines are multiplied by it at the start


@keras.saving.register_keras_serializable(package="ganfp")
class CopyPairs(keras.layers.Layer):
    """Looks for the copy of each image in its block: all by embedding, the nearest by comparator.

    The comparator is shown what a search by embedding would hand it: the true copy and the most
    similar others. Easy pairs it would learn nothing from.

    Args:
        encode: model image -> tokens.
        compare: the comparator.
        candidates: copies that the comparator is shown with each image.
        **kwargs: of `keras.layers.Layer`.

    Inputs: `real` and `generated`, both `(blocks, R, ...)`; generated i is the copy of real i.

    Output: `embedding` `(blocks, R, R)`, cosines times a learned temperature; `pairs`
    `(blocks, R, candidates)`, the comparator's logits, the true copy first.
    """

    def __init__(
        self, encode: keras.Model, compare: keras.Model, candidates: int = 4, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.encode = encode
        self.compare = compare
        self.candidates = candidates

    def build(self, input_shape: Any) -> None:
        """Creates the weights."""
        self.log_temperature = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(float(ops.log(TEMPERATURE))),
            name="log_temperature",
        )
        self.built = True

    def call(
        self, real: tf.Tensor, generated: tf.Tensor, training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """The layer's output."""
        a, b = self._encode(real, training), self._encode(generated, training)
        blocks, count, tokens, channels = a.shape
        cosine = ops.einsum("bid,bjd->bij", *(embedding(x, (blocks, count, -1)) for x in (a, b)))
        eye = ops.eye(count, dtype=cosine.dtype)
        # Cosines are at most 1: the true copy always comes first.
        places = ops.top_k(ops.stop_gradient(cosine) + 3.0 * eye, self._shown(count))[1]
        shown = places.shape[-1]
        flat = ops.reshape(places, (blocks, count * shown))
        near = ops.take_along_axis(ops.reshape(b, (blocks, count, -1)), flat[..., None], axis=1)
        near = ops.reshape(near, (-1, tokens, channels))
        own = ops.broadcast_to(a[:, :, None], (blocks, count, shown, tokens, channels))
        own = ops.reshape(own, (-1, tokens, channels))
        logits = self.compare({"real": own, "generated": near}, training=training)
        return {
            "embedding": cosine * ops.exp(self.log_temperature),
            "pairs": ops.reshape(logits, (blocks, count, shown)),
        }

    def _shown(self, count):
        return min(self.candidates, count)

    def _encode(self, images, training):
        blocks, count = images.shape[:2]
        tokens = self.encode(ops.reshape(images, (-1, *images.shape[2:])), training=training)
        return ops.reshape(tokens, (blocks, count, *tokens.shape[1:]))

    def compute_output_shape(self, real_shape: tuple, generated_shape: tuple) -> dict[str, tuple]:
        """The shape of the output."""
        count = real_shape[1]
        shown = None if count is None else self._shown(count)
        return {"embedding": (*real_shape[:2], count), "pairs": (*real_shape[:2], shown)}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "encode": keras.saving.serialize_keras_object(self.encode),
            "compare": keras.saving.serialize_keras_object(self.compare),
            "candidates": self.candidates,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CopyPairs":
        """Makes the layer from `get_config`."""
        for name in ("encode", "compare"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def embedding(tokens: tf.Tensor, shape: tuple | None = None) -> tf.Tensor:
    """Tokens `(..., T, D)` as unit vectors, positions kept; `shape` is that of the result."""
    flat = ops.reshape(tokens, shape or (-1, tokens.shape[-2] * tokens.shape[-1]))
    return flat / ops.maximum(ops.norm(flat, axis=-1, keepdims=True), 1e-6)


def build_copy_trainer(
    encode: keras.Model, comparator: Comparator, *, blocks: int, count: int, candidates: int
) -> keras.Model:
    """Makes the model that `fit` sees: `real`, `generated` (blocks, count, ...) -> both outputs."""
    shape = (count, *encode.input.shape[1:])
    inputs = {name: keras.Input(shape, blocks, name=name) for name in ("real", "generated")}
    layer = CopyPairs(encode, comparator, candidates, name="copy_pairs")
    return keras.Model(inputs, layer(inputs["real"], inputs["generated"]), name="copy_trainer")


def contrast(wanted: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """InfoNCE both ways (van den Oord et al. 2018): the copy among all, the image among all.

    Args:
        wanted: `(blocks, R)` int, the number of each image's copy.
        logits: `(blocks, R, R)`.

    Returns:
        `(blocks,)`.
    """
    return sum(
        ops.mean(
            keras.losses.sparse_categorical_crossentropy(wanted, scores, from_logits=True), axis=-1
        )
        for scores in (logits, ops.transpose(logits, (0, 2, 1)))
    )


def matched(wanted: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the true copy among the candidates, and of each pair being a copy or not.

    The first ranks the candidates of one image; the second makes the logits of different images
    comparable, which is what an image is scored by.

    Args:
        wanted: `(blocks, R)` int, place of the true copy among the candidates.
        logits: `(blocks, R, candidates)`.

    Returns:
        `(blocks,)`.
    """
    choice = keras.losses.sparse_categorical_crossentropy(wanted, logits, from_logits=True)
    is_copy = ops.one_hot(wanted, logits.shape[-1], dtype=logits.dtype)
    each = keras.losses.binary_crossentropy(is_copy, logits, from_logits=True)
    return ops.mean(choice + each, axis=-1)


def finds_copy(wanted: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Share of images whose true copy scores highest: a metric for `compile`."""
    found = ops.argmax(logits, axis=-1)
    return ops.mean(ops.cast(ops.equal(found, ops.cast(wanted, found.dtype)), "float32"))


def schedule(steps: int, rate: float) -> keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate: it rises for 5 % of the steps, and one at least; a cosine to zero follows."""
    return warmed_cosine(steps, rate, max(WARMUP, 1.0 / steps))


def compile_copy_trainer(trainer: keras.Model, recipe: Recipe, jit_compile: bool = False) -> None:
    """AdamW on the sum of both losses."""
    optimizer = keras.optimizers.AdamW(
        schedule(recipe.steps, recipe.learning_rate), weight_decay=1e-4, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
    trainer.compile(
        optimizer=optimizer,
        loss={"embedding": contrast, "pairs": matched},
        metrics={"embedding": finds_copy, "pairs": finds_copy},
        jit_compile=jit_compile,
    )
    trainer.optimizer.build(trainer.trainable_variables)


def float_inputs(images: tf.Tensor) -> tf.Tensor:
    """Gray `(N, S, S)` in [0, 1] -> what an encoder takes, `(N, S, S, 3)` in [0, 255]."""
    return tf.tile(255.0 * tf.cast(images, tf.float32)[..., None], (1, 1, 1, 3))
