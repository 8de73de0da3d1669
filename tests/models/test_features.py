"""Several depths of every registered backbone together (--features=multi), and one of them."""

import keras
import numpy as np
import pytest

from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.build import BACKBONES, build_backbone, build_stage, set_trainable
from ganfp_tf.models.weights.sources import weights_digest

NAMES = tuple(BACKBONES)
SIDE = 64
# Side of the middle stage's map at 64 pixels, and the stages' channels as published.
STAGES = {
    "tiny": (16, (16, 24, 32)),
    "compact": (8, (32, 64, 32)),
    "efficientnetlite0": (4, (40, 112, 320)),
    "efficientnetb2": (4, (48, 120, 352)),
    "resnet50": (4, (512, 1024, 2048)),
    "densenet161": (4, (384, 1056, 2208)),
    "vit_b16": (4, (768, 768, 768)),
    "densenet121": (4, (256, 512, 1024)),
    "efficientnetv2b0": (4, (48, 112, 192)),
}
# Read from a file, the largest and those beyond the paper only in the slow run.
SLOW = ("densenet161", "densenet121", "efficientnetv2b0")
MOSTLY_SLOW = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NAMES]


@pytest.fixture(scope="module")
def built():
    """Each backbone once, with the random weights of seed 0."""
    models = {}

    def get(name):
        if name not in models:
            models[name] = build_backbone(name, image_size=SIDE, weights="none", features="multi")
        return models[name]

    return get


def pixels(side=SIDE, images=2):
    return np.random.default_rng(1).uniform(0, 255, (images, side, side, 3)).astype("float32")


def parts_of(tokens, widths):
    return np.split(tokens, np.cumsum(widths)[:-1], axis=-1)


def stage_outputs(model, images):
    """What the stages of a backbone give for images, as arrays."""
    return [x.numpy() for x in model.get_layer("network")(model.get_layer("scaling")(images))]


def test_the_table_covers_the_registry():
    assert set(STAGES) == set(BACKBONES)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name, built):
    model, report = built(name)
    side, widths = STAGES[name]
    assert model.name == "backbone"
    assert model.layers[-1].name == "tokens"
    assert model.input_shape == (None, SIDE, SIDE, 3)
    assert model.output_shape == (None, side * side, sum(widths))
    assert model.trainable_weights == []
    assert report.digest == weights_digest(model)
    tokens = model(pixels()).numpy()
    assert np.isfinite(tokens).all()
    for part in parts_of(tokens, widths):
        # No depth drowns the others, and each tells the images apart.
        assert np.square(part).sum(axis=-1).mean(axis=1) == pytest.approx(1.0, abs=1e-3)
        assert np.abs(part[0] - part[1]).max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_the_stages_place_by_place(name, built):
    model, _ = built(name)
    side, widths = STAGES[name]
    maps = stage_outputs(model, pixels())
    assert [array.shape[-1] for array in maps] == list(widths)
    fine, middle, coarse = parts_of(model(pixels()).numpy(), widths)
    times = maps[0].shape[1] // side
    areas = maps[0].reshape(2, side, times, side, times, -1).mean(axis=(2, 4))
    for part, before in ((fine, areas), (middle, maps[1])):
        before = before.reshape(2, side * side, -1)
        length = np.sqrt(np.square(before).sum(axis=-1).mean(axis=1))[:, None, None]
        np.testing.assert_allclose(part, before / length, rtol=2e-3, atol=1e-4)
    # Interpolated, a corner is the corner.
    corner = coarse[:, -1] / np.linalg.norm(coarse[:, -1], axis=-1, keepdims=True)
    before = maps[2][:, -1, -1] / np.linalg.norm(maps[2][:, -1, -1], axis=-1, keepdims=True)
    np.testing.assert_allclose(corner, before, atol=1e-3)


def test_the_transformers_last_stage_is_its_output(built):
    model, _ = built("vit_b16")
    last, _ = build_backbone("vit_b16", image_size=SIDE, weights="none")
    found = stage_outputs(model, pixels())[2].reshape(2, 16, 768)
    np.testing.assert_allclose(found, last(pixels()).numpy(), atol=1e-4)


