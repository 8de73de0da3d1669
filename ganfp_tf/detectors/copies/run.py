"""A run with --supervision=copy: one network for all splits, taught without any label.

It is trained on all real and generated images of the data, labels hidden, so nothing of a test
image's label can be in it. Labels of a split's own training and validation images then set the
threshold and the probability.
"""

import dataclasses
import pathlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.data.cache import DigestCache
from ganfp_tf.data.copy_augmentation import Recipe
from ganfp_tf.detectors.copies import retrieval
from ganfp_tf.detectors.ensemble import Weights
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.groups import Pool
from ganfp_tf.siamese import copy_training
from ganfp_tf.siamese import networks as siamese

if TYPE_CHECKING:
    import keras

    from ganfp_tf.siamese.encoded_images import EncodedImages

SAMPLE = 256  # generated images that say how near the nearest usually is
STRENGTH = 0.03  # of the four weights, as in `Stack`


def fit(
    backbone: "keras.Model", images: "EncodedImages", folder: pathlib.Path
) -> tuple[siamese.SiameseNetworks, pd.DataFrame]:
    """Teaches a network on all images of `images`, or goes on where it was interrupted.

    Returns:
        `(siamese.SiameseNetworks, history as a DataFrame)`.
    """
    settings = images.settings
    networks = copy_training.build(
        backbone,
        cross_attention=settings.cross_attention,
        width=settings.width,
        heads=settings.heads,
        similarity=settings.similarity,
        hidden=settings.hidden,
        dropout=settings.dropout,
    )
    frame = images.frame
    real = frame[frame["role"] == "real"].drop_duplicates("digest").sort_values("digest")
    made = frame[frame["role"] == "generated"].drop_duplicates("digest").sort_values("digest")
    history = copy_training.train(
        networks,
        backbone,
        gray(images, real.index),
        gray(images, made.index),
        Pool.of(real, real).groups,
        Recipe(**settings.copy_recipe(settings.drawing_seed)),
        folder=folder,
        jit_compile=settings.jit_compile,
        title="learning what a copy is",
    )
    return networks, history


def gray(images: "EncodedImages", rows: np.ndarray) -> np.ndarray:
    """Gray images of rows of `EncodedImages`, `(len(rows), S, S)` float32 in [0, 1]."""
    batches = images.images(np.asarray(rows)).batch(images.settings.embed_batch)
    return np.concatenate([batch.numpy().mean(axis=-1) / 255.0 for batch in batches])


@dataclasses.dataclass(frozen=True)
class Reference:
    """Real images that candidates are set against: how like x are images of other patients?

    Attributes:
        tokens: `(n, T, D)` float32.
        frame: path, digest and patient of each.
    """

    tokens: np.ndarray
    frame: pd.DataFrame

    @classmethod
    def of(cls, network: "Network", images: "EncodedImages", rows: np.ndarray) -> "Reference":
        """The real images `rows` of `EncodedImages`."""
        frame = images.frame.iloc[rows][["path", "digest", "patient"]].reset_index(drop=True)
        return cls(network.tokens(images, rows), frame)

    def save(self, folder: pathlib.Path) -> None:
        """Writes reference.npz and reference.csv; they are features of patients."""
        with files.atomic_path(folder / "reference.npz") as temporary:
            np.savez(temporary, tokens=self.tokens)
        files.write_csv(folder / "reference.csv", self.frame)

    @classmethod
    def load(cls, folder: pathlib.Path) -> "Reference":
        """Reads what `save` wrote."""
        with np.load(folder / "reference.npz") as stored:
            tokens = stored["tokens"]
        frame = pd.read_csv(folder / "reference.csv", dtype=str, keep_default_na=False)
        return cls(tokens, frame)


