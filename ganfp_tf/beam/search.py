"""Stage 2: the nearest generated images of every real one, exactly, a shard against a shard."""

import apache_beam as beam
import numpy as np

from ganfp_tf.beam import models
from ganfp_tf.detectors.copies.retrieval import BEST
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.siamese.candidates import Vectors


class Search(beam.DoFn):
    """The nearest images of one generated shard, for every query.

    Pairs: by the cosine of pooled features, each domain centred on its training images, as
    `detectors.search.exact`. Copies: by the distance in the embedding, as `copy_run.Network`.

    Input: number of a generated shard. Output: (query, (far (n, K) float64, place (n, K) int64)),
    smallest `far` first, equal ones in the order of the images; K is at most `kept(job)`.
    """

    def __init__(self, job, queries):
        self.job, self.queries = job, queries

    def setup(self):
        models.networks(self.job)

    def process(self, number, _):
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


def kept(job):
    """Neighbours of a real image that are kept: its partners, and what its distance is made of."""
    return max(job.near, BEST) if job.copies else job.near


def nearest(far, place, k):
    """The `k` smallest of each row of `far` (n, m), by `place` where equal; both (n, k)."""
    order = np.lexsort((place, far), axis=-1)[:, :k]
    return np.take_along_axis(far, order, axis=1), np.take_along_axis(place, order, axis=1)


def cosine(job, number):
    """The function query -> minus the cosines of its real images with a generated shard."""
    centres = models.detector(job).scorer.centres

    def unit(kind, shard, centre):
        (pooled,) = job.tokens(kind).read(shard, "pooled")
        return Vectors(pooled, np.arange(len(pooled)), centre)[:]

    made = unit("generated", number, centres[1])
    # Rounded as in `search.exact`, for the same ties.
    return lambda query: -np.round(unit("real", query, centres[0]) @ made.T, 12)


def copy_distance(job, number):
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


def directions(tokens, mean):
    """Centred tokens as vectors, as long as makes distances sqrt(1 - cosine); see `copy_run`."""
    rows = (tokens - mean).reshape(len(tokens), -1)
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return (rows * (np.sqrt(rows.shape[1] / 2.0) / lengths)).astype("float32")


class Nearest(beam.CombineFn):
    """Joins the nearest of several shards into the `k` nearest of all, in whatever order."""

    def __init__(self, k):
        self.k = k

    def create_accumulator(self):
        return None

    def add_input(self, found, more):
        if found is None:
            return more
        far, place = (np.concatenate(both, axis=1) for both in zip(found, more, strict=True))
        return nearest(far, place, self.k)

    def merge_accumulators(self, accumulators):
        found = None
        for more in accumulators:
            if more is not None:
                found = self.add_input(found, more)
        return found

    def extract_output(self, found):
        return found
