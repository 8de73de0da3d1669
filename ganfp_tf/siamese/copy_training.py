"""Training of the network that knows copies, without a membership label; it can be interrupted."""

import dataclasses
import math

import keras
import numpy as np
import pandas as pd

from ganfp_tf import files, progress
from ganfp_tf.data import copy_augmentation
from ganfp_tf.errors import UserError
from ganfp_tf.models import checkpoint as state
from ganfp_tf.models.comparator import build_comparator
from ganfp_tf.models.copy_trainer import build_copy_trainer, compile_copy_trainer, float_inputs
from ganfp_tf.models.siamese import build_encoder, compiled, standardize_signals
from ganfp_tf.siamese.networks import Networks

EPOCH = 100  # steps between two checkpoints
LOOKED_AT = 512  # images that set the networks' fixed scales


def build(backbone, *, cross_attention, width, heads, similarity="both", hidden=64, dropout=0.0):
    """Makes the untrained `siamese.Networks`. Tokens keep their positions, whatever is compared."""
    encoder, head = build_encoder(backbone, cross_attention=True, width=width)
    comparator = build_comparator(
        encoder.output.shape[1:],
        cross_attention=cross_attention,
        heads=heads,
        similarity=similarity,
        hidden=hidden,
        dropout=dropout,
    )
    return Networks(encoder, head, comparator, frozen=False)


def train(
    networks, backbone, real, generated, groups, recipe, *, folder=None, jit_compile=False, title=""
):
    """Teaches `networks` which image is a copy of which; their weights change in place.

    Args:
        networks: made by `build`.
        backbone: what they were built on.
        real: `(N, S, S)` float32 gray images in [0, 1], used and not used alike.
        generated: `(M, S, S)`.
        groups: `(N,)` int, who is one patient.
        recipe: `copies.Recipe`.
        folder: where checkpoint.npz and history.csv go; None keeps nothing.
        jit_compile: compile the step with XLA.
        title: of the bar.

    Returns:
        The history: a DataFrame of step, losses and shares of copies found, one row an epoch.

    Raises:
        UserError: too few images, or the training diverged.
    """
    if min(len(real), len(generated)) < 4 or len(np.unique(groups)) < 2:
        raise UserError(
            "Learning what a copy is needs at least 4 real images of 2 patients and 4 generated "
            f"images. Found {len(real)} real images of {len(np.unique(groups))} patients and "
            f"{len(generated)} generated ones: add images, or take another detector."
        )
    keras.utils.set_random_seed(recipe.seed)
    _standardize(networks, backbone, real, generated, recipe)
    first = next(iter(copy_augmentation.batches(real, generated, groups, recipe)))[0]["real"].shape
    trainer = build_copy_trainer(
        networks.encoder,
        networks.comparator,
        blocks=first[0],
        count=first[1],
        candidates=recipe.candidates,
    )
    compile_copy_trainer(trainer, recipe, jit_compile)
    checkpoint = Checkpoint(trainer, folder and folder / "checkpoint.npz", recipe)
    done = checkpoint.restore()
    full, rest = divmod(recipe.steps, EPOCH)
    acts = [checkpoint, _Progress(recipe.steps, done, title or "copies")]
    for epochs, steps in ((full, EPOCH), (full + 1, rest)):
        begun = done // EPOCH
        if steps and done < recipe.steps and begun < epochs:
            trainer.fit(
                copy_augmentation.batches(real, generated, groups, recipe, done),
                initial_epoch=begun,
                epochs=epochs,
                steps_per_epoch=steps,
                verbose=0,
                shuffle=False,
                callbacks=acts,
            )
            done = epochs * EPOCH if steps == EPOCH else recipe.steps
    history = pd.DataFrame(checkpoint.history)
    if folder:
        files.write_csv(folder / "history.csv", history)
    return history


def _standardize(networks, backbone, real, generated, recipe):
    """Fixed scales from untrained features: of the tokens, then of the similarity signals."""
    rng = np.random.default_rng(recipe.seed)
    pool = np.concatenate([real, generated])
    chosen = pool[np.sort(rng.choice(len(pool), min(LOOKED_AT, len(pool)), replace=False))]
    features = compiled(backbone)(float_inputs(chosen)).astype("float64")
    flat = features.reshape(-1, features.shape[-1])
    networks.head.get_layer("standardize").set_statistics(flat.mean(axis=0), flat.std(axis=0))
    tokens = encode(networks, chosen)
    left, right = (tokens[rng.integers(len(tokens), size=LOOKED_AT)] for _ in range(2))
    standardize_signals(networks.comparator, [{"real": left, "generated": right}])


def encode(networks, images, batch=256):
    """Gray `(N, S, S)` in [0, 1] -> tokens `(N, T, D)` float32."""
    starts = range(0, len(images), batch)
    parts = [networks.encode(float_inputs(images[i : i + batch])) for i in starts]
    return np.concatenate(parts).astype("float32")


class Checkpoint(keras.callbacks.Callback):
    """Saves all variables, the history and the recipe after an epoch; stops at what is no number.

    Args:
        trainer: compiled model whose optimizer is built.
        path: the file, or None.
        recipe: with another one training must not go on.
    """

    def __init__(self, trainer, path, recipe):
        super().__init__()
        self.trainer, self.path, self.history = trainer, path, []
        self.recipe = dataclasses.asdict(recipe)

    def restore(self):
        """Goes back to the last saved epoch; returns the steps that are done."""
        if not self.path or not self.path.exists():
            return 0
        facts = state.load(self.path, self._variables())
        if facts is None or facts["recipe"] != self.recipe:
            raise UserError(
                f"the checkpoint {self.path} is damaged or of another recipe. Start anew with "
                "--overwrite, or take another --run_dir."
            )
        self.history = facts["history"]
        return self.history[-1]["step"]

    def on_epoch_end(self, epoch, logs=None):
        row = {name: float(value) for name, value in logs.items()}
        if not all(math.isfinite(value) for value in row.values()):
            raise UserError(
                f"the losses are no longer numbers in epoch {epoch + 1} of learning what a copy "
                "is. Lower --copy_learning_rate; the last good checkpoint is kept."
            )
        self.history.append({"step": int(self.trainer.optimizer.iterations), **row})
        if self.path:
            facts = {"history": self.history, "recipe": self.recipe}
            state.save(self.path, self._variables(), facts)

    def _variables(self):
        metrics = {id(variable) for variable in self.trainer.metrics_variables}
        own = [v for v in self.trainer.variables if id(v) not in metrics]
        return own + list(self.trainer.optimizer.variables)


class _Progress(keras.callbacks.Callback):
    def __init__(self, steps, done, title):
        super().__init__()
        self.bar = progress.bar(steps, title, "step")
        self.bar.update(done)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        found = {name: f"{v:.2f}" for name, v in logs.items() if name.endswith("finds_copy")}
        self.bar.set_postfix(found, refresh=False)
        if self.bar.n >= self.bar.total:
            self.bar.close()
