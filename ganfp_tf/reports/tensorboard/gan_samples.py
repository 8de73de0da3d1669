"""Samples, losses and the Fréchet distance of a generator in TensorBoard."""

import pathlib
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ganfp_tf.reports.render import canvas, mosaic
from ganfp_tf.simulation.gan import sampling

if TYPE_CHECKING:
    from ganfp_tf.reports.tensorboard.log import NullLog, TensorBoardLog
    from ganfp_tf.simulation.gan.fidelity import Fidelity


class Samples(keras.callbacks.Callback):
    """Adds the Fréchet distance to the logs; writes losses and a grid of samples.

    Args:
        log: an open TensorBoard log.
        folder: where samples.png goes.
        watch: `fidelity.Fidelity`, or None.
        latents: `(images, latent)` of the grid, the same at every epoch.
    """

    def __init__(
        self,
        log: "TensorBoardLog | NullLog",
        folder: pathlib.Path,
        watch: "Fidelity | None",
        latents: Any,
    ) -> None:
        super().__init__()
        self.log, self.folder, self.watch, self.latents = log, folder, watch, latents

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes losses and samples, and adds the Fréchet distance to the logs."""
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
