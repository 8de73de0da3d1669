"""The comparator on many pairs: what belongs to an image once an image, the rest once a pair."""

import concurrent.futures
import dataclasses
import functools
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ganfp_tf.models.comparator import Comparator

PAIR_BYTES = 2**28  # of all intermediate results at once
MOST_PAIRS = 4096
CALLS = 2  # at the same time


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a comparison needs of each of n images.

    Attributes:
        parts: Tensors `(n, ...)`, as `Comparator.project` gives them.
    """

    parts: tuple[tf.Tensor, ...]

    def __len__(self) -> int:
        return int(self.parts[0].shape[0])


class PairEngine:
    """Scores pairs of images as a comparator does, to the last digits.

    The comparator as a model projects query, key and value of both images in every pair, and keeps
    the signals of every place until they are pooled. Here an image is projected once, however many
    pairs it is in; pairs are indices, gathered in the graph; signals are pooled as they arise. A
    graph is traced once for pairs of any number.

    Args:
        comparator: Its weights are read at each call, so that it may go on learning.
    """

    def __init__(self, comparator: Comparator):
        self._comparator = comparator
        tokens = tf.TensorSpec((None, *comparator.token_shape), tf.float32)
        self._prepare = {
            domain: tf.function(
                functools.partial(comparator.project, domain=domain), input_signature=[tokens]
            )
            for domain in ("real", "generated")
        }
        parts = self._prepare["real"].get_concrete_function().structured_outputs
        specs = tuple(tf.TensorSpec(part.shape, part.dtype) for part in parts)
        self._counts = [int(np.prod(part.shape[1:])) for part in parts]
        index = tf.TensorSpec((None,), tf.int32)
        self._score = tf.function(self._logits, input_signature=[specs, specs, index, index])
        self._score_all = tf.function(comparator.score_all, input_signature=[specs, specs])

    @property
    def traces(self) -> list[int]:
        """How often each graph was traced: once at most, however many batches came."""
        functions = (*self._prepare.values(), self._score, self._score_all)
        return [function.experimental_get_tracing_count() for function in functions]

    @property
    def image_bytes(self) -> int:
        """Memory of one prepared image, in bytes."""
        return 4 * sum(self._counts)

    @property
    def pairs_a_call(self) -> int:
        """Pairs that one call scores: enough to fill the cores."""
        maps = 4 * self._comparator.num_heads * self._comparator.places**2
        a_pair = 4 * (3 * sum(self._counts) + maps)
        return int(np.clip(PAIR_BYTES // a_pair, 16, MOST_PAIRS))

    def prepare(self, tokens: np.ndarray | tf.Tensor, domain: str) -> Prepared:
        """Computes what is needed once for each image.

        Args:
            tokens: `(n, T, D)` of the encoder.
            domain: "real" or "generated"; they differ with --domain_norm.
        """
        return Prepared(tuple(self._prepare[domain](tf.cast(tokens, tf.float32))))

    @staticmethod
    def joined(batches: Sequence[Prepared]) -> Prepared:
        """The images of several `Prepared` of one domain as one, in their order."""
        if len(batches) == 1:
            return batches[0]
        columns = zip(*(batch.parts for batch in batches), strict=True)
        return Prepared(tuple(tf.concat(column, axis=0) for column in columns))

    def logits(
        self, real: Prepared, generated: Prepared, left: np.ndarray, right: np.ndarray
    ) -> np.ndarray:
        """Logits of pairs: the image `left[i]` of `real` with the image `right[i]` of `generated`.

        Args:
            real: Real images.
            generated: Generated images.
            left: `(P,)` int, places in `real`.
            right: `(P,)` int, places in `generated`.

        Returns:
            `(P,)` float32.
        """
        out, size = np.empty(len(left), "float32"), self.pairs_a_call
        left, right = np.asarray(left, "int32"), np.asarray(right, "int32")
        for start in range(0, len(left), size):
            part = slice(start, start + size)
            out[part] = self._score(real.parts, generated.parts, left[part], right[part]).numpy()
        return out

    def all_logits(self, real: Prepared, generated: Prepared) -> np.ndarray:
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
        return self._comparator.score(a, b)[:, 0]
