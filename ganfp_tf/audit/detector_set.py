"""Which detectors an audit has, and which of them its verdict rests on."""

import dataclasses
import functools

from ganfp_tf.config import Config
from ganfp_tf.detectors import registry
from ganfp_tf.detectors.ensemble import Mean, Stack
from ganfp_tf.detectors.protocol import Detector
from ganfp_tf.errors import UserError

# The detector that a verdict rests on is fixed before anything is scored: the first of these that
# is among the detectors.
WITH_LABELS = ("shadow_stack", "stack", "fast_stack")
WITHOUT_LABELS = ("shadow_mean", "mean", "fast_mean")
BLIND = ("blind_pixels", "blind_classifier")


@dataclasses.dataclass(frozen=True)
class DetectorSet:
    """The detectors of an audit, not fitted.

    Beside the registry's there are "named_stack" and "named_mean" over all named detectors.

    Attributes:
        names: detectors, in the registry's order.
        labelled: whether it is known which of the images were used.
        settings: what the registry makes detectors from.
    """

    names: tuple[str, ...]
    labelled: bool
    settings: Config

    @functools.cached_property
    def primary(self) -> str:
        """The name of the detector that the verdict rests on."""
        order = WITH_LABELS if self.labelled else WITHOUT_LABELS
        for name in order:
            if name in self.names:
                return name
        if len(self.stackable) < 2:
            return self.stackable[0] if self.stackable else _conclusive(self.names)[0]
        return "named_stack" if self.labelled else "named_mean"

    @functools.cached_property
    def stackable(self) -> tuple[str, ...]:
        """The detectors that a stack of all named ones is made of."""
        found = []
        for name in _conclusive(self.names):
            without_labels = not registry.DETECTORS[name].uses_labels
            if without_labels and not isinstance(self.make(name), Mean):
                found.append(name)
        return tuple(found)

    def make(self, name: str) -> Detector:
        """The detector of this name, not fitted."""
        if name not in ("named_stack", "named_mean"):
            return registry.make_detector(name, self.settings)
        signals = tuple(self.make(each) for each in self.stackable)
        kind, title = (Stack, "stack") if name == "named_stack" else (Mean, "plain mean")
        return kind(name, f"{title} of the {len(signals)} detectors named", signals)

    def mean_of(self, name: str) -> str:
        """The name of the detector that needs no label and has the signals of this one."""
        if not self.make(name).uses_labels:
            return name
        means = dict(zip(WITH_LABELS, WITHOUT_LABELS, strict=True)) | {"named_stack": "named_mean"}
        return means.get(name, WITHOUT_LABELS[-1])


def usable(names: list[str], kind: str, settings: Config) -> tuple[str, ...]:
    """The names of the detectors that this kind of audit can use, the blind controls among them.

    Raises:
        UserError: no verdict can rest on any of them.
    """
    kept = [*names, *(name for name in BLIND if name not in names)]
    if kind != "labelled":
        entries = {name: registry.DETECTORS[name] for name in kept}
        kept = [name for name, entry in entries.items() if entry.make and not entry.uses_labels]
    if not _conclusive(kept):
        lost = "" if kind == "labelled" else " or learn from labels, which --suspects do not have"
        raise UserError(
            f"--detectors={settings.detectors}: an audit needs a detector that can be asked for "
            f"its controls too. Those named are controls, Siamese runs of their own{lost}. Name "
            "others, or leave --detectors out."
        )
    return tuple(kept)


def _conclusive(names):
    """The detectors that a verdict can rest on: neither controls nor runs of their own."""
    entries = {name: registry.DETECTORS[name] for name in names}
    return [name for name, entry in entries.items() if entry.make and not entry.control]
