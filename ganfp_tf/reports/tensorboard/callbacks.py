"""Curves of the training of the Siamese network in TensorBoard."""

import time
from typing import TYPE_CHECKING, Any

import keras

from ganfp_tf.reports.render import plots
from ganfp_tf.siamese import networks
from ganfp_tf.siamese.callbacks import sigmoid

if TYPE_CHECKING:
    from ganfp_tf.reports.tensorboard.log import NullLog, TensorBoardLog


class Logging(keras.callbacks.Callback):
    """Writes the curves and figures of an epoch into TensorBoard."""

    def __init__(self, log: "TensorBoardLog | NullLog", watch: Any) -> None:
        super().__init__()
        self.log, self.watch = log, watch

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock of an epoch."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes curves and figures."""
        labels = self.watch.labels
        logits = self.watch.logits
        scores = networks.image_scores(logits)
        self.log.scalars(
            epoch + 1,
            {
                "loss/train": logs["loss"],
                "loss/validation": logs["val_loss"],
                "auc/pairs_train": logs["pair_auc"],
                "auc/pairs_validation": logs["val_pair_auc"],
                "auc/images_validation": logs["val_image_auc"],
                "learning_rate": float(self.model.optimizer.learning_rate),
                "similarity/used": float(sigmoid(logits[labels == 1]).mean()),
                "similarity/unused": float(sigmoid(logits[labels == 0]).mean()),
                "seconds/epoch": time.monotonic() - self.started,
            },
        )
        self.log.pr_curve(epoch + 1, labels, sigmoid(scores))
        n = f"{len(labels)} validation images"
        self.log.figures(
            epoch + 1,
            {
                "confusion": plots.confusion(
                    labels, (scores >= 0).astype(int), title=f"{n}, cut at probability 0.5"
                ),
                "precision_recall": plots.precision_recall(labels, scores, title=n),
            },
        )
        self.log.flush()
