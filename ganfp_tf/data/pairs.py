"""tf.data pipelines of pairs, in small functions Dataset -> Dataset.

A step of training is drawn from its number alone (stateless random numbers keyed by the seed and
the step), so that a run which was interrupted sees the same pairs as one which was not. Elements
are dicts: "step" (), "real" (B, R) and "generated" (B, G), indices into the training images; block
b scores all its R x G pairs.

    ds = steps(first).apply(sample_real(weights, blocks=1, count=8, seed=0))
    ds = ds.apply(pair_random(4000, count=8, seed=0))
    ds = ds.apply(look_up(real, generated)).apply(add_labels(labels)).prefetch(AUTOTUNE)
"""

import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf.data import decode
from ganfp_tf.data.embeddings import Features
from ganfp_tf.data.images import DEFAULT_READER, ImageReader


def steps(first: int = 0) -> tf.data.Dataset:
    """The numbers of all steps from `first` on: elements {"step": ()}."""
    return tf.data.Dataset.counter(start=first, dtype=tf.int64).map(lambda step: {"step": step})


def class_weights(labels: np.ndarray, balanced: bool = True) -> np.ndarray:
    """Probability of drawing each image, so that every label is drawn equally often.

    Args:
        labels: `(images,)` of 0 and 1.
        balanced: False: every image is equally likely.

    Returns:
        `(images,)` float64 that sums to 1; inverse to the label's frequency (paper, section 3.1).
    """
    labels = np.asarray(labels)
    if not balanced:
        return np.full(len(labels), 1.0 / len(labels))
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1.0 / (len(counts) * counts[inverse])


