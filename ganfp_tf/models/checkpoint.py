"""Variables and facts of a training in one file, so that it goes on where it was interrupted."""

import json
import pathlib
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from ganfp_tf import files
from ganfp_tf.errors import UserError

# Damage makes zipfile raise any of these, a flipped flag NotImplementedError; a single array raises
# TypeError, since it is no context manager.
DAMAGE = (OSError, ValueError, EOFError, KeyError, RuntimeError, TypeError, zipfile.BadZipFile)


class Checkpoint:
    """A training in one file: its variables, facts about it, and what it was begun with.

    Args:
        path: The file; None keeps nothing.
        variables: Function () -> all variables, in an order that does not change.
        bound: Facts (JSON-ready) that must be the same if training is to go on.
        damaged: Message if the file holds no facts; `{path}` is filled in.
        changed: Message if the file was written with other `bound` facts; likewise.
    """

    def __init__(
        self,
        path: pathlib.Path | None,
        variables: Callable[[], Sequence[keras.Variable]],
        bound: dict[str, Any] | None = None,
        *,
        damaged: str = "the checkpoint {path} is damaged. Start anew with --overwrite.",
        changed: str = "",
    ):
        self.path, self.variables, self.bound = path, variables, bound or {}
        self.damaged, self.changed = damaged, changed

    def restore(self) -> dict[str, Any] | None:
        """Puts the saved values into the variables and returns the facts, or None without a file.

        Raises:
            UserError: If the file is damaged, belongs to another model, or was begun otherwise.
        """
        if self.path is None or not self.path.exists():
            return None
        facts = load(self.path, self.variables())
        if facts is None:
            raise UserError(self.damaged.format(path=self.path))
        if any(name not in facts or facts[name] != self.bound[name] for name in self.bound):
            raise UserError(self.changed.format(path=self.path))
        return facts

    def save(self, **facts: Any) -> None:
        """Writes variables and facts, atomically."""
        if self.path is not None:
            save(self.path, self.variables(), {**facts, **self.bound})


def state_of(model: keras.Model) -> list[keras.Variable]:
    """All variables of a model but those of its metrics, which start anew each epoch."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


def training_state_of(model: keras.Model) -> list[keras.Variable]:
    """All variables of a compiled model and of its optimizer."""
    return state_of(model) + list(model.optimizer.variables)


def save(
    path: pathlib.Path, variables: Sequence[keras.Variable], facts: dict[str, Any] | None = None
) -> None:
    """Writes variables in their order, and facts (JSON-ready) beside them, atomically."""
    arrays: dict[str, Any] = {
        f"{i:05d}": np.asarray(variable.numpy()) for i, variable in enumerate(variables)
    }
    if facts is not None:
        arrays["facts"] = np.array(json.dumps(facts))
    with files.atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)


def load(path: pathlib.Path, variables: Sequence[keras.Variable]) -> dict[str, Any] | None:
    """Puts what `save` wrote back into the same variables; returns the facts, or None.

    Raises:
        UserError: If the file is damaged or belongs to another model.
    """
    stored = _read(path)
    facts = stored.pop("facts", None)
    shapes = [stored[name].shape for name in sorted(stored)]
    if shapes != [tuple(variable.shape) for variable in variables]:
        raise UserError(
            f"the checkpoint {path} belongs to another model. Start anew with --overwrite, or "
            "take another --run_dir."
        )
    for variable, name in zip(variables, sorted(stored), strict=True):
        variable.assign(stored[name])
    return None if facts is None else json.loads(str(facts))


def _read(path):
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except DAMAGE as error:
        raise UserError(
            f"the checkpoint {path} cannot be read ({error}). Start anew with --overwrite."
        ) from error
