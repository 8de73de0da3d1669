"""Training a victim on its members, and the images it generates."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf import files
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.models.callbacks import SaveEpoch
from ganfp_tf.models.checkpoint import Checkpoint
from ganfp_tf.simulation.dataset import digest_of_images
from ganfp_tf.simulation.gan import callbacks, sampling
from ganfp_tf.simulation.gan.architectures import ARCHITECTURES
from ganfp_tf.simulation.gan.gan import GAN

EPOCH = 1000  # steps between two checkpoints, each with samples and its Fréchet distance
ORDER = 1  # stream of the order of the members; the other draws of a step have the seed alone


def build(victim: VictimSettings, seed: int, *, jit_compile: bool = False) -> GAN:
    """The untrained `GAN` of these settings, compiled."""
    keras.utils.set_random_seed(seed)
    networks = ARCHITECTURES[victim.architecture]
    gan = GAN(
        networks.generator(victim.size, victim.latent, victim.channels),
        networks.discriminator(victim.size, victim.channels),
        loss=victim.gan_loss,
        r1=victim.r1,
        average=victim.ema,
        augmentation=victim.policies,
        seed=seed,
    )
    # No momentum, as suits adversaries that chase each other (Mescheder et al. 2018, appendix D).
    adams = [keras.optimizers.Adam(victim.gan_learning_rate, 0.0, 0.99) for _ in range(2)]
    if keras.config.dtype_policy().name == "mixed_float16":
        adams = [keras.mixed_precision.LossScaleOptimizer(adam) for adam in adams]
    gan.compile(*adams, jit_compile=jit_compile, auto_scale_loss=False)
    return gan


@dataclasses.dataclass(frozen=True)
class Trained:
    """A victim after its training.

    Attributes:
        generator: the averaged generator, `(batch, latent)` -> `(batch, size, size, 1)`.
        history: DataFrame, one row an epoch.
        seconds: spent in training, over all interruptions.
        parameters: of generator and discriminator.
    """

    generator: keras.Model
    history: pd.DataFrame
    seconds: float
    parameters: dict


def train(
    images: np.ndarray,
    folder: pathlib.Path,
    victim: VictimSettings,
    *,
    seed: int,
    title: str,
    jit_compile: bool = False,
    make_callbacks: Callable[[np.ndarray], list[keras.callbacks.Callback]] | None = None,
) -> Trained:
    """Trains a victim on `images`, or resumes an interrupted training.

    Args:
        images: `(N, size, size)` uint8, the members.
        folder: where checkpoint.npz, history.csv and generator.keras go.
        victim: the settings of the victim.
        seed: of weights, order, latents and augmentation.
        title: of the bar.
        jit_compile: whether the training step is compiled with XLA.
        make_callbacks: function (latents of the samples to be shown) -> further Keras callbacks,
            which may add to the logs of an epoch.

    Returns:
        `Trained`.

    Raises:
        UserError: the training diverged, or its checkpoint is damaged.
    """
    gan = build(victim, seed, jit_compile=jit_compile)
    save = saver(gan, folder / "checkpoint.npz", digest_of_images(images))
    done = save.restore()
    if done < victim.steps:
        dataset = batches(images, victim.gan_batch, seed, first_step=done)
        shown = sampling.latents(gan.latent, callbacks.SHOWN, seed)
        acts = [
            callbacks.stop_on_non_finite(gan),
            *(make_callbacks(shown) if make_callbacks else ()),
            callbacks.progress_bar(victim.steps, done, title),  # shows what they added
            save,
        ]
        full, rest = divmod(victim.steps, EPOCH)
        for epochs, steps in ((full, EPOCH), (full + 1, rest)):
            begun = int(gan.step) // EPOCH
            if steps and begun < epochs:
                gan.fit(
                    dataset,
                    initial_epoch=begun,
                    epochs=epochs,
                    steps_per_epoch=steps,
                    verbose=0,
                    shuffle=False,
                    callbacks=acts,
                )
                dataset = batches(images, victim.gan_batch, seed, first_step=int(gan.step))
    history = pd.DataFrame(save.history)
    files.write_csv(folder / "history.csv", history)
    with files.atomic_path(folder / "generator.keras") as temporary:
        gan.average.save(temporary)
    parameters = {
        "generator": gan.generator.count_params(),
        "discriminator": gan.discriminator.count_params(),
    }
    return Trained(gan.average, history, save.seconds, parameters)


def batches(images: np.ndarray, batch: int, seed: int, first_step: int = 0) -> tf.data.Dataset:
    """The endless dataset of steps from `first_step` on: `(batch, size, size, 1)` in [-1, 1].

    Each image once in N draws, in an order that follows from the seed and the number of the step
    alone.
    """
    count = len(images)
    pixels = tf.constant(sampling.to_unit(images))

    def one_step(step):
        places = step * batch + tf.range(batch, dtype=tf.int64)
        turns = places // count
        fixed = tf.broadcast_to(tf.constant([seed, ORDER], tf.int64), (batch, 2))
        keys = tf.concat([fixed, turns[:, None]], axis=1)
        # tf.random.experimental.index_shuffle pads keys wrongly where there is one for each place.
        chosen = tf.raw_ops.RandomIndexShuffle(
            index=places % count, seed=keys, max_index=tf.constant(count - 1, tf.int64)
        )
        return tf.gather(pixels, chosen)

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max // batch)
    return steps.map(one_step, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(
        tf.data.AUTOTUNE
    )


def digest(model: keras.Model) -> str:
    """SHA-256 over the weights of a model, in hex."""
    total = hashlib.sha256()
    for variable in model.variables:
        total.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return total.hexdigest()


def saver(gan: GAN, path: pathlib.Path, members: str) -> SaveEpoch:
    """Saves the whole state at the end of an epoch, with the history and the time it took.

    Args:
        gan: The compiled victim.
        path: The file.
        members: Digest of the images it is trained on; with others it must not go on.
    """
    checkpoint = Checkpoint(
        path,
        gan.state,
        {"members": members},
        damaged="the checkpoint {path} is damaged. Start with --overwrite.",
        changed="the checkpoint {path} belongs to other member images than --real gives now. Bring "
        "them back, or start anew with --overwrite.",
    )
    return SaveEpoch(checkpoint, lambda: int(gan.step), timed=True)
