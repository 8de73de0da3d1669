"""Keras callbacks of all trainings: stop at what is no number, show progress, save each epoch."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from ganfp_tf import progress
from ganfp_tf.errors import UserError
from ganfp_tf.models.checkpoint import Checkpoint


class StopOnNonFinite(keras.callbacks.Callback):
    """Stops a training whose losses or weights are no longer numbers.

    It comes before what saves an epoch: a step's losses say nothing about the weights it left.

    Args:
        explain: Function (what, value, epoch, step) -> message; `what` is "losses" or "weights",
            `value` the first number that is none, epoch and step count from 1.
        every_step: Whether losses are looked at after every step, or only after every epoch.
        variables: Function () -> variables that are looked at after every epoch.

    Raises:
        UserError: With the message, during training.
    """

    def __init__(
        self,
        explain: Callable[[str, float, int, int], str],
        every_step: bool = True,
        variables: Callable[[], Sequence[keras.Variable]] | None = None,
    ):
        super().__init__()
        self.explain, self.every_step, self.variables = explain, every_step, variables
        self.epoch, self.step = 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remembers the epoch for the message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the losses of a step."""
        self.step = batch
        if self.every_step:
            self._check("losses", (logs or {}).values())

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Looks at the losses of an epoch, and at the weights."""
        self.epoch = epoch
        if not self.every_step:
            self._check("losses", (logs or {}).values())
        if self.variables:
            wrong = not all(np.isfinite(v.numpy()).all() for v in self.variables())
            self._check("weights", [math.nan] if wrong else [])

    def _check(self, what, values):
        for value in values:
            if not math.isfinite(value):
                message = self.explain(what, float(value), self.epoch + 1, self.step + 1)
                raise UserError(message)


class Progress(keras.callbacks.Callback):
    """A bar over all steps of a training, of which `fit` may take several parts.

    Args:
        steps: Number of steps.
        done: Steps that were done before.
        title: What the bar is called.
        shown: Function from the logs of an epoch to name -> text.
    """

    def __init__(
        self, steps: int, done: int, title: str, shown: Callable[[dict[str, float]], dict[str, str]]
    ):
        super().__init__()
        self.shown = shown
        self.bar = progress.bar(steps, title, "step")
        self.bar.update(done)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Moves the bar by a step."""
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Shows the logs of an epoch."""
        self.bar.set_postfix(self.shown(logs or {}), refresh=False)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the bar, unless another part of the training follows."""
        if self.model.stop_training or self.bar.n >= self.bar.total:
            self.bar.close()


class SaveEpoch(keras.callbacks.Callback):
    """Adds a row to the history at the end of each epoch and saves the checkpoint.

    Args:
        checkpoint: Where the training is kept.
        step: Function () -> steps that are done.
        timed: Whether the seconds that training took are kept too.

    Attributes:
        history: One dict for each epoch: step and logs.
        seconds: Spent in training, over all interruptions; 0 if not `timed`.
    """

    def __init__(self, checkpoint: Checkpoint, step: Callable[[], int], timed: bool = False):
        super().__init__()
        self.checkpoint, self.step, self.timed = checkpoint, step, timed
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.started = time.monotonic()

    def restore(self) -> int:
        """Goes back to the last saved epoch, if there is one; returns the steps that are done."""
        facts = self.checkpoint.restore()
        if facts is None:
            return 0
        self.history = facts["history"]
        self.seconds = facts["seconds"] if self.timed else 0.0
        return self.history[-1]["step"]

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves the epoch."""
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"step": self.step(), **row})
        facts: dict[str, Any] = {"history": self.history}
        if self.timed:
            now = time.monotonic()
            self.seconds, self.started = self.seconds + now - self.started, now
            facts["seconds"] = self.seconds
        self.checkpoint.save(**facts)
