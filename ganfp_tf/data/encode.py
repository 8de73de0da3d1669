"""Images through the backbone into the embedding store."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf import progress as bars
from ganfp_tf.data import decode, embeddings
from ganfp_tf.data.images import DEFAULT_READER, ImageReader


def image_dataset(
    frame: pd.DataFrame, size: int, reader: ImageReader = DEFAULT_READER
) -> tf.data.Dataset:
    """Decoded images of a Catalog frame, in its order: `(size, size, 3)` float32 in [0, 255]."""

    def load(path, fast=True):
        image = decode.load_image(path, fast, reader)
        return decode.resize(image, size)

    paths = tf.constant(list(frame["path"]), tf.string)
    columns: tuple[tf.Tensor, ...] = (paths,)
    if not all(frame["fast"]):
        columns = (paths, tf.constant(list(frame["fast"]), tf.bool))
    return tf.data.Dataset.from_tensor_slices(columns).map(
        load, num_parallel_calls=tf.data.AUTOTUNE
    )


def fill(
    store: embeddings.Store,
    frame: pd.DataFrame,
    encode: Callable[[tf.Tensor], np.ndarray],
    *,
    size: int,
    batch: int,
    reader: ImageReader = DEFAULT_READER,
    progress: bool = True,
) -> int:
    """Brings every image of `frame` into `store`; what is there already is not computed again.

    Args:
        store: an open `embeddings.Store`.
        frame: rows of a Catalog (path, digest, fast).
        encode: `(batch, size, size, 3)` float32 in [0, 255] -> `(batch, tokens, channels)` array.
        size: side of the images, in pixels.
        batch: images passed to `encode` at once.
        reader: reads the images.
        progress: show a bar on stderr.

    Returns:
        Number of images computed.
    """
    wanted = set(store.missing(frame["digest"]))
    todo = frame[frame["digest"].isin(wanted)].drop_duplicates("digest")
    if todo.empty:
        return 0
    dataset = image_dataset(todo, size, reader)
    dataset = dataset.batch(batch).prefetch(tf.data.AUTOTUNE)
    digests = list(todo["digest"])
    waiting: list[str] = []
    features: list[np.ndarray] = []
    with bars.bar(len(digests), "embedding", "image", progress) as bar:
        for images in dataset:
            features.extend(encode(images))
            waiting, digests = waiting + digests[: len(images)], digests[len(images) :]
            bar.update(len(images))
            while len(waiting) >= embeddings.SHARD or (waiting and not digests):
                store.write(waiting[: embeddings.SHARD], features[: embeddings.SHARD])
                waiting, features = waiting[embeddings.SHARD :], features[embeddings.SHARD :]
    return len(todo)
