"""A stack: a handful of weights, fitted on labels, over detectors that need none. No TensorFlow."""

import dataclasses
from typing import Self

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors.protocol import ImageStore, Unprepared
from ganfp_tf.errors import UserError

TOGETHER = 10.0  # how much lighter the common weight is punished than the single ones


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of standardised signals, fitted on labels and drawn towards their plain mean.

    The squares of the weights are punished, but the one that all have in common a hundred times
    less than what each has beside it: with a hundred labels the mean of the signals is hard to
    beat, and an unpunished fit is worse than it.

    Attributes:
        weights, mean, deviation: (signals,) each.
    """

    weights: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, labels: np.ndarray, strength: float) -> "Weights":
        """Fits them to signals `rows` (n, signals), higher = used, and labels (n,) of 0 and 1."""
        mean, deviation = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
        model = LogisticRegression(
            C=strength, class_weight="balanced", max_iter=1000, random_state=0
        ).fit(_with_mean((rows - mean) / deviation), labels)
        common, own = model.coef_[0, 0], model.coef_[0, 1:]
        return cls(own + TOGETHER * common / len(own), mean, deviation)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The weighted sums (n,) of signals `rows` (n, signals)."""
        return ((rows - self.mean) / self.deviation) @ self.weights


@dataclasses.dataclass(frozen=True)
class Stack:
    """A logistic regression over the scores of other detectors, drawn towards their plain mean.

    See `Weights` for how they are fitted.

    Attributes:
        name: in the registry.
        title: for people.
        signals: detectors that need no labels.
        strength: inverse of the punishment (C of scikit-learn's LogisticRegression).
        scores: (signals,) scores of each digest that prepare() has seen.
        against: `contents` of the generated images of these scores.
        weights: after fit().
    """

    name: str
    title: str
    signals: tuple
    strength: float = 0.03
    uses_labels: bool = dataclasses.field(default=True, init=False)
    scores: pd.DataFrame | None = dataclasses.field(default=None, repr=False, compare=False)
    against: str = dataclasses.field(default="", repr=False, compare=False)
    fitted: tuple | None = dataclasses.field(default=None, repr=False, compare=False)
    weights: Weights | None = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_label_free(self)

    def prepare(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy whose signals know all real images, labels hidden, also those to score.

        What needs no label may look at every image that is there: fitted on some of the folds only,
        the signals would miss the others as references.
        """
        frame = real.drop_duplicates("digest").sort_values("digest")
        fitted = tuple(signal.fit(real, generated, store) for signal in self.signals)
        columns = {s.name: s.score(frame, generated, store) for s in fitted}
        scores = pd.DataFrame(columns, index=frame["digest"].to_numpy())
        return dataclasses.replace(self, fitted=fitted, scores=scores, against=contents(generated))

    def _has(self, frame, generated):
        """Whether the scores of these images are there."""
        return self.against == contents(generated) and frame["digest"].isin(self.scores.index).all()

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy with weights. Raises UserError where only one label is there."""
        own = self
        if own.scores is None or not own._has(labelled, generated):
            own = self.prepare(labelled.assign(label=-1), generated, store)
        labels = labelled["label"].to_numpy(dtype=int)
        if set(labels) != {0, 1}:
            raise UserError(
                f"{self.name} learns its weights from used and from not used images; found labels "
                f"{sorted(set(labels.tolist()))} only."
            )
        rows = own.scores.loc[labelled["digest"]].to_numpy()
        return dataclasses.replace(own, weights=Weights.fit(rows, labels, self.strength))

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64, log odds but for a constant."""
        if self.weights is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        if self._has(candidates, generated):
            rows = self.scores.loc[candidates["digest"]].to_numpy()
        else:
            rows = np.stack([s.score(candidates, generated, store) for s in self.fitted], axis=1)
        return self.weights.of(rows)


@dataclasses.dataclass(frozen=True)
class Mean(Unprepared):
    """The plain mean of the standardised scores of other detectors: a stack without any label.

    Attributes:
        name: in the registry.
        title: for people.
        signals: detectors that need no labels.
    """

    name: str
    title: str
    signals: tuple
    uses_labels: bool = dataclasses.field(default=False, init=False)
    scales: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_label_free(self)

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy with fitted signals and their means and deviations on `labelled`."""
        fitted = tuple(signal.fit(labelled, generated, store) for signal in self.signals)
        frame = labelled.drop_duplicates("digest").sort_values("digest")
        rows = np.stack([s.score(frame, generated, store) for s in fitted])
        scales = np.stack([rows.mean(axis=1), np.maximum(rows.std(axis=1), 1e-9)])
        return dataclasses.replace(self, signals=fitted, scales=scales)

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64."""
        if self.scales is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        rows = np.stack([s.score(candidates, generated, store) for s in self.signals], axis=1)
        return ((rows - self.scales[0]) / self.scales[1]).mean(axis=1)


def _with_mean(rows):
    """The mean of all columns, made large, before them: what is large is punished little."""
    return np.column_stack([TOGETHER * rows.mean(axis=1), rows])


def _check_label_free(stack):
    using = [signal.name for signal in stack.signals if signal.uses_labels]
    if using:
        raise ValueError(f"{stack.name} takes signals that need no labels, not {using}.")
