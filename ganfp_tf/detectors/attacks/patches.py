"""Detectors by patches at fixed places. No TensorFlow.

A part of an image in which real images differ much rules a distance over all pixels. Here each
patch has a distance of its own, in units of how far real images lie apart in it, and all patches
count alike. In lung crops and phantoms, what a GAN repeats stays where it was.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ganfp_tf.detectors.attacks.base import InSpace, check_generated
from ganfp_tf.detectors.attacks.density import check_others
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.neighbours.distances import ROWS, distance_rows
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.neighbours.nearest import FLOOR, mean_of_nearest

SAMPLE = 512
"""Real images whose distances set the scale of a place; of more, evenly spaced ones."""


@dataclasses.dataclass(frozen=True)
class CalibratedPatches(InSpace):
    """`CalibratedDistance` on patches: score = log d_k(x, R) - log d_k(x, G).

    d(a, b) is the mean over places of the root mean square difference of the patches there,
    divided by the place's scale; see `Patches`. R are the images of fit() but those of x's own
    patient and x itself.

    Attributes:
        side: patches are side x side pixels, side by side; those at the edges may be smaller.
    """

    side: int = 8

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"patches_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"{self.side}x{self.side} patches of {self.space.title}, calibrated by real images"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError where x has no image to compare with."""
        sides = self._sides(candidates, generated, store)
        near = np.empty(len(sides.x))
        for part, block in sides.patches.distance_rows(sides.x, sides.made):
            near[part] = mean_of_nearest(block, self.k)
        return self._log_to_others(sides, candidates) - _log(near)[sides.rows]

    def _sides(self, candidates, generated, store):
        check_generated(generated)
        pool = Pool.of(candidates, self._reference)
        space = self._vectors(generated, store)
        real, made = space.real(pool.unique), space.generated(generated.sort_values("digest"))
        mine, rows = np.unique(pool.rows, return_inverse=True)
        known = pool.in_reference
        return _Sides(
            real[mine],
            pool.groups[mine],
            rows,
            real[known],
            pool.groups[known],
            made,
            Patches.fit(real[known], pool.groups[known], self.side),
        )

    def _log_to_others(self, sides, candidates):
        """Returns log d_k(x, R) of the candidates: (len(candidates),) float64."""
        means = np.empty(len(sides.x))
        for part, block in sides.patches.distance_rows(sides.x, sides.known):
            block[sides.groups[part, None] == sides.known_groups] = np.inf
            means[part] = mean_of_nearest(block, self.k)
        check_others(self.name, candidates["name"], means[sides.rows])
        return _log(means)[sides.rows]


@dataclasses.dataclass(frozen=True)
class TwoSided(CalibratedPatches):
    """As `CalibratedPatches`, but generated images are calibrated by real ones as well.

    A generated image that resembles all real images is no evidence for the one it happens to be
    nearest to. Distances are scaled locally on both sides (Zelnik-Manor and Perona 2004, NeurIPS;
    as CSLS in Conneau et al. 2018, ICLR): the score is the mean of the k highest, over g, of

        log d_k(x, R) / 2 + log d_k(g, R) / 2 - log d(x, g)

    R without x and its patient on either side.
    """

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"two_sided_{self.space.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"{self.side}x{self.side} patches of {self.space.title}, calibrated on both sides"

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64. Raises UserError where x has no image to compare with."""
        sides = self._sides(candidates, generated, store)
        own = self._log_to_others(sides, candidates)
        distances, groups = _nearest_known(sides, self.k)
        score = np.empty(len(sides.x))
        for part, block in sides.patches.distance_rows(sides.x, sides.made):
            theirs = np.empty_like(block)
            for row, group in enumerate(sides.groups[part]):
                theirs[row] = _mean_without(distances, groups, group, self.k)
            # The lowest of the negated values are the highest.
            score[part] = -mean_of_nearest(_log(block) - 0.5 * _log(theirs), self.k)
        return score[sides.rows] + 0.5 * own


@dataclasses.dataclass(frozen=True)
class Patches:
    """Places of patches and their scales.

    The scale of a place is the median distance there between real images of different patients,
    but at least half the mean of all places: where real images hardly differ, as in the air around
    a body, faint noise of the generator would otherwise outweigh all else.

    Attributes:
        places: the pixels of each place, (pixels,) int each.
        scales: (places,) float64.
    """

    places: list
    scales: np.ndarray

    @classmethod
    def fit(cls, real: np.ndarray, groups: np.ndarray, side: int) -> "Patches":
        """Finds the scales.

        Args:
            real: (n, d) float32, square images row by row.
            groups: (n,) who may not be compared.
            side: of a patch in pixels.
        """
        places = places_of(real.shape[1], side)
        some = np.unique(np.linspace(0, len(real) - 1, min(len(real), SAMPLE)).round().astype(int))
        real, groups = real[some], groups[some]
        compared = groups[:, None] != groups
        if not compared.any():
            return cls(places, np.ones(len(places)))
        medians = np.empty(len(places))
        for number, place in enumerate(places):
            _, block = next(distance_rows(real[:, place], real[:, place], rows=SAMPLE))
            medians[number] = np.median(block[compared])
        return cls(places, np.maximum(medians, max(0.5 * medians.mean(), FLOOR)))

    def distance_rows(
        self, left: np.ndarray, right: np.ndarray
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """As `spaces.distance_rows`: (slice of `left`, (rows, len(right)) float64) at a time."""
        for start in range(0, len(left), ROWS):
            part = slice(start, start + ROWS)
            total = np.zeros((len(left[part]), len(right)))
            for place, scale in zip(self.places, self.scales, strict=True):
                _, block = next(distance_rows(left[part, place], right[:, place]))
                total += block / scale
            yield part, total / len(self.places)


def places_of(pixels: int, side: int) -> list[np.ndarray]:
    """The pixels of each side x side patch of a square image: list of (pixels,) int."""
    width = math.isqrt(pixels)
    row, column = np.divmod(np.arange(pixels), width)
    place = (row // side) * math.ceil(width / side) + column // side
    return [np.flatnonzero(place == number) for number in np.unique(place)]


def _log(distances):
    return np.log(np.maximum(distances, FLOOR))


@dataclasses.dataclass(frozen=True)
class _Sides:
    """What is compared: pixels of each content once, in the order of digests, and who is whose."""

    x: np.ndarray  # of the candidates
    groups: np.ndarray
    rows: np.ndarray  # (candidates,) row of x
    known: np.ndarray  # of the images of fit()
    known_groups: np.ndarray
    made: np.ndarray  # of the generated images, each as often as it is there
    patches: Patches


def _nearest_known(sides, k):
    """Distances of each generated image to its nearest images of fit(), sorted, and their groups.

    So many that k are left without any one group: (generated, columns) each.
    """
    largest = np.unique(sides.known_groups, return_counts=True)[1].max()
    columns = min(len(sides.known), k + largest)
    distances = np.empty((len(sides.made), columns))
    groups = np.empty((len(sides.made), columns), dtype=np.int64)
    for part, block in sides.patches.distance_rows(sides.made, sides.known):
        order = np.argsort(block, axis=1, kind="stable")[:, :columns]
        distances[part] = np.take_along_axis(block, order, axis=1)
        groups[part] = sides.known_groups[order]
    return distances, groups


def _mean_without(distances, groups, group, k):
    """Mean of each row's first k distances but those of `group`: (rows,) float64."""
    used = groups != group
    used &= np.cumsum(used, axis=1) <= k
    return (distances * used).sum(axis=1) / used.sum(axis=1)
