"""Images a second: read and decoded, and through an encoder."""

import dataclasses
import pathlib
from collections.abc import Sequence

import tensorflow as tf

from ganfp_tf.data import embeddings
from ganfp_tf.siamese.encoded_images import make_backbone
from ganfp_tf.speed import machine
from ganfp_tf.speed.subject import Subject, dataset, repeated
from ganfp_tf.speed.timing import Ledger

PART, INPUT = "encoder", "input"
READ = "images read and decoded"


def encoders(ledger: Ledger, subject: Subject, backbones: Sequence[str]) -> None:
    """Keeps images/s of each backbone, in float32 and mixed precision, without and with XLA.

    Args:
        ledger: `Ledger`.
        subject: `Subject`; its backbone is reused if number format and name agree.
        backbones: names; the weights of others than the run's own are random.
    """
    config = subject.config
    batch = config.embed_batch
    images = tf.constant(subject.images(batch))
    for name in backbones:
        for policy in ("float32", machine.mixed_policy()):
            with machine.policy(policy):
                backbone = _backbone(subject, name, policy)
                for xla in (False, True):
                    shown = encoder_name(name, policy, xla)
                    call = _graph(backbone, images, xla)
                    plain = encoder_name(name, "float32", False)
                    try:
                        ledger.rate(
                            PART,
                            shown,
                            "images/s",
                            batch,
                            call,
                            ratio_to="" if shown == plain else plain,
                        )
                    except tf.errors.OpError as error:
                        ledger.notes.append(f"{shown}: not possible here ({_first_line(error)}).")
    ledger.notes.append(f"An encoder takes {batch} images of {config.image_size} pixels at once.")


def encoder_name(backbone: str, policy: str, xla: bool) -> str:
    """Name of the measurement."""
    return f"{backbone}, {policy}{', XLA' if xla else ''}"


def inputs(ledger: Ledger, subject: Subject, folder: pathlib.Path) -> None:
    """Keeps images/s of the input pipeline alone, and the bytes of an image in each form.

    Args:
        ledger: `Ledger`.
        subject: `Subject`.
        folder: of the store that holds the subject's sample.
    """
    config = subject.config
    # Enough for several batches: a pipeline that starts is not one that runs.
    frame = repeated(subject.frame, max(4 * config.embed_batch, len(subject.frame)))
    images = (
        dataset(frame, config.image_size, subject.reader)
        .batch(config.embed_batch)
        .prefetch(tf.data.AUTOTUNE)
    )

    def read():
        for batch in images:
            last = batch
        return last

    ledger.rate(INPUT, READ, "images/s", len(frame), read)
    tokens, channels = subject.backbone.output.shape[1:]
    count = len(subject.frame)
    encoded = sum(pathlib.Path(path).stat().st_size for path in subject.frame["path"])
    on_disk = sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*.*"))
    file = "encoded file"
    ledger.add(INPUT, file, encoded / count, "bytes an image")
    ledger.add(INPUT, "decoded", 4 * 3 * config.image_size**2, "bytes an image", file)
    ledger.add(INPUT, "tokens in float16", 2 * tokens * channels, "bytes an image", file)
    ledger.add(
        INPUT,
        f"in the store, {config.store_dtype}, with its descriptions",
        on_disk / count,
        "bytes an image",
        file,
    )
    ledger.notes.append(
        f"Files of the sample are read again and again, so from the system's cache; the store has "
        f"{embeddings.SHARD} images a file."
    )


def _backbone(subject, name, policy):
    if name == subject.config.backbone:
        if subject.backbone.dtype_policy.name == policy:
            return subject.backbone
        return make_backbone(subject.config, subject.config.seed)[0]
    config = dataclasses.replace(subject.config, backbone=name, weights="none")
    return make_backbone(config, config.seed)[0]


def _graph(backbone, images, xla):
    graph = tf.function(lambda batch: backbone(batch, training=False), jit_compile=xla)
    return lambda: graph(images).numpy()


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
