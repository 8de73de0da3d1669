"""The GAN's step against numbers worked out by hand, on networks of a layer each."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.simulation.gan.gan import GAN, LOSSES, R1_EVERY, adversarial_losses

SIDE, LATENT, BATCH, RATE = 4, 3, 5, 0.25
REAL = np.random.default_rng(0).uniform(-1, 1, (BATCH, SIDE, SIDE, 1)).astype("float32")


@pytest.fixture
def policy():
    """Sets a precision for one test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def linear(seed=0, batch_norm=False):
    """A generator and a discriminator that are linear in their inputs."""
    keras.utils.set_random_seed(seed)
    latents = keras.Input((LATENT,))
    images = keras.layers.Dense(SIDE * SIDE)(latents)
    if batch_norm:
        images = keras.layers.BatchNormalization()(images)
    images = keras.layers.Reshape((SIDE, SIDE, 1))(images)
    images = keras.layers.Activation("linear", dtype="float32")(images)
    seen = keras.Input((SIDE, SIDE, 1))
    logit = keras.layers.Dense(1)(keras.layers.Flatten()(seen))
    logit = keras.layers.Activation("linear", dtype="float32")(logit)
    return keras.Model(latents, images), keras.Model(seen, logit)


def make(seed=0, *, optimizer=None, batch_norm=False, **settings):
    settings = {"loss": "nonsaturating", "r1": 0.0, "average": 0.9} | settings
    gan = GAN(*linear(seed, batch_norm), seed=seed, **settings)
    optimizers = [optimizer() if optimizer else keras.optimizers.SGD(RATE) for _ in range(2)]
    gan.compile(*optimizers, auto_scale_loss=False)
    return gan


def run(gan, steps):
    """Makes steps on the same real images; returns the last logs."""
    step = tf.function(gan.train_step)
    for _ in range(steps):
        logs = step(tf.constant(REAL))
    return {name: float(value) for name, value in logs.items()}


def weights(model):
    return [value.copy() for value in model.get_weights()]


def softplus(x):
    return np.log1p(np.exp(x))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def test_nonsaturating_losses_by_hand():
    real, generated = tf.constant([[2.0], [-1.0]]), tf.constant([[0.5], [3.0]])
    losses = adversarial_losses(real, generated, "nonsaturating")
    generators = (softplus(-0.5) + softplus(-3.0)) / 2
    discriminators = (softplus(-2.0) + softplus(1.0) + softplus(0.5) + softplus(3.0)) / 2
    np.testing.assert_allclose(losses, [generators, discriminators], rtol=1e-6)


def test_hinge_losses_by_hand():
    real, generated = tf.constant([[2.0], [-1.0]]), tf.constant([[0.5], [-3.0]])
    # max(0, 1 - real) is 0 and 2, max(0, 1 + generated) is 1.5 and 0.
    losses = adversarial_losses(real, generated, "hinge")
    np.testing.assert_allclose(losses, [1.25, 1.0 + 0.75], rtol=1e-6)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match=r"nonsaturating, hinge\. Received: 'wasserstein'"):
        adversarial_losses(tf.zeros((1, 1)), tf.zeros((1, 1)), "wasserstein")


@pytest.mark.parametrize("loss", LOSSES)
def test_both_networks_move_at_once_along_their_own_gradients(loss):
    gan = make(loss=loss)
    (kernel, bias), (slope, offset) = weights(gan.generator), weights(gan.discriminator)
    latents = tf.random.stateless_normal((BATCH, LATENT), [0, 0]).numpy()
    generated = latents @ kernel + bias
    real_logits = REAL.reshape(BATCH, -1) @ slope + offset
    logits = generated @ slope + offset
    if loss == "hinge":
        towards_real = np.full((BATCH, 1), -1.0)  # of the generator's loss by its logits
        by_real, by_generated = -1.0 * (real_logits < 1.0), 1.0 * (logits > -1.0)
    else:
        towards_real = -sigmoid(-logits)
        by_real, by_generated = -sigmoid(-real_logits), sigmoid(logits)
    logs = run(gan, 1)
    # The generator follows the discriminator as it was before the step.
    per_image = towards_real @ slope.T / BATCH
    moved = weights(gan.generator)
    np.testing.assert_allclose(moved[0], kernel - RATE * latents.T @ per_image, atol=1e-6)
    np.testing.assert_allclose(moved[1], bias - RATE * per_image.sum(axis=0), atol=1e-6)
    by_slope = (REAL.reshape(BATCH, -1).T @ by_real + generated.T @ by_generated) / BATCH
    moved = weights(gan.discriminator)
    np.testing.assert_allclose(moved[0], slope - RATE * by_slope, atol=1e-6)
    by_offset = (by_real + by_generated).mean()
    np.testing.assert_allclose(moved[1], offset - RATE * by_offset, atol=1e-6)
    losses = adversarial_losses(tf.constant(real_logits), tf.constant(logits), loss)
    expected = {
        "generator_loss": losses[0],
        "discriminator_loss": losses[1],
        "r1": 0.0,
        "real_logit": real_logits.mean(),
        "generated_logit": logits.mean(),
    }
    assert logs == pytest.approx({name: float(v) for name, v in expected.items()}, abs=1e-6)