class Network:
    """A trained network that encodes each image once, however many splits and parts ask for it.

    Attributes:
        networks: what encodes and compares.
    """

    def __init__(self, networks: siamese.SiameseNetworks) -> None:
        self.networks = networks
        self._tokens = DigestCache()

    def tokens(self, images: "EncodedImages", rows: np.ndarray) -> np.ndarray:
        """Tokens of rows of `EncodedImages`: (len(rows), T, D) float32."""
        digests = images.frame["digest"].to_numpy()[rows]
        frame = pd.DataFrame({"row": rows, "digest": digests})
        return self._tokens.get(
            frame, lambda new: images.tokens(self.networks, new["row"].to_numpy())
        )

    def signals(
        self, images: "EncodedImages", real: np.ndarray, generated: np.ndarray, reference: Reference
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the network has to say of real images, each higher = used.

        With d_5 the mean of the five smallest distances in the embedding, and s the mean of the
        five highest logits with the images that the embedding retrieves (`--candidates`, else
        `--partners` of them):
        -log d_5(x, G), log d_5(x, R), s(x, G) and -s(x, R); R are real images of other patients.
        Of the two that G is in, the mean over generated images in the place of x is taken off: the
        more images G has, the nearer the nearest is, and a threshold learned on one G would not fit
        another.

        Args:
            images: the images.
            real: row numbers.
            generated: row numbers.
            reference: `Reference`.

        Returns:
            `(signals (len(real), 4), logits (len(real), K), partner rows (len(real), K))`.

        Raises:
            UserError: the reference holds no other patient for an image.
        """
        settings = images.settings
        count, limit = settings.candidates or settings.partners, settings.memory_bytes
        tokens, made = self.tokens(images, real), self.tokens(images, generated)
        left, right = _unit(tokens, reference.tokens), _unit(made, made)
        others = _unit(reference.tokens, reference.tokens)
        frame = images.frame.iloc[real][["path", "digest", "patient"]]
        pool = Pool.of(pd.concat([frame, reference.frame], ignore_index=True), reference.frame)
        groups = pool.groups[pool.rows]
        same = groups[: len(real), None] == groups[len(real) :]
        if same.all(axis=1).any():
            raise UserError(
                "an image is scored beside real images of other patients that the run was trained "
                "on, and there are none: train on at least two patients."
            )
        near, near_distance = retrieval.nearest(left, right, count)
        like, like_distance = retrieval.nearest(left, others, count, same)
        logits = retrieval.logits(self.networks, tokens, made, near, limit)
        alike = retrieval.logits(self.networks, tokens, reference.tokens, like, limit)
        usual_distance, usual_logit = self._usual(made, right, count, limit)
        signals = [
            usual_distance - np.log(near_distance),
            np.log(like_distance),
            retrieval.top(logits) - usual_logit,
            -retrieval.top(alike),
        ]
        return np.stack(signals, axis=1), logits, generated[near]

    def _usual(self, made, vectors, count, limit):
        """Mean log d_5(g, G) and s(g, G) over some generated images g, without themselves."""
        chosen = np.unique(np.linspace(0, len(made) - 1, min(SAMPLE, len(made))).astype(int))
        own = chosen[:, None] == np.arange(len(made))
        near, distance = retrieval.nearest(vectors[chosen], vectors, count, own)
        logits = retrieval.logits(self.networks, made[chosen], made, near, limit)
        return np.log(distance).mean(), retrieval.top(logits).mean()


@dataclasses.dataclass(frozen=True)
class CopyScorer:
    """Scores images by a trained network, reference images, and four weights fitted on labels."""

    network: Network
    reference: Reference
    weights: Weights
    decision: siamese.Decision

    @classmethod
    def fit(
        cls, network: Network, images: "EncodedImages", known: np.ndarray, generated: np.ndarray
    ) -> "CopyScorer":
        """Takes reference, weights, threshold and probability from the labelled rows `known`."""
        reference = Reference.of(network, images, known)
        rows = network.signals(images, known, generated, reference)[0]
        labels = images.frame["label"].to_numpy()[known]
        weights = Weights.fit(rows, labels, STRENGTH)
        decision = siamese.decision_from(labels, weights.of(rows))
        return cls(network, reference, weights, decision)

    def partners_of(self, images: "EncodedImages", split_generated: np.ndarray) -> np.ndarray:
        """All generated rows: no label was looked at, so there is nothing to keep apart."""
        return np.flatnonzero((images.frame["role"] == "generated").to_numpy())

    def score(
        self, images: "EncodedImages", real: np.ndarray, generated: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `networks.PairScorer.score`."""
        rows, logits, partner_rows = self.network.signals(images, real, generated, self.reference)
        return self.weights.of(rows), logits, partner_rows

    def save(self, folder: pathlib.Path) -> None:
        """Writes all but the network; reference.npz holds features of patients."""
        self.reference.save(folder)
        weights = {key: value.tolist() for key, value in dataclasses.asdict(self.weights).items()}
        files.write_json(folder / "weights.json", weights)
        files.write_json(folder / "decision.json", dataclasses.asdict(self.decision))

    @classmethod
    def load(cls, network: Network, folder: pathlib.Path) -> "CopyScorer":
        """Reads what `save` wrote.

        Raises:
            UserError: where a file is missing or damaged.
        """
        try:
            weights = files.read_json(folder / "weights.json")
            weights = Weights(**{key: np.array(value) for key, value in weights.items()})
            decision = siamese.Decision(**files.read_json(folder / "decision.json"))
            return cls(network, Reference.load(folder), weights, decision)
        except siamese.DAMAGE as error:
            raise siamese.unreadable(folder, error) from error


def _unit(tokens, reference):
    """Centred by the mean of `reference`, and as long as makes distances sqrt(1 - cosine)."""
    rows = (tokens - reference.mean(axis=0)).reshape(len(tokens), -1)
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return (rows * (np.sqrt(rows.shape[1] / 2.0) / lengths)).astype("float32")
