"""What happens at the end of a victim's epoch: samples, losses, Fréchet distance, a bar."""

import math

import keras
import numpy as np

from ganfp_tf import progress
from ganfp_tf.errors import UserError
from ganfp_tf.reports.render import canvas, mosaic
from ganfp_tf.simulation import sampling

SHOWN = 40  # samples in the grid, five rows of eight


class StopOnNonFinite(keras.callbacks.Callback):
    """Stops a victim whose losses or weights are no longer numbers.

    Stands before the checkpoint: the last step's losses do not tell of the weights it left.
    """

    def on_train_batch_end(self, batch, logs=None):
        if not all(math.isfinite(value) for value in (logs or {}).values()):
            self._stop("losses")

    def on_epoch_end(self, epoch, logs=None):
        if not all(np.isfinite(variable.numpy()).all() for variable in self.model.state()):
            self._stop("weights")

    def _stop(self, what):
        raise UserError(
            f"the victim's {what} are no longer numbers at step {int(self.model.step)}. Lower "
            "--gan_learning_rate, raise --r1, or leave out --mixed_precision. The last good "
            "checkpoint is kept."
        )


class Progress(keras.callbacks.Callback):
    """A bar over all steps with rate and time left."""

    def __init__(self, steps, done, title):
        super().__init__()
        self.bar = progress.bar(steps, title, "step")
        self.bar.update(done)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        names = ("generator_loss", "discriminator_loss", "frechet")
        shown = {name: f"{logs[name]:.2f}" for name in names if name in logs}
        self.bar.set_postfix(shown, refresh=False)
        if self.bar.n >= self.bar.total:
            self.bar.close()


class Samples(keras.callbacks.Callback):
    """Adds the Fréchet distance to the logs; writes losses and a grid of samples.

    Args:
        log: an open TensorBoard log.
        folder: where samples.png goes.
        watch: `fidelity.Fidelity`, or None.
        latents: `(images, latent)` of the grid, the same at every epoch.
    """

    def __init__(self, log, folder, watch, latents):
        super().__init__()
        self.log, self.folder, self.watch, self.latents = log, folder, watch, latents

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.step)
        if self.watch:
            logs["frechet"] = self.watch.distance(self.model.average)
        images = sampling.to_bytes(self.model(self.latents))
        figure = mosaic.grid(images, columns=8, title=f"generated after {step} steps")
        canvas.save(figure, self.folder / "samples.png")
        losses = {name: float(value) for name, value in logs.items()}
        groups = {"frechet": "fidelity", "r1": "penalty"}
        self.log.scalars(
            step,
            {
                f"{groups.get(name, 'logit' if name.endswith('logit') else 'loss')}/{name}": value
                for name, value in losses.items()
                if np.isfinite(value)
            },
        )
        self.log.figures(step, {"samples": figure})
        self.log.flush()