def sample_real(
    probabilities: np.ndarray, *, blocks: int, count: int, seed: int
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Adds "real" (blocks, count): images drawn with replacement by `probabilities`."""
    logits = tf.constant(np.log(probabilities)[None], tf.float32)

    def draw(element):
        key = step_key(seed, "real", element["step"])
        drawn = tf.random.stateless_categorical(logits, blocks * count, key, dtype=tf.int64)
        return {**element, "real": tf.reshape(drawn, (blocks, count))}

    return lambda dataset: dataset.map(draw, num_parallel_calls=tf.data.AUTOTUNE)


def pair_random(
    images: int, *, count: int, seed: int
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Adds "generated" (B, count): for each block, different images drawn evenly from `images`."""
    count = min(count, images)

    def draw(element):
        blocks = tf.shape(element["real"])[0]
        key = step_key(seed, "generated", element["step"])
        noise = tf.random.stateless_uniform((blocks, images), key)
        chosen = tf.math.top_k(noise, count, sorted=False).indices
        return {**element, "generated": tf.cast(chosen, tf.int64)}

    return lambda dataset: dataset.map(draw, num_parallel_calls=tf.data.AUTOTUNE)


def one_real_a_block() -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Reshapes "real" (B, R) to (B * R, 1): every real image gets partners of its own."""

    def split(element):
        return {**element, "real": tf.reshape(element["real"], (-1, 1))}

    return lambda dataset: dataset.map(split, num_parallel_calls=tf.data.AUTOTUNE)


def pair_nearest(
    neighbours: np.ndarray, *, count: int, seed: int
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Adds "generated" (B, count): `count` of the neighbours of each block's one real image.

    Args:
        neighbours: `(real images, k)` indices of generated images, from `search.exact`.
        count: partners drawn; all k where k is smaller.
        seed: of the draw.
    """
    table = tf.constant(neighbours, tf.int64)
    count = min(count, neighbours.shape[1])

    def draw(element):
        rows = tf.gather(table, element["real"][:, 0])  # (B, k)
        noise = tf.random.stateless_uniform(tf.shape(rows), step_key(seed, "near", element["step"]))
        chosen = tf.math.top_k(noise, count, sorted=False).indices
        return {**element, "generated": tf.gather(rows, chosen, batch_dims=1)}

    return lambda dataset: dataset.map(draw, num_parallel_calls=tf.data.AUTOTUNE)


def pair_mixed(
    neighbours: np.ndarray, images: int, *, count: int, seed: int
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Adds "generated" (B, count): the larger half by `pair_nearest`, the rest by `pair_random`."""
    near = count - count // 2

    def both(dataset):
        dataset = dataset.apply(pair_nearest(neighbours, count=near, seed=seed))
        dataset = dataset.map(lambda element: {**element, "near": element["generated"]})
        if count // 2:
            dataset = dataset.apply(pair_random(images, count=count // 2, seed=seed))
            dataset = dataset.map(_join_near)
        return dataset.map(lambda element: {k: element[k] for k in ("step", "real", "generated")})

    return both


def _join_near(element):
    joined = tf.concat([element["near"], element["generated"]], axis=1)
    return {**element, "generated": joined}


def look_up(
    real: "StoredInput | FileInput", generated: "StoredInput | FileInput"
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Replaces indices by what the network takes: (B, R, ...) and (B, G, ...).

    Args:
        real: `StoredInput` or `FileInput` of the real training images.
        generated: of the generated ones.
    """

    def gather(element):
        inputs = {
            "real": real.look_up(element["real"]),
            "generated": generated.look_up(element["generated"]),
        }
        return {**element, "inputs": inputs}

    return lambda dataset: dataset.map(gather, num_parallel_calls=tf.data.AUTOTUNE)


def add_labels(labels: np.ndarray) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Ends the pipeline: ({"real", "generated"}, label of each pair (B, R, G) float32)."""
    table = tf.constant(labels, tf.float32)

    def label(element):
        of_real = tf.gather(table, element["real"])[:, :, None]
        ones = tf.ones((1, 1, tf.shape(element["generated"])[1]))
        return element["inputs"], of_real * ones

    return lambda dataset: dataset.map(label, num_parallel_calls=tf.data.AUTOTUNE)


class StoredInput:
    """Features out of the embedding store.

    Args:
        features: `embeddings.Features`.
        memory: bytes. Where the features fit, they are read once, in their stored number format,
            and looked up in the graph; else from disk, one Python call a batch.
    """

    def __init__(self, features: Features, memory: int = 0) -> None:
        self.features = features
        self.shape = features.shape
        self.held = _held(features, memory)

    def look_up(self, indices: tf.Tensor) -> tf.Tensor:
        """`(B, N)` indices -> `(B, N, tokens, channels)` float32."""
        if self.held is None:
            found = tf.numpy_function(self.features.gather, [indices], tf.float32, stateful=False)
        else:
            stored, factors = (tf.gather(table, indices) for table in self.held)
            found = tf.cast(stored, tf.float32) * factors[..., None, None]
        return tf.ensure_shape(found, (*indices.shape, *self.shape))


def _held(features, memory):
    """Tensors on the CPU of features as they are stored and of each image's factor, or None."""
    if not len(features):
        return None
    first = features.rows[0][0].features
    if len(features) * np.prod(features.shape) * first.dtype.itemsize > memory:
        return None
    stored = np.empty((len(features), *features.shape), first.dtype)
    # One shard after another: few are open at a time.
    for position in sorted(range(len(features)), key=lambda i: str(features.rows[i][0].path)):
        shard, row = features.rows[position]
        stored[position] = shard.features[row]
    factors = np.array([1.0 / shard.scale for shard, _ in features.rows], "float32")
    with tf.device("CPU"):
        return tf.constant(stored), tf.constant(factors)


class FileInput:
    """Images decoded in the graph, for a backbone that is trained itself."""

    def __init__(
        self, frame: pd.DataFrame, size: int, reader: ImageReader = DEFAULT_READER
    ) -> None:
        self.paths = tf.constant(list(frame["path"]), tf.string)
        self.fast = None
        if not all(frame["fast"]):
            self.fast = tf.constant(list(frame["fast"]), tf.bool)
        self.shape = (size, size, 3)
        self.reader = reader

    def look_up(self, indices: tf.Tensor) -> tf.Tensor:
        """`(B, N)` indices -> `(B, N, size, size, 3)` float32 in [0, 255]."""

        def load(index):
            fast = self.fast is None or self.fast[index]
            image = decode.load_image(self.paths[index], fast, self.reader)
            return decode.resize(image, self.shape[0])

        flat = tf.reshape(indices, [-1])
        images = tf.map_fn(load, flat, fn_output_signature=tf.TensorSpec(self.shape, tf.float32))
        return tf.reshape(images, tf.concat([tf.shape(indices), self.shape], axis=0))


def step_key(seed: int, purpose: str, step: tf.Tensor) -> tf.Tensor:
    """The `(2,)` int64 key of a step's random numbers for one purpose."""
    # A salt for each purpose: one key for two draws would tie them together.
    salt = zlib.crc32(f"{seed}/{purpose}".encode()) & 0x7FFFFFFF
    return tf.stack([tf.constant(salt, tf.int64), step])
