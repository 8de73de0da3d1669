"""Which images are of one patient. No TensorFlow."""

import dataclasses

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def linked(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which images belong together, by patient or by content, directly or through others.

    Args:
        first: (n,) int, the patient (or the content) of each image, counted from 0.
        second: (n,) int, its content (or its patient), counted from 0.

    Returns:
        (n,) int, the same number for all images that are connected.
    """
    if not len(first):
        return np.empty(0, dtype=np.int32)
    start = int(first.max()) + 1
    size = start + int(second.max()) + 1
    edges = coo_array((np.ones(len(first)), (first, second + start)), shape=(size, size))
    return connected_components(edges, directed=False)[1][first]


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
    def of(cls, candidates: pd.DataFrame, reference: pd.DataFrame) -> "Pool":
        """Joins two tables of images.

        Args:
            candidates: with path, digest and patient, "" if the patient is not known.
            reference: with the same columns, and no others.
        """
        both = pd.concat([candidates[["path", "digest", "patient"]], reference], ignore_index=True)
        digests, place = np.unique(both["digest"].to_numpy(dtype=str), return_inverse=True)
        # A real image without a patient is a patient of its own.
        named = both["patient"].where(both["patient"] != "", "\0" + both["digest"])
        patients, _ = pd.factorize(named)
        first = np.unique(place, return_index=True)[1]
        groups = linked(place, patients)[first]
        return cls(
            both.iloc[first],
            place[: len(candidates)],
            groups,
            np.isin(np.arange(len(digests)), place[len(candidates) :]),
        )
