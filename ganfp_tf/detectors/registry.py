"""The detectors: name -> how to make it, and what a classical one can do. No TensorFlow.

Frames have the columns of a Catalog's: path, name, role, label, patient, part, digest.
"""

import dataclasses
import difflib
from collections.abc import Callable
from typing import Protocol

import numpy as np
import pandas as pd

from ganfp_tf.detectors import distance
from ganfp_tf.errors import UserError


class Detector(Protocol):
    """What scores real images against generated ones.

    Attributes:
        name: its key in `DETECTORS`.
        title: for people, in lower case.
        uses_labels: whether fit() looks at labels; it must then not score what it was fitted on.
    """

    name: str
    title: str
    uses_labels: bool

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store) -> "Detector":
        """Learns from real images, and leaves the detector itself as it was.

        Args:
            labelled: real images; label is 1 or 0, or -1 for all where uses_labels is False.
            generated: generated images.
            store: gives images as vectors, such as a `spaces.PixelStore`.

        Returns:
            A detector that scores: itself where there is nothing to learn, else a fitted copy.
        """
        ...

    def score(self, candidates: pd.DataFrame, generated: pd.DataFrame, store) -> np.ndarray:
        """Scores real images; only what fit() returned can do it.

        Args:
            candidates: real images, whose labels are not looked at.
            generated: images of the generator that may have seen them.
            store: as in fit().

        Returns:
            (len(candidates),) finite float64, higher = used.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Entry:
    """One detector of the registry: a classical one, or a Siamese network trained as a run."""

    make: Callable[[], Detector] | None = None
    """() -> the classical detector, not fitted; None for a Siamese network."""
    run: dict | None = None
    """Settings of the run that trains a Siamese network, beside those of the command."""
    run_title: str = ""
    control: bool = False
    """Whether it is no attack: a control's AUC should be 0.5."""

    @property
    def title(self):
        """For people, in lower case."""
        return self.run_title or self.make().title


DETECTORS: dict[str, Entry] = {
    "nearest_pixels": Entry(distance.NearestDistance),
    "calibrated_pixels": Entry(distance.CalibratedDistance),
    "hits_pixels": Entry(distance.HitCount),
    "siamese_random": Entry(run={"pairing": "random"}, run_title="Siamese, random pairs"),
    "siamese_nearest": Entry(run={"pairing": "nearest"}, run_title="Siamese, nearest pairs"),
    "blind_pixels": Entry(distance.BlindDistance, control=True),
}


def make_detector(name: str) -> Detector:
    """The classical detector of this name, not fitted.

    Raises:
        UserError: there is none of this name, or it is a Siamese network, which is a run.
    """
    entry = _entry(name)
    if entry.make is None:
        raise UserError(f"{name} is a Siamese network: train it with --mode=train.")
    return entry.make()


def parse_detectors(text: str) -> list[str]:
    """ "nearest_pixels,hits_pixels" -> the two names; "all" -> every name, controls too.

    Raises:
        UserError: none named, one named twice, an unknown one, or "all" beside others.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return list(DETECTORS)
    for name in names:
        if name != "all":
            _entry(name)
    if not names or "all" in names or len(set(names)) < len(names):
        raise UserError(
            "--detectors must be all, or name at least one detector and each once, separated by "
            f"commas. Received: {text!r}"
        )
    return names


def _entry(name):
    if name not in DETECTORS:
        near = difflib.get_close_matches(name, DETECTORS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(
            f"--detectors: there is no detector {name!r}.{hint} Expected {', '.join(DETECTORS)}."
        )
    return DETECTORS[name]
