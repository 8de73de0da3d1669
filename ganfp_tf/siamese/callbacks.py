"""What happens at the end of an epoch: validation, logs, the best weights, early stopping."""

from typing import Any

import keras
import numpy as np

from ganfp_tf.models.callbacks import Progress, StopOnNonFinite
from ganfp_tf.siamese.checkpoint import RunState
from ganfp_tf.siamese.distribution import ALONE, Team
from ganfp_tf.siamese.encoded_images import Centres, EncodedImages, partners
from ganfp_tf.siamese.networks import SiameseNetworks, image_scores, pair_logits
from ganfp_tf.statistics.metrics import auc

METRICS = ("val_loss", "val_pair_auc", "val_image_auc")


def validation(
    networks: SiameseNetworks,
    images: EncodedImages,
    rows: Any,
    centres: Centres,
    team: Team = ALONE,
) -> "Validation":
    """A `Validation` of the split's validation rows, with partners chosen as for scoring."""
    table = partners(
        images, rows.validation_real, rows.validation_generated, centres, seed=images.settings.seed
    )
    partner_rows = rows.validation_generated[table]
    return Validation(networks, images, rows.validation_real, partner_rows, team)


class Validation(keras.callbacks.Callback):
    """Adds loss and AUC of validation pairs and the AUC of validation *images* to the logs.

    The chief of a team measures them for all: processors of two kinds round differently, and the
    workers must agree on which epoch was the best and which is the last.
    """

    def __init__(
        self,
        networks: SiameseNetworks,
        images: EncodedImages,
        real: np.ndarray,
        partner_rows: np.ndarray,
        team: Team = ALONE,
    ):
        super().__init__()
        self.team = team
        self.networks, self.images = networks, images
        self.real, self.partner_rows = real, partner_rows
        self.labels = images.frame["label"].to_numpy()[real]
        self.logits: np.ndarray | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the validation metrics to the logs of an epoch."""
        logs.update(self.measure())

    def measure(self) -> dict[str, float]:
        """`val_loss`, `val_pair_auc` and `val_image_auc` of the networks as they are now."""
        values = self.team.numbers(len(METRICS), self._measure)
        return dict(zip(METRICS, values, strict=True))

    def _measure(self):
        self.logits = pair_logits(self.networks, self.images, self.real, self.partner_rows)
        labels = np.repeat(self.labels, self.logits.shape[1])
        flat = self.logits.ravel().astype("float64")
        # log(1 + e^x) - x y, the cross-entropy from a logit, without overflow.
        return [
            float(np.mean(np.logaddexp(0.0, flat) - flat * labels)),
            float(auc(labels, flat)),
            float(auc(self.labels, image_scores(self.logits))),
        ]


class KeepBest(keras.callbacks.Callback):
    """Saves each epoch, keeps the best, and stops after `patience` epochs without a better one.

    Better: a higher validation AUC of images; if that is equal (it has few steps with few
    images), a lower validation loss. The networks as they start, epoch 0, are a candidate too:
    training that only memorises the training images must not replace what compares.
    """

    def __init__(self, state: RunState, watch: Validation, patience: int):
        super().__init__()
        self.state, self.watch, self.patience = state, watch, patience

    def on_train_begin(self, logs: Any = None) -> None:
        """Saves the networks as they start."""
        if not self.state.history:
            self._keep({"epoch": 0, "loss": None, "pair_auc": None, **self.watch.measure()})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Saves the epoch; stops training if it is time."""
        self._keep({"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}})
        if self.state.stale(self.patience):
            self.model.stop_training = True

    def _keep(self, row):
        best = self.state.best_epoch
        is_best = best is None or _rank(row) > _rank(self.state.history[best])
        self.state.history.append(row)
        self.state.save(is_best)


def _rank(row):
    return (row["val_image_auc"], -row["val_loss"])


def stop_on_non_finite() -> StopOnNonFinite:
    """Stops the run if the loss is no longer a number."""

    def explain(what, value, epoch, step):
        return (
            f"the loss became {value} in epoch {epoch}, step {step}. Lower --learning_rate, leave "
            "out --mixed_precision, or look for images with extreme values. The last good epoch is "
            "kept."
        )

    return StopOnNonFinite(explain)


def progress_bar(epochs: int, steps: int, done: int, title: str) -> Progress:
    """A bar over all steps with loss and validation AUC, after `done` epochs of `steps` steps."""
    return Progress(
        epochs * steps,
        done * steps,
        f"training {title}",
        lambda logs: {name: f"{logs[name]:.3f}" for name in ("loss", "val_image_auc")},
    )


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logits)) in float64, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, "float64")))
