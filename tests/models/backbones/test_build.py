"""What every registered backbone has to keep: contract, scaling, seeds, fine-tuning, saving."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.build import BACKBONES, build_backbone, set_trainable
from ganfp_tf.models.weights.sources import weights_digest

NAMES = tuple(BACKBONES)
SIDE = 64


def with_slow(*slow):
    """All names, some of them marked slow."""
    marks = {name: pytest.mark.slow for name in slow}
    return [pytest.param(name, marks=marks.get(name, ())) for name in NAMES]


# By default the two largest, and those beyond the paper, pass their contract and their scaling.
FURTHER = ("densenet121", "efficientnetv2b0")
MOSTLY_SLOW = with_slow("densenet161", "vit_b16", *FURTHER)

# Published counts of weights without the top, and the side of the feature map at 64 and 97 pixels
# (None where 97 is refused).
PUBLISHED = {
    # 3x3x(3x16 + 16x24 + 24x32) kernels and 4x(16 + 24 + 32) of BatchNormalization, by hand.
    "tiny": (11_088, 8, 13),
    # 5x5x3x32, 3x3x32x(32 + 64), 3x3x64x64 and 64x32 kernels, their biases, and 2x(32 + 64 + 64)
    # of GroupNormalization, by hand. Larger images are averaged down to 32 pixels first.
    "compact": (69_504, 8, 8),
    # timm lists 4,652,008 for efficientnet_lite0: less 1280x1000+1000 of the head, and with 2 x
    # 21,008 moving statistics.
    "efficientnetlite0": (4_652_008 - 1_281_000 + 42_016, 2, 4),
    # Keras's summary without top, less mean, variance and count of its Normalization.
    "efficientnetb2": (7_768_569 - 7, 2, 4),
    # Keras's summary without top.
    "resnet50": (23_587_712, 2, 4),
    # timm lists 28,681,000 for densenet161: less 2208x1000+1000 of the head, and with 2 x 109,968
    # moving statistics. Torch's average poolings round down.
    "densenet161": (28_681_000 - 2_209_000 + 219_936, 2, 3),
    # timm lists 86,567,656 for vit_base_patch16_224: less 768x1000+1000 of the head. It knows
    # 14 x 14 + 1 positions, at 64 pixels 4 x 4 + 1.
    "vit_b16": (86_567_656 - 769_000 - (197 - 17) * 768, 4, None),
    # Keras's summaries without top.
    "densenet121": (7_037_504, 2, 3),
    "efficientnetv2b0": (5_919_312, 2, 4),
}
# Where the count depends on the image size: at 224 pixels.
PUBLISHED_AT_224 = {"vit_b16": 86_567_656 - 769_000}

# Pixel (R, G, B) = (10, 100, 200) as each network's publisher wants it, by hand.
OWN_SCALING = {
    "tiny": (-0.9215686, -0.2156863, 0.5686275),  # x / 127.5 - 1
    "compact": (-0.9215686, -0.2156863, 0.5686275),  # x / 127.5 - 1
    "efficientnetlite0": (-0.9140625, -0.2109375, 0.5703125),  # (x - 127) / 128
    "efficientnetb2": (-1.946657, -0.285014, 1.681394),  # (x / 255 - mean) / deviation
    "resnet50": (96.061, -16.779, -113.680),  # BGR less (103.939, 116.779, 123.68)
    "densenet161": (-1.946657, -0.285014, 1.681394),  # (x / 255 - mean) / deviation
    "vit_b16": (-0.9215686, -0.2156863, 0.5686275),  # x / 127.5 - 1
    "densenet121": (-1.946657, -0.285014, 1.681394),  # (x / 255 - mean) / deviation
    "efficientnetv2b0": (-1.946657, -0.285014, 1.681394),  # (x / 255 - mean) / deviation
}
IMAGENET_SCALING = (-1.946657, -0.285014, 1.681394)


@pytest.fixture(scope="module")
def built():
    """Each backbone once, with the random weights of seed 0."""
    models = {}

    def get(name):
        if name not in models:
            models[name] = build_backbone(name, image_size=SIDE, weights="none")
        return models[name]

    return get


def pixels(side=SIDE, images=2):
    return np.random.default_rng(1).uniform(0, 255, (images, side, side, 3)).astype("float32")


def test_the_published_table_covers_the_registry():
    assert set(PUBLISHED) == set(OWN_SCALING) == set(BACKBONES)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name, built):
    model, report = built(name)
    parameters, side, _ = PUBLISHED[name]
    assert model.name == "backbone"
    assert model.input_shape == (None, SIDE, SIDE, 3)
    assert model.output_shape == (None, side * side, BACKBONES[name].width)
    assert BACKBONES[name].parameters == PUBLISHED_AT_224.get(name, parameters)
    assert sum(int(np.prod(w.shape)) for w in model.weights) == parameters
    tokens = model(pixels()).numpy()
    assert np.isfinite(tokens).all()
    assert np.abs(tokens[0] - tokens[1]).max() > 0
    assert (report.source, report.pretrained) == ("random (seed 0)", False)
    assert report.warning == ""
    assert report.digest == weights_digest(model)


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_the_feature_map_row_by_row(name, built):
    model, _ = built(name)
    scaled = model.get_layer("scaling")(pixels())
    features = model.get_layer("network")(scaled).numpy()
    side = PUBLISHED[name][1]
    tokens = model(pixels()).numpy()
    for row, column in ((0, 1), (1, 0), (side - 1, side - 1)):
        np.testing.assert_allclose(
            tokens[:, row * side + column], features[:, row, column], rtol=1e-4, atol=1e-9
        )


@pytest.mark.parametrize("normalization", ["backbone", "imagenet"])
@pytest.mark.parametrize("name", NAMES)
def test_what_reaches_the_stem(name, normalization, built):
    if normalization == "backbone":
        model, expected = built(name)[0], OWN_SCALING[name]
    else:
        model, _ = build_backbone(name, image_size=32, weights="none", normalization=normalization)
        expected = IMAGENET_SCALING
    side = model.input_shape[1]
    network = model.get_layer("network")
    stem = next(layer for layer in network.layers if layer.weights)
    # A model within the network begins where the network does.
    assert not isinstance(stem, keras.Model) or stem is network.layers[1]
    reached = network.input if isinstance(stem, keras.Model) else stem.input
    before_stem = keras.Model(network.input, reached)
    scaled = keras.Model(model.input, model.get_layer("scaling").output)
    image = np.broadcast_to(np.float32([10, 100, 200]), (1, side, side, 3))
    # The middle: the borders hold the padding.
    found = before_stem(scaled(image)).numpy()[0, 8:-8, 8:-8]
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=2e-5)


@pytest.mark.parametrize("name", with_slow("densenet161", *FURTHER))
def test_odd_sides_work(name):
    side = PUBLISHED[name][2]
    if side is None:
        with pytest.raises(UserError, match=r"multiple of 16, such as 224.*--image_size=97"):
            build_backbone(name, image_size=97, weights="none")
        return
    model, _ = build_backbone(name, image_size=97, weights="none")
    assert model(pixels(97, 1)).shape == (1, side * side, BACKBONES[name].width)


@pytest.mark.parametrize("name", NAMES)
def test_too_small_a_side_is_refused(name):
    with pytest.raises(UserError, match=r"at least 32 pixels.*--image_size=31"):
        build_backbone(name, image_size=31, weights="none")


@pytest.mark.parametrize("name", MOSTLY_SLOW)
def test_random_weights_depend_on_the_seed_alone(name, built):
    digest = built(name)[1].digest
    build_backbone("tiny", image_size=32, weights="none", seed=9)
    keras.utils.set_random_seed(123)
    again, report = build_backbone(name, image_size=SIDE, weights="none", seed=0)
    assert report.digest == digest == weights_digest(again)
    _, other = build_backbone(name, image_size=32, weights="none", seed=1)
    assert other.digest != digest
    assert other.source == "random (seed 1)"


def test_building_leaves_the_callers_random_numbers_alone():
    random.seed(5)
    expected = [random.random() for _ in range(3)]
    random.seed(5)
    found = [random.random()]
    build_backbone("tiny", image_size=32, weights="none")
    assert [*found, random.random(), random.random()] == expected


def parts_of(model, name):
    return BACKBONES[name].parts(model.get_layer("network"))


def weights_of(model, name):
    """Weight by the part's name, its place in the part and its own name."""
    return {
        f"{layer.name}/{number}/{weight.name}": weight.numpy()
        for layer in parts_of(model, name)
        for number, weight in enumerate(layer.weights)
    }