def test_r1_of_a_linear_discriminator_is_its_squared_weight():
    gan, without = make(r1=0.02), make()
    slope = weights(gan.discriminator)[0]
    logs = run(gan, 1)
    run(without, 1)
    assert logs["r1"] == pytest.approx((slope**2).sum(), rel=1e-5)
    # The gradient of gamma / 2 |w|^2, with sixteen times the weight; none for the offset.
    extra = weights(gan.discriminator)[0] - weights(without.discriminator)[0]
    assert R1_EVERY == 16
    np.testing.assert_allclose(extra, -RATE * 16 * 0.02 * slope, atol=1e-6)
    np.testing.assert_array_equal(weights(gan.discriminator)[1], weights(without.discriminator)[1])
    for one, other in zip(weights(gan.generator), weights(without.generator), strict=True):
        np.testing.assert_array_equal(one, other)


def test_r1_goes_through_the_augmentation():
    # Cutout hides pixels from the discriminator, so that the penalty holds fewer of its weights.
    gan = make(r1=0.02, augmentation=("cutout",))
    total = (weights(gan.discriminator)[0] ** 2).sum()
    assert 0.0 < run(gan, 1)["r1"] < 0.99 * total


def test_r1_is_taken_every_sixteenth_step_only():
    gan = make(r1=0.02)
    step = tf.function(gan.train_step)
    penalised = []
    for number in range(2 * R1_EVERY + 1):
        without = make()  # the same step without a penalty, from the same weights
        for one, other in zip(without.state(), gan.state(), strict=True):
            one.assign(other)
        if number in (0, 1, R1_EVERY - 1, R1_EVERY, R1_EVERY + 1, 2 * R1_EVERY):
            slope = weights(gan.discriminator)[0]
            without.train_step(tf.constant(REAL))
            step(tf.constant(REAL))
            extra = weights(gan.discriminator)[0] - weights(without.discriminator)[0]
            taken = np.abs(extra).max() > 1e-4 * np.abs(slope).max()
            penalised.append((number, bool(taken)))
        else:
            step(tf.constant(REAL))
    assert [number for number, taken in penalised if taken] == [0, R1_EVERY, 2 * R1_EVERY]
    assert float(gan.trackers["r1"].count) == 3  # the mean is over the steps that took it


