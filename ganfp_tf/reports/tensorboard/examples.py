"""What TensorBoard shows of a finished training: settings, an example batch, the projector."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ganfp_tf.data import decode
from ganfp_tf.data.images import ImageReader
from ganfp_tf.reports.render import plots
from ganfp_tf.reports.render.tables import markdown_table
from ganfp_tf.reports.tensorboard.log import NullLog, TensorBoardLog
from ganfp_tf.siamese import encoded_images
from ganfp_tf.siamese import networks as siamese
from ganfp_tf.siamese.encoded_images import EncodedImages
from ganfp_tf.siamese.training import Rows

EXAMPLES = 8  # pairs in the example batch
POINTS = 256  # images of each role in the projector
THUMBNAIL = 48  # pixels


def settings_table(settings: dict) -> str:
    """All settings as a Markdown table."""
    return markdown_table(["setting", "value"], [[k, str(v)] for k, v in settings.items()])


def write(
    log: TensorBoardLog | NullLog,
    networks: siamese.SiameseNetworks,
    material: EncodedImages,
    rows: Rows,
    hparams: dict,
    history: list[dict],
) -> None:
    """Writes hparams, an example batch of validation pairs, and the embedding projector."""
    best = max(history, key=lambda row: (row["val_image_auc"], -row["val_loss"]))
    log.hparams(
        hparams, {name: best[name] for name in ("val_image_auc", "val_pair_auc", "val_loss")}
    )
    step = int(best["epoch"])
    log.figures(step, {"example_batch": example_batch(networks, material, rows)})
    labels = material.frame["label"].to_numpy()
    chosen = np.concatenate(
        [_evenly(rows.train_real), _evenly(rows.validation_real), _evenly(rows.train_generated)]
    )
    part = np.isin(chosen, rows.validation_real)
    metadata = pd.DataFrame(
        {
            "name": material.frame["name"].to_numpy()[chosen],
            "kind": [{1: "used", 0: "not used", -1: "generated"}[labels[i]] for i in chosen],
            "split": np.where(part, "validation", "train"),
        }
    )
    vectors = material.tokens(networks, chosen).mean(axis=1)
    thumbnails = np.stack([_thumbnail(material, i, THUMBNAIL) for i in chosen])
    log.projector(vectors, metadata, thumbnails)
    log.flush()


def example_batch(networks: siamese.SiameseNetworks, material: EncodedImages, rows: Rows) -> Figure:
    """A figure of validation images, each beside the partner that scores it highest."""
    real = _evenly(rows.validation_real, EXAMPLES)
    centres = encoded_images.centres_of(material, rows.train_real, rows.train_generated)
    generated = rows.validation_generated
    table = encoded_images.partners(material, real, generated, centres, seed=material.settings.seed)
    partner_rows = generated[table]
    logits = siamese.pair_logits(networks, material, real, partner_rows)
    best = logits.argmax(axis=1)
    labels = material.frame["label"].to_numpy()[real]
    captions = [
        f"{'used' if label else 'not used'}: {1 / (1 + np.exp(-float(row[j]))):.2f}"
        for label, row, j in zip(labels, logits, best, strict=True)
    ]
    partners = partner_rows[np.arange(len(real)), best]
    side = min(material.settings.image_size, 128)
    return plots.pairs(
        np.stack([_thumbnail(material, i, side) for i in real]),
        np.stack([_thumbnail(material, i, side) for i in partners]),
        captions,
        title="validation images, each with its highest-scoring generated partner",
    )


def _evenly(rows, count=POINTS):
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]


def _thumbnail(material, row, side):
    image = ImageReader.of(material.settings).read(material.frame["path"].iloc[row])
    return np.round(decode.resize(image, side).numpy()).astype("uint8")
