"""A control: a classifier of used against not used images that sees no generated one."""

import dataclasses
from typing import Self

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from ganfp_tf.detectors.protocol import ImageStore, Unprepared
from ganfp_tf.detectors.spaces.hand_made import per_content, squares
from ganfp_tf.errors import UserError

FLAT = 1e-3  # gray values; deviations below it are all but none
STILL = 1e-5  # a feature that moves less over the images of fit() is left out


@dataclasses.dataclass(frozen=True)
class BlindClassifier(Unprepared):
    """A control that never sees a generated image: score = log odds that x is a used one.

    After the blind baselines of Das, Zhang and Tramer (2024, "Blind baselines beat membership
    inference attacks for foundation models"): what tells used from not used images without the
    model cannot be evidence of use. `BlindDistance` sees how far an image lies from others; this
    one also sees which way, a difference in brightness or sharpness for example.

    A logistic regression, both classes weighing the same, on the principal components of the real
    images of fit() and on what `appearance` says of an image as a whole, each standardised. Its AUC
    must be 0.5 out of fold; above, used and not used images differ of themselves. With a hundred
    images, more components would add more noise than they find.

    Attributes:
        count: components, fewer where there are fewer images.
        strength: inverse of the regularisation, `C` of scikit-learn.
    """

    count: int = 10
    strength: float = 0.1
    name: str = dataclasses.field(default="blind_classifier", init=False)
    title: str = dataclasses.field(
        default="classifier of used against not used images (blind control)", init=False
    )
    uses_labels: bool = dataclasses.field(default=True, init=False)
    model: "_Model | None" = dataclasses.field(default=None, repr=False, compare=False)

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns a copy with the classifier; `generated` is not looked at.

        Raises:
            UserError: there are no used images, or no others.
        """
        known = labelled[labelled["label"].isin((0, 1))]
        known = known.drop_duplicates("digest").sort_values("digest")
        labels = known["label"].to_numpy()
        if len(set(labels)) < 2:
            raise UserError(
                f"{self.name} tells used images from images that were not used. Expected at least "
                f"1 of each, found {(labels == 1).sum()} and {(labels == 0).sum()}: add images."
            )
        rows = store.pixels(known).astype("float64")
        count = min(self.count, len(rows) - 1, rows.shape[1])
        components = PCA(count, svd_solver="randomized", random_state=0).fit(rows)
        found = _features(rows, components)
        deviation = found.std(axis=0)
        scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > STILL)
        weights = LogisticRegression(C=self.strength, class_weight="balanced", max_iter=2000)
        mean = found.mean(axis=0)
        weights.fit((found - mean) * scale, labels)
        return dataclasses.replace(self, model=_Model(components, mean, scale, weights))

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64; `generated` is not looked at."""
        if self.model is None:
            raise ValueError(f"{self.name} scores after fit() only, on what fit() returned.")
        return per_content(
            candidates, lambda frame: self.model.log_odds(store.pixels(frame).astype("float64"))
        )


@dataclasses.dataclass(frozen=True)
class _Model:
    components: PCA
    mean: np.ndarray
    scale: np.ndarray
    weights: LogisticRegression

    def log_odds(self, rows: np.ndarray) -> np.ndarray:
        return self.weights.decision_function(
            (_features(rows, self.components) - self.mean) * self.scale
        )


def _features(rows, components):
    """(n, d) gray values -> (n, components + 6)."""
    return np.column_stack([components.transform(rows), appearance(rows)])


def appearance(rows: np.ndarray) -> np.ndarray:
    """What a picture looks like as a whole.

    Args:
        rows: (n, side * side) gray values, row by row.

    Returns:
        (n, 6): mean; the values that 5 and 95 percent of the pixels do not exceed, so that a level
        of the background is seen whatever the picture; logs of the standard deviation, of the root
        mean square difference of pixels that touch (sharpness), and of the median size of the
        second difference both ways (noise; the mask of Immerkaer 1996, Computer Vision and Image
        Understanding). Logs are of values counted from `FLAT` on.
    """
    images = squares(rows)
    across, down = np.diff(images, axis=2), np.diff(images, axis=1)
    second = np.abs(np.diff(np.diff(across, axis=2), n=2, axis=1)).reshape(len(rows), -1)
    sizes = [
        rows.std(axis=1),
        np.sqrt((np.mean(across**2, axis=(1, 2)) + np.mean(down**2, axis=(1, 2))) / 2.0),
        # Images of two pixels a side have none.
        np.median(second, axis=1) if second.size else np.zeros(len(rows)),
    ]
    levels = np.quantile(rows, (0.05, 0.95), axis=1)
    return np.column_stack([rows.mean(axis=1), *levels, *np.log(FLAT + np.array(sizes))])
