"""Fine-tuning trains: the loss of a few images falls to near zero, and the right weights move."""

import keras
import numpy as np
import pytest

from ganfp_tf.config import Config
from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.models.backbones.build import BACKBONES
from ganfp_tf.models.siamese import build_trainer
from ganfp_tf.siamese import encoded_images, training
from ganfp_tf.siamese import networks as siamese
from tests.conftest import write_victim

# Guessing costs log 2 = 0.69. At 0.05 the mean pair has 95 % of the probability on its label.
NEAR_ZERO = 0.05
# (steps, highest learning rate) that overfit 32 pairs from random weights.
RECIPES = {
    "tiny": (100, 3e-3),
    "efficientnetlite0": (80, 3e-4),
    "efficientnetb2": (60, 3e-4),
    "resnet50": (120, 3e-4),
    "densenet161": (60, 3e-4),
    "vit_b16": (60, 3e-4),
    "densenet121": (60, 3e-4),
    "efficientnetv2b0": (60, 3e-4),
    # From ImageNet's weights 60 steps at 3e-4 do. From random ones, 160 at that rate end at
    # guessing.
    ("efficientnetlite0", "all"): (240, 1e-4),
}


def cases(*fast):
    """All backbones with both choices; those not in `fast` are marked slow."""
    return [
        pytest.param(
            name,
            finetune,
            marks=() if (name, finetune) in fast else pytest.mark.slow,
            id=f"{name}-{finetune}",
        )
        for name in BACKBONES
        for finetune in ("last_stage", "all")
    ]


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """4 used, 4 not used and 4 generated images of 64 x 64 pixels."""
    folder, _, _ = write_victim(
        tmp_path_factory.mktemp("few"), used=4, unused=4, unknown=2, copies=1, side=64
    )
    return load_catalog(folder, progress=False).frame


@pytest.fixture
def policy():
    """Sets the number format; float32 is back after the test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def overfit(name, finetune, frame, folder, *, alone=False, **settings):
    """Trains on all of `frame` as a run does.

    Args:
        alone: nothing but the backbone is trained.

    Returns:
        The loss of all pairs before and after, and the backbone's weights before and after by
        "<part>/<number>/<name>".
    """
    steps, learning_rate = RECIPES.get((name, finetune)) or RECIPES[name]
    config = Config(
        backbone=name,
        weights="none",
        image_size=64,
        finetune=finetune,
        epochs=4,
        steps_per_epoch=steps // 4,
        real_per_batch=8,
        generated_per_batch=4,
        # Decay alone would move the weights.
        weight_decay=0.0,
        store_dir=str(folder),
        **{"learning_rate": learning_rate, **settings},
    )
    keras.utils.set_random_seed(0)
    backbone, report = encoded_images.make_backbone(config, config.seed)
    material, _ = encoded_images.open_images(frame, backbone, report, config)
    real, generated = (material.rows(frame["path"], role) for role in ("real", "generated"))
    rows = training.Rows(real, generated, real, generated)
    networks = siamese.build_networks(config, backbone, config.trains_on_tokens)
    siamese.standardize(networks, material, (real, generated), seed=0)
    if alone:
        networks.head.trainable = networks.comparator.trainable = False
    trainer = build_trainer(networks.entry, networks.comparator)
    training.compile_trainer(trainer, config, config.supervision)
    centres = encoded_images.centres_of(material, real, generated)
    every_pair = everything(material, real, generated)
    losses, weights = [trainer.evaluate(*every_pair, verbose=0)[0]], [weights_of(backbone, name)]
    trainer.fit(
        training.training_pairs(material, rows, centres, 0),
        epochs=config.epochs,
        steps_per_epoch=config.steps_per_epoch,
        verbose=0,
        shuffle=False,
    )
    losses.append(trainer.evaluate(*every_pair, verbose=0)[0])
    weights.append(weights_of(backbone, name))
    return losses, weights


def everything(material, real, generated):
    """All pairs as one block: inputs and labels of the trainer."""
    shown = [
        material.inputs(rows).look_up(np.arange(len(rows))[None]) for rows in (real, generated)
    ]
    labels = material.frame["label"].to_numpy()[real].astype("float32")
    return (
        {"real": shown[0], "generated": shown[1]},
        np.broadcast_to(labels[None, :, None], (1, len(real), len(generated))),
    )


def weights_of(backbone, name):
    return {
        f"{part.name}/{number}/{weight.name}": weight.numpy()
        for part in BACKBONES[name].parts(backbone.get_layer("network"))
        for number, weight in enumerate(part.weights)
    }


def assert_moved(backbone_weights, name, finetune):
    """Every weight of the trained part moved, no other did, moving statistics included."""
    before, after = backbone_weights
    moved = {key for key in before if not np.array_equal(before[key], after[key])}
    normalized = {key.split("/")[0] for key in before if key.endswith("/moving_mean")}
    part = BACKBONES[name].last_stage if finetune == "last_stage" else ""
    expected = {
        key for key in before if key.startswith(part) and key.split("/")[0] not in normalized
    }
    assert moved == expected
    assert expected


@pytest.mark.parametrize(
    ("name", "finetune"),
    cases(("tiny", "last_stage"), ("tiny", "all"), ("efficientnetlite0", "last_stage")),
)
def test_overfits_a_few_images(name, finetune, frame, tmp_path):
    losses, weights = overfit(name, finetune, frame, tmp_path)
    assert losses[0] > 0.6
    assert losses[1] < NEAR_ZERO
    assert_moved(weights, name, finetune)


@pytest.mark.parametrize(("name", "finetune"), cases(("tiny", "last_stage"), ("tiny", "all")))
def test_the_backbone_alone_lowers_the_loss(name, finetune, frame, tmp_path):
    # What lies behind it could learn a few images by heart without it, so it is held.
    losses, weights = overfit(name, finetune, frame, tmp_path, alone=True)
    assert losses[1] < 0.2 * losses[0]
    assert_moved(weights, name, finetune)


@pytest.mark.parametrize("name", ["tiny", pytest.param("resnet50", marks=pytest.mark.slow)])
@pytest.mark.parametrize("finetune", ["last_stage", "all"])
def test_overfits_in_mixed_precision(name, finetune, frame, tmp_path, policy):
    policy("mixed_bfloat16")
    losses, weights = overfit(name, finetune, frame, tmp_path, mixed_precision=True)
    assert losses[1] < NEAR_ZERO
    assert {weight.dtype for weight in weights[1].values()} == {np.dtype("float32")}
    assert_moved(weights, name, finetune)
