"""Scored images with known labels, checked once, and the one loop that resamples them."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ganfp_tf.errors import UserError

# Cells of a block of weights or labels; 16 MiB of float64.
BLOCK = 2**21


@dataclasses.dataclass(frozen=True)
class Resampling:
    """How often to resample, and with which seed.

    Attributes:
        resamples: of the bootstrap, at least 1.
        permutations: of labels, at least 1.
        confidence: coverage of intervals, between 0 and 1.
        seed: integer, at least 0.

    Raises:
        ValueError: impossible values.
    """

    resamples: int
    permutations: int
    confidence: float
    seed: int

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        for name in ("resamples", "permutations"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")

    @classmethod
    def of(cls, settings: Any) -> "Resampling":
        """From settings with the attributes bootstrap, permutations, confidence and seed."""
        return cls(settings.bootstrap, settings.permutations, settings.confidence, settings.seed)

    def ends(self, values: np.ndarray) -> np.ndarray:
        """Percentile ends of `values` (R, ...) along the first axis: (2, ...); nan if R is 0."""
        if not len(values):
            return np.full((2, *values.shape[1:]), np.nan)
        tail = (1 - self.confidence) / 2
        return np.quantile(values, [tail, 1 - tail], axis=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Scored images with known labels. The arrays are checked and copied.

    Attributes:
        labels: (n,) of 0 and 1, int64; 1 is used in training.
        scores: (n,) finite, float64; higher means used.
        patients: (n,) names; kept as codes 0..P-1 in the order of the names, int64.
        decisions: (n,) of 0 and 1, int64; or None.
        strata: (n,) fold of each image, whose scores are compared within their fold only; kept as
            codes. Or None.
        names: (P,) name of each patient.

    Raises:
        ValueError: arrays of different lengths, or labels or decisions other than 0 and 1.
        UserError: a score that is not finite.
    """

    labels: np.ndarray
    scores: np.ndarray
    patients: np.ndarray
    decisions: np.ndarray | None = None
    strata: np.ndarray | None = None
    names: np.ndarray = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        labels = _check_binary(self.labels, "labels")
        n = len(labels)
        names, patients = _check_codes(self.patients, "patients", n)
        checked = {
            "labels": labels,
            "scores": check_scores(self.scores, n),
            "patients": patients,
            "names": names,
        }
        if self.decisions is not None:
            checked["decisions"] = _check_binary(self.decisions, "decisions", n)
        if self.strata is not None:
            checked["strata"] = _check_codes(self.strata, "strata", n)[1]
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, strata: str | None = None) -> "Sample":
        """From a DataFrame with the columns label, score, patient and decision.

        Args:
            frame: one row an image or pair.
            strata: column that holds the fold of each row, or None.
        """
        return cls(
            frame["label"].to_numpy(),
            frame["score"].to_numpy(),
            frame["patient"].to_numpy(),
            frame["decision"].to_numpy(),
            None if strata is None else frame[strata].to_numpy(),
        )

    @classmethod
    def independent(
        cls,
        labels: np.ndarray,
        scores: np.ndarray,
        decisions: np.ndarray | None = None,
        strata: np.ndarray | None = None,
    ) -> "Sample":
        """A sample in which every image is a patient of its own."""
        return cls(labels, scores, np.arange(np.size(labels)), decisions, strata)

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def patient_labels(self) -> np.ndarray:
        """(P,) label of most of each patient's images, 1 in a tie."""
        used = np.bincount(self.patients, weights=self.labels)
        return (2 * used >= np.bincount(self.patients)).astype(np.int64)

    @property
    def patient_counts(self) -> tuple[int, int]:
        """Number of patients used and not used, by `patient_labels`."""
        used = int(self.patient_labels.sum())
        return used, len(self.patient_labels) - used

    @property
    def folds(self) -> np.ndarray:
        """(n,) codes of the strata, all 0 without strata."""
        return np.zeros(len(self), np.int64) if self.strata is None else self.strata

    def decided(self) -> np.ndarray:
        """(n,) decisions; ValueError if there are none."""
        if self.decisions is None:
            raise ValueError("The sample must have decisions. Received: decisions=None")
        return self.decisions

    def resamples(self, n: int, seed: int, cells: int = 0) -> Iterator[np.ndarray]:
        """The patient bootstrap: how often each image occurs in each of `n` resamples.

        Whole patients are drawn with replacement among the patients of the same label (that of
        most of their images), so the class sizes are those of the sample.

        Args:
            n: number of resamples, at least 1.
            seed: integer, at least 0.
            cells: numbers that the caller computes for each resample, if they are more than the
                images: blocks are then smaller.

        Yields:
            (R, len(self)) float64 weights, in blocks of bounded memory; R sums to `n`.
        """
        rng = np.random.default_rng(seed)
        for rows in blocks(n, max(len(self), cells)):
            yield draw_patients(self.patient_labels, rows, rng)[:, self.patients]


def blocks(n: int, cells: int) -> Iterator[int]:
    """Numbers of rows that sum to `n`, so that a block of rows of `cells` numbers fits memory."""
    size = max(1, BLOCK // cells)
    for start in range(0, n, size):
        yield min(size, n - start)


def draw_patients(
    patient_labels: np.ndarray, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """How often each patient (P,) occurs in each resample: (R, P) float64."""
    counts = np.zeros((resamples, len(patient_labels)))
    offsets = np.arange(resamples)[:, None]
    for label in (0, 1):
        members = np.flatnonzero(patient_labels == label)
        if len(members):
            picks = rng.integers(len(members), size=(resamples, len(members)))
            flat = np.bincount(
                (picks + offsets * len(members)).ravel(), minlength=resamples * len(members)
            )
            counts[:, members] = flat.reshape(resamples, len(members))
    return counts


def check_scores(scores: np.ndarray, length: int) -> np.ndarray:
    """Returns `scores` as a float64 copy of shape (length,).

    Raises UserError if one is not finite: that is what a diverged training leaves behind.
    """
    array = np.array(scores, dtype=np.float64)
    if array.shape != (length,):
        raise ValueError(f"scores must have shape ({length},). Received: shape={array.shape}")
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise UserError(
            f"All scores must be finite numbers. Received: {wrong} of {length} that are not. If a "
            "training diverged, lower its learning rate; if a file holds the scores, correct it."
        )
    return array


def check_confidence(confidence: float) -> None:
    """Raises ValueError unless `confidence` lies between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1. Received: confidence={confidence}")


def _check_binary(values, what, length=None):
    """Returns `values` as an int64 copy of shape (n,); ValueError unless all are 0 or 1."""
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or (length is not None and len(array) != length):
        size = "not empty" if length is None else f"of length {length}"
        raise ValueError(f"{what} must have shape (n,), {size}. Received: shape={array.shape}")
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise ValueError(f"{what} must be 0 or 1. Received: {np.unique(array)[:5].tolist()}")
    return array.astype(np.int64)


def _check_codes(values, what, length):
    """Names of groups, sorted, and each value (length,) as the number of its name, int64."""
    array = np.asarray(values)
    if array.shape != (length,):
        raise ValueError(f"{what} must have shape ({length},). Received: shape={array.shape}")
    if array.dtype.kind == "O":
        array = array.astype(str)
    names, codes = np.unique(array, return_inverse=True)
    return names, codes.reshape(-1).astype(np.int64)