def test_the_average_follows_with_a_ramp_and_by_no_gradient():
    gan = make(average=0.15, batch_norm=True)
    start, first = weights(gan.generator), None
    np.testing.assert_array_equal(weights(gan.average)[0], start[0])
    run(gan, 1)
    first = weights(gan.generator)
    after_one = [0.1 * mean + 0.9 * new for mean, new in zip(start, first, strict=True)]
    for found, expected in zip(weights(gan.average), after_one, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    run(gan, 1)
    # The ramp would give 2 / 11, which is above the decay that was asked for.
    second = weights(gan.generator)
    assert len(second) == 6  # the statistics of the batch normalisation follow too
    for found, mean, new in zip(weights(gan.average), after_one, second, strict=True):
        np.testing.assert_allclose(found, 0.15 * mean + 0.85 * new, atol=1e-6)
    assert gan.average.trainable_variables == []
    assert int(gan.step) == 2


def test_images_are_made_by_the_average():
    gan = make()
    run(gan, 2)
    latents = tf.random.stateless_normal((2, LATENT), [1, 1])
    np.testing.assert_array_equal(gan(latents), gan.average(latents))
    assert np.abs(gan(latents) - gan.generator(latents)).max() > 1e-4


def test_a_seed_decides_every_step():
    networks = [make(seed, r1=0.02, augmentation=("color", "translation")) for seed in (4, 4, 5)]
    for gan in networks:
        run(gan, 3)
    states = [[v.numpy() for v in gan.state()] for gan in networks]
    for one, other in zip(states[0], states[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(states[0][1] - states[2][1]).max() > 1e-3


def test_the_largest_seed_has_a_next_one():
    assert np.isfinite(list(run(make(2**31), 1).values())).all()


def test_a_step_follows_from_its_number():
    one, other = make(), make()
    other.step.assign(1)
    assert run(one, 1)["generated_logit"] != run(other, 1)["generated_logit"]


def test_the_state_is_all_that_a_step_needs():
    def adam():
        return keras.optimizers.Adam(0.01, 0.5, 0.9)

    whole, parts = (make(optimizer=adam, r1=0.02, batch_norm=True) for _ in range(2))
    run(whole, 5)
    run(parts, 2)
    resumed = make(9, optimizer=adam, r1=0.02, batch_norm=True)
    resumed.seed = 0
    for one, other in zip(resumed.state(), parts.state(), strict=True):
        one.assign(other)
    run(resumed, 3)
    for one, other in zip(resumed.state(), whole.state(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_sixteen_bits_give_the_same_step_but_for_rounding(policy):
    exact = make(r1=0.02)
    expected = [weights(exact.discriminator), run(exact, 1), weights(exact.discriminator)]
    policy("mixed_bfloat16")
    gan = make(r1=0.02)
    logs = run(gan, 1)
    assert logs == pytest.approx(expected[1], abs=0.05)
    for found, wanted in zip(weights(gan.discriminator), expected[2], strict=True):
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, wanted, atol=0.02)


@pytest.mark.parametrize("scale", [1.0, 64.0])
def test_the_scale_of_float16_leaves_no_trace_in_the_step(policy, scale):
    exact = make(r1=0.05)
    run(exact, 1)

    def scaled():
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(RATE), initial_scale=scale)

    policy("mixed_float16")
    gan = make(r1=0.05, optimizer=scaled)
    logs = run(gan, 1)
    assert all(np.isfinite(list(logs.values())))
    assert float(gan.discriminator_optimizer.dynamic_scale) == scale
    for network in ("generator", "discriminator"):
        pairs = zip(weights(getattr(gan, network)), weights(getattr(exact, network)), strict=True)
        for found, wanted in pairs:
            np.testing.assert_allclose(found, wanted, atol=4e-3)


def test_a_step_that_overflows_float16_is_left_out(policy):
    def scaled():
        return keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(RATE), initial_scale=2.0**30
        )

    policy("mixed_float16")
    gan = make(r1=1.0, optimizer=scaled)
    before = weights(gan.discriminator)
    run(gan, 1)
    for found, wanted in zip(weights(gan.discriminator), before, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert float(gan.discriminator_optimizer.dynamic_scale) == 2.0**29
    assert int(gan.step) == 1


@pytest.mark.parametrize("jit", [False, True])
def test_fits_with_and_without_xla(jit):
    gan, by_hand = (make(r1=0.02, augmentation=("translation",)) for _ in range(2))
    slope = weights(gan.discriminator)[0]
    gan.compile(*(keras.optimizers.SGD(RATE) for _ in range(2)), jit_compile=jit)
    dataset = tf.data.Dataset.from_tensors(tf.constant(REAL)).repeat()
    history = gan.fit(dataset, steps_per_epoch=3, epochs=1, shuffle=False, verbose=0).history
    run(by_hand, 3)
    assert set(history) == set(gan.trackers)
    assert np.isfinite(list(history.values())).all()
    assert int(gan.step) == 3
    assert np.abs(weights(gan.discriminator)[0] - slope).max() > 1e-3
    if not jit:  # XLA draws other numbers from the same seed
        for one, other in zip(gan.state(), by_hand.state(), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)
