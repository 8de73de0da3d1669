"""Training of the Siamese detector on one split; interrupted at any moment, it goes on."""

import contextlib
import dataclasses
import functools

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf import files
from ganfp_tf.data import pairs
from ganfp_tf.detectors import callbacks, checkpoint, siamese
from ganfp_tf.detectors import material as materials
from ganfp_tf.errors import UserError
from ganfp_tf.models.optimizing import UNDECAYED, warmed_cosine
from ganfp_tf.models.siamese import build_trainer


@dataclasses.dataclass(frozen=True)
class Rows:
    """Row numbers of one split in a Material."""

    train_real: np.ndarray
    train_generated: np.ndarray
    validation_real: np.ndarray
    validation_generated: np.ndarray

    @classmethod
    def of(cls, material, split):
        """Those of a Series path -> split; what is neither train nor validation is left out."""
        names = [(role, part) for part in ("train", "validation") for role in ("real", "generated")]
        return cls(*(material.rows(split.index[split == part], role) for role, part in names))


@contextlib.contextmanager
def strategy_scope(config):
    """The scope in which models are made: all visible devices with --distribute=mirrored.

    Raises:
        UserError: where the blocks of a step cannot be shared evenly among the devices.
    """
    if config.distribute == "none":
        yield
        return
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    blocks = config.blocks * (1 if config.pairing == "random" else config.real_per_batch)
    if blocks % len(devices):
        raise UserError(
            f"--distribute=mirrored shares the blocks of a step among {len(devices)} devices; "
            f"{blocks} blocks do not divide evenly. Set --blocks to a multiple of {len(devices)}."
        )
    with _mirrored(tuple(device.name for device in devices)).scope():
        yield


@functools.cache
def _mirrored(devices):
    """One strategy a process: a second one would number its reductions from the start again.

    TensorFlow remembers the shape that each number had, and stops where another network's differs.
    """
    return tf.distribute.MirroredStrategy(list(devices))


def fit(make_networks, material, rows, folder, config, log):
    """Trains on one split and writes the detector (`siamese.save`) and history.csv into `folder`.

    Args:
        make_networks: function () -> `siamese.Networks`, called in the strategy's scope.
        material: the images.
        rows: `Rows` of the split.
        folder: where checkpoints and results of this split go.
        config: the run's Config.
        log: an open TensorBoard log.

    Returns:
        `siamese.Networks` with the best weights, and the history: one dict an epoch.
    """
    keras.utils.set_random_seed(config.drawing_seed)
    with strategy_scope(config):
        networks = make_networks()
        siamese.standardize(
            networks, material, (rows.train_real, rows.train_generated), config.drawing_seed
        )
        trainer = build_trainer(networks.entry, networks.comparator)
        compile_trainer(trainer, config)
        trainer.optimizer.build(trainer.trainable_variables)
    centres = materials.centres_of(material, rows.train_real, rows.train_generated)
    state = checkpoint.RunState(trainer, folder / "checkpoints")
    state.restore()
    if not state.over(config):
        first_step = state.epoch * config.steps_per_epoch
        dataset = training_pairs(material, rows, centres, config, first_step)
        watch = callbacks.validation(networks, material, rows, centres, config)
        trainer.fit(
            dataset,
            epochs=config.epochs,
            initial_epoch=state.epoch,
            steps_per_epoch=config.steps_per_epoch,
            verbose=0,
            shuffle=False,  # the dataset draws at random itself
            callbacks=[
                callbacks.StopOnNonFinite(),
                watch,
                callbacks.Progress(config.epochs, config.steps_per_epoch, folder.name),
                callbacks.Logging(log, watch),
                callbacks.KeepBest(state, watch, config.patience),
            ],
        )
    state.finish()
    state.restore_best()
    files.write_csv(folder / "history.csv", pd.DataFrame(state.history))
    decision = siamese.decide_on(
        networks, material, rows.validation_real, rows.validation_generated, centres,
        seed=config.seed,
    )  # fmt: skip
    siamese.save(networks, folder, centres, decision)
    return networks, state.history


