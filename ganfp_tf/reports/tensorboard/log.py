"""TensorBoard logs. The training loop hands in names and arrays and needs no tf.summary.

Opening a log folder again after an interruption adds a new event file; TensorBoard joins the files
and, where a step was logged twice, shows what was logged last.
"""

import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api
from tensorboard.plugins.pr_curve import metadata as pr_metadata

from ganfp_tf.errors import UserError
from ganfp_tf.reports.render.plots import to_rgb
from ganfp_tf.reports.render.tables import markdown_table, printable
from ganfp_tf.reports.tensorboard import projector

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

THRESHOLDS = 201


def open_log(logdir: str | os.PathLike, enabled: bool = True) -> "TensorBoardLog | NullLog":
    """A TensorBoardLog in the folder `logdir`, or a NullLog where `enabled` is false."""
    return TensorBoardLog(logdir) if enabled else NullLog()


class TensorBoardLog:
    """Writes to one log folder; a context manager.

    Names may hold any character: what TensorBoard cannot show becomes a blank. "a/b" is shown as
    b in the group a.

    Args:
        logdir: folder of the event files, made where it is missing.

    Raises:
        UserError: where the folder cannot be made or written.
    """

    def __init__(self, logdir: str | os.PathLike) -> None:
        self.logdir = pathlib.Path(logdir)
        try:
            self.logdir.mkdir(parents=True, exist_ok=True)
            self._writer = tf.summary.create_file_writer(str(self.logdir))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"Cannot write TensorBoard logs to {self.logdir}: {error}. Make the folder "
                "writable, choose another --run_dir, or go on with --notensorboard."
            ) from error

    def __enter__(self) -> "TensorBoardLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """Logs {name: number} at `step`; a value of None is left out."""
        with self._writer.as_default(step=int(step)):
            for name, value in values.items():
                if value is not None:
                    tf.summary.scalar(safe_tag(name), float(value))

    def pr_curve(
        self,
        step: int,
        labels: np.ndarray,
        probabilities: np.ndarray,
        name: str = "precision_recall",
    ) -> None:
        """Logs a precision-recall curve for the PR CURVES tab.

        labels: (N,) of 0 and 1; probabilities: (N,), clipped to [0, 1]; those that are not finite
        are left out.
        """
        tag = safe_tag(name)
        content = pr_metadata.create_summary_metadata(tag, "", THRESHOLDS).SerializeToString()
        summary = tf.compat.v1.SummaryMetadata.FromString(content)
        with self._writer.as_default(step=int(step)):
            tf.summary.write(tag, pr_table(labels, probabilities), metadata=summary)

    def figures(self, step: int, figures: "Mapping[str, Figure]") -> None:
        """Logs {name: matplotlib Figure} as images."""
        with self._writer.as_default(step=int(step)):
            for name, figure in figures.items():
                tf.summary.image(safe_tag(name), to_rgb(figure)[None])

    def text(self, name: str, markdown: str | dict, step: int = 0) -> None:
        """Logs Markdown; a dict becomes a table of settings."""
        if isinstance(markdown, dict):
            markdown = markdown_table(("setting", "value"), list(markdown.items()))
        with self._writer.as_default(step=int(step)):
            tf.summary.text(safe_tag(name), printable(markdown, keep="\n"))

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """Logs a run's settings and final figures for the HPARAMS tab.

        They go into the folder `hparams` below the log folder, which is written anew: TensorBoard
        keeps the first settings it meets in a folder, and shows all scalars of it as figures.

        Args:
            settings: {name: value}; what is no finite number, bool or text is written as text.
            metrics: {name: number or None}.
        """
        folder = self.logdir / "hparams"
        shutil.rmtree(folder, ignore_errors=True)
        writer = tf.summary.create_file_writer(str(folder))
        with writer.as_default(step=0):
            hparams_api.hparams({safe_tag(k): _setting(v) for k, v in settings.items()})
            for name, value in metrics.items():
                if value is not None:
                    tf.summary.scalar(safe_tag(name), float(value))
        writer.close()

    def projector(
        self, vectors: np.ndarray, metadata: "pd.DataFrame", thumbnails: np.ndarray
    ) -> None:
        """Writes the embedding projector's files: see `reports.projector.write`."""
        projector.write(self.logdir, vectors, metadata, thumbnails)

    def flush(self) -> None:
        """Puts all that was logged on disk."""
        self._writer.flush()

    def close(self) -> None:
        """Flushes and ends the log; closing twice does no harm."""
        self._writer.close()


class NullLog:
    """A log that writes nothing, with the methods of TensorBoardLog."""

    logdir = None

    def __enter__(self) -> "NullLog":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """Does nothing."""

    def pr_curve(
        self,
        step: int,
        labels: np.ndarray,
        probabilities: np.ndarray,
        name: str = "precision_recall",
    ) -> None:
        """Does nothing."""

    def figures(self, step: int, figures: "Mapping[str, Figure]") -> None:
        """Does nothing."""

    def text(self, name: str, markdown: str | dict, step: int = 0) -> None:
        """Does nothing."""

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """Does nothing."""

    def projector(
        self, vectors: np.ndarray, metadata: "pd.DataFrame", thumbnails: np.ndarray
    ) -> None:
        """Does nothing."""

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def pr_table(
    labels: np.ndarray, probabilities: np.ndarray, thresholds: int = THRESHOLDS
) -> np.ndarray:
    """Counts at evenly spaced thresholds, as the PR-curve plugin stores them.

    Returns:
        (6, thresholds) float32: true positives, false positives, true negatives, false negatives,
        precision, recall, where a probability >= the threshold counts as positive. Precision and
        recall are 0 where their denominator is.
    """
    labels = np.asarray(labels).ravel()
    probabilities = np.asarray(probabilities, dtype=np.float64).ravel()
    if labels.shape != probabilities.shape:
        raise ValueError(f"one label a probability. Received: {len(labels)}, {len(probabilities)}")
    kept = np.isfinite(probabilities)
    labels, probabilities = labels[kept], np.clip(probabilities[kept], 0.0, 1.0)
    limits = np.linspace(0.0, 1.0, thresholds)
    positives = np.sort(probabilities[labels == 1])
    negatives = np.sort(probabilities[labels == 0])
    tp = len(positives) - np.searchsorted(positives, limits, side="left")
    fp = len(negatives) - np.searchsorted(negatives, limits, side="left")
    tn, fn = len(negatives) - fp, len(positives) - tp
    precision, recall = tp / np.maximum(tp + fp, 1), tp / np.maximum(tp + fn, 1)
    return np.stack([tp, fp, tn, fn, precision, recall]).astype(np.float32)


def safe_tag(name: object) -> str:
    """A summary's name: printable, without blanks or slashes at its ends, never empty."""
    return printable(name).strip(" /") or "unnamed"


def _setting(value):
    """A value the hparams plugin can hold; JSON has no NaN and no infinity, so they become text."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, (bool, int)) or (isinstance(value, float) and np.isfinite(value)):
        return value
    return printable(value)
