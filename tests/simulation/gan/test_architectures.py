"""One conformance test for every victim's networks, at every size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.config.simulation import SIDES
from ganfp_tf.simulation.gan.architectures import ARCHITECTURES

NAMES = sorted(ARCHITECTURES)


@pytest.fixture
def policy():
    """Sets a precision for one test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def build(name, size, latent=6, channels=4):
    keras.utils.set_random_seed(0)
    networks = ARCHITECTURES[name]
    return networks.generator(size, latent, channels), networks.discriminator(size, channels)


def latents(count=2, width=6, scale=1.0):
    return (scale * np.random.default_rng(0).normal(size=(count, width))).astype("float32")


@pytest.mark.parametrize("size", SIDES)
@pytest.mark.parametrize("name", NAMES)
def test_latents_to_images_to_logits(name, size):
    generator, discriminator = build(name, size)
    assert generator.input_shape == (None, 6)
    assert generator.output_shape == (None, size, size, 1)
    assert discriminator.input_shape == (None, size, size, 1)
    assert discriminator.output_shape == (None, 1)
    if size == max(SIDES):
        return  # too slow here; the shapes are known from building
    images = generator(latents(scale=20.0))
    assert images.shape == (2, size, size, 1)
    assert -1.0 <= np.min(images) < np.max(images) <= 1.0
    assert np.abs(images[0] - images[1]).max() > 1e-3, "the latent decides nothing"
    logits = discriminator(images)
    assert logits.shape == (2, 1)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("half", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", NAMES)
def test_images_and_logits_are_float32_in_mixed_precision(name, half, policy):
    full = build(name, 32)[0]
    policy(half)
    generator, discriminator = build(name, 32)
    generator.set_weights(full.get_weights())
    images = generator(latents())
    assert images.dtype == discriminator(images).dtype == tf.float32
    assert {variable.dtype for variable in generator.variables} == {"float32"}
    inner = [layer for layer in generator.layers if hasattr(layer, "kernel")]
    assert {layer.compute_dtype for layer in inner} == {half.removeprefix("mixed_")}
    assert np.abs(images - full(latents())).mean() < 0.03


@pytest.mark.parametrize("name", NAMES)
def test_saves_loads_and_exports(name, tmp_path):
    for model, inputs in zip(
        build(name, 32), (latents(), np.ones((2, 32, 32, 1), "f")), strict=True
    ):
        expected = model(inputs, training=False)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(inputs, training=False), expected)
        model.export(tmp_path / model.name, verbose=False)
        exported = tf.saved_model.load(str(tmp_path / model.name))
        np.testing.assert_allclose(exported.serve(inputs), expected, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_has_a_gradient(name):
    generator, discriminator = build(name, 32)
    variables = generator.trainable_variables + discriminator.trainable_variables
    with tf.GradientTape() as tape:
        logits = discriminator(generator(latents(4), training=True), training=True)
        loss = tf.reduce_sum(logits**2)
    for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
        assert slope is not None, f"{variable.path} decides nothing"
        assert np.abs(slope).max() > 0, f"{variable.path} decides nothing"


@pytest.mark.parametrize("name", NAMES)
def test_a_discriminator_treats_each_image_alone(name):
    # R1 takes the slope of a sum over the batch: with batch statistics it would mix the images.
    discriminator = build(name, 32)[1]
    images = np.random.default_rng(1).uniform(-1, 1, (3, 32, 32, 1)).astype("float32")
    together = discriminator(images, training=True)
    alone = [discriminator(images[i : i + 1], training=True)[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    kinds = {type(layer).__name__ for layer in discriminator.layers}
    assert "BatchNormalization" not in kinds


@pytest.mark.parametrize(
    ("name", "generator", "discriminator"),
    [("dcgan", 304_321, 174_577), ("residual", 352_529, 308_609)],
)
def test_parameters_at_the_default_settings(name, generator, discriminator):
    networks = ARCHITECTURES[name]
    assert networks.generator(64, 64, 16).count_params() == generator
    assert networks.discriminator(64, 16).count_params() == discriminator


def test_channels_stop_at_512():
    generator = ARCHITECTURES["dcgan"].generator(64, 8, 512)
    widths = {layer.filters for layer in generator.layers if hasattr(layer, "filters")}
    assert widths == {512, 1}
