"""Stage 2: the nearest generated images of every real one, exactly, a shard against a shard."""

from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
import numpy as np

from ganfp_tf.beam import models
from ganfp_tf.beam.job import Job
from ganfp_tf.detectors.copies.retrieval import BEST
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.siamese.candidates import Vectors

Found = tuple[np.ndarray, np.ndarray]  # distances and positions of neighbours


class Search(beam.DoFn):
    """The nearest images of one generated shard, for every query.

    Pairs: by the cosine of pooled features, each domain centred on its training images, as
    `detectors.search.exact`. Copies: by the distance in the embedding, as `copy_run.Network`.

    Input: number of a generated shard. Output: (query, (far (n, K) float64, place (n, K) int64)),
    smallest `far` first, equal ones in the order of the images; K is at most `kept(job)`.
    """

    def __init__(self, job: Job, queries: list[int]) -> None:
        self.job, self.queries = job, queries

    def setup(self) -> None:
        """Reads the networks."""
        models.networks(self.job)

    def process(self, number: int, _: int) -> Iterator[tuple[int, Found]]:
        """Searches one generated shard."""
        job = self.job
        places = np.arange(job.size("generated")) + number * job.size("generated")
        measure = copy_distance(job, number) if job.copies else cosine(job, number)
        for query in self.queries:
            far, hidden = measure(query), None
            if query == job.shards("real"):
                hidden = job.sample[:, None] == places[: far.shape[1]]
                far = np.where(hidden, np.inf, far)
            shown = np.broadcast_to(places[: far.shape[1]], far.shape)
            yield query, nearest(far, shown, kept(job))


def kept(job: Job) -> int:
    """Neighbours of a real image that are kept: its partners, and those its distance averages."""
    return max(job.near, BEST) if job.copies else job.near


def nearest(far: np.ndarray, place: np.ndarray, k: int) -> Found:
    """The `k` smallest of each row of `far` (n, m), ties by `place`; both (n, k)."""
    order = np.lexsort((place, far), axis=-1)[:, :k]
    return np.take_along_axis(far, order, axis=1), np.take_along_axis(place, order, axis=1)


def cosine(job: Job, number: int) -> Callable[[int], np.ndarray]:
    """The function query -> minus the cosines of its real images with a generated shard."""
    centres = models.detector(job).centres

    def unit(kind, shard, centre):
        (pooled,) = job.tokens(kind).read(shard, "pooled")
        return Vectors(pooled, np.arange(len(pooled)), centre)[:]

    made = unit("generated", number, centres[1])
    # Rounded as in `search.exact`, for the same ties.
    return lambda query: -np.round(unit("real", query, centres[0]) @ made.T, 12)


def copy_distance(job: Job, number: int) -> Callable[[int], np.ndarray]:
    """The function query -> distances of its images to a generated shard in the embedding."""
    sample, mean = job.sampled.read(0, "tokens", "mean")
    right = directions(job.tokens("generated").read(number, "tokens")[0], mean)
    own_mean = models.detector(job).reference.tokens.mean(axis=0)

    def measure(query):
        if query == job.shards("real"):
            left = directions(sample, mean)
        else:
            left = directions(job.tokens("real").read(query, "tokens")[0], own_mean)
        return np.concatenate([block for _, block in distance_rows(left, right)])

    return measure


def directions(tokens: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Centred tokens as vectors of such a length that their distances are sqrt(1 - cosine)."""
    rows = (tokens - mean).reshape(len(tokens), -1)
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return (rows * (np.sqrt(rows.shape[1] / 2.0) / lengths)).astype("float32")


class Nearest(beam.CombineFn):
    """Joins the nearest of several shards into the `k` nearest of all, in whatever order."""

    def __init__(self, k: int) -> None:
        self.k = k

    def create_accumulator(self) -> None:
        """Starts with no neighbours."""
        return None

    def add_input(self, found: Found | None, more: Found) -> Found:
        """Joins the neighbours of one more shard."""
        if found is None:
            return more
        far, place = (np.concatenate(both, axis=1) for both in zip(found, more, strict=True))
        return nearest(far, place, self.k)

    def merge_accumulators(self, accumulators: Iterable[Found | None]) -> Found | None:
        """Joins what several workers have found."""
        found = None
        for more in accumulators:
            if more is not None:
                found = self.add_input(found, more)
        return found

    def extract_output(self, found: Found) -> Found:
        """The nearest of all shards."""
        return found
