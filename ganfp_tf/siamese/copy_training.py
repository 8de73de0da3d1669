"""Training of the network that knows copies, without a membership label; it can be interrupted."""

import dataclasses
import pathlib

import keras
import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.data import copy_augmentation
from ganfp_tf.data.copy_augmentation import Recipe
from ganfp_tf.errors import UserError
from ganfp_tf.models.callbacks import Progress, SaveEpoch, StopOnNonFinite
from ganfp_tf.models.checkpoint import Checkpoint, training_state_of
from ganfp_tf.models.comparator import build_comparator
from ganfp_tf.models.copy_trainer import build_copy_trainer, compile_copy_trainer, float_inputs
from ganfp_tf.models.siamese import build_encoder, compiled, standardize_signals
from ganfp_tf.siamese.networks import SiameseNetworks

EPOCH = 100  # steps between two checkpoints
LOOKED_AT = 512  # images that set the networks' fixed scales


def build(
    backbone: keras.Model,
    *,
    cross_attention: bool,
    width: int,
    heads: int,
    similarity: str = "both",
    hidden: int = 64,
    dropout: float = 0.0,
) -> SiameseNetworks:
    """Makes the untrained `SiameseNetworks`. Tokens keep their positions, whatever is compared."""
    encoder, head = build_encoder(backbone, cross_attention=True, width=width)
    comparator = build_comparator(
        encoder.output.shape[1:],
        cross_attention=cross_attention,
        heads=heads,
        similarity=similarity,
        hidden=hidden,
        dropout=dropout,
    )
    return SiameseNetworks(encoder, comparator, encoder, head)


def train(
    networks: SiameseNetworks,
    backbone: keras.Model,
    real: np.ndarray,
    generated: np.ndarray,
    groups: np.ndarray,
    recipe: Recipe,
    *,
    folder: pathlib.Path | None = None,
    jit_compile: bool = False,
    title: str = "",
) -> pd.DataFrame:
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
    save = saver(trainer, folder and folder / "checkpoint.npz", recipe)
    done = save.restore()
    full, rest = divmod(recipe.steps, EPOCH)
    acts = [stop_on_non_finite(), save, Progress(recipe.steps, done, title or "copies", _found)]
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
    history = pd.DataFrame(save.history)
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


def encode(networks: SiameseNetworks, images: np.ndarray, batch: int = 256) -> np.ndarray:
    """Gray `(N, S, S)` in [0, 1] -> tokens `(N, T, D)` float32."""
    starts = range(0, len(images), batch)
    parts = [networks.encode(float_inputs(images[i : i + batch])) for i in starts]
    return np.concatenate(parts).astype("float32")


def saver(trainer: keras.Model, path: pathlib.Path | None, recipe: Recipe) -> SaveEpoch:
    """Saves variables, history and recipe after each epoch.

    Args:
        trainer: Compiled model whose optimizer is built.
        path: The file, or None.
        recipe: Training must not go on with another one.
    """
    message = (
        "the checkpoint {path} is damaged or of another recipe. Start anew with --overwrite, or "
        "take another --run_dir."
    )
    checkpoint = Checkpoint(
        path,
        lambda: training_state_of(trainer),
        {"recipe": dataclasses.asdict(recipe)},
        damaged=message,
        changed=message,
    )
    return SaveEpoch(checkpoint, lambda: int(trainer.optimizer.iterations))


def stop_on_non_finite() -> StopOnNonFinite:
    """Stops the training if the losses of an epoch are no longer numbers."""

    def explain(what, value, epoch, step):
        return (
            f"the losses are no longer numbers in epoch {epoch} of learning what a copy is. Lower "
            "--copy_learning_rate; the last good checkpoint is kept."
        )

    return StopOnNonFinite(explain, every_step=False)


def _found(logs):
    return {name: f"{v:.2f}" for name, v in logs.items() if name.endswith("finds_copy")}
