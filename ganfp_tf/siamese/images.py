"""The images of a run, as the networks take them."""

import dataclasses

import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.data import embeddings, encode, pairs
from ganfp_tf.data.images import ImageReader
from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.runtime import prepare_runtime
from ganfp_tf.models.siamese import compiled
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese import candidates


@dataclasses.dataclass(frozen=True)
class Material:
    """Rows of a Catalog with their stored features; parts of it are chosen by row number.

    Attributes:
        frame: path, name, role, label, patient, digest and fast of each image.
        features: `embeddings.Features` of the same rows, by the backbone as it was before training.
        pooled: `embeddings.Pooled`, the features' mean over the tokens.
        config: the run's Config.
        searches: `search.Recall` of every search with --candidates, in their order.
    """

    frame: pd.DataFrame
    features: embeddings.Features
    pooled: embeddings.Pooled
    config: Config
    searches: list = dataclasses.field(default_factory=list)

    def rows(self, paths, role):
        """Row numbers of the images of `role` whose path is in `paths`, in the frame's order."""
        chosen = self.frame["path"].isin(set(paths)) & (self.frame["role"] == role)
        return np.flatnonzero(chosen.to_numpy())

    def view(self, rows):
        """The stored features of `rows`."""
        return dataclasses.replace(self.features, rows=[self.features.rows[i] for i in rows])

    def inputs(self, rows):
        """What `pairs.look_up` draws from: features where training may read them, else files."""
        if self.config.trains_on_tokens:
            return pairs.StoredInput(self.view(rows), self.config.memory_bytes // 2)
        return pairs.FileInput(
            self.frame.iloc[rows], self.config.image_size, reader=ImageReader.of(self.config)
        )

    def images(self, rows):
        """Dataset of the decoded images of `rows`: `(size, size, 3)` float32 in [0, 255]."""
        return encode.image_dataset(
            self.frame.iloc[rows], self.config.image_size, reader=ImageReader.of(self.config)
        )

    def tokens(self, networks, rows):
        """Tokens of `rows` by the trained encoder: `(len(rows), tokens, channels)` float32."""
        if self.config.trains_on_tokens:
            batches = self.view(rows).batches(self.config.embed_batch)
        else:
            batches = self.images(rows).batch(self.config.embed_batch)
        encoded = [np.asarray(networks.encode(batch), "float32") for batch in batches]
        return np.concatenate(encoded)


def make_backbone(config):
    """The run's backbone and its `WeightsReport`."""
    return build_backbone(
        config.backbone,
        image_size=config.image_size,
        weights=config.weights,
        normalization=config.normalization,
        finetune=config.finetune,
        features=config.features,
        seed=config.seed,
    )


def open_material(frame, backbone, report, config, check=None):
    """Brings all images of `frame` into the store and opens it.

    Args:
        frame: rows of a Catalog.
        backbone: model `(batch, size, size, 3)` -> `(batch, tokens, channels)`.
        report: its `WeightsReport`; the digest is part of the store's key.
        config: the run's Config.
        check: called with the rows that are not in the store, before they are read.

    Returns:
        `(Material, number of images that passed the backbone now)`.
    """
    tokens, channels = backbone.output.shape[1:]
    key = {
        "backbone": config.backbone,
        "weights": report.digest,
        "image_size": config.image_size,
        "normalization": config.normalization,
        "layer": backbone.layers[-1].name,
        "tokens": tokens,
        "channels": channels,
        "dtype": config.store_dtype,
        "precision": backbone.compute_dtype,
        "window": config.window,
        "nifti_slice": config.nifti_slice,
        "resize": "bilinear antialias",
    }
    if config.features != "last":  # Left out else: stores of before there was a choice stay valid.
        key["features"] = config.features
    store = embeddings.open_store(config.store_dir, key)
    if check:
        check(frame[frame["digest"].isin(store.missing(frame["digest"]))])
    computed = encode.fill(
        store,
        frame,
        compiled(backbone),
        size=config.image_size,
        batch=config.embed_batch,
        reader=ImageReader.of(config),
    )
    features = store.view(frame["digest"])
    return Material(frame, features, features.pooled(), config), computed


def partners(material, real, generated, centres, *, seed):
    """Which generated images score each real one: `(len(real), K)` positions in `generated`.

    With --candidates they are its nearest, whatever the pairing.

    With pairing `random` all real images meet the same images, so that the luck of the draw is
    not taken for a difference between them.

    Args:
        material: the images.
        real, generated: row numbers.
        centres: `(mean of real, mean of generated)` pooled features of the training images: each
            domain is centred on its own, or the generator's look alone would rule the cosine.
        seed: of the random partners.
    """
    config = material.config
    _check_some(generated)
    if config.candidates:
        table, recall = candidates.candidates(
            *_vectors(material, real, generated, centres),
            config.candidates,
            config.memory_bytes,
            seed=seed,
        )
        material.searches.append(recall)
        return table
    near_count = {"random": 0, "nearest": config.partners, "mixed": -(-config.partners // 2)}
    near_count = min(near_count[config.pairing], config.neighbours, len(generated))
    tables = []
    if near_count:
        tables.append(neighbours(material, real, generated, centres, near_count))
    rest = {"random": config.partners, "nearest": 0, "mixed": config.partners // 2}[config.pairing]
    if rest:
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(len(generated))[:rest]
        tables.append(np.broadcast_to(drawn, (len(real), len(drawn))))
    return np.concatenate(tables, axis=1)


def neighbours(material, real, generated, centres, k):
    """The `k` nearest of `generated` for each of `real`, after centring each domain.

    Returns:
        `(len(real), k)` int64 positions in `generated`.

    Raises:
        UserError: where there is no generated image.
    """
    _check_some(generated)
    vectors = _vectors(material, real, generated, centres)
    return candidates.exact(*vectors, k, material.config.memory_bytes)


def _check_some(generated):
    if not len(generated):
        raise UserError("there is no generated image to pair with; hand in at least one.")


def _vectors(material, real, generated, centres):
    domains = zip((real, generated), centres, strict=True)
    return [candidates.Vectors(material.pooled, rows, centre) for rows, centre in domains]


def centres_of(material, real, generated):
    """Mean pooled features of the real and of the generated training images."""
    return material.pooled.mean(real), material.pooled.mean(generated)


def checked_backbone(config, folder):
    """The backbone that a run was trained on, and its `WeightsReport`, as `check_weights` wants."""
    prepare_runtime(config)
    backbone, report = make_backbone(config)
    check_weights(report, folder)
    return backbone, report


def check_weights(report, folder):
    """Raises `UserError` where the weights are not those that the run was begun with.

    With --weights=auto they may be random one day and downloaded the next.
    """
    begun = files.read_json(folder / "weights.json")
    if report.digest != begun["digest"]:
        raise UserError(
            f"the run in {folder} was begun with other backbone weights ({begun['source']}) than "
            f"can be had now ({report.source}). Bring them back, or start anew with --overwrite."
        )


def reopen_material(config, folder):
    """The images of a trained run; only those that left the store are read again.

    Returns:
        `(Material, the run's weights.json)`.

    Raises:
        UserError: where a file that has to be read again is gone or has changed.
    """
    backbone, report = checked_backbone(config, folder)
    frame = run_folder.read_images(folder)

    def unchanged(missing):
        for path, digest in zip(missing["path"], missing["digest"], strict=True):
            try:
                same = run_folder.digest_of(path) == digest
            except OSError as error:
                raise UserError(f"{path} cannot be read: {error.strerror}.") from error
            if not same:
                raise UserError(f"{path} has changed since the run was trained. Train anew.")

    material, _ = open_material(frame, backbone, report, config, check=unchanged)
    return material, files.read_json(folder / "weights.json")
