"""The paper's detector: its networks, and the score of a real image."""

import dataclasses
import functools
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from scipy import special

from ganfp_tf import files
from ganfp_tf.config.model import ModelSettings
from ganfp_tf.data.embeddings import statistics
from ganfp_tf.errors import UserError
from ganfp_tf.models.comparator import Comparator, build_comparator
from ganfp_tf.models.pair_engine import PairEngine
from ganfp_tf.models.siamese import (
    DOMAINS,
    build_encoder,
    build_siamese,
    compiled,
    standardize_signals,
)
from ganfp_tf.siamese import pair_logits as pair_scores
from ganfp_tf.siamese.encoded_images import Centres, EncodedImages, partners
from ganfp_tf.statistics.calibration import Platt, choose_threshold, platt

SCALE_PAIRS = 128  # pairs a batch, in four batches, that set the scale of the similarity signals
DAMAGE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class SiameseNetworks:
    """The two networks of the detector.

    Attributes:
        entry: What training's input passes: stored features or images -> tokens.
        comparator: Tokens of two images -> logit.
        encoder: Images -> tokens; None if the networks were read from files.
        head: The encoder's part after the backbone; None if the networks were read from files.
    """

    entry: keras.Model
    comparator: Comparator
    encoder: keras.Model = None
    head: keras.Model = None

    @functools.cached_property
    def encode(self) -> Callable[[Any], np.ndarray]:
        """Features or images `(batch, ...)` -> tokens `(batch, tokens, channels)`."""
        return compiled(self.entry)

    @functools.cached_property
    def engine(self) -> PairEngine:
        """`PairEngine` of the comparator: many pairs of few images."""
        return PairEngine(self.comparator)

    def siamese(self) -> keras.Model:
        """The Siamese network on images, a functional model that ends in a logit."""
        return build_siamese(self.encoder, self.comparator)


def build_networks(settings: ModelSettings, backbone: keras.Model, frozen: bool) -> SiameseNetworks:
    """Makes the untrained networks on top of `backbone`, as the settings say.

    Args:
        settings: What they are made of.
        backbone: Images -> features.
        frozen: Whether training reads stored features.
    """
    encoder, head = build_encoder(
        backbone,
        cross_attention=settings.cross_attention,
        width=settings.width,
        positions=settings.features == "multi",
        domain_norm=settings.domain_norm,
    )
    comparator = build_comparator(
        encoder.output.shape[1:],
        cross_attention=settings.cross_attention,
        heads=settings.heads,
        similarity=settings.similarity,
        hidden=settings.hidden,
        dropout=settings.dropout,
        domain_norm=settings.domain_norm,
    )
    return SiameseNetworks(head if frozen else encoder, comparator, encoder, head)