def changed_by_one_step(model, name):
    """Names of the weights, moving statistics included, that one step of training changes."""
    tokens = keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(seed=3))
    trained = keras.Model(model.input, keras.ops.mean(tokens(model.output), axis=1))
    # A tiny epsilon, because a random EfficientNetB2 has gradients near 1e-7.
    trained.compile(keras.optimizers.Adam(1e-2, epsilon=1e-30), "mse", run_eagerly=True)
    before = weights_of(model, name)
    trained.fit(pixels(), np.float32([[0], [5]]), batch_size=2, verbose=0)
    after = weights_of(model, name)
    return {key for key in before if not np.array_equal(before[key], after[key])}


def normalization_layers(model):
    return {
        layer.name
        for layer in model.get_layer("network").layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }


@pytest.mark.parametrize("name", MOSTLY_SLOW)
def test_finetune_says_what_a_step_changes(name):
    model, _ = build_backbone(name, image_size=SIDE, weights="none", finetune="all")
    names = set(weights_of(model, name))
    normalizations = normalization_layers(model)
    learning = {weight for weight in names if weight.split("/")[0] not in normalizations}
    assert changed_by_one_step(model, name) == learning

    set_trainable(model, name, "none")
    assert model.trainable_weights == []
    assert changed_by_one_step(model, name) == set()
    # Neither Dropout nor batch statistics: training sees the tokens that the store holds.
    np.testing.assert_array_equal(model(pixels(), training=True), model(pixels(), training=False))

    # Anew: the first step was a large one, after which units of a random network may be dead.
    model, _ = build_backbone(name, image_size=SIDE, weights="none", finetune="last_stage")
    expected = {w for w in learning if w.startswith(BACKBONES[name].last_stage)}
    assert expected
    assert changed_by_one_step(model, name) == expected


