"""Detectors that need nothing but distances, in any space. No TensorFlow.

All follow the protocol in registry.py. Equal files count once among real images; generated images
count as often as there are, for how often a generator repeats itself is evidence. No score depends
on the order of the files or on labels.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ganfp_tf.detectors.spaces import PIXELS, LearnedSpace, Space, distance_rows
from ganfp_tf.errors import UserError

FLOOR = 1e-5
"""Distances below it (root mean square, gray values 0 to 1) count as it, so that a logarithm exists
for copies. One gray level of 255 in one pixel of 64x64 is 6e-5, the error of a distance below
1e-7."""
TIE = 1e-5  # distances of at most this relative difference are equal


@dataclasses.dataclass(frozen=True)
class InSpace:
    """What compares images in a space and knows the real images it was fitted on.

    Attributes:
        space: where images are compared.
        k: neighbours; with fewer images, as many as there are.
        reference: the images of fit(); their labels are not looked at.
    """

    space: Space = PIXELS
    k: int = 5
    uses_labels: bool = dataclasses.field(default=False, init=False)
    reference: pd.DataFrame | None = dataclasses.field(default=None, repr=False, compare=False)

    def fit(self, labelled, generated, store):
        """Returns a copy that knows the real images, in a space that has learned from all."""
        space = self.space
        if isinstance(space, LearnedSpace):
            space = space.learn(labelled, generated, store)
        reference = labelled[["path", "digest", "patient"]]
        return dataclasses.replace(self, space=space, reference=reference)

    @property
    def _reference(self):
        if self.reference is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        return self.reference

    def _vectors(self, generated, store):
        return self.space.fit(self._reference, generated, store)

    def _log_to_generated(self, candidates, generated, vectors):
        check_generated(generated)
        # In the order of their contents, sums round the same way however the files were listed.
        unique = candidates.drop_duplicates("digest").sort_values("digest")
        means = np.empty(len(unique))
        made = vectors.generated(generated.sort_values("digest"))
        for part, block in distance_rows(vectors.real(unique), made):
            means[part] = mean_of_nearest(block, self.k)
        logs = pd.Series(np.log(np.maximum(means, FLOOR)), unique["digest"].to_numpy())
        return logs.reindex(candidates["digest"]).to_numpy()

    def _log_to_real(self, candidates, vectors):
        pool = Pool.of(candidates, self._reference)
        means = np.empty(len(pool.unique))
        reference = np.flatnonzero(pool.in_reference)
        rows = vectors.real(pool.unique)
        for part, block in distance_rows(rows, rows[reference]):
            block[pool.groups[part, None] == pool.groups[reference]] = np.inf
            means[part] = mean_of_nearest(block, self.k)
        found = means[pool.rows]
        if np.isinf(found).any():
            lost = candidates["name"].iloc[int(np.isinf(found).argmax())]
            raise UserError(
                f"{self.name} compares a real image with those of other patients. Found none for "
                f"{lost}: hand in real images of at least two patients."
            )
        return np.log(np.maximum(found, FLOOR))


@dataclasses.dataclass(frozen=True)
class NearestDistance(InSpace):
    """GAN-Leaks, full black box (Chen et al. 2020, CCS): score = -log d_k(x, G).

    d_k(x, G) is the mean of the distances from x to the k generated images nearest to it.
    """

    @property
    def name(self):
        return f"nearest_{self.space.name}"

    @property
    def title(self):
        return f"nearest distance in {self.space.title} (GAN-Leaks)"

    def score(self, candidates, generated, store):
        """(len(candidates),) float64. Raises UserError without a generated image."""
        vectors = self._vectors(generated, store)
        return -self._log_to_generated(candidates, generated, vectors)


@dataclasses.dataclass(frozen=True)
class CalibratedDistance(InSpace):
    """Nearest distance calibrated by real images: score = log d_k(x, R) - log d_k(x, G).

    The log ratio of GAN-Leaks' calibrated attack (Chen et al. 2020), with real images in the place
    of a reference generator's: an unusual image is far from the generated ones, used or not, and
    from other real ones as well. R are the images of fit() but those of x's own patient and x
    itself. d_k is the mean of the k smallest distances, as in `NearestDistance`.
    """

    @property
    def name(self):
        return f"calibrated_{self.space.name}"

    @property
    def title(self):
        return f"nearest distance in {self.space.title}, calibrated by real images"

    def score(self, candidates, generated, store):
        """(len(candidates),) float64. Raises UserError where x has no image to compare with."""
        vectors = self._vectors(generated, store)
        near = self._log_to_generated(candidates, generated, vectors)
        return self._log_to_real(candidates, vectors) - near


@dataclasses.dataclass(frozen=True)
class BlindDistance(InSpace):
    """A control that never sees a generated image: score = log d_k(x, R).

    It is the part of `CalibratedDistance` that knows nothing of the generator, with its sign: an
    image far from the other real ones scores high. An AUC that differs from 0.5 either way shows
    that used and not used images differ of themselves. Its space must not look at generated images
    either.
    """

    @property
    def name(self):
        return f"blind_{self.space.name}"

    @property
    def title(self):
        return f"distance to other real images in {self.space.title} (blind control)"

    def score(self, candidates, generated, store):
        """(len(candidates),) float64; `generated` is not looked at."""
        return self._log_to_real(candidates, self._vectors(generated.iloc[:0], store))


@dataclasses.dataclass(frozen=True)
class HitCount(InSpace):
    """How many generated images have x as their nearest real image, hubness taken out.

    The nearest one is sought among candidates and images of fit(); equally near ones share the hit.
    Some images are near to everything (hubs, Radovanovic et al. 2010, JMLR) and would be hit by
    the images of any generator. N_k(x) counts the other patients' real images that have x among
    their own k nearest of other patients (ties share again). If generated images chose as real
    ones do, x would expect

        expected(x) = M (N_k(x) + k) / sum over y of (N_k(y) + k)

    of M hits; the k added, which is about the mean of N_k, pulls a count of few images half-way to
    uniform. The score is log((hits(x) + 1) / (expected(x) + 1)).
    """

    @property
    def name(self):
        return f"hits_{self.space.name}"

    @property
    def title(self):
        return f"hits in {self.space.title}, hubness taken out"

    def score(self, candidates, generated, store):
        """(len(candidates),) float64. Raises UserError without a generated image."""
        check_generated(generated)
        pool = Pool.of(candidates, self._reference)
        space = self._vectors(generated, store)
        vectors = space.real(pool.unique)
        hits = np.zeros(len(vectors))
        made = space.generated(generated.sort_values("digest"))
        for _, block in distance_rows(made, vectors):
            hits += shared_votes(block, 1)
        hubs = np.zeros(len(vectors))
        for part, block in distance_rows(vectors, vectors):
            block[pool.groups[part, None] == pool.groups] = np.inf
            hubs += shared_votes(block, self.k)
        expected = len(generated) * (hubs + self.k) / (hubs + self.k).sum()
        return np.log((hits + 1.0) / (expected + 1.0))[pool.rows]


@dataclasses.dataclass(frozen=True)
class Pool:
    """Candidates and reference, each content once, in the order of their digests.

    Attributes:
        unique: one row a content.
        rows: (candidates,) row of `unique` that each candidate is.
        groups: (len(unique),) who may not be compared: one number for all images of a patient, and
            for all patients that share an identical image.
        in_reference: (len(unique),) bool, whether it was seen in fit().
    """

    unique: pd.DataFrame
    rows: np.ndarray
    groups: np.ndarray
    in_reference: np.ndarray

    @classmethod
    def of(cls, candidates, reference):
        both = pd.concat([candidates[["path", "digest", "patient"]], reference], ignore_index=True)
        digests, place = np.unique(both["digest"].to_numpy(dtype=str), return_inverse=True)
        # A real image without a patient is a patient of its own.
        named = both["patient"].where(both["patient"] != "", "\0" + both["digest"])
        patients, names = pd.factorize(named)
        edges = coo_array(
            (np.ones(len(both)), (place, patients + len(digests))),
            shape=(len(digests) + len(names),) * 2,
        )
        groups = connected_components(edges, directed=False)[1][: len(digests)]
        first = np.unique(place, return_index=True)[1]
        return cls(
            both.iloc[first], place[: len(candidates)], groups,
            np.isin(np.arange(len(digests)), place[len(candidates) :]),
        )  # fmt: skip


def check_generated(generated):
    """Raises UserError without a generated image."""
    if not len(generated):
        raise UserError(
            "A detector compares real images with generated ones. Expected at least 1 generated "
            "image, found none: add them to the data."
        )


def mean_of_nearest(block, k):
    """Mean of the k smallest finite values of each row, inf where a row has none; sorts `block`."""
    k = min(k, block.shape[1])
    if not k:
        return np.full(len(block), np.inf)
    block.partition(k - 1, axis=1)
    nearest = np.sort(block[:, :k], axis=1)
    finite = np.isfinite(nearest)
    total = np.where(finite, nearest, 0.0).sum(axis=1)
    count = finite.sum(axis=1)
    return np.divide(total, count, out=np.full(len(block), np.inf), where=count > 0)


def shared_votes(block, k):
    """Votes of the rows of `block` for their k nearest columns: (columns,) float64.

    A row with fewer finite values votes for those. Columns as near as the k-th share what is left
    for them.
    """
    k = min(k, block.shape[1])
    block = np.maximum(block, FLOOR)
    finite = np.isfinite(block)
    last = np.partition(block, k - 1, axis=1)[:, k - 1, None]
    sure = finite & (block < last * (1 - TIE))
    tied = finite & ~sure & (block <= last * (1 + TIE))
    left = k - sure.sum(axis=1, keepdims=True)
    share = np.minimum(1.0, left / np.maximum(tied.sum(axis=1, keepdims=True), 1))
    return (sure + tied * share).sum(axis=0)
