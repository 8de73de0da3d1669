"""DiffAugment, policy by policy, eagerly and inside tf.data."""

import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.simulation.gan import augment as module
from ganfp_tf.simulation.gan.augment import POLICIES, augment

SEED = tf.constant([3, 5])


def pictures(count=6, side=16, seed=0):
    values = np.random.default_rng(seed).uniform(-1, 1, (count, side, side, 1))
    return tf.constant(values, tf.float32)


def draw(monkeypatch, values):
    """Makes the policies draw `values` instead."""
    fixed = tf.constant(values, tf.float32)
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *_, **__: fixed)


def test_no_policy_changes_nothing():
    images = pictures()
    np.testing.assert_array_equal(augment(images, (), SEED), images)


@pytest.mark.parametrize("name", POLICIES)
def test_shape_and_type_stay_and_the_seed_decides(name):
    images = pictures()
    first = augment(images, (name,), SEED)
    assert first.shape == images.shape
    assert first.dtype == images.dtype
    assert np.abs(first - images).max() > 0
    np.testing.assert_array_equal(first, augment(images, (name,), SEED))
    assert np.abs(first - augment(images, (name,), SEED + 1)).max() > 0
    half = augment(tf.cast(images, tf.float16), (name,), SEED)
    assert half.dtype == tf.float16
    np.testing.assert_allclose(half, first, atol=5e-3)


@pytest.mark.parametrize("name", POLICIES)
def test_each_image_has_a_draw_of_its_own(name):
    changed = augment(tf.repeat(pictures(1), 8, axis=0), (name,), SEED).numpy()
    assert len(np.unique(changed.reshape(8, -1), axis=0)) > 4


@pytest.mark.parametrize("name", POLICIES)
def test_the_same_inside_tf_data(name):
    images = pictures()
    dataset = tf.data.Dataset.from_tensors(images).map(lambda x: augment(x, (name,), SEED))
    np.testing.assert_allclose(next(iter(dataset)), augment(images, (name,), SEED), atol=1e-6)


def test_policies_follow_each_other_with_different_draws():
    images = pictures()
    fold = tf.random.experimental.stateless_fold_in
    by_hand = module.cutout(module.color(images, fold(SEED, 1)), fold(SEED, 2))
    np.testing.assert_array_equal(augment(images, ("color", "cutout"), SEED), by_hand)
    twice = augment(images, ("color", "color"), SEED)
    once = module.color(module.color(images, fold(SEED, 1)), fold(SEED, 1))
    assert np.abs(twice - once).max() > 1e-3


def test_color_shifts_the_mean_and_scales_what_differs_from_it(monkeypatch):
    draw(monkeypatch, np.reshape([[0.25, -0.5], [-0.5, 0.5]], (2, 2, 1, 1)))
    images = tf.reshape(tf.constant([-1.0, 0.0, 0.5, 0.5, 1.0, 1.0, 0.0, 0.0]), (2, 2, 2, 1))
    # The first has mean 0: shifted by 0.25, contrast halved. The second has mean 0.5: shifted to
    # 0, contrast times 1.5.
    expected = [[-0.25, 0.25, 0.5, 0.5], [0.75, 0.75, -0.75, -0.75]]
    np.testing.assert_allclose(np.reshape(module.color(images, SEED), (2, 4)), expected, atol=1e-6)


def test_color_draws_from_the_published_ranges():
    ramp = tf.tile(tf.reshape(tf.linspace(-1.0, 1.0, 16), (1, 4, 4, 1)), (4000, 1, 1, 1))
    changed = module.color(ramp, SEED).numpy().reshape(4000, 16)
    shifts, factors = changed.mean(axis=1), np.ptp(changed, axis=1) / 2.0
    for values, low, high in ((shifts, -0.5, 0.5), (factors, 0.5, 1.5)):
        assert low <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high + 1e-5
    assert abs(np.corrcoef(shifts, factors)[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("drawn", "down", "right"), [((0.5, 0.5), 0, 0), ((0.0, 0.5), 2, 0), ((0.999, 0.3), -2, 1)]
)
def test_translation_moves_by_whole_pixels_and_fills_with_zeros(monkeypatch, drawn, down, right):
    draw(monkeypatch, [drawn])
    image = pictures(1).numpy()[0, ..., 0]
    expected = np.pad(image, 2)[2 - down : 18 - down, 2 - right : 18 - right]
    moved = module.translation(tf.constant(image[None, ..., None]), SEED)
    np.testing.assert_array_equal(moved[0, ..., 0], expected)


@pytest.mark.parametrize(("side", "reach"), [(32, 4), (64, 8)])
def test_translation_reaches_an_eighth_both_ways_and_all_between(side, reach):
    dot = np.zeros((500, side, side, 1), "float32")
    dot[:, side // 2, side // 2] = 1.0
    moved = module.translation(tf.constant(dot), SEED).numpy()[..., 0]
    assert (moved.sum(axis=(1, 2)) == 1.0).all()
    _, rows, columns = np.nonzero(moved)
    for places in (rows, columns):
        assert sorted(set(places - side // 2)) == list(range(-reach, reach + 1))


@pytest.mark.parametrize(
    ("centre", "rows", "columns"),
    [
        ((0.51, 0.51), (4, 12), (4, 12)),
        ((0.01, 0.51), (0, 4), (4, 12)),
        ((0.99, 0.01), (12, 16), (0, 4)),
    ],
)
def test_cutout_removes_the_square_round_its_centre(monkeypatch, centre, rows, columns):
    draw(monkeypatch, [centre])
    expected = np.ones((16, 16))
    expected[slice(*rows), slice(*columns)] = 0.0
    found = module.cutout(tf.ones((1, 16, 16, 1)), SEED)
    np.testing.assert_array_equal(found[0, ..., 0], expected)


def test_cutout_has_half_the_side_wherever_it_fits():
    holes = 1.0 - module.cutout(tf.ones((400, 32, 32, 1)), SEED).numpy()[..., 0]
    heights, widths = holes.max(axis=2).sum(axis=1), holes.max(axis=1).sum(axis=1)
    np.testing.assert_array_equal(holes.sum(axis=(1, 2)), heights * widths)
    for lengths in (heights, widths):
        assert lengths.min() >= 8
        assert lengths.max() == 16
        assert 0.4 < (lengths == 16).mean() < 0.6  # half of the centres are far enough from an edge


def test_gradients_reach_the_images():
    images = pictures()
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(augment(images, ("cutout",), SEED))
    fold = tf.random.experimental.stateless_fold_in
    kept = module.cutout(tf.ones_like(images), fold(SEED, 1))
    np.testing.assert_array_equal(tape.gradient(total, images), kept)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(augment(images, tuple(POLICIES), SEED) ** 2)
    slopes = tape.gradient(total, images)
    assert np.isfinite(slopes).all()
    assert np.abs(slopes).max() > 0
