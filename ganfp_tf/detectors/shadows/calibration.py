"""Detectors calibrated by shadow generators: other GANs, of which is known what they saw.

The idea is online LiRA's (Carlini et al. 2022, S&P): how an image scores against a generator that
saw it, and against one that did not, differs from image to image. Here generated sets take the
place of shadow models. No TensorFlow.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd

from ganfp_tf.detectors.protocol import Detector, ImageStore, Unprepared
from ganfp_tf.detectors.shadows.folders import Shadow
from ganfp_tf.detectors.spaces.base import LearnedSpace
from ganfp_tf.errors import UserError

COLUMNS = ["path", "name", "role", "label", "patient", "part", "digest"]


@dataclasses.dataclass(frozen=True)
class ShadowCalibrated(Unprepared):
    """A detector's score against the generator, less what shadows say one should expect.

        score(x, G) = s(x, G) - mid(x)
        mid(x) = mean over shadows j of s(x, G_j) - c_j + (gap / 2 where j did not see x,
                                                           - gap / 2 where it did)

    mid(x) lies half-way between what x scores against generators that saw it and that did not.
    With as many shadows of either kind it is the middle of the two means; it exists also where all
    are of one kind. On the images of fit(), each once, with IN and OUT the shadows that saw an
    image and that did not:

    - c_j, the level of shadow j, is the middle between its mean over the images it saw and over
      those it did not; the one mean, where there is one kind. How many images a shadow has, or how
      blurred they are, moves all its scores, and so goes out.
    - gap is the mean of (mean over IN - mean over OUT) over images that have both; where none has
      both, the mean over shadows of the difference of their two means; 0 where no shadow has two.

    Labels are not looked at. The base is fitted anew for each shadow, with the shadow's images as
    the generated ones; a network that its space learns is trained once, on the generator's own
    images. Which other images are scored matters only where it does to the base.

    Attributes:
        base: a `registry.Detector` that uses no labels, not fitted.
        shadows: tuple of `Shadow`, at least one.
        fitted: the base fitted on the images under question; None before fit().
        reference: the real images of fit(), labels hidden.
        levels: (c_0, c_1, ...).
        gap: as above, in units of the score.
    """

    base: Detector
    shadows: tuple[Shadow, ...]
    uses_labels: bool = dataclasses.field(default=False, init=False)
    fitted: Detector | None = dataclasses.field(default=None, repr=False, compare=False)
    reference: pd.DataFrame | None = dataclasses.field(default=None, repr=False, compare=False)
    levels: tuple[float, ...] = dataclasses.field(default=(), repr=False, compare=False)
    gap: float = dataclasses.field(default=0.0, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.base.uses_labels:
            raise ValueError(
                f"shadows calibrate detectors that use no labels. Received: {self.base.name}"
            )
        if not self.shadows:
            raise UserError(f"{self.name} needs at least one shadow generator: say --shadow=PATH.")

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return f"shadow_{self.base.name}"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return f"{self.base.title}, calibrated by shadow generators"

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy that knows the real images, the shadows' levels and the gap.

        Raises:
            UserError: a shadow is the generator under question.
        """
        self._check_other(generated)
        reference = labelled[COLUMNS].assign(label=-1)
        reference = reference.sort_values(["digest", "patient", "path"], ignore_index=True)
        unique = reference.drop_duplicates("digest")
        own = dataclasses.replace(self, base=_learned(self.base, reference, generated, store))
        scores, seen = own._against_shadows(reference, unique, store), self._seen(unique)
        levels = np.array([_level(*pair) for pair in zip(scores.T, seen.T, strict=True)])
        return dataclasses.replace(
            own,
            fitted=own.base.fit(reference, generated, store),
            reference=reference,
            levels=tuple(levels.tolist()),
            gap=_gap(scores - levels, seen),
        )

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64, higher = used.

        Raises:
            UserError: what the base raises, or a shadow was chosen by the labels of candidates.
        """
        signals = self.signals(candidates, generated, store)
        return (signals["score"] - signals["mid"]).to_numpy()

    def signals(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> pd.DataFrame:
        """What the score is made of, for a stack of detectors.

        Returns:
            DataFrame with the index of `candidates`: score, that of the base; in_mean and out_mean,
            the mean of s(x, G_j) - c_j over shadows that saw x and that did not (where there is
            none, the other one plus or minus gap); mid. All finite float64.
        """
        if self.reference is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        self._check_blind(candidates)
        scores = self._against_shadows(self.reference, candidates, store) - np.array(self.levels)
        seen = self._seen(candidates)
        shift = np.where(seen, -self.gap / 2, self.gap / 2)
        inside, outside = _mean_where(scores, seen), _mean_where(scores, ~seen)
        return pd.DataFrame(
            {
                "score": self.fitted.score(candidates, generated, store),
                "in_mean": np.where(np.isnan(inside), outside + self.gap, inside),
                "out_mean": np.where(np.isnan(outside), inside - self.gap, outside),
                "mid": (scores + shift).mean(axis=1),
            },
            index=candidates.index,
        )

    def _seen(self, frame):
        return np.stack([shadow.has_seen(frame) for shadow in self.shadows], axis=1)

    def _against_shadows(self, reference, frame, store):
        """(len(frame), shadows) float64: scores of the base against each shadow's images."""
        keys = frame[["digest", "patient"]].reset_index(drop=True)
        places = keys.sort_values(["digest", "patient"], kind="stable").index.to_numpy()
        order = frame.iloc[places].reset_index(drop=True)
        columns = np.empty((len(frame), len(self.shadows)))
        for number, shadow in enumerate(self.shadows):
            # All that the scores depend on: a later detector with this base finds them there.
            key = (
                "shadow",
                self.base.name,
                repr(self.base),
                _contents(reference),
                _contents(frame),
                _contents(shadow.generated),
            )

            def ask(made=shadow.generated):
                fitted = self.base.fit(reference, made, store)
                return np.asarray(fitted.score(order, made, store), dtype=np.float64)

            columns[places, number] = store.keep(key, ask)
        return columns

    def _check_other(self, generated):
        for shadow in self.shadows:
            shared = shadow.generated["digest"].isin(generated["digest"]).mean()
            if shared > 0.5:
                raise UserError(
                    f"--shadow: {shadow.title} has the very images under question "
                    f"({100 * shared:.0f} % of its own). Expected images of another generator."
                )

    def _check_blind(self, candidates):
        for shadow in self.shadows:
            count = int(shadow.has_seen(candidates).sum()) if shadow.by_label else 0
            if count:
                raise UserError(
                    f"--shadow: {shadow.title} was trained on {count} of the images to be scored "
                    "because they are known not to be used: its scores would give their labels "
                    "away. Score other images with it, or take shadows of --shadow_on=halves."
                )