@pytest.mark.parametrize("name", MOSTLY_SLOW)
def test_saves_and_loads_the_same_model(name, built, tmp_path):
    model, report = built(name)
    model.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    np.testing.assert_allclose(loaded(pixels()), model(pixels()), atol=1e-6, rtol=1e-6)
    assert weights_digest(loaded) == report.digest
    assert loaded.trainable_weights == []
    set_trainable(loaded, name, "last_stage")
    # As many as before saving: the stage's kernels and biases, no BatchNormalization.
    stage = [w for w in weights_of(loaded, name) if w.startswith(BACKBONES[name].last_stage)]
    normalizations = normalization_layers(loaded)
    kept = [w for w in stage if w.split("/")[0] not in normalizations]
    assert len(loaded.trainable_weights) == len(kept) > 0


@pytest.mark.parametrize("name", with_slow("efficientnetb2", "densenet161", "vit_b16", *FURTHER))
def test_exports_the_same_model(name, built, tmp_path):
    model, _ = built(name)
    model.export(tmp_path / "saved_model", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved_model")
    expected = model(pixels()).numpy()
    np.testing.assert_allclose(
        served.serve(pixels()), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


@pytest.fixture
def bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", MOSTLY_SLOW)
def test_mixed_precision(name, bfloat16):
    model, report = build_backbone(name, image_size=SIDE, weights="none")
    tokens = model(pixels())
    assert tokens.dtype == "bfloat16"
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(tokens, "float32"))).all()
    # Pixels are scaled before anything is rounded.
    assert model.get_layer("scaling").compute_dtype == "float32"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert not report.pretrained


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(name="resnet51"),
            "one of tiny, compact, efficientnetlite0, efficientnetb2, resnet50, densenet161, "
            "vit_b16, densenet121, efficientnetv2b0.*'resnet51'",
        ),
        (dict(name="tiny", normalization="caffe"), "--normalization must be backbone or imagenet"),
        (dict(name="tiny", finetune="head"), "--finetune must be none, last_stage or all"),
    ],
)
def test_wrong_choices_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        build_backbone(**arguments, image_size=32, weights="none")
