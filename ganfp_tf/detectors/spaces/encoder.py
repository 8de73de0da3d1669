"""A space of an ImageNet network's features. TensorFlow is imported when images are encoded."""

import dataclasses

import numpy as np
import pandas as pd

from ganfp_tf.data.cache import DigestCache
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.detectors.spaces.base import Vectors
from ganfp_tf.errors import UserError

BATCH = 64  # Every batch has as many: an image's last digits must not depend on its neighbours.


@dataclasses.dataclass(frozen=True)
class EncoderStage:
    """Features of a network's middle depth with their positions, each domain standardised apart.

    Pooled features of an ImageNet network say nothing of where things are, and the generator's own
    look rules distances in them. Here positions are kept, and each number is standardised by its
    mean and deviation over the real images of fit() for real images, over its generated images for
    generated ones. Vectors have the length sqrt(d / 2), d their numbers, so that the root mean
    square distance in `spaces.distance_rows` is sqrt(1 - cosine).

    Attributes:
        stage: a layer of the backbone's `stages` (models/registry.py); empty: the middle one.
        backbone: key of `BACKBONES`.
        image_size: side in pixels of what the network sees, resized bilinearly from the store's
            gray pixels. 80 makes 5 x 5 positions of the middle stage.
        weights: as in `build_backbone`; "imagenet" stops where they cannot be had.
    """

    stage: str = ""
    backbone: str = "efficientnetlite0"
    image_size: int = 80
    weights: str = "imagenet"
    name: str = dataclasses.field(default="encoder", init=False)
    title: str = dataclasses.field(
        default="features of EfficientNet-Lite0 at a middle depth", init=False
    )

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Takes both domains' statistics; those of images that are not there are not needed yet.

        Raises:
            UserError: an unknown backbone or stage, or weights that cannot be had.
        """
        real, generated = (frame.sort_values("digest") for frame in (real, generated))
        return Vectors(
            self._standardised(real, "real", store),
            self._standardised(generated, "generated", store),
        )

    def _standardised(self, reference, domain, store):
        if not len(reference):

            def refuse(frame):
                raise UserError(
                    f"The space {self.name} standardises {domain} images by those of fit(). "
                    f"Found none: add {domain} images to the data."
                )

            return refuse
        found = self._features(reference, store)
        mean, deviation = found.mean(axis=0), found.std(axis=0)
        # As in layers.Standardize: what hardly moves at a place must not rule all distances.
        usual = np.sqrt(np.square(deviation).mean(axis=0))
        floor = np.maximum(0.1 * usual, max(0.01 * float(np.median(usual)), 1e-6))
        deviation = np.maximum(deviation, floor)

        def vectors(frame):
            rows = (self._features(frame, store) - mean) / deviation
            rows = rows.reshape(len(frame), mean.size)
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            size = np.sqrt(mean.size / 2)
            return (rows * (size / np.maximum(lengths, 1e-12))).astype("float32")

        return vectors

    def _features(self, frame, store):
        """(len(frame), positions, channels) float32; each content passes the network once."""
        key = (self.name, self.backbone, self.stage, self.image_size, self.weights)

        def compute(part):
            network = store.keep((*key, "network"), self._network)
            return network(store.pixels(part))

        return store.keep(key, DigestCache).get(frame, compute, block=BATCH)

    def _network(self):
        """Function (n <= BATCH, side * side) gray values in [0, 1] -> (n, positions, channels)."""
        # Here, because importing TensorFlow takes seconds that no other space should cost.
        from ganfp_tf.data import decode
        from ganfp_tf.models.backbones.build import build_stage
        from ganfp_tf.models.siamese import compiled

        encode = compiled(
            build_stage(self.backbone, self.stage, image_size=self.image_size, weights=self.weights)
        )

        def features(gray):
            side = round(np.sqrt(gray.shape[1]))
            images = np.zeros((BATCH, side, side, 3), "float32")
            images[: len(gray)] = 255.0 * gray.reshape(-1, side, side, 1)
            found = encode(decode.resize(images, self.image_size))[: len(gray)]
            return found.reshape(len(gray), -1, found.shape[-1])

        return features