def shadow_signals(
    base: Detector,
    shadows: Sequence[Shadow],
    labelled: pd.DataFrame,
    candidates: pd.DataFrame,
    generated: pd.DataFrame,
    store: ImageStore,
) -> pd.DataFrame:
    """`ShadowCalibrated.signals` of `candidates`, with fit() on `labelled`, labels hidden."""
    fitted = ShadowCalibrated(base, tuple(shadows)).fit(labelled, generated, store)
    return fitted.signals(candidates, generated, store)


def _level(scores, seen):
    """c_j of one shadow: (n,) scores of the images of fit(), (n,) bool -> a number."""
    means = [scores[kind].mean() for kind in (seen, ~seen) if kind.any()]
    return float(np.mean(means)) if means else 0.0


def _gap(scores, seen):
    """The gap: (n, shadows) scores less their levels, (n, shadows) bool -> a number."""
    for axis in (1, 0):
        gaps = _mean_where(scores, seen, axis) - _mean_where(scores, ~seen, axis)
        if not np.isnan(gaps).all():
            return float(np.nanmean(gaps))
    return 0.0


def _mean_where(values, mask, axis=1):
    """Means of the values where `mask` holds, nan where it holds nowhere."""
    count = mask.sum(axis=axis)
    total = np.where(mask, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def _contents(frame):
    """The same text for the same images of the same patients, in any order."""
    rows = zip(frame["digest"], frame["patient"], strict=True)
    return hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()[:16]


def _learned(base, real, generated, store):
    """The base in the space that has learned from the images under question, where it learns."""
    space = getattr(base, "space", None)
    if not isinstance(space, LearnedSpace):
        return base
    return dataclasses.replace(base, space=space.learn(real, generated, store))
