"""What is audited: who is suspected, who is known to be unused, and by which detectors."""

import dataclasses
import functools
import pathlib

import numpy as np
import pandas as pd

from ganfp_tf.audit.detector_set import DetectorSet, usable
from ganfp_tf.audit.field_types import Kind
from ganfp_tf.config import Config
from ganfp_tf.data.catalog import Catalog, open_catalog
from ganfp_tf.data.images import ImageReader
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.data.suspects import REFERENCE, SIBLING, SUSPECT, open_suspects
from ganfp_tf.detectors import registry
from ganfp_tf.detectors.cached import Fixed
from ganfp_tf.detectors.cross_fitting import COLUMNS, FOLDS, cross_fitted_scores
from ganfp_tf.detectors.ensemble import Mean, Stack
from ganfp_tf.detectors.protocol import Detector
from ganfp_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Case:
    """Real images under suspicion, the generated ones, and detectors fitted to them.

    Attributes:
        kind: "labelled" (used against not used), "reference" (suspects against images known to be
            unused), or "suspects" (suspects alone).
        catalog: all images, with what could not be read and warnings.
        real: the real ones: path, name, label, patient, part, digest and group, which is "suspect",
            "reference" or, for an image known to be unused of a patient who is suspected,
            "sibling". label is 1 for suspects and 0 for the others, whether it is known or only
            the side they are on.
        generated: the generated images.
        names: detectors, in the registry's order.
        config: all settings of the audit, for it makes detectors and starts trainings.
        folder: the run folder.
        store: the pixels of all images.
    """

    kind: Kind
    catalog: Catalog
    real: pd.DataFrame
    generated: pd.DataFrame
    names: tuple[str, ...]
    config: Config
    folder: pathlib.Path
    store: PixelStore
    _fitted: dict = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def labelled(self) -> bool:
        """Whether it is known which of the images were used."""
        return self.kind == "labelled"

    @functools.cached_property
    def detectors(self) -> DetectorSet:
        """The detectors, not fitted."""
        return DetectorSet(self.names, self.labelled, self.config)

    @property
    def folds(self) -> int:
        """Patient-disjoint folds of cross-fitting."""
        return self.config.folds or FOLDS

    @property
    def tested(self) -> pd.DataFrame:
        """Suspects and reference, without siblings."""
        return self.real[self.real["group"] != SIBLING].reset_index(drop=True)

    def group(self, name: str) -> pd.DataFrame:
        """The real images of one group."""
        return self.real[self.real["group"] == name].reset_index(drop=True)

    def detector(self, name: str) -> Detector:
        """The detector of this name: fitted once if it needs no label, else to be cross-fitted."""
        if name not in self._fitted:
            made = self.detectors.make(name)
            if isinstance(made, (Stack, Mean)):
                parts = tuple(self.detector(signal.name) for signal in made.signals)
                made = dataclasses.replace(made, signals=parts)
            if not made.uses_labels:
                hidden = self.real.assign(label=-1)
                made = Fixed(made.fit(hidden, self.generated, self.store))
            self._fitted[name] = made
        return self._fitted[name]

    def scores(
        self,
        name: str,
        real: pd.DataFrame | None = None,
        generated: pd.DataFrame | None = None,
        *,
        decide: bool = True,
    ) -> pd.DataFrame:
        """Scores real images, none of which had a part in how it was scored by its label.

        Args:
            name: a detector.
            real: rows of `real` with labels; None: suspects and reference.
            generated: generated images; None: those of the case.
            decide: whether each is called used or not by the threshold of the other folds, where
                the detector needs no label itself; the decision is else 0.

        Returns:
            DataFrame of crossfit.COLUMNS in the order of `real`.
        """
        real = self.tested if real is None else real.reset_index(drop=True)
        generated = self.generated if generated is None else generated
        detector = self.detector(name)
        if detector.uses_labels or decide:
            frame = pd.concat([real, generated], ignore_index=True)
            return cross_fitted_scores(
                detector, frame, self.store, folds=self.folds, seed=self.config.seed
            )
        score = detector.score(real.assign(label=-1), generated, self.store)
        return real.assign(split_id="all", split="test", score=score, decision=0)[COLUMNS]

    def scores_of_siblings(self, name: str) -> np.ndarray:
        """Scores of the siblings on the scale of `scores`: (siblings,) float64."""
        siblings, known = self.group(SIBLING), self.tested
        detector = self.detector(name)
        if not detector.uses_labels:
            return detector.score(siblings.assign(label=-1), self.generated, self.store)
        # Weights of all folds together, less the mean as in crossfit.
        prepared = detector
        if hasattr(detector, "prepare"):
            hidden = self.real.assign(label=-1)
            prepared = detector.prepare(hidden, self.generated, self.store)
        fitted = prepared.fit(known, self.generated, self.store)
        found = fitted.score(siblings.assign(label=-1), self.generated, self.store)
        usual = fitted.score(known.assign(label=-1), self.generated, self.store)
        return np.asarray(found) - np.mean(usual)


def open_case(config: Config, folder: pathlib.Path) -> Case:
    """Lists and checks the images of an audit.

    Args:
        config: the audit's Config.
        folder: its run folder, as a Path.

    Raises:
        UserError: images are missing or contradict themselves, or come from several generators.
    """
    store = PixelStore(reader=ImageReader.of(config), folder=str(folder / "networks"))
    if config.suspects:
        catalog = open_suspects(
            config.data, config.suspects, config.reference, config, on_image=store.add
        )
        frame = catalog.frame
        real = frame[frame["role"] == "real"].reset_index(drop=True)
        kind: Kind = "reference" if config.reference else "suspects"
        real = real.assign(label=real["side"])
    else:
        catalog, kind = open_catalog(config.data, config, "train", store.add), "labelled"
        real = catalog.labelled
        _check_one_generator(real, catalog.generated)
        _check_names(real)
        real = real.assign(group=np.where(real["label"] == 1, SUSPECT, REFERENCE))
    # An image of a suspected patient may look used though it was not: it is no fair reference.
    shared = real["patient"].isin(set(real["patient"][real["group"] == SUSPECT]))
    real.loc[shared & (real["group"] == REFERENCE), "group"] = SIBLING
    if kind != "suspects" and not (real["group"] == REFERENCE).any():
        raise UserError(
            "--data: all images known to be unused are of patients who have used ones as well. "
            "An audit compares used images with those of other patients: add some."
        )
    real = real.assign(part="")
    generated = catalog.generated.assign(part="")
    names = usable(registry.parse_detectors(config.detectors, config.shadow), kind, config)
    return Case(kind, catalog, real, generated, names, config, folder, store)


def _check_one_generator(real, generated):
    parts = sorted(set(generated["part"]) & set(real["part"]))
    if len(parts) > 1:
        named = ", ".join(repr(part) for part in parts[:5])
        raise UserError(
            f"--data: an audit is of one generator, and {len(parts)} parts have generated images "
            f"of their own: {named}. Name one of them: --data=FOLDER/PART."
        )


def _check_names(real):
    doubled = real[real.duplicated(["name", "patient"], keep=False)]
    if len(doubled):
        first = doubled.iloc[0]
        raise UserError(
            f"--data: two images of patient {first['patient']!r} have the same name "
            f"{first['name']!r} in different parts: rename one, for the name stands for the image."
        )
