"""Perceptual hashes and keypoints, which find copies of pictures. No TensorFlow."""

import dataclasses
from typing import Self

import numpy as np
import pandas as pd
from skimage.feature import ORB
from skimage.transform import resize

from ganfp_tf.detectors.attacks.base import check_generated
from ganfp_tf.detectors.protocol import ImageStore, Unprepared
from ganfp_tf.detectors.spaces.hand_made import per_content, per_image
from ganfp_tf.neighbours.distances import distance_rows


@dataclasses.dataclass(frozen=True)
class KeypointMatches(Unprepared):
    """Keypoints of x found again, at their places, in one of the generated images near to it.

    The keypoints are ORB's (Rublee et al. 2011, ICCV) in the image enlarged: what a hash is for the
    whole, they are for its corners. Descriptors match where each is the other's nearest; a match is
    consistent where the two points are at most `tolerance` apart, because a generator repeats
    things where they were. The score is the best share, over x's generated neighbours in pixels, of
    x's keypoints that are consistently matched; 0 without keypoints.

    Attributes:
        neighbours: generated images that x is matched with.
        keypoints: at most as many an image, the strongest corners.
        enlarge: factor that images are enlarged by, bilinearly.
        tolerance: in pixels of the store.
        threshold: of the corner detector, in gray values from 0 to 1.
    """

    neighbours: int = 16
    keypoints: int = 40
    enlarge: int = 2
    tolerance: float = 3.0
    threshold: float = 0.02
    name: str = dataclasses.field(default="keypoints", init=False)
    title: str = dataclasses.field(default="keypoints matched in near generated images", init=False)
    uses_labels: bool = dataclasses.field(default=False, init=False)

    def fit(self, labelled: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Self:
        """Returns itself; there is nothing to learn from real images."""
        return self

    def score(
        self, candidates: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> np.ndarray:
        """(len(candidates),) float64 in [0, 1]. Raises UserError without a generated image."""
        check_generated(generated)
        # A copy matched twice matches no better: equal files would only push others out.
        made = generated.drop_duplicates("digest").sort_values("digest")

        def scores(frame):
            near = self._nearest(store.pixels(frame), store.pixels(made))
            matched, rows = np.unique(near, return_inverse=True)
            found = self._described(made.iloc[matched], store)
            mine = self._described(frame, store)
            rows = rows.reshape(near.shape)
            return [self._best(x, found[own]) for x, own in zip(mine, rows, strict=True)]

        return per_content(candidates, scores)

    def _nearest(self, pixels, made):
        """(n, neighbours) rows of `made`, nearest in pixels, the earlier of equally near ones."""
        count = min(self.neighbours, len(made))
        found = [
            np.argsort(block, axis=1, kind="stable")[:, :count]
            for _, block in distance_rows(pixels, made)
        ]
        return np.concatenate(found) if found else np.empty((0, count), int)

    def _described(self, frame, store):
        key = (self.name, self.keypoints, self.enlarge, self.threshold)
        return per_image(frame, store, key, self.describe)

    def describe(self, images: np.ndarray) -> np.ndarray:
        """Keypoints and descriptors of each image.

        Args:
            images: (n, side, side) gray values in [0, 1].

        Returns:
            (n, keypoints, 258) float32: row and column in pixels, then 256 bits; rows of nan where
            an image has fewer keypoints.
        """
        found = np.full((len(images), self.keypoints, 258), np.nan, "float32")
        for place, image in enumerate(images):
            orb = ORB(n_keypoints=self.keypoints, n_scales=1, fast_threshold=self.threshold)
            larger = resize(image, [self.enlarge * side for side in image.shape], order=1)
            try:
                orb.detect_and_extract(larger)
            except RuntimeError:  # scikit-image's answer to an image without a corner
                continue
            count = len(orb.keypoints)
            found[place, :count, :2] = (orb.keypoints + 0.5) / self.enlarge - 0.5
            found[place, :count, 2:] = orb.descriptors
        return found

    def _best(self, x, others):
        """Best share of x's keypoints matched in one of `others` (m, keypoints, 258)."""
        x = x[np.isfinite(x[:, 0])]
        if not len(x):
            return 0.0
        real = np.isfinite(others[:, None, :, 0])  # (m, 1, keypoints)
        bits, theirs = x[:, 2:], np.nan_to_num(others[:, :, 2:])
        # Bits that differ, among 256: both counts of ones less twice the common ones.
        differ = bits.sum(1)[:, None] + theirs.sum(2)[:, None, :] - 2.0 * (bits @ theirs.mT)
        differ = np.where(real, differ, np.inf)
        forth = differ == differ.min(axis=2, keepdims=True)
        back = differ == differ.min(axis=1, keepdims=True)
        apart = np.hypot(*np.moveaxis(x[:, None, :2] - others[:, None, :, :2], -1, 0))
        matches = forth & back & real & (apart <= self.tolerance)
        return matches.any(axis=2).mean(axis=1).max()
