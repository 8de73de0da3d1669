"""How near a victim's images come to its members, as a network trained on photographs sees them."""

import keras
import numpy as np
import tensorflow as tf

from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.siamese import compiled
from ganfp_tf.simulation.gan import sampling
from ganfp_tf.statistics.frechet import frechet_distance

BACKBONE = "efficientnetlite0"  # its ImageNet weights come with the requirements
SIDE = 96  # at least; three times its stride of 32 keeps nine places to average
COUNT = 256  # images measured, at most
LATENTS = 99  # seed of their latents


class Fidelity:
    """Fréchet distance of EfficientNet-Lite0 features, averaged over places: a score like FID.

    FID itself uses Inception-v3 and 50,000 images; numbers of the two are not comparable. What a
    perfect generator of these patients would score is `reference`: other real images against the
    members, as many of them as generated images are measured, for the distance falls with their
    number.

    Args:
        members: `(N, size, size)` uint8.
        others: `(M, size, size)` uint8 real images the victim never sees.
    """

    def __init__(self, members: np.ndarray, others: np.ndarray) -> None:
        size = max(SIDE, members.shape[1])
        backbone, _ = build_backbone(BACKBONE, image_size=size, weights="imagenet")
        self._encode, self._size = compiled(backbone), size
        self._members = self._features(members)
        self.count = min(COUNT, len(others))
        self.reference = frechet_distance(self._members, self._features(others[: self.count]))

    def distance(self, generator: keras.Model) -> float:
        """The distance of `count` images of a generator to the members."""
        images = sampling.generate(generator, self.count, LATENTS)
        return frechet_distance(self._members, self._features(images))

    def _features(self, images):
        rows = []
        for start in range(0, len(images), sampling.CHUNK):
            gray = tf.cast(images[start : start + sampling.CHUNK, ..., None], tf.float32)
            pixels = tf.image.resize(gray, (self._size, self._size), antialias=True)
            tokens = self._encode(tf.image.grayscale_to_rgb(pixels))
            rows.append(np.asarray(tokens, "float32").mean(axis=1))
        return np.concatenate(rows)
