"""Training of the Siamese detector on one split; interrupted at any moment, it goes on."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf import files
from ganfp_tf.config.training import TrainingSettings
from ganfp_tf.data import pairs
from ganfp_tf.models.schedule import UNDECAYED, warmed_cosine
from ganfp_tf.models.siamese import build_trainer
from ganfp_tf.siamese import callbacks, checkpoint, distribution
from ganfp_tf.siamese.encoded_images import Centres, EncodedImages, centres_of, neighbours
from ganfp_tf.siamese.networks import SiameseNetworks, decide_on, save, standardize


@dataclasses.dataclass(frozen=True)
class Rows:
    """Row numbers of one split in an EncodedImages."""

    train_real: np.ndarray
    train_generated: np.ndarray
    validation_real: np.ndarray
    validation_generated: np.ndarray

    @classmethod
    def of(cls, images: EncodedImages, split: pd.Series) -> "Rows":
        """Those of a Series path -> split; what is neither train nor validation is left out."""
        names = [(role, part) for part in ("train", "validation") for role in ("real", "generated")]
        return cls(*(images.rows(split.index[split == part], role) for role, part in names))


def fit(
    make_networks: Callable[[], SiameseNetworks],
    images: EncodedImages,
    rows: Rows,
    folder: pathlib.Path,
    make_callbacks: Callable[[callbacks.Validation], list[keras.callbacks.Callback]] | None = None,
) -> tuple[SiameseNetworks, list[dict[str, Any]]]:
    """Trains on one split and writes the detector (`networks.save`) and history.csv into `folder`.

    Args:
        make_networks: function () -> `SiameseNetworks`, called in the strategy's scope.
        images: The images.
        rows: `Rows` of the split.
        folder: where checkpoints and results of this split go; only the chief of several workers
            writes there, and the others read its checkpoint.
        make_callbacks: function (`callbacks.Validation`) -> further Keras callbacks of the chief.

    Returns:
        `SiameseNetworks` with the best weights (those of the last epoch on other workers than the
        chief), and the history: one dict an epoch.
    """
    settings = images.settings
    team = distribution.of(settings.distribute, settings.step_blocks)
    keras.utils.set_random_seed(settings.drawing_seed)
    with team.scope():
        networks = make_networks()
        standardize(
            networks, images, (rows.train_real, rows.train_generated), settings.drawing_seed
        )
        trainer = build_trainer(networks.entry, networks.comparator)
        if team.cluster:
            trainer = WorkersTrainer(trainer.input, trainer.output)
        compile_trainer(trainer, settings, settings.supervision)
        trainer.optimizer.build(trainer.trainable_variables)
    centres = centres_of(images, rows.train_real, rows.train_generated)
    state = checkpoint.RunState(trainer, folder / "checkpoints", team)
    state.restore()
    team.agree("the checkpoints", str(state.epoch))
    if not state.over(settings):
        first_step = state.epoch * settings.steps_per_epoch
        dataset = team.datasets(
            lambda share: training_pairs(images, rows, centres, first_step, share)
        )
        watch = callbacks.validation(networks, images, rows, centres, team)
        shown: list[keras.callbacks.Callback] = []
        if team.chief:
            bar = callbacks.progress_bar(
                settings.epochs, settings.steps_per_epoch, state.epoch, folder.name
            )
            shown = [bar, *(make_callbacks(watch) if make_callbacks else ())]
        trainer.fit(
            dataset,
            epochs=settings.epochs,
            initial_epoch=state.epoch,
            steps_per_epoch=settings.steps_per_epoch,
            verbose=0,
            shuffle=False,  # the dataset draws at random itself
            callbacks=[
                callbacks.stop_on_non_finite(),
                watch,
                *shown,
                callbacks.KeepBest(state, watch, settings.patience),
            ],
        )
    team.call(_finish, networks, images, rows, centres, state, folder)
    return networks, state.history


def _finish(networks, images, rows, centres, state, folder):
    state.finish()
    state.restore_best()
    files.write_csv(folder / "history.csv", pd.DataFrame(state.history))
    decision = decide_on(
        networks,
        images,
        rows.validation_real,
        rows.validation_generated,
        centres,
        seed=images.settings.seed,
    )
    save(networks, folder, centres, decision)


class WorkersTrainer(keras.Model):
    """The trainer of several workers: `fit` of Keras 3.15 stumbles over their strategy twice."""

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step; each metric gets an axis."""
        # Keras takes the mean over workers along an axis, which single numbers do not have.
        return {name: tf.reshape(value, (1,)) for name, value in super().train_step(data).items()}

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras would reduce a whole batch at once, which fails if it is not one tensor. Only its
        # shapes are looked at, and a device's own has the same.
        if iterator is not None:
            batch = next(next(iter(iterator))[2])
            local = self.distribute_strategy.experimental_local_results
            data_batch = tf.nest.map_structure(lambda value: local(value)[0], batch)
        super()._maybe_symbolic_build(data_batch=data_batch)


