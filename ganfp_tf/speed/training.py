"""Training pairs a second, beside the naive way: both images of each pair through the network."""

import dataclasses

import keras
import tensorflow as tf

from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.models.backbones.build import set_trainable
from ganfp_tf.models.siamese import build_trainer
from ganfp_tf.siamese import networks as siamese
from ganfp_tf.siamese.encoded_images import centres_of
from ganfp_tf.siamese.training import compile_trainer, training_pairs
from ganfp_tf.speed.subject import Subject
from ganfp_tf.speed.timing import Ledger

PART = "training"
NAIVE_PAIRS = 8  # a step; its 16 images are those of a block of 8 x 8


def training(ledger: Ledger, subject: Subject) -> None:
    """Measures pairs/s on stored tokens and with the whole backbone, and of both naively.

    The backbone is left frozen, as it was; its weights are not.
    """
    for finetune, title in (("none", "frozen"), ("all", "fine-tuned")):
        config = dataclasses.replace(subject.config, finetune=finetune)
        set_trainable(subject.backbone, config.backbone, finetune)
        networks = subject.networks
        if finetune != "none":
            networks = siamese.build_networks(config, subject.backbone, config.trains_on_tokens)
            networks.head.set_weights(subject.networks.head.get_weights())
            networks.comparator.set_weights(subject.networks.comparator.get_weights())
        own, naive = training_name(title), naive_name(title)
        pairs = config.blocks * config.real_per_batch * config.generated_per_batch
        step = _step(
            build_trainer(networks.entry, networks.comparator),
            subject,
            config.section(SiameseSettings),
        )
        ledger.rate(PART, own, "pairs/s", pairs, step, naive)
        config = dataclasses.replace(
            config, finetune="all", blocks=NAIVE_PAIRS, real_per_batch=1, generated_per_batch=1
        )
        step = _step(networks.siamese(), subject, config.section(SiameseSettings), _pair_by_pair)
        ledger.rate(PART, naive, "pairs/s", NAIVE_PAIRS, step)
    set_trainable(subject.backbone, subject.config.backbone, "none")
    own = subject.config
    ledger.notes.append(
        f"A step of training has {own.blocks} block(s) of {own.real_per_batch} real and "
        f"{own.generated_per_batch} generated images, all of whose pairs are scored; the naive way "
        f"has {NAIVE_PAIRS} pairs a step, each of two images that pass the network for it alone. "
        "Naively frozen, the backbone is passed but not trained."
    )


def training_name(title: str) -> str:
    """Name of the measurement of the project's way."""
    return f"training, {title}"


def naive_name(title: str) -> str:
    """Name of the measurement of the naive way."""
    return f"training, {title}, pair by pair"


def _step(model, subject, settings, change=lambda inputs, labels: (inputs, labels)):
    """A function () that reads the next pairs and takes a step of `model` on them.

    Reading is part of it: files with settings that train the backbone, else stored tokens.
    """
    compile_trainer(model, settings, settings.supervision)
    model.optimizer.build(model.trainable_variables)
    material = dataclasses.replace(subject.material, settings=settings)
    rows = subject.rows
    centres = centres_of(material, rows.train_real, rows.train_generated)
    dataset = training_pairs(material, rows, centres, 0).map(change)
    model.fit(dataset, steps_per_epoch=1, epochs=1, verbose=0, shuffle=False)  # builds its parts
    # What `fit` calls, without its callbacks.
    pairs, function = iter(dataset), model.make_train_function()
    return lambda: float(keras.ops.convert_to_numpy(function(pairs)["loss"]))


def _pair_by_pair(inputs, labels):
    """Blocks of one pair each -> a batch of pairs."""
    flat = {name: tf.squeeze(images, axis=1) for name, images in inputs.items()}
    return flat, tf.reshape(labels, (-1, 1))
