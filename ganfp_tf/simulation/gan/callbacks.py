"""What happens at the end of a victim's epoch: samples, losses, Fréchet distance, a bar."""

import math

import keras
import numpy as np

from ganfp_tf import progress
from ganfp_tf.errors import UserError

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