def standardize(
    networks: SiameseNetworks, images: EncodedImages, rows: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    """Sets the networks' fixed scales from training images, before training.

    Args:
        networks: untrained `SiameseNetworks`.
        images: the images.
        rows: `(real, generated)` row numbers of the training images.
        seed: of the pairs looked at.
    """
    real, generated = rows
    if images.settings.domain_norm:
        for domain, part in zip(DOMAINS, rows, strict=True):
            norm = networks.head.get_layer(f"standardize_{domain}")
            norm.set_statistics(*statistics(images.view(part), places=True))
    else:
        together = images.view(np.concatenate(rows))
        networks.head.get_layer("standardize").set_statistics(*statistics(together))
    rng = np.random.default_rng(seed)
    pairs = [(rng.choice(real, SCALE_PAIRS), rng.choice(generated, SCALE_PAIRS)) for _ in range(4)]
    standardize_signals(
        networks.comparator,
        (
            {"real": images.tokens(networks, a), "generated": images.tokens(networks, b)}
            for a, b in pairs
        ),
    )


@dataclasses.dataclass(frozen=True)
class Decision:
    """What turns scores into answers, learned on the validation images.

    Attributes:
        threshold: "used" from this score on, of the highest kappa on the validation images.
        slope, intercept: probability = sigmoid(slope * score + intercept) (Platt 1999).
        center: mean score of the validation images, to put detectors of several folds side by side.
        images: how many validation images there were.
    """

    threshold: float
    slope: float
    intercept: float
    center: float
    images: int

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """1 (used) or 0 for each score."""
        return (np.asarray(scores) >= self.threshold).astype(int)

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """Probability of "used" for each score."""
        return Platt(self.slope, self.intercept).probability(scores)


def decide_on(
    networks: SiameseNetworks,
    images: EncodedImages,
    real: np.ndarray,
    generated: np.ndarray,
    centres: Centres,
    *,
    seed: int,
) -> Decision:
    """Makes the `Decision` from the labelled rows `real`, scored against the rows `generated`."""
    table = partners(images, real, generated, centres, seed=seed)
    scores = image_scores(pair_logits(networks, images, real, generated[table]))
    return decision_from(images.frame["label"].to_numpy()[real], scores)


def decision_from(labels: np.ndarray, scores: np.ndarray) -> Decision:
    """Makes the `Decision` from scores of labelled images, `(n,)` each."""
    fitted = platt(labels, scores)
    threshold = choose_threshold(labels, scores).value
    return Decision(threshold, fitted.slope, fitted.intercept, float(scores.mean()), len(scores))


def save(
    networks: SiameseNetworks, folder: pathlib.Path, centres: Centres, decision: Decision
) -> None:
    """Writes what scoring needs: entry, comparator, the domains' centres and the decision."""
    folder = pathlib.Path(folder)
    save_networks(networks, folder)
    with files.atomic_path(folder / "centres.npz") as temporary:
        np.savez(temporary, real=centres[0], generated=centres[1])
    files.write_json(folder / "decision.json", dataclasses.asdict(decision))


def save_networks(networks: SiameseNetworks, folder: pathlib.Path) -> None:
    """Writes entry.keras and comparator.keras."""
    for name, model in (("entry", networks.entry), ("comparator", networks.comparator)):
        with files.atomic_path(folder / f"{name}.keras") as temporary:
            model.save(temporary)


@dataclasses.dataclass(frozen=True)
class PairScorer:
    """A trained detector: scores real images by the logits of their pairs.

    Attributes:
        networks: The trained networks.
        centres: Of the domains, which partners are searched with.
        decision: What turns scores into answers.
    """

    networks: SiameseNetworks
    centres: Centres
    decision: Decision

    def partners_of(self, images: EncodedImages, split_generated: np.ndarray) -> np.ndarray:
        """The generated rows that images of a split are scored against: those of the split."""
        return split_generated

    def score(
        self, images: EncodedImages, real: np.ndarray, generated: np.ndarray, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores the rows `real` against partners out of the rows `generated`.

        Returns:
            `(scores (len(real),), logits (len(real), K), partner rows (len(real), K))`.
        """
        partner_rows = generated[partners(images, real, generated, self.centres, seed=seed)]
        logits = pair_logits(self.networks, images, real, partner_rows)
        return image_scores(logits), logits, partner_rows


def load(folder: pathlib.Path) -> PairScorer:
    """Reads what `save` wrote.

    Raises:
        UserError: If a file is missing or damaged.
    """
    folder = pathlib.Path(folder)
    try:
        with np.load(folder / "centres.npz") as stored:
            centres = (stored["real"], stored["generated"])
        decision = Decision(**files.read_json(folder / "decision.json"))
    except DAMAGE as error:
        raise unreadable(folder, error) from error
    return PairScorer(load_networks(folder), centres, decision)


def load_networks(folder: pathlib.Path) -> SiameseNetworks:
    """Reads what `save_networks` wrote.

    Raises:
        UserError: If a file is missing or damaged.
    """
    try:
        entry, comparator = (
            keras.models.load_model(folder / f"{name}.keras") for name in ("entry", "comparator")
        )
    except DAMAGE as error:
        raise unreadable(folder, error) from error
    return SiameseNetworks(entry, Comparator.of(comparator))


def unreadable(folder: pathlib.Path, error: Exception) -> UserError:
    """The `UserError` of a detector whose files are missing or damaged."""
    return UserError(f"the trained detector in {folder} cannot be read ({error}). Train it anew.")


def image_scores(logits: np.ndarray) -> np.ndarray:
    """Scores of real images from the logits of their pairs: log of the mean of exp(logit).

    One partner that matches is evidence enough, and a mean would drown it among those that do not;
    if the logits hardly differ, this is their mean.

    Args:
        logits: `(images, partners)`.

    Returns:
        `(images,)` float64, higher = used.
    """
    logits = np.asarray(logits, "float64")
    return special.logsumexp(logits, axis=1) - np.log(logits.shape[1])


def pair_logits(
    networks: SiameseNetworks, images: EncodedImages, real: np.ndarray, partner_rows: np.ndarray
) -> np.ndarray:
    """Logits of pairs: row `real[i]` with each of `partner_rows[i]`; `(len(real), K)` float32.

    Every image is read and encoded once, however many pairs it is in, as long as it fits into
    --memory_limit; see `pair_logits.pair_logits`.
    """
    place = np.broadcast_to(np.arange(len(real))[:, None], partner_rows.shape)
    logits = pair_scores.pair_logits(
        networks.engine,
        lambda rows: images.tokens(networks, np.asarray(real)[rows]),
        lambda rows: images.tokens(networks, rows),
        place.ravel(),
        partner_rows.ravel(),
        images.settings.memory_bytes,
    )
    return logits.reshape(partner_rows.shape)
