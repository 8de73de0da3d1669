"""The images of a run, as the networks take them."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf import files
from ganfp_tf.config.model import ModelSettings
from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.data import embeddings, encode, pairs
from ganfp_tf.data.images import ImageReader
from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.runtime import prepare_runtime
from ganfp_tf.models.siamese import compiled
from ganfp_tf.models.weights.sources import WeightsReport
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese import candidates

# Mean pooled features of the real and of the generated training images, `(channels,)` each.
Centres = tuple[np.ndarray, np.ndarray]


class Encodes(Protocol):
    """Networks that encode images."""

    @property
    def encode(self) -> Callable[[Any], np.ndarray]:
        """Features or images `(batch, ...)` -> tokens `(batch, tokens, channels)`."""


@dataclasses.dataclass(frozen=True)
class EncodedImages:
    """Rows of a Catalog with their stored features; parts of it are chosen by row number.

    Attributes:
        frame: path, name, role, label, patient, digest and fast of each image.
        features: `embeddings.Features` of the same rows, by the backbone as it was before training.
        pooled: `embeddings.Pooled`, the features' mean over the tokens.
        settings: What reading and scoring them depend on.
        searches: `candidates.Recall` of every search with --candidates, in their order.
    """

    frame: pd.DataFrame
    features: embeddings.Features
    pooled: embeddings.Pooled
    settings: SiameseSettings
    searches: list[candidates.Recall] = dataclasses.field(default_factory=list)

    def rows(self, paths: Iterable[str], role: str) -> np.ndarray:
        """Row numbers of the images of `role` whose path is in `paths`, in the frame's order."""
        chosen = self.frame["path"].isin(set(paths)) & (self.frame["role"] == role)
        return np.flatnonzero(chosen.to_numpy())

    def view(self, rows: Sequence[int] | np.ndarray) -> embeddings.Features:
        """The stored features of `rows`."""
        return dataclasses.replace(self.features, rows=[self.features.rows[i] for i in rows])

    def inputs(self, rows: np.ndarray) -> pairs.StoredInput | pairs.FileInput:
        """What `pairs.look_up` draws from: stored features if training may read them, or files."""
        if self.settings.trains_on_tokens:
            return pairs.StoredInput(self.view(rows), self.settings.memory_bytes // 2)
        return pairs.FileInput(
            self.frame.iloc[rows], self.settings.image_size, reader=ImageReader.of(self.settings)
        )

    def images(self, rows: np.ndarray) -> tf.data.Dataset:
        """Dataset of the decoded images of `rows`: `(size, size, 3)` float32 in [0, 255]."""
        return encode.image_dataset(
            self.frame.iloc[rows], self.settings.image_size, reader=ImageReader.of(self.settings)
        )

    def tokens(self, networks: Encodes, rows: np.ndarray) -> np.ndarray:
        """Tokens of `rows` by the trained encoder: `(len(rows), tokens, channels)` float32."""
        if self.settings.trains_on_tokens:
            batches = self.view(rows).batches(self.settings.embed_batch)
        else:
            batches = self.images(rows).batch(self.settings.embed_batch)
        encoded = [np.asarray(networks.encode(batch), "float32") for batch in batches]
        return np.concatenate(encoded)


def make_backbone(settings: ModelSettings, seed: int) -> tuple[keras.Model, WeightsReport]:
    """The run's backbone and its `WeightsReport`; `seed` is that of random weights."""
    return build_backbone(
        settings.backbone,
        image_size=settings.image_size,
        weights=settings.weights,
        normalization=settings.normalization,
        finetune=settings.finetune,
        features=settings.features,
        seed=seed,
    )


def open_images(
    frame: pd.DataFrame,
    backbone: keras.Model,
    report: WeightsReport,
    settings: SiameseSettings,
    check: Callable[[pd.DataFrame], None] | None = None,
) -> tuple[EncodedImages, int]:
    """Brings all images of `frame` into the store and opens it.

    Args:
        frame: rows of a Catalog.
        backbone: model `(batch, size, size, 3)` -> `(batch, tokens, channels)`.
        report: its `WeightsReport`; the digest is part of the store's key.
        settings: What reading them depends on.
        check: called with the rows that are not in the store, before they are read.

    Returns:
        `(EncodedImages, number of images that passed the backbone now)`.
    """
    tokens, channels = backbone.output.shape[1:]
    key = {
        "backbone": settings.backbone,
        "weights": report.digest,
        "image_size": settings.image_size,
        "normalization": settings.normalization,
        "layer": backbone.layers[-1].name,
        "tokens": tokens,
        "channels": channels,
        "dtype": settings.store_dtype,
        "precision": backbone.compute_dtype,
        "window": settings.window,
        "nifti_slice": settings.nifti_slice,
        "resize": "bilinear antialias",
    }
    if (
        settings.features != "last"
    ):  # Left out else: stores of before there was a choice stay valid.
        key["features"] = settings.features
    store = embeddings.open_store(settings.store_dir, key)
    if check:
        check(frame[frame["digest"].isin(store.missing(frame["digest"]))])
    computed = encode.fill(
        store,
        frame,
        compiled(backbone),
        size=settings.image_size,
        batch=settings.embed_batch,
        reader=ImageReader.of(settings),
    )
    features = store.view(frame["digest"])
    return EncodedImages(frame, features, features.pooled(), settings), computed


def partners(
    images: EncodedImages, real: np.ndarray, generated: np.ndarray, centres: Centres, *, seed: int
) -> np.ndarray:
    """Which generated images score each real one: `(len(real), K)` positions in `generated`.

    With --candidates they are its nearest, whatever the pairing.

    With pairing `random` all real images meet the same images, so that the luck of the draw is
    not taken for a difference between them.

    Args:
        images: the images.
        real: Row numbers of the real images.
        generated: Row numbers of the generated images.
        centres: `(mean of real, mean of generated)` pooled features of the training images: each
            domain is centred on its own, or the generator's look alone would rule the cosine.
        seed: of the random partners.
    """
    settings = images.settings
    _check_some(generated)
    if settings.candidates:
        left, right = _vectors(images, real, generated, centres)
        table, recall = candidates.candidates(
            left, right, settings.candidates, settings.memory_bytes, seed=seed
        )
        images.searches.append(recall)
        return table
    wanted = {"random": 0, "nearest": settings.partners, "mixed": -(-settings.partners // 2)}
    near_count = min(wanted[settings.pairing], settings.neighbours, len(generated))
    tables = []
    if near_count:
        tables.append(neighbours(images, real, generated, centres, near_count))
    drawn_count = {"random": settings.partners, "nearest": 0, "mixed": settings.partners // 2}
    rest = drawn_count[settings.pairing]
    if rest:
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(len(generated))[:rest]
        tables.append(np.broadcast_to(drawn, (len(real), len(drawn))))
    return np.concatenate(tables, axis=1)


def neighbours(
    images: EncodedImages, real: np.ndarray, generated: np.ndarray, centres: Centres, k: int
) -> np.ndarray:
    """The `k` nearest of `generated` for each of `real`, after centring each domain.

    Returns:
        `(len(real), k)` int64 positions in `generated`.

    Raises:
        UserError: If there is no generated image.
    """
    _check_some(generated)
    left, right = _vectors(images, real, generated, centres)
    return candidates.exact(left, right, k, images.settings.memory_bytes)


def _check_some(generated):
    if not len(generated):
        raise UserError("there is no generated image to pair with; hand in at least one.")


def _vectors(images, real, generated, centres):
    domains = zip((real, generated), centres, strict=True)
    return [candidates.Vectors(images.pooled, rows, centre) for rows, centre in domains]


def centres_of(images: EncodedImages, real: np.ndarray, generated: np.ndarray) -> Centres:
    """Mean pooled features of the real and of the generated training images."""
    return images.pooled.mean(real), images.pooled.mean(generated)


def checked_backbone(
    settings: SiameseSettings, folder: pathlib.Path
) -> tuple[keras.Model, WeightsReport]:
    """The backbone that a run was trained on, and its `WeightsReport`, as `check_weights` wants."""
    prepare_runtime(settings)
    backbone, report = make_backbone(settings, settings.seed)
    check_weights(report, folder)
    return backbone, report


def check_weights(report: WeightsReport, folder: pathlib.Path) -> None:
    """Raises `UserError` if the weights are not those that the run was begun with.

    With --weights=auto they may be random one day and downloaded the next.
    """
    begun = files.read_json(folder / "weights.json")
    if report.digest != begun["digest"]:
        raise UserError(
            f"the run in {folder} was begun with other backbone weights ({begun['source']}) than "
            f"can be had now ({report.source}). Bring them back, or start anew with --overwrite."
        )


def reopen_images(
    settings: SiameseSettings, folder: pathlib.Path
) -> tuple[EncodedImages, dict[str, Any]]:
    """The images of a trained run; only those that left the store are read again.

    Returns:
        `(EncodedImages, the run's weights.json)`.

    Raises:
        UserError: If a file that has to be read again is gone or has changed.
    """
    backbone, report = checked_backbone(settings, folder)
    frame = run_folder.read_images(folder)

    def unchanged(missing):
        for path, digest in zip(missing["path"], missing["digest"], strict=True):
            try:
                same = run_folder.digest_of(path) == digest
            except OSError as error:
                raise UserError(f"{path} cannot be read: {error.strerror}.") from error
            if not same:
                raise UserError(f"{path} has changed since the run was trained. Train anew.")

    images, _ = open_images(frame, backbone, report, settings, check=unchanged)
    return images, files.read_json(folder / "weights.json")
