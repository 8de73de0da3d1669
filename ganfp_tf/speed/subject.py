"""The subject of the measurements: a sample of images, the run's networks, stored tokens."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf.config import Config
from ganfp_tf.config.copy_supervision import CopySettings
from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.data import embeddings
from ganfp_tf.data import encode as embed
from ganfp_tf.data.catalog import Catalog
from ganfp_tf.data.images import ImageReader
from ganfp_tf.models.siamese import compiled
from ganfp_tf.siamese import networks as siamese
from ganfp_tf.siamese.encoded_images import EncodedImages, make_backbone
from ganfp_tf.siamese.training import Rows
from ganfp_tf.speed.timing import Extent


@dataclasses.dataclass(frozen=True)
class Subject:
    """The networks and images of the measurements.

    Attributes:
        config: of the run, as a training by labels that leaves the backbone as it is.
        frame: the sample: real images (label 1 and 0), then generated ones.
        counts: `(real, generated)` images of the whole data.
        backbone: model `(batch, size, size, 3)` -> tokens.
        source: where its weights come from, in words.
        encode: the backbone as a graph, NumPy out.
        networks: untrained `siamese.SiameseNetworks`, standardised on the sample.
        material: the sample, stored.
    """

    config: Config
    frame: pd.DataFrame
    counts: tuple
    backbone: keras.Model
    source: str
    encode: Callable
    networks: siamese.SiameseNetworks
    material: EncodedImages

    @property
    def reader(self) -> ImageReader:
        """How the files are read."""
        return ImageReader.of(self.config)

    @property
    def real(self) -> np.ndarray:
        """Row numbers of the sample's real images."""
        return np.flatnonzero((self.frame["role"] == "real").to_numpy())

    @property
    def generated(self) -> np.ndarray:
        """Row numbers of the sample's generated images."""
        return np.flatnonzero((self.frame["role"] == "generated").to_numpy())

    @property
    def rows(self) -> Rows:
        """The whole sample as training images."""
        nothing = np.empty(0, int)
        return Rows(self.real, self.generated, nothing, nothing)

    def images(self, count: int) -> np.ndarray:
        """`(count, size, size, 3)` float32: decoded images of the sample, again from the start."""
        chosen = self.frame.iloc[np.arange(min(count, len(self.frame)))]
        images = dataset(chosen, self.config.image_size, self.reader)
        decoded = np.stack(list(images.as_numpy_iterator()))
        return decoded[np.arange(count) % len(decoded)]

    def tokens(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of rows of the sample: `(len(rows), tokens, channels)` float32."""
        return self.material.tokens(self.networks, rows)


def make_subject(config: Config, catalog: Catalog, extent: Extent, folder: Path) -> Subject:
    """Samples the data, builds the networks and stores the sample.

    Args:
        config: of the run.
        catalog: `Catalog` of its data.
        extent: number of images.
        folder: of the store, new.
    """
    config = dataclasses.replace(
        config,
        mode="train",
        finetune="none",
        supervision="membership",
        distribute="none",
        **_no_copies(),
    )
    frame = sample(catalog, extent.real, extent.generated)
    backbone, report = make_backbone(config, config.seed)
    encode = compiled(backbone)
    material = stored(frame, folder, encode, backbone, config.section(SiameseSettings))
    networks = siamese.build_networks(config, backbone, config.trains_on_tokens)
    subject = Subject(
        config,
        frame,
        (len(catalog.labelled), len(catalog.generated)),
        backbone,
        report.source,
        encode,
        networks,
        material,
    )
    siamese.standardize(networks, material, (subject.real, subject.generated), config.seed)
    return subject


def sample(catalog: Catalog, real: int, generated: int) -> pd.DataFrame:
    """Rows taken evenly from the used, the not used and the generated images, at most so many."""
    labelled = catalog.labelled
    parts = [labelled[labelled["label"] == label] for label in (1, 0)] + [catalog.generated]
    taken = [
        _evenly(part, count)
        for part, count in zip(parts, (real - real // 2, real // 2, generated), strict=True)
    ]
    return pd.concat(taken, ignore_index=True)


def stored(
    frame: pd.DataFrame,
    folder: Path,
    encode: Callable,
    backbone: keras.Model,
    settings: SiameseSettings,
) -> EncodedImages:
    """Reads, encodes and stores every row of `frame`, as a run does, and opens them.

    Args:
        frame: rows of a Catalog, digests all different.
        folder: of the store, new.
        encode: the backbone as a graph.
        backbone: the backbone.
        settings: of reading and storing.

    Returns:
        `EncodedImages`.
    """
    tokens, channels = backbone.output.shape[1:]
    key = {
        "backbone": settings.backbone,
        "tokens": tokens,
        "channels": channels,
        "dtype": settings.store_dtype,
    }
    store = embeddings.open_store(folder, key)
    embed.fill(
        store,
        frame,
        encode,
        size=settings.image_size,
        batch=settings.embed_batch,
        reader=ImageReader.of(settings),
        progress=False,
    )
    features = store.view(frame["digest"])
    return EncodedImages(frame, features, features.pooled(), settings)


def repeated(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` rows of `frame`, from the start again where it ends; each an image of its own."""
    rows = frame.iloc[np.arange(count) % len(frame)].reset_index(drop=True)
    return rows.assign(digest=[f"{row}-{digest}" for row, digest in enumerate(rows["digest"])])


def dataset(frame: pd.DataFrame, size: int, reader: ImageReader) -> tf.data.Dataset:
    """The decoded images of `frame`, as a run reads them."""
    return embed.image_dataset(frame, size, reader=reader)


def _evenly(frame, count):
    places = np.linspace(0, len(frame) - 1, min(count, len(frame))).astype(int)
    return frame.iloc[np.unique(places)]


def _no_copies():
    return {
        field.name: field.default
        for field in dataclasses.fields(CopySettings)
        if field.name.startswith("copy_")
    }
