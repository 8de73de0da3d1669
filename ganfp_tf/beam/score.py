"""Stage 3: logits of the pairs, a shard of real images at a time, and a score for each image."""

from collections.abc import Iterator

import apache_beam as beam
import numpy as np

from ganfp_tf.beam import models, search
from ganfp_tf.beam.job import Job
from ganfp_tf.beam.search import Found
from ganfp_tf.detectors.copies import retrieval
from ganfp_tf.neighbours.nearest import FLOOR, mean_of_nearest
from ganfp_tf.siamese import networks as siamese
from ganfp_tf.siamese import pair_logits as pairs


class Score(beam.DoFn):
    """Scores a query and writes it: a shard of real images, or the sample of generated ones.

    Of pairs it writes `rows` (n,), in the Catalog; `score` (n,) float64; `best` (n,), the Catalog's
    row of the partner with the highest logit. Of a copy-detection network `rows` and `best`, and
    for the signals of `copies.run.Network.signals` `distance`, `like`, `top` and `alike` (n,) each;
    of the sample `distance` and `top`.

    Input: (query, what `search.Nearest` found, or None). Output: 1.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def setup(self) -> None:
        """Reads the networks."""
        models.networks(self.job)

    def process(self, element: tuple[int, Found | None], *_: int) -> Iterator[int]:
        """Scores one query."""
        query, found = element
        arrays = copies(self.job, query, *found) if self.job.copies else self._pairs(query, found)
        self.job.scores.write(query, **arrays)
        yield 1

    def _pairs(self, query, found):
        job = self.job
        (tokens,) = job.tokens("real").read(query, "tokens")
        drawn = np.broadcast_to(np.array(job.drawn, "int64"), (len(tokens), len(job.drawn)))
        table = drawn if found is None else np.concatenate([found[1], drawn], axis=1)
        logits = pair_logits(job, tokens, table)
        score = siamese.image_scores(logits)
        return named(job, query, table, logits) | {"score": score}


def copies(job: Job, query: int, far: np.ndarray, place: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of a query of a copy-detection network."""
    near = np.where(np.isinf(far), -1, place)[:, : job.near]
    distance = np.maximum(mean_of_nearest(far.copy(), retrieval.BEST), FLOOR)
    if query == job.shards("real"):
        (tokens,) = job.sampled.read(0, "tokens")
        return {"distance": distance, "top": retrieval.top(pair_logits(job, tokens, near))}
    (tokens,) = job.tokens("real").read(query, "tokens")
    logits = pair_logits(job, tokens, near)
    like, alike = against_reference(job, query, tokens)
    signals = {"distance": distance, "like": like, "top": retrieval.top(logits), "alike": alike}
    return named(job, query, near, logits) | signals


def against_reference(job: Job, query: int, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to real images of other patients (n,), and the mean of the best logits with them."""
    reference = models.detector(job).reference.tokens
    mean = reference.mean(axis=0)
    left, others = (search.directions(images, mean) for images in (tokens, reference))
    groups = job.listed("real", query)["group"].to_numpy()
    same = groups[:, None] == job.reference_groups()
    near, distance = retrieval.nearest(left, others, job.wanted, same)
    networks, limit = models.networks(job), job.config.memory_bytes
    return distance, retrieval.top(retrieval.logits(networks, tokens, reference, near, limit))


def named(job: Job, query: int, table: np.ndarray, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Rows in the Catalog of a query's images and of each one's best partner."""
    best = table[np.arange(len(table)), logits.argmax(axis=1)]
    size, rows = job.size("generated"), np.empty(len(best), int)
    for number in np.unique(best // size):
        here = best // size == number
        listed = job.listed("generated", number)["row"].to_numpy()
        rows[here] = listed[best[here] - number * size]
    return {"rows": job.listed("real", query)["row"].to_numpy(), "best": rows}


def pair_logits(job: Job, tokens: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Logits of images with generated ones, -inf where `table` is negative.

    Args:
        job: the Job.
        tokens: (n, T, D).
        table: (n, K), positions among the generated images.

    Returns:
        (n, K) float32.
    """
    logits = np.full(table.shape, -np.inf, "float32")
    rows, columns = np.nonzero(table >= 0)
    logits[rows, columns] = pairs.pair_logits(
        models.networks(job).engine,
        tokens.__getitem__,
        Generated(job).tokens,
        rows,
        table[rows, columns],
        job.config.memory_bytes,
    )
    return logits


class Generated:
    """Tokens of generated images, a shard in memory at a time."""

    def __init__(self, job: Job) -> None:
        self.shards, self.size = job.tokens("generated"), job.size("generated")
        self.number, self.shard = -1, np.empty(0)

    def tokens(self, places: np.ndarray) -> np.ndarray:
        """Tokens of positions among the generated images, (n, T, D); fast if they ascend."""
        found = []
        for place in places:
            number, row = divmod(int(place), self.size)
            if number != self.number:
                self.number, (self.shard,) = number, self.shards.read(number, "tokens")
            found.append(self.shard[row])
        return np.stack(found)
