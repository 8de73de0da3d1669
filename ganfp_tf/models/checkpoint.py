"""Variables and facts of a training in one file, so that it goes on where it was interrupted."""

import json
import zipfile

import numpy as np

from ganfp_tf import files
from ganfp_tf.errors import UserError

# zipfile answers damage with any of these, a flipped flag with NotImplementedError; a single array
# with TypeError, since it is no context manager.
DAMAGE = (OSError, ValueError, EOFError, KeyError, RuntimeError, TypeError, zipfile.BadZipFile)


def save(path, variables, facts=None):
    """Writes variables in their order, and facts (JSON-ready) beside them, atomically."""
    arrays = {f"{i:05d}": np.asarray(variable.numpy()) for i, variable in enumerate(variables)}
    if facts is not None:
        arrays["facts"] = np.array(json.dumps(facts))
    with files.atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)


def load(path, variables):
    """Puts what `save` wrote back into the same variables; returns the facts, or None.

    Raises:
        UserError: where the file is damaged or belongs to another model.
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
