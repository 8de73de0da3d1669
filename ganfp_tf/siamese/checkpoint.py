"""The state of a training run on disk: all variables and where it stands, in one file an epoch."""

import pathlib
from typing import Any

import keras

from ganfp_tf.config.training import TrainingSettings
from ganfp_tf.models import checkpoint
from ganfp_tf.siamese.distribution import ALONE, Team


class RunState:
    """Saves and restores a compiled model in the middle of its training.

    last.npz holds every variable of model and optimizer (seeds of dropout too), the history and
    the number of the best epoch; best-<epoch>.npz the model's variables at that epoch. The best
    file is written first and an outdated one removed last, so that last.npz never names a file
    that is not there.

    Args:
        model: Compiled model whose optimizer is built.
        folder: Where the files go.
        team: The `distribution.Team` that trains; only its chief writes.
    """

    def __init__(self, model: keras.Model, folder: pathlib.Path, team: Team = ALONE):
        self.team = team
        self.model = model
        self.folder = folder
        self.history: list[dict[str, Any]] = []
        self.best_epoch: int | None = None
        self.finished = False
        self._last = checkpoint.Checkpoint(
            folder / "last.npz", lambda: checkpoint.training_state_of(model)
        )

    @property
    def epoch(self) -> int:
        """Epochs that are done; row 0 of the history is the state before the first."""
        return max(len(self.history) - 1, 0)

    def stale(self, patience: int) -> bool:
        """True after `patience` epochs without a better one."""
        return self.best_epoch is not None and self.epoch - self.best_epoch >= patience

    def over(self, settings: TrainingSettings) -> bool:
        """True if no epoch is left to be trained.

        Checked before training goes on: a run killed between its last epoch and its end must not
        train further than one that was not.
        """
        return self.finished or self.epoch >= settings.epochs or self.stale(settings.patience)

    def save(self, is_best: bool) -> None:
        """Writes the state after an epoch whose row ends `history`."""
        if is_best:
            self.best_epoch = self.epoch
        self.team.call(self._save, is_best)

    def _save(self, is_best):
        if is_best:
            checkpoint.save(self._best_path(), checkpoint.state_of(self.model))
        self._write_last()
        for path in self.folder.glob("best-*.npz"):
            if path != self._best_path():
                path.unlink()

    def finish(self) -> None:
        """Records that training is over, so that the same command does not train again."""
        if not self.finished:
            self.finished = True
            self._write_last()

    def restore(self) -> bool:
        """Goes back to the last saved epoch; returns False if nothing was saved.

        Raises:
            UserError: If last.npz is damaged or belongs to another model.
        """
        facts = self._last.restore()
        if facts is None:
            return False
        self.history = facts["history"]
        self.best_epoch = facts["best_epoch"]
        self.finished = facts["finished"]
        return True

    def restore_best(self) -> None:
        """Puts the best epoch's weights into the model."""
        checkpoint.load(self._best_path(), checkpoint.state_of(self.model))

    def _best_path(self):
        return self.folder / f"best-{self.best_epoch}.npz"

    def _write_last(self):
        self._last.save(history=self.history, best_epoch=self.best_epoch, finished=self.finished)
