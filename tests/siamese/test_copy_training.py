"""Training of the network that knows copies: it learns, and it can be interrupted."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest

from ganfp_tf.data.copy_augmentation import Recipe
from ganfp_tf.errors import UserError
from ganfp_tf.models import checkpoint as state
from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.callbacks import SaveEpoch
from ganfp_tf.siamese import copy_training
from tests.helpers.pictures import scenes

# Epochs of ten steps, and half a one.
RECIPE = Recipe(steps=25, block=4, blocks=2, candidates=3, learning_rate=5e-3)
EPOCH = 10


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch):
    monkeypatch.setattr(copy_training, "EPOCH", EPOCH)


@pytest.fixture(scope="module")
def material():
    """16 real images, noisy copies of eight of them, and patients of two images."""
    rng = np.random.default_rng(0)
    real = scenes(rng, 16)
    generated = real[:8].repeat(3, axis=0)
    generated = generated + rng.normal(0, 0.02, generated.shape).astype("float32")
    return real, generated.clip(0, 1), np.arange(16) // 2


def untrained(seed=0, cross_attention=True):
    backbone, _ = build_backbone(
        "compact", image_size=32, weights="none", seed=seed, finetune="all"
    )
    networks = copy_training.build(
        backbone, cross_attention=cross_attention, width=8, heads=2, hidden=8
    )
    return networks, backbone


def weights(networks):
    return networks.encoder.get_weights() + networks.comparator.get_weights()


def trained(initial, material, folder=None, recipe=RECIPE, seed=0):
    """Networks that began with the weights `initial`, and the history."""
    networks, backbone = untrained(seed)
    if initial is not None:
        count = len(networks.encoder.weights)
        networks.encoder.set_weights(initial[:count])
        networks.comparator.set_weights(initial[count:])
    return networks, copy_training.train(networks, backbone, *material, recipe, folder=folder)


@pytest.fixture(scope="module")
def initial():
    return weights(untrained()[0])


@pytest.fixture(scope="module")
def uninterrupted(initial, material):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy_training, "EPOCH", EPOCH)
        return trained(initial, material)


def test_it_learns(uninterrupted, initial):
    networks, history = uninterrupted
    assert history["step"].tolist() == [10, 20, 25]
    first, last = history.iloc[0], history.iloc[-1]
    assert last["loss"] < 0.8 * first["loss"]
    assert last["embedding_finds_copy"] > first["embedding_finds_copy"]
    moved = [not np.array_equal(a, b) for a, b in zip(initial, weights(networks), strict=True)]
    assert all(moved)


def test_an_interrupted_training_ends_with_the_same_weights(
    uninterrupted, initial, material, tmp_path, monkeypatch
):
    saves = SaveEpoch.on_epoch_end

    def killed(self, epoch, logs=None):
        saves(self, epoch, logs)
        raise KeyboardInterrupt

    monkeypatch.setattr(SaveEpoch, "on_epoch_end", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(initial, material, tmp_path)
    monkeypatch.setattr(SaveEpoch, "on_epoch_end", saves)
    assert not (tmp_path / "history.csv").exists()

    # Whatever weights it begins with, those of the checkpoint count.
    networks, history = trained(None, material, tmp_path, seed=5)
    expected, whole = uninterrupted
    for a, b in zip(weights(networks), weights(expected), strict=True):
        np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(history, whole)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "history.csv"), whole)

    # What is done is not done again.
    monkeypatch.setattr(SaveEpoch, "on_epoch_end", killed)
    networks, history = trained(None, material, tmp_path, seed=6)
    np.testing.assert_array_equal(weights(networks)[0], weights(expected)[0])
    pd.testing.assert_frame_equal(history, whole)


@dataclasses.dataclass
class Trainer:
    """What a checkpoint needs of a trainer."""

    variables: tuple = ()
    metrics_variables: tuple = ()

    @property
    def optimizer(self):
        return dataclasses.make_dataclass("Optimizer", ["iterations", "variables"])(10, [])


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    first = copy_training.saver(Trainer(), path, RECIPE)
    assert first.restore() == 0
    first.on_epoch_end(0, {"loss": 1.0})
    assert copy_training.saver(Trainer(), path, RECIPE).restore() == 10
    for name, value in {"mix": 0.1, "seed": 3, "steps": 26}.items():
        other = dataclasses.replace(RECIPE, **{name: value})
        with pytest.raises(UserError, match=r"checkpoint\.npz is damaged or of another recipe"):
            copy_training.saver(Trainer(), path, other).restore()


def test_a_checkpoint_without_facts_is_refused(tmp_path):
    state.save(tmp_path / "checkpoint.npz", ())
    with pytest.raises(UserError, match=r"Start anew with --overwrite"):
        copy_training.saver(Trainer(), tmp_path / "checkpoint.npz", RECIPE).restore()


def test_losses_that_are_no_numbers_stop_and_leave_the_last_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save, stop = copy_training.saver(Trainer(), path, RECIPE), copy_training.stop_on_non_finite()
    acts = keras.callbacks.CallbackList([stop, save])
    acts.on_epoch_end(0, {"loss": 1.0})
    kept = path.read_bytes()
    with pytest.raises(UserError, match=r"no longer numbers in epoch 2 .*--copy_learning_rate"):
        acts.on_epoch_end(1, {"loss": float("nan")})
    assert path.read_bytes() == kept


@pytest.mark.parametrize(
    ("real", "patients", "generated"), [(3, 3, 9), (9, 1, 9), (9, 9, 3), (0, 0, 0)]
)
def test_too_few_images_are_a_mistake(real, patients, generated):
    groups = np.arange(real) % max(patients, 1)
    found = f"{real} real images of {patients} patients and {generated} generated ones"
    with pytest.raises(UserError, match=f"at least 4 real images of 2 patients.*{found}"):
        copy_training.train(
            None, None, np.zeros((real, 32, 32)), np.zeros((generated, 32, 32)), groups, RECIPE
        )


def test_positions_are_kept_with_and_without_cross_attention(material):
    for cross_attention in (True, False):
        networks, _ = untrained(cross_attention=cross_attention)
        tokens = copy_training.encode(networks, material[0], batch=7)
        assert tokens.shape == (16, 64, 8)
        assert tokens.dtype == np.float32
        expected = copy_training.encode(networks, material[0])
        np.testing.assert_allclose(tokens, expected, atol=1e-5)
        names = {layer.name for layer in networks.comparator.layers}
        assert ("cross_attention" in names) == cross_attention
