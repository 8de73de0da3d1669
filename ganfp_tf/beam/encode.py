"""Stage 1: images -> tokens, once each, in shards."""

from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pandas as pd
from apache_beam.metrics import Metrics

from ganfp_tf.beam import models
from ganfp_tf.beam.job import Job
from ganfp_tf.data import embeddings, encode
from ganfp_tf.data.images import ImageReader
from ganfp_tf.errors import UserError
from ganfp_tf.runs import run_folder


class Encode(beam.DoFn):
    """Encodes a shard of images, unless its file is there and undamaged.

    Writes `tokens`, (n, T, D) float32 by the trained encoder; if partners are searched by the
    backbone's features, `pooled`, (n, C) float32, their mean over the tokens; for a copy-detection
    network `total`, (T, D) float64, the sum of the tokens.

    Input: (kind, number of the shard). Output: the number of images.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.made = Metrics.counter("ganfp", "encode_made")
        self.there = Metrics.counter("ganfp", "encode_there")

    def setup(self) -> None:
        """Reads the networks."""
        # Before the first shard, so that a detector that cannot be read stops a worker at once.
        models.networks(self.job)

    def process(self, element: tuple[str, int]) -> Iterator[int]:
        """Encodes one shard."""
        kind, number = element
        shards = self.job.tokens(kind)
        if shards.is_sound(number, *contents(self.job)):
            self.there.inc()
        else:
            frame = self.job.listed(kind, number)
            check_files(frame)
            shards.write(number, **encoded(self.job, frame))
            self.made.inc()
        yield 1


def contents(job: Job) -> tuple[str, ...]:
    """Names of the arrays of a shard."""
    if job.copies:
        return ("tokens", "total")
    return ("tokens", "pooled") if job.near else ("tokens",)


def encoded(job: Job, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The arrays of the images of `frame`, as `Encode` writes them."""
    config, networks = job.config, models.networks(job)
    images = encode.image_dataset(frame, config.image_size, reader=ImageReader.of(config))
    tokens, pooled = [], []
    for batch in images.batch(config.embed_batch):
        if config.trains_on_tokens or "pooled" in contents(job):
            # Rounded as in the embedding store, or scores would differ from those without Beam.
            stored, scale = embeddings.scaled(models.backbone(job)(batch), config.store_dtype)
            features = stored.astype("float32") * np.float32(1.0 / scale)
            pooled.append(features.mean(axis=1))
        given = features if config.trains_on_tokens else batch
        tokens.append(np.asarray(networks.encode(given), "float32"))
    arrays = {"tokens": np.concatenate(tokens)}
    if "pooled" in contents(job):
        arrays["pooled"] = np.concatenate(pooled)
    if job.copies:
        arrays["total"] = arrays["tokens"].sum(axis=0, dtype="float64")
    return arrays


def check_files(frame: pd.DataFrame) -> None:
    """Raises `UserError` if a worker does not see the files that the launcher listed."""
    for path, digest in zip(frame["path"], frame["digest"], strict=True):
        try:
            same = run_folder.digest_of(path) == digest
        except OSError as error:
            raise UserError(
                f"a worker cannot read {path}: {error.strerror}. Every worker must see the images "
                "under the same path as the launcher."
            ) from error
        if not same:
            raise UserError(f"{path} has changed since it was listed. Give the command again.")


class Sample(beam.DoFn):
    """Writes the mean of all generated tokens, and the tokens of the generated sample, to a file.

    Reads one shard at a time. Input: anything, once. Output: 1.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, _: int, __: int) -> Iterator[int]:
        """Reads the generated shards and writes the file."""
        job, shards = self.job, self.job.tokens("generated")
        size, chosen = job.size("generated"), job.sample
        total, tokens = np.zeros(()), []
        for number in range(shards.count):
            total = total + shards.read(number, "total")[0]
            rows = chosen[chosen // size == number] - number * size
            if len(rows):
                tokens.append(shards.read(number, "tokens")[0][rows])
        mean = (total / job.images[1]).astype("float32")
        job.sampled.write(0, tokens=np.concatenate(tokens), mean=mean)
        yield 1
