"""Which images are of one patient. No TensorFlow."""

import dataclasses

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


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
        patients, names = pd.factorize(named)
        edges = coo_array(
            (np.ones(len(both)), (place, patients + len(digests))),
            shape=(len(digests) + len(names),) * 2,
        )
        groups = connected_components(edges, directed=False)[1][: len(digests)]
        first = np.unique(place, return_index=True)[1]
        return cls(
            both.iloc[first],
            place[: len(candidates)],
            groups,
            np.isin(np.arange(len(digests)), place[len(candidates) :]),
        )
