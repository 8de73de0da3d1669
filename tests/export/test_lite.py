"""LiteRT models answer as the Keras models they were made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.config import Config
from ganfp_tf.errors import UserError
from ganfp_tf.export import lite
from ganfp_tf.models.backbones.build import BACKBONES
from ganfp_tf.siamese.encoded_images import make_backbone
from ganfp_tf.siamese.networks import build_networks

interpreter = pytest.mark.skipif(
    lite.interpreter_class()[0] is None,
    reason="needs LiteRT's interpreter: pip install -r requirements-edge.txt",
)
KINDS = {
    "baseline": {"cross_attention": False},
    "cross_attention": {"cross_attention": True},
    "multi": {"cross_attention": True, "features": "multi", "domain_norm": True},
}


def networks_of(**settings):
    """Networks on a tiny backbone, with no weight of the comparator left at zero."""
    wanted = {"backbone": "tiny", "image_size": 32, **settings}
    config = Config(weights="none", width=16, heads=2, hidden=8, **wanted)
    networks = build_networks(
        config, make_backbone(config, config.seed)[0], config.trains_on_tokens
    )
    rng = np.random.default_rng(0)
    for weight in networks.comparator.trainable_variables:
        weight.assign(weight + 0.2 * rng.normal(size=weight.shape))
    return networks


def scenes(count, side=32, seed=0):
    """Smooth coloured images `(count, side, side, 3)`."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 4, 4, 3)).astype("float32")
    return np.clip(tf.image.resize(coarse, (side, side), "bicubic").numpy(), 0, 255)


@pytest.fixture(scope="module", params=KINDS)
def networks(request):
    return networks_of(**KINDS[request.param])


@interpreter
def test_float_models_agree(networks):
    images = scenes(6)
    encoder = lite.LiteModel(lite.convert(networks.encoder, "tokens"))
    comparator = lite.LiteModel(lite.convert(networks.comparator, "logit"))
    tokens = np.asarray(networks.encoder(images, training=False))
    np.testing.assert_allclose(encoder(pixels=images), tokens, atol=1e-4)
    pairs = {"real": tokens, "generated": tokens[::-1]}
    expected = np.asarray(networks.comparator(pairs, training=False))
    assert expected.std() > 1e-2
    np.testing.assert_allclose(comparator(**pairs), expected, atol=1e-4)
    assert encoder.operations() | comparator.operations() == comparator.operations()
    assert encoder.operations()["float32"] > 3
    assert not encoder.operations()["int8"]


@interpreter
def test_the_two_images_are_not_mixed_up():
    networks = networks_of(cross_attention=True, domain_norm=True)
    rng = np.random.default_rng(0)
    shape = (3, *networks.encoder.output.shape[1:])
    real, generated = rng.normal(size=(2, *shape)).astype("float32")
    call = lite.LiteModel(lite.convert(networks.comparator, "logit"))
    pair = {"real": real, "generated": generated}
    expected = np.asarray(networks.comparator(pair, training=False))
    np.testing.assert_allclose(call(**pair), expected, atol=1e-4)
    assert np.abs(call(real=generated, generated=real) - expected).max() > 1e-2


@interpreter
def test_eight_bits_are_four_times_smaller_and_alike():
    # One stage more than the tiny network has, so that weights and not names fill the file.
    encoder = networks_of(backbone="compact", cross_attention=True).encoder
    seen, images = scenes(32, seed=1), scenes(16)
    samples = lambda: ({"pixels": image[None]} for image in seen)  # noqa: E731
    expected = np.asarray(encoder(images, training=False))
    whole = lite.convert(encoder, "tokens")
    for arithmetic, least in (("int8", 0.98), ("int8 weights", 0.99)):
        content = lite.convert(encoder, "tokens", arithmetic, samples)
        model = lite.LiteModel(content)
        assert len(content) < 0.45 * len(whole), arithmetic
        assert model.operations()[arithmetic] > 3
        found = model(pixels=images)
        assert found.dtype == np.float32
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > least, arithmetic


@pytest.fixture
def bfloat16():
    previous = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy(previous)


@interpreter
@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_is_left_behind(kind, bfloat16, tmp_path):
    networks_of(**KINDS[kind]).siamese().save(tmp_path / "model.keras")
    mixed = keras.models.load_model(tmp_path / "model.keras")
    whole = lite.in_float32(mixed)
    assert whole.get_layer("encoder").output.dtype == "float32"
    for one, other in zip(mixed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    images = scenes(4)
    pair = {"real": images, "generated": images[::-1]}
    rounded = np.asarray(mixed(pair, training=False))
    exact = np.asarray(whole(pair, training=False))
    np.testing.assert_allclose(rounded, exact, rtol=0.05, atol=0.1)
    assert np.abs(rounded - exact).max() > 1e-6
    # Asked again there is nothing to change.
    assert lite.in_float32(whole) is whole
    tokens = lite.LiteModel(lite.convert(whole.get_layer("encoder"), "tokens"))(pixels=images)
    expected = whole.get_layer("encoder")(images, training=False)
    np.testing.assert_allclose(tokens, expected, atol=1e-4)


def test_an_operation_without_a_kernel_is_named():
    x = keras.Input((4,), name="x")
    gamma = keras.layers.Lambda(lambda value: tf.math.igamma(value, value))
    model = keras.Model(x, gamma(x), name="odd")
    with pytest.raises(UserError, match=r"the odd cannot be converted.*no kernel for tf\.Igamma"):
        lite.convert(model, "y")


def test_a_failing_calibration_is_told():
    encoder = networks_of(cross_attention=True).encoder
    with pytest.raises(UserError, match="cannot be converted to LiteRT"):
        lite.convert(encoder, "tokens", "int8", lambda: iter([{"pixels": np.zeros((1, 8, 8, 3))}]))
    with pytest.raises(ValueError, match="arithmetic must be one of"):
        lite.convert(encoder, "tokens", "int4")


def test_without_an_interpreter_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(lite, "interpreter_class", lambda: (None, ""))
    with pytest.raises(UserError, match=r"pip install -r requirements-edge\.txt"):
        lite.LiteModel(b"")


@interpreter
@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_encoder_converts(name):
    encoder = networks_of(backbone=name, image_size=64, cross_attention=True).encoder
    images = scenes(2, 64)
    found = lite.LiteModel(lite.convert(encoder, "tokens"), 2)(pixels=images)
    expected = np.asarray(encoder(images, training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
