"""The state of a training run on disk: all variables and where it stands, in one file an epoch."""

from ganfp_tf.errors import UserError
from ganfp_tf.models import checkpoint as states
from ganfp_tf.siamese.distribution import ALONE


class RunState:
    """Saves and restores a compiled model in the middle of its training.

    last.npz holds every variable of model and optimizer (seeds of dropout too), the history and
    the number of the best epoch; best-<epoch>.npz the model's variables at that epoch. The best
    file is written first and an outdated one removed last, so that last.npz never names a file
    that is not there.

    Args:
        model: compiled `keras.Model` whose optimizer is built.
        folder: where the files go.
        team: the `distribution.Team` that trains; only its chief writes.
    """

    def __init__(self, model, folder, team=ALONE):
        self.team = team
        self.model = model
        self.folder = folder
        self.history = []
        self.best_epoch = None
        self.finished = False

    @property
    def epoch(self):
        """Epochs that are done; row 0 of the history is the state before the first."""
        return max(len(self.history) - 1, 0)

    def stale(self, patience):
        """True after `patience` epochs without a better one."""
        return self.best_epoch is not None and self.epoch - self.best_epoch >= patience

    def over(self, config):
        """True where no epoch is left to be trained.

        Asked before training goes on: a run killed between its last epoch and its end must not
        train further than one that was not.
        """
        return self.finished or self.epoch >= config.epochs or self.stale(config.patience)

    def save(self, is_best):
        """Writes the state after an epoch whose row ends `history`."""
        if is_best:
            self.best_epoch = self.epoch
        self.team.call(self._save, is_best)

    def _save(self, is_best):
        if is_best:
            states.save(self._best_path(), _model_variables(self.model))
        self._write_last()
        for path in self.folder.glob("best-*.npz"):
            if path != self._best_path():
                path.unlink()

    def finish(self):
        """Records that training is over, so that the same command does not train again."""
        if not self.finished:
            self.finished = True
            self._write_last()

    def restore(self):
        """Goes back to the last saved epoch; returns False where nothing was saved.

        Raises:
            UserError: where last.npz is damaged or belongs to another model.
        """
        path = self.folder / "last.npz"
        if not path.exists():
            return False
        facts = states.load(path, self._all_variables())
        if facts is None:
            raise UserError(f"the checkpoint {path} is damaged. Start anew with --overwrite.")
        self.history = facts["history"]
        self.best_epoch = facts["best_epoch"]
        self.finished = facts["finished"]
        return True

    def restore_best(self):
        """Puts the best epoch's weights into the model."""
        states.load(self._best_path(), _model_variables(self.model))

    def _best_path(self):
        return self.folder / f"best-{self.best_epoch}.npz"

    def _all_variables(self):
        return _model_variables(self.model) + list(self.model.optimizer.variables)

    def _write_last(self):
        facts = {"history": self.history, "best_epoch": self.best_epoch, "finished": self.finished}
        states.save(self.folder / "last.npz", self._all_variables(), facts)


def _model_variables(model):
    """All variables but those of the metrics, which start anew each epoch."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]
