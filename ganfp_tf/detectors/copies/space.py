"""The Siamese network that knows copies, as a space and as a detector.

TensorFlow is imported when a network is trained or asked.
"""

import dataclasses
import hashlib
import pathlib

import numpy as np
import pandas as pd

from ganfp_tf.data.cache import DigestCache
from ganfp_tf.data.images import DEFAULT_READER
from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.detectors.spaces.base import Vectors
from ganfp_tf.neighbours.groups import Pool


@dataclasses.dataclass(frozen=True)
class CopySpace:
    """The embedding of a network that is trained to find copies; no label is looked at.

    Attributes:
        recipe: settings of `data.copies.Recipe`, as a tuple of (name, value) pairs.
        cross_attention: whether the comparator aligns the tokens of both images.
        width: channels of a token.
        heads: attention heads.
    """

    recipe: tuple = ()
    cross_attention: bool = True
    width: int = 32
    heads: int = 4
    name: str = dataclasses.field(default="copies", init=False)
    title: str = dataclasses.field(default="the embedding that knows copies", init=False)

    def learn(
        self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore
    ) -> "TrainedCopySpace":
        """Trains the network on images of both domains, or finds it where it was trained before.

        Returns:
            `TrainedCopySpace`, whatever images it is asked for later.
        """
        real, generated = (
            f.drop_duplicates("digest").sort_values("digest") for f in (real, generated)
        )
        seen = (contents(real), contents(generated), *Pool.of(real, real).groups.tolist())
        reader = getattr(store, "reader", DEFAULT_READER)
        read = (store.side, reader.window, reader.nifti_slice)
        key = ("copies", *dataclasses.astuple(self), *read, *seen)
        return store.keep(key, lambda: self._trained(real, generated, store, key))

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """As `learn`, then as `TrainedCopySpace.fit`."""
        return self.learn(real, generated, store).fit(real, generated, store)

    def _trained(self, real, generated, store, key):
        import keras

        from ganfp_tf.data.copy_augmentation import Recipe
        from ganfp_tf.models.backbones.build import build_backbone
        from ganfp_tf.siamese import copy_training

        recipe = Recipe(**dict(self.recipe))
        backbone, _ = build_backbone(
            "compact", image_size=store.side, weights="none", seed=recipe.seed, finetune="all"
        )
        # Head and comparator are drawn from it, or they would differ from call to call.
        keras.utils.set_random_seed(recipe.seed)
        networks = copy_training.build(
            backbone, cross_attention=self.cross_attention, width=self.width, heads=self.heads
        )
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        folder = pathlib.Path(store.folder) / digest if store.folder else None
        shape = (-1, store.side, store.side)
        groups = Pool.of(real, real).groups
        copy_training.train(
            networks,
            backbone,
            store.pixels(real).reshape(shape),
            store.pixels(generated).reshape(shape),
            groups,
            recipe,
            folder=folder,
            title="learning what a copy is",
        )
        return TrainedCopySpace(networks, store.side, digest)


COPIES = CopySpace()


@dataclasses.dataclass(frozen=True)
class TrainedCopySpace:
    """A trained network's space: unit vectors, each domain centred apart.

    Attributes:
        networks: `SiameseNetworks`.
        side: of the images, in pixels.
        key: names what it was trained on, and how.
    """

    networks: object = dataclasses.field(repr=False, compare=False)
    side: int
    key: str
    name: str = dataclasses.field(default="copies", init=False)
    title: str = dataclasses.field(default=CopySpace.title, init=False)
    _tokens: DigestCache = dataclasses.field(
        default_factory=DigestCache, init=False, repr=False, compare=False
    )

    def fit(self, real: pd.DataFrame, generated: pd.DataFrame, store: ImageStore) -> Vectors:
        """Takes both domains' means. Vectors are as long as makes their distance sqrt(1 - cosine).

        `spaces.distance_rows` takes the root of the mean over the d components.
        """
        centres = {}
        real = real.drop_duplicates("digest")

        def centred(domain, reference):
            def vectors(frame):
                if domain not in centres:
                    rows = self.tokens(reference.sort_values("digest"), store)
                    centres[domain] = rows.reshape(len(rows), -1).mean(axis=0)
                rows = self.tokens(frame, store).reshape(len(frame), -1) - centres[domain]
                length = np.sqrt(rows.shape[1] / 2.0)
                lengths = np.linalg.norm(rows, axis=1, keepdims=True)
                return (rows * (length / np.maximum(lengths, 1e-9))).astype("float32")

            return vectors

        return Vectors(centred("real", real), centred("generated", generated))

    def tokens(self, frame: pd.DataFrame, store: ImageStore) -> np.ndarray:
        """(len(frame), T, D) float32; each content passes the network once."""
        from ganfp_tf.siamese import copy_training

        def encode(new):
            images = store.pixels(new).reshape(len(new), self.side, self.side)
            return copy_training.encode(self.networks, images)

        return self._tokens.get(frame, encode)