@pytest.mark.parametrize("name", MOSTLY_SLOW)
def test_saves_and_loads_the_same_model(name, built, tmp_path):
    model, report = built(name)
    model.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    np.testing.assert_allclose(loaded(pixels()), model(pixels()), atol=1e-5)
    assert weights_digest(loaded) == report.digest
    assert loaded.trainable_weights == []
    set_trainable(loaded, name, "last_stage")
    parts = BACKBONES[name].parts(loaded.get_layer("network"))
    expected = {
        id(weight)
        for part in parts
        if part.name.startswith(BACKBONES[name].last_stage)
        and not isinstance(part, keras.layers.BatchNormalization)
        for weight in part.weights
    }
    assert expected
    assert {id(weight) for weight in loaded.trainable_weights} == expected


@pytest.mark.parametrize("name", ["tiny", "efficientnetlite0"])
@pytest.mark.parametrize("finetune", ["none", "last_stage", "all"])
def test_finetune_says_what_a_step_changes(name, finetune):
    model, _ = build_backbone(
        name, image_size=SIDE, weights="none", features="multi", finetune=finetune
    )
    head = keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(seed=3))
    trained = keras.Model(model.input, keras.ops.mean(head(model.output), axis=1))
    trained.compile(keras.optimizers.Adam(1e-2, epsilon=1e-30), "mse", run_eagerly=True)
    layers = model.get_layer("network").layers
    before = {layer.name: layer.get_weights() for layer in layers}
    trained.fit(pixels(), np.float32([[0], [5]]), batch_size=2, verbose=0)
    changed = {
        layer.name
        for layer in layers
        for old, new in zip(before[layer.name], layer.get_weights(), strict=True)
        if not np.array_equal(old, new)
    }
    learning = {
        layer.name
        for layer in layers
        if layer.weights and not isinstance(layer, keras.layers.BatchNormalization)
    }
    start = {"none": (), "last_stage": BACKBONES[name].last_stage, "all": ""}[finetune]
    assert changed == {layer for layer in learning if layer.startswith(start)}


@pytest.mark.parametrize(("name", "tokens"), [("tiny", 25 * 25), ("efficientnetlite0", 7 * 7)])
def test_odd_sides_work(name, tokens):
    model, _ = build_backbone(name, image_size=97, weights="none", features="multi")
    found = model(pixels(97, 1))
    assert found.shape == (1, tokens, sum(STAGES[name][1]))
    assert np.isfinite(found).all()


def test_the_smallest_side_works():
    model, _ = build_backbone("efficientnetlite0", image_size=32, weights="none", features="multi")
    assert model(pixels(32, 1)).shape == (1, 4, 472)


@pytest.fixture
def bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", ["tiny", "efficientnetlite0"])
def test_mixed_precision(name, bfloat16):
    model, _ = build_backbone(name, image_size=SIDE, weights="none", features="multi")
    tokens = model(pixels())
    assert tokens.dtype == "bfloat16"
    lengths = np.square(np.asarray(keras.ops.cast(tokens, "float32"))).sum(axis=-1)
    assert lengths.mean() == pytest.approx(3.0, rel=0.02)


def test_another_choice_is_refused():
    with pytest.raises(UserError, match=r"--features must be last or multi\. Received: 'all'"):
        build_backbone("tiny", image_size=32, weights="none", features="all")


def test_the_middle_stage_alone():
    stage = build_stage("efficientnetlite0", image_size=80, weights="none")
    assert stage.output_shape == (None, 5, 5, 112)
    assert stage.trainable_weights == []
    model, _ = build_backbone("efficientnetlite0", image_size=80, weights="none", features="multi")
    expected = stage_outputs(model, pixels(80))[1]
    np.testing.assert_allclose(stage(pixels(80)), expected, rtol=1e-4, atol=1e-6)
    first = build_stage("tiny", "block1_relu", image_size=32, weights="none")
    assert first.output_shape == (None, 16, 16, 16)


def test_an_unknown_stage_is_named():
    with pytest.raises(UserError, match=r"of tiny are block1_relu, block2.*'block9'"):
        build_stage("tiny", "block9", image_size=32, weights="none")
