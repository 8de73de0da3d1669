"""What audits and benchmarks share: a detector's scores, and what they cost. No TensorFlow."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ganfp_tf.config import Config
from ganfp_tf.detectors import registry
from ganfp_tf.detectors.cross_fitting import FOLDS
from ganfp_tf.runs import child_process
from ganfp_tf.timing import peak_bytes

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Measurement(Generic[T]):
    """A value and what it cost.

    Attributes:
        value: what was computed.
        seconds: it took.
        peak_bytes: most memory the process had held when it was done.
    """

    value: T
    seconds: float
    peak_bytes: int


def measure(compute: Callable[[], T]) -> Measurement[T]:
    """Calls `compute` and measures it."""
    started = time.monotonic()
    value = compute()
    return Measurement(value, time.monotonic() - started, peak_bytes())


def prepare_networks(names: Iterable[str], settings: Config) -> None:
    """Sets number format and seeds if any of these detectors trains a network.

    TensorFlow is imported only then; what it draws must be the same every time.
    """
    entries = [registry.DETECTORS.get(name) for name in names]
    if any(entry.network for entry in entries if entry):
        from ganfp_tf.models.runtime import prepare_runtime

        prepare_runtime(settings)


def train_as_run(
    name: str, settings: Config, folder: pathlib.Path, title: str
) -> tuple[dict, bool]:
    """Trains and cross-fits a Siamese network in a run folder and a process of its own.

    Args:
        name: a detector whose registry entry has `run`.
        settings: of the audit or benchmark.
        folder: run folder; a run that is complete is not repeated.
        title: for people.

    Returns:
        What `child_process.once` returns: the cost, and whether the run was there.
    """
    own = dataclasses.replace(
        settings.without_detectors(),
        mode="train",
        folds=settings.folds or FOLDS,
        saved_model=False,
        overwrite=False,
        **(registry.DETECTORS[name].run or {}),
    )
    return child_process.once(own, folder, "evaluation.json", title)