class _MeanFirst:
    """Of an optimiser: gradients become the mean over all devices before anything is done to them.

    Keras clips each device's gradients on their own and sums them then: where they are clipped,
    two devices would make other steps than one. It also asks each device on its own whether loss
    scaling has overflowed, and only one of them might then take the step.
    """

    def apply(self, grads, trainable_variables=None):
        if _devices() > 1:
            found = [gradient for gradient in grads if gradient is not None]
            mean = tf.distribute.ReduceOp.MEAN
            reduced = iter(tf.distribute.get_replica_context().all_reduce(mean, found))
            grads = [None if gradient is None else next(reduced) for gradient in grads]
        super().apply(grads, trainable_variables)


class AdamW(_MeanFirst, keras.optimizers.AdamW):
    pass


class LossScaling(_MeanFirst, keras.mixed_precision.LossScaleOptimizer):
    pass


def _devices():
    return tf.distribute.get_strategy().num_replicas_in_sync


def attribution(labels, logits):
    """Cross-entropy of "one of the used images", in a softmax over real images for each generated.

    A generated image comes from some used image, but from which one is not known: the probability
    of all used ones together counts. It is the used ones' lead over the others that is learned, and
    each generated image is an example of it.

    Args:
        labels: `(blocks, R, G)`, 1 where the real image was used.
        logits: `(blocks, R, G)`.

    Returns:
        `(blocks,)`; 0 for a block without a used or without an unused image.
    """
    labels = tf.cast(labels, logits.dtype)
    hidden = tf.where(labels > 0.5, logits, tf.fill(tf.shape(logits), logits.dtype.min))
    each = tf.reduce_logsumexp(logits, axis=1) - tf.reduce_logsumexp(hidden, axis=1)
    both = (tf.reduce_max(labels, axis=1) > 0.5) & (tf.reduce_min(labels, axis=1) < 0.5)
    return tf.reduce_mean(tf.where(both, each, tf.zeros_like(each)), axis=-1)


LOSSES = {
    "membership": keras.losses.BinaryCrossentropy(from_logits=True), "attribution": attribution,
}  # fmt: skip


def compile_trainer(trainer, config):
    """AdamW on a cosine with warm-up and the loss of --supervision; in the strategy's scope."""
    total = config.epochs * config.steps_per_epoch
    schedule = warmed_cosine(total, config.learning_rate, config.warmup)
    scaled = config.mixed_precision and keras.config.dtype_policy().name == "mixed_float16"
    adam_w = keras.optimizers.AdamW if scaled else AdamW
    # Keras sums what the devices hand in: each clips the mean to its share of a norm of 1.
    optimizer = adam_w(schedule, weight_decay=config.weight_decay, global_clipnorm=1.0 / _devices())
    optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
    if scaled:
        optimizer = LossScaling(optimizer)
    trainer.compile(
        optimizer=optimizer,
        loss=LOSSES[config.supervision],
        metrics=[keras.metrics.AUC(from_logits=True, name="pair_auc")],
        jit_compile=config.jit_compile,
    )


def training_pairs(material, rows, centres, config, first_step):
    """The endless dataset of training steps from `first_step` on; only training rows enter it."""
    labels = material.frame["label"].to_numpy()[rows.train_real]
    weights = pairs.class_weights(labels, config.class_weighted)
    dataset = pairs.steps(first_step).apply(
        pairs.sample_real(
            weights, blocks=config.blocks, count=config.real_per_batch, seed=config.drawing_seed
        )
    )
    images, count = len(rows.train_generated), config.generated_per_batch
    if config.pairing == "random":
        choose = pairs.pair_random(images, count=count, seed=config.drawing_seed)
    else:
        near = materials.neighbours(
            material, rows.train_real, rows.train_generated, centres, config.neighbours
        )
        dataset = dataset.apply(pairs.one_real_a_block())
        choose = functools.partial(pairs.pair_nearest, near)
        if config.pairing == "mixed":
            choose = functools.partial(pairs.pair_mixed, near, images)
        choose = choose(count=count, seed=config.drawing_seed)
    real, generated = material.inputs(rows.train_real), material.inputs(rows.train_generated)
    dataset = dataset.apply(choose).apply(pairs.look_up(real, generated))
    dataset = dataset.apply(pairs.add_labels(labels)).prefetch(tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)