class _MeanFirst:
    """Of an optimiser: gradients become the mean over all devices before anything is done to them.

    Keras clips each device's gradients on their own and sums them then: if they are clipped,
    two devices would make other steps than one. It also asks each device on its own whether loss
    scaling has overflowed, and only one of them might then take the step.
    """

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Applies the mean of the gradients over all devices."""
        if _devices() > 1:
            found = [gradient for gradient in grads if gradient is not None]
            mean = tf.distribute.ReduceOp.MEAN
            reduced = iter(tf.distribute.get_replica_context().all_reduce(mean, found))
            grads = [None if gradient is None else next(reduced) for gradient in grads]
        super().apply(grads, trainable_variables)  # type: ignore[misc]  # of the optimizer


class AdamW(_MeanFirst, keras.optimizers.AdamW):
    """AdamW on gradients that are means over all devices."""


class LossScaling(_MeanFirst, keras.mixed_precision.LossScaleOptimizer):
    """Loss scaling on gradients that are means over all devices."""


def _devices():
    return tf.distribute.get_strategy().num_replicas_in_sync


def attribution(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of "one of the used images", in a softmax over real images for each generated.

    A generated image comes from some used image, but from which one is not known: the probability
    of all used ones together counts. It is the used ones' lead over the others that is learned, and
    each generated image is an example of it.

    Args:
        labels: `(blocks, R, G)`, 1 if the real image was used.
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
    "membership": keras.losses.BinaryCrossentropy(from_logits=True),
    "attribution": attribution,
}


def compile_trainer(trainer: keras.Model, settings: TrainingSettings, supervision: str) -> None:
    """AdamW on a cosine with warm-up and the loss of --supervision; in the strategy's scope."""
    total = settings.epochs * settings.steps_per_epoch
    schedule = warmed_cosine(total, settings.learning_rate, settings.warmup)
    scaled = settings.mixed_precision and keras.config.dtype_policy().name == "mixed_float16"
    adam_w = keras.optimizers.AdamW if scaled else AdamW
    # Keras sums what the devices hand in: each clips the mean to its share of a norm of 1.
    optimizer = adam_w(
        schedule, weight_decay=settings.weight_decay, global_clipnorm=1.0 / _devices()
    )
    optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
    if scaled:
        optimizer = LossScaling(optimizer)
    trainer.compile(
        optimizer=optimizer,
        loss=LOSSES[supervision],
        metrics=[keras.metrics.AUC(from_logits=True, name="pair_auc")],
        jit_compile=settings.jit_compile,
    )


def training_pairs(
    images: EncodedImages,
    rows: Rows,
    centres: Centres,
    first_step: int,
    share: Callable[[tf.data.Dataset], tf.data.Dataset] | None = None,
) -> tf.data.Dataset:
    """The endless dataset of training steps from `first_step` on; only training rows enter it.

    Args:
        images: The images.
        rows: `Rows` of the split.
        centres: as `centres_of` gives them.
        first_step: number of the first step, counted from the first epoch's.
        share: function Dataset -> Dataset that leaves a device its blocks; None for all of them.
    """
    settings = images.settings
    labels = images.frame["label"].to_numpy()[rows.train_real]
    weights = pairs.class_weights(labels, settings.class_weighted)
    dataset = pairs.steps(first_step).apply(
        pairs.sample_real(
            weights,
            blocks=settings.blocks,
            count=settings.real_per_batch,
            seed=settings.drawing_seed,
        )
    )
    total, count = len(rows.train_generated), settings.generated_per_batch
    if settings.pairing == "random":
        choose = pairs.pair_random(total, count=count, seed=settings.drawing_seed)
    else:
        near = neighbours(
            images, rows.train_real, rows.train_generated, centres, settings.neighbours
        )
        dataset = dataset.apply(pairs.one_real_a_block())
        choose = functools.partial(pairs.pair_nearest, near)
        if settings.pairing == "mixed":
            choose = functools.partial(pairs.pair_mixed, near, total)
        choose = choose(count=count, seed=settings.drawing_seed)
    real, generated = images.inputs(rows.train_real), images.inputs(rows.train_generated)
    dataset = dataset.apply(choose)
    if share:
        dataset = share(dataset)
    dataset = dataset.apply(pairs.look_up(real, generated))
    return dataset.apply(pairs.add_labels(labels)).prefetch(tf.data.AUTOTUNE)
