"""The comparator on many pairs: what belongs to an image once an image, the rest once a pair."""

import concurrent.futures
import dataclasses
import functools
import itertools

import keras
import numpy as np
import tensorflow as tf

PAIR_BYTES = 2**28  # of all intermediate results at once
MOST_PAIRS = 4096
CALLS = 2  # at the same time


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a comparison needs of each of n images.

    Attributes:
        parts: tensors `(n, ...)`: the tokens, or what `CrossAttention.project` gives.
    """

    parts: tuple

    def __len__(self):
        return int(self.parts[0].shape[0])


class PairGraph:
    """A comparator taken apart: what belongs to an image, to a pair, and the head behind both.

    Args:
        comparator: made by `siamese.build_comparator`.
    """

    def __init__(self, comparator):
        names = {layer.name for layer in comparator.layers}
        self.token_shape = tuple(comparator.input["real"].shape[1:])
        self.halves = "as_real" in names
        self.attention = None
        if "cross_attention" in names:
            self.attention = comparator.get_layer("cross_attention")
        self.similarity = comparator.get_layer("similarity")
        self.head = keras.Model(comparator.get_layer("pool").output, comparator.output)

    @property
    def places(self):
        """Tokens of an image that are compared."""
        return self.token_shape[0] // (2 if self.halves else 1)

    def parts(self, tokens, domain):
        """What is computed once an image: a tuple of tensors `(n, ...)`.

        Args:
            tokens: `(n, T, D)`.
            domain: "real" or "generated".
        """
        if self.halves:
            own = slice(self.places) if domain == "real" else slice(self.places, None)
            tokens = tokens[:, own]
        return (tokens,) if self.attention is None else self.attention.project(tokens)

    def pairs(self, a, b, training=False):
        """Logits `(P, 1)` of parts of real and of generated images, one row a pair."""
        x, y = a[0], b[0]
        if self.attention is not None:
            x, y = self.attention.attend(a, b), self.attention.attend(b, a)
        if training:
            # The gradient of `pooled` adds up in an order that changes from call to call.
            return self.head(tf.reduce_mean(self.similarity((x, y)), axis=1), training=True)
        return self.head(self.similarity.pooled(x, y), training=False)

    def all_pairs(self, a, b):
        """Logits `(n, m)` of parts of n real and m generated images, each with each."""
        if self.attention is None:
            n, m = tf.shape(a[0])[0], tf.shape(b[0])[0]
            x, y = tf.repeat(a[0], m, axis=0), tf.tile(b[0], (n, 1, 1))
        else:
            x = tf.transpose(self.attention.attend_all(a, b), (1, 0, 2, 3))
            y = self.attention.attend_all(b, a)  # (n, m, T, D) as x
            n, m = tf.shape(x)[0], tf.shape(x)[1]
            x, y = (tf.reshape(each, (-1, *each.shape[2:])) for each in (x, y))
        return tf.reshape(self.head(self.similarity.pooled(x, y), training=False), (n, m))


class PairEngine:
    """Scores pairs of images as a comparator does, to the last digits.

    The comparator as a model projects query, key and value of both images in every pair, and keeps
    the signals of every place until they are pooled. Here an image is projected once, however many
    pairs it is in; pairs are indices, gathered in the graph; signals are pooled as they arise. A
    graph is traced once for pairs of any number.

    Args:
        comparator: made by `siamese.build_comparator`. Its weights are read at each call, so that
            it may go on learning.
    """

    def __init__(self, comparator):
        self._graph = PairGraph(comparator)
        tokens = tf.TensorSpec((None, *self._graph.token_shape), tf.float32)
        self._prepare = {
            domain: tf.function(
                functools.partial(self._graph.parts, domain=domain), input_signature=[tokens]
            )
            for domain in ("real", "generated")
        }
        parts = self._prepare["real"].get_concrete_function().structured_outputs
        specs = tuple(tf.TensorSpec(part.shape, part.dtype) for part in parts)
        self._counts = [int(np.prod(part.shape[1:])) for part in parts]
        index = tf.TensorSpec((None,), tf.int32)
        self._score = tf.function(self._logits, input_signature=[specs, specs, index, index])
        self._score_all = tf.function(self._graph.all_pairs, input_signature=[specs, specs])

    @property
    def traces(self):
        """How often each graph was traced: once at most, however many batches came."""
        functions = (*self._prepare.values(), self._score, self._score_all)
        return [function.experimental_get_tracing_count() for function in functions]

    @property
    def image_bytes(self):
        """Memory of one prepared image, in bytes."""
        return 4 * sum(self._counts)

    @property
    def pairs_a_call(self):
        """Pairs that one call scores: enough to fill the cores."""
        attention = self._graph.attention
        maps = 4 * (attention.heads if attention else 0) * self._graph.places**2
        a_pair = 4 * (3 * sum(self._counts) + maps)
        return int(np.clip(PAIR_BYTES // a_pair, 16, MOST_PAIRS))

    def prepare(self, tokens, domain):
        """What is computed once an image.

        Args:
            tokens: `(n, T, D)` of the encoder.
            domain: "real" or "generated"; they differ with --domain_norm.

        Returns:
            `Prepared`.
        """
        return Prepared(tuple(self._prepare[domain](tf.cast(tokens, tf.float32))))

    @staticmethod
    def joined(batches):
        """The images of several `Prepared` of one domain as one, in their order."""
        if len(batches) == 1:
            return batches[0]
        columns = zip(*(batch.parts for batch in batches), strict=True)
        return Prepared(tuple(tf.concat(column, axis=0) for column in columns))

    def logits(self, real, generated, left, right):
        """Logits of pairs: the image `left[i]` of `real` with the image `right[i]` of `generated`.

        Args:
            real, generated: `Prepared`.
            left, right: `(P,)` int.

        Returns:
            `(P,)` float32.
        """
        out, size = np.empty(len(left), "float32"), self.pairs_a_call
        left, right = np.asarray(left, "int32"), np.asarray(right, "int32")
        for start in range(0, len(left), size):
            part = slice(start, start + size)
            out[part] = self._score(real.parts, generated.parts, left[part], right[part]).numpy()
        return out

    def all_logits(self, real, generated):
        """Logits of every image of `real` with every image of `generated`, both `Prepared`.

        Returns:
            `(len(real), len(generated))` float32.
        """
        out = np.empty((len(real), len(generated)), "float32")
        side = max(1, int(np.sqrt(self.pairs_a_call / CALLS)))

        def score(corner):
            own, other = (slice(start, start + side) for start in corner)
            a = tuple(part[own] for part in real.parts)
            b = tuple(part[other] for part in generated.parts)
            out[own, other] = self._score_all(a, b).numpy()

        corners = itertools.product(range(0, len(real), side), range(0, len(generated), side))
        # One call's small operations leave cores idle that the other's fill.
        with concurrent.futures.ThreadPoolExecutor(CALLS) as pool:
            list(pool.map(score, corners))
        return out

    def _logits(self, real, generated, left, right):
        a = [tf.gather(part, left) for part in real]
        b = [tf.gather(part, right) for part in generated]
        return self._graph.pairs(a, b)[:, 0]
