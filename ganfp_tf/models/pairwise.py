"""The comparator on many pairs: what belongs to an image once an image, the rest once a pair."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

PAIR_BYTES = 2**28  # of all intermediate results of one call
MOST_PAIRS = 4096


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a comparison needs of each of n images.

    Attributes:
        parts: tensors `(n, ...)`: the tokens, or what `CrossAttention.project` gives.
    """

    parts: tuple

    def __len__(self):
        return int(self.parts[0].shape[0])


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
        names = {layer.name for layer in comparator.layers}
        self.token_shape = tuple(comparator.input["real"].shape[1:])
        self._halves = "as_real" in names
        self._attention = (
            comparator.get_layer("cross_attention") if "cross_attention" in names else None
        )
        self._similarity = comparator.get_layer("similarity")
        pooled = comparator.get_layer("pool").output
        self._head = keras.Model(pooled, comparator.output)
        tokens = tf.TensorSpec((None, *self.token_shape), tf.float32)
        self._prepare = {
            domain: tf.function(
                lambda batch, domain=domain: self._parts(batch, domain), input_signature=[tokens]
            )
            for domain in ("real", "generated")
        }
        shapes = [tensor.shape for tensor in self._prepare["real"].get_concrete_function().outputs]
        self._counts = [int(np.prod(shape[1:])) for shape in shapes]
        specs = tuple(
            tf.TensorSpec(tensor.shape, tensor.dtype)
            for tensor in self._prepare["real"].get_concrete_function().outputs
        )
        index = tf.TensorSpec((None,), tf.int32)
        self._score = tf.function(self._logits, input_signature=[specs, specs, index, index])
        self._score_all = tf.function(self._all_logits, input_signature=[specs, specs])

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
        tokens = self._parts_tokens()
        maps = 4 * (self._attention.heads if self._attention else 0) * tokens * tokens
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
        side = max(1, int(np.sqrt(self.pairs_a_call)))
        for i in range(0, len(real), side):
            own = tuple(part[i : i + side] for part in real.parts)
            for j in range(0, len(generated), side):
                other = tuple(part[j : j + side] for part in generated.parts)
                out[i : i + side, j : j + side] = self._score_all(own, other).numpy()
        return out

    def _parts_tokens(self):
        return self.token_shape[0] // (2 if self._halves else 1)

    def _parts(self, tokens, domain):
        if self._halves:
            half = self._parts_tokens()
            tokens = tokens[:, :half] if domain == "real" else tokens[:, half:]
        if self._attention is None:
            return (tokens,)
        return self._attention.project(tokens)

    def _logits(self, real, generated, left, right):
        a = [tf.gather(part, left) for part in real]
        b = [tf.gather(part, right) for part in generated]
        if self._attention is None:
            x, y = a[0], b[0]
        else:
            x, y = self._attention.attend(a, b), self._attention.attend(b, a)
        signals = self._similarity.pooled(x, y)
        return self._head(signals, training=False)[:, 0]

    def _all_logits(self, real, generated):
        if self._attention is None:
            n, m = tf.shape(real[0])[0], tf.shape(generated[0])[0]
            x = tf.repeat(real[0], m, axis=0)
            y = tf.tile(generated[0], (n, 1, 1))
        else:
            x = tf.transpose(self._attention.attend_all(real, generated), (1, 0, 2, 3))
            y = self._attention.attend_all(generated, real)  # (n, m, T, D) as x
            n, m = tf.shape(x)[0], tf.shape(x)[1]
            x, y = (tf.reshape(each, (-1, *each.shape[2:])) for each in (x, y))
        signals = self._similarity.pooled(x, y)
        return tf.reshape(self._head(signals, training=False), (n, m))
