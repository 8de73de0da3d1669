"""Detectors that learn a model of the generated images. No TensorFlow."""

import dataclasses
from collections.abc import Callable
from typing import Self

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors.attacks.base import check_generated
from ganfp_tf.detectors.protocol import ImageStore, Unprepared
from ganfp_tf.detectors.spaces.base import GeneratedComponents
from ganfp_tf.detectors.spaces.hand_made import per_content
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.neighbours.nearest import FLOOR


@dataclasses.dataclass(frozen=True)
class GeneratedClassifier(Unprepared):
    """A classifier of generated images against known unused ones, applied to x.

    The discriminator of LOGAN (Hayes et al. 2019, PoPETs) and MIAGM, trained anew from outside: an
    image that looks generated rather than unused is taken for used. The score is the log odds that
    x is generated. The reference are the real images with label 0 in fit(), so x must not be among
    them: it is scored out of fold.

    A logistic regression, both classes weighing the same, on the principal components of the
    generated images, whitened, with their squares and products. Its log odds are those of two
    Gaussians: where the generated images lie, and how they spread. Without the products it would
    see a shift alone; a perceptron on the components took more than seven times as long.

    Attributes:
        count: components, fewer where there are fewer generated images.
        strength: inverse of the regularisation, `C` of scikit-learn. Small, for a hundred images
            meet a thousand products.
        degree: 2 with products, 1 without.
    """

    count: int = 60
    strength: float = 1e-3
    degree: int = 2
    name: str = dataclasses.field(default="classifier", init=False)
    title: str = dataclasses.field(
        default="classifier of generated against unused images (LOGAN)", init=False
    )
    uses_labels: bool = dataclasses.field(default=True, init=False)
    model: Pipeline | None = dataclasses.field(default=None, repr=False, compare=False)
    project: Callable | None = dataclasses.field(default=None, repr=False, compare=False)

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy with the classifier. Raises UserError where a class has no image."""
        check_generated(generated)
        unused = labelled[labelled["label"] == 0].drop_duplicates("digest").sort_values("digest")
        if not len(unused):
            raise UserError(
                f"{self.name} tells generated images from real ones known to be unused. Expected "
                "at least 1 real image of label 0, found none: add some to the data."
            )
        vectors = GeneratedComponents(self.count).fit(unused, generated, store)
        made = vectors.generated(generated.sort_values("digest"))
        rows = np.concatenate([made, vectors.real(unused)]).astype("float64")
        model = make_pipeline(
            StandardScaler(),
            PolynomialFeatures(self.degree, include_bias=False),
            StandardScaler(),
            LogisticRegression(C=self.strength, class_weight="balanced", max_iter=2000),
        )
        model.fit(rows, np.repeat([1, 0], [len(made), len(unused)]))
        return dataclasses.replace(self, model=model, project=vectors.real)

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64; the generated images of fit() count, not these."""
        if self.model is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        return per_content(
            candidates,
            lambda frame: self.model.decision_function(self.project(frame).astype("float64")),
        )


@dataclasses.dataclass(frozen=True)
class Reconstruction(Unprepared):
    """How well a model of the generated images reconstructs x: score = -log error.

    The model is their principal components: what the generator learnt to vary, it can make. The
    error is the root mean square over the pixels of x minus its reconstruction.

    Calibrated, the score is log error by real images - log error by generated images: a smooth
    image is reconstructed well by anything. The real images are those of fit() but x's own patient
    and x itself: patients are dealt out to `folds`, and the components that x is reconstructed
    from are fitted to the other folds. Both models then have the same count of components.

    Attributes:
        calibrated: whether the error by real images is taken into account.
        count: components, fewer where there are fewer images.
        folds: of patients; with fewer patients, as many as there are.
        reference: the images of fit(); their labels are not looked at.
    """

    calibrated: bool = False
    count: int = 60
    folds: int = 5
    uses_labels: bool = dataclasses.field(default=False, init=False)
    reference: pd.DataFrame | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its key in the registry."""
        return "calibrated_reconstruction" if self.calibrated else "reconstruction"

    @property
    def title(self) -> str:
        """For people, in lower case."""
        title = "error in principal components of the generated images"
        return f"{title}, calibrated by real images" if self.calibrated else title

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy that knows the real images."""
        return dataclasses.replace(self, reference=labelled[["path", "digest", "patient"]])

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64.

        Raises:
            UserError: no generated image, or calibrated and x has no other patient's image.
        """
        if self.reference is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        check_generated(generated)
        if self.calibrated:
            return self._calibrated(candidates, generated, store)
        return per_content(
            candidates, lambda frame: -self._log_error(frame, generated, self.count, store)
        )

    def _calibrated(self, candidates, generated, store):
        pool = Pool.of(candidates, self.reference)
        fold = self._fold(pool)
        asked = np.unique(fold[pool.rows])
        models = {i: pool.unique[pool.in_reference & (fold != i)] for i in asked}
        count = min([self.count, len(generated), *map(len, models.values())])
        if not count:
            raise UserError(
                f"{self.name} reconstructs a real image from those of other patients. Expected "
                "real images of at least two patients, found one: add images."
            )
        scores = -self._log_error(pool.unique, generated, count, store)
        for i, model in models.items():
            scores[fold == i] += self._log_error(pool.unique[fold == i], model, count, store)
        return scores[pool.rows]

    def _fold(self, pool):
        """Fold of each image of the pool: (len(pool.unique),) of 0, 1, ...

        Groups are dealt in the order of their first digests, those of fit() first, so that every
        fold leaves as much to fit as can be.
        """
        groups, first = np.unique(pool.groups, return_index=True)
        known = np.isin(groups, pool.groups[pool.in_reference])
        order = np.lexsort((first, ~known))
        folds = np.empty(len(groups), int)
        folds[order] = np.arange(len(groups)) % max(1, min(self.folds, known.sum()))
        if known.sum() == 1:  # all others have one patient to be reconstructed from
            folds[~known] = 1
        return folds[np.searchsorted(groups, pool.groups)]

    def _log_error(self, frame, reference, count, store):
        key = ("principal components", count, contents(reference))
        model = store.keep(key, lambda: self._fitted(reference, count, store))
        rows = store.pixels(frame).astype("float64")
        rest = rows - model.mean_
        left = rest - (rest @ model.components_.T) @ model.components_
        return np.log(np.maximum(np.sqrt(np.mean(left**2, axis=1)), FLOOR))

    def _fitted(self, reference, count, store):
        rows = store.pixels(reference.sort_values("digest"))
        count = min(count, *rows.shape)
        with np.errstate(invalid="ignore"):  # one image alone has no variance, but a mean
            return PCA(count, svd_solver="randomized", random_state=0).fit(rows)
