"""Copies made on the fly: projection and warp by hand, and steps drawn from their number alone."""

import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.data import copy_augmentation
from ganfp_tf.data.copy_augmentation import GRID, Look, Recipe, batches, degrade, move, neighbours
from tests.helpers.pictures import scenes

RECIPE = Recipe(block=4, blocks=3, seed=1)
SMOOTH = {"GAIN": 0.0, "OFFSET": 0.0, "NOISE": 0.0}
KEY = tf.constant([3, 4], tf.int64)


@pytest.fixture(scope="module")
def made():
    """16 real images, 20 generated ones, and patients of two images each."""
    rng = np.random.default_rng(0)
    return scenes(rng, 16), scenes(rng, 20), np.arange(16) // 2


@pytest.fixture(scope="module")
def patterns():
    """A mean and two orthonormal images, (3, GRID, GRID)."""
    mean = np.full((GRID, GRID), 0.5)
    stripes = np.tile(np.repeat([1.0, -1.0], 4), GRID // 8)
    across = np.broadcast_to(stripes / GRID, (GRID, GRID))
    return np.stack([mean, across, across.T]).astype("float32")


@pytest.fixture
def look(patterns):
    return Look(patterns[0].ravel(), patterns[1:].reshape(2, -1))


@pytest.fixture
def clean(monkeypatch):
    """Copies without gain, offset and noise."""
    for name, value in SMOOTH.items():
        monkeypatch.setattr(copy_augmentation, name, value)


def steps_of(made, count, recipe=RECIPE, first=0):
    return list(batches(*made, recipe, first).take(count).as_numpy_iterator())


def as_images(values, side=GRID):
    """Constant images, (N, side, side)."""
    return np.ones((1, side, side), "float32") * np.asarray(values, "float32")[:, None, None]


# What the generator can draw


def test_an_image_in_the_span_of_the_components_is_its_own_projection(look, patterns):
    images = patterns[0] + 3.0 * patterns[1] - 2.0 * patterns[2]
    found = look.project(tf.constant(images[None, :, :, None]), tf.constant([[2.0]]))
    np.testing.assert_allclose(found[0, :, :, 0], images, atol=1e-5)


def test_components_beyond_those_kept_and_outside_the_span_are_lost(look, patterns):
    checks = (-1.0) ** np.add.outer(np.arange(GRID), np.arange(GRID))
    image = patterns[0] + 3.0 * patterns[1] - 2.0 * patterns[2] + 0.1 * checks
    twice = tf.constant(np.stack([image, image])[..., None], tf.float32)
    found = look.project(twice, tf.constant([[1.0], [0.0]]))[..., 0]
    np.testing.assert_allclose(found[0], patterns[0] + 3.0 * patterns[1], atol=1e-5)
    np.testing.assert_allclose(found[1], patterns[0], atol=1e-5)


def test_larger_images_are_projected_on_the_grid(look, patterns):
    small = patterns[0] + 3.0 * patterns[1]
    large = small.repeat(2, axis=0).repeat(2, axis=1)[None, :, :, None]
    found = look.project(tf.constant(large), tf.constant([[2.0]]))
    expected = tf.image.resize(small[None, :, :, None], (2 * GRID, 2 * GRID), "bilinear")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_look_is_found_in_generated_images(patterns):
    weights = np.random.default_rng(0).normal(size=(9, 2)).astype("float32")
    images = patterns[0] + np.einsum("nk,kij->nij", weights, patterns[1:])
    look = Look.of(images)
    assert look.components.shape == (9, GRID**2)
    assert look.components.dtype == np.float32
    unseen = patterns[0] + 2.0 * patterns[1] + patterns[2]
    found = look.project(tf.constant(unseen[None, :, :, None]), tf.constant([[15.0]]))
    np.testing.assert_allclose(found[0, :, :, 0], unseen, atol=1e-4)


# A copy


def test_without_warp_and_texture_a_copy_is_the_projection(look, made, clean):
    real, generated, _ = (tf.constant(part)[..., None] for part in made)
    recipe = Recipe(warp=0.0, texture=0.0, mix=0.0)
    found = degrade(real, generated[:16], real[::-1], look, recipe, KEY)
    np.testing.assert_allclose(found, look.project(real, tf.fill((16, 1), 15.0)), atol=1e-5)


def test_texture_is_a_share_of_what_the_projection_leaves(look, made, clean):
    real, generated, _ = (tf.constant(part)[..., None] for part in made)
    recipe = Recipe(warp=0.0, mix=0.0)
    found = degrade(real, generated[:16], real, look, recipe, KEY)
    kept = tf.fill((16, 1), 15.0)
    added = (found - look.project(real, kept)).numpy()
    fine = (generated[:16] - look.project(generated[:16], kept)).numpy()
    share = (added * fine).sum(axis=(1, 2, 3)) / (fine**2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(added, share[:, None, None, None] * fine, atol=1e-4)
    assert share.min() >= 0.3
    assert share.max() <= 1.2
    assert share.std() > 0.1


def test_the_share_of_another_image_is_at_most_twice_mix(clean):
    count, size = 300, GRID**2
    look = Look(np.zeros(size, "float32"), np.full((1, size), 1.0 / GRID, "float32"))
    black, white = tf.zeros((count, GRID, GRID, 1)), tf.ones((count, GRID, GRID, 1))
    recipe = Recipe(warp=0.0, texture=0.0, mix=0.3)
    share = degrade(black, black, white, look, recipe, KEY).numpy().mean(axis=(1, 2, 3))
    assert share.min() >= 0.0
    assert 0.55 < share.max() <= 0.6
    # The mean of a square of an even draw is 1/3.
    assert share.mean() == pytest.approx(0.2, abs=0.03)


def test_gain_offset_and_noise_stay_in_their_ranges():
    size = GRID**2
    look = Look(np.zeros(size, "float32"), np.full((1, size), 1.0 / GRID, "float32"))
    gray = tf.fill((200, GRID, GRID, 1), 0.5)
    recipe = Recipe(warp=0.0, texture=0.0, mix=0.0)
    found = degrade(gray, gray, gray, look, recipe, KEY).numpy()[..., 0]
    # At 0.5 gain does nothing.
    offset = found.mean(axis=(1, 2)) - 0.5
    assert np.abs(offset).max() < 0.055
    assert offset.std() == pytest.approx(0.05 / 3**0.5, rel=0.15)
    assert found.std(axis=(1, 2)) == pytest.approx(0.02, rel=0.15)


def test_a_warp_of_size_0_is_none_a_pixel_to_the_right_and_a_quarter_turn():
    images = np.random.default_rng(0).random((2, GRID, GRID, 1), "float32")
    draws = tf.constant([[1.0, -1.0, 1.0, 1.0]] * 2)
    np.testing.assert_array_equal(move(images, draws, 0.0), images)
    right = tf.constant([[0.0, 0.0, 1.0, 0.0]] * 2)
    # 1.5 pixels of 32, times 2/3: output pixel x shows input pixel x + 1, the last one twice.
    moved = move(images, right, 2.0 / 3.0).numpy()
    np.testing.assert_allclose(moved[:, :, :-1], images[:, :, 1:], atol=1e-4)
    np.testing.assert_allclose(moved[:, :, -1], images[:, :, -1], atol=1e-6)
    turned = move(
        images, tf.constant([[0.0, 1.0, 0.0, 0.0]] * 2), np.pi / 2 / copy_augmentation.TURN
    )
    expected = np.rot90(images, axes=(1, 2))
    np.testing.assert_allclose(turned[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-3)


# Neighbours and blocks


def test_neighbours_are_the_nearest_of_other_groups():
    images = as_images([0.0, 0.1, 0.2, 0.5, 0.95])
    # The largest group has two: three others are left for every image.
    found = neighbours(images, np.array([0, 0, 1, 1, 2]))
    assert found.tolist() == [[2, 3, 4], [2, 3, 4], [1, 0, 4], [1, 4, 0], [3, 2, 1]]
    assert neighbours(images, np.array([0, 0, 1, 1, 2]), count=2).tolist()[3] == [1, 4]
    assert neighbours(images).tolist()[1] == [0, 2, 3, 4]


def test_no_hard_negative_is_of_the_same_group():
    groups = np.arange(12) // 3
    real, generated = as_images(np.arange(12) / 12), as_images(np.arange(12) / 12 + 1 / 24)
    recipe = Recipe(block=4, blocks=6, hard=1.0, seed=2)
    kinds = set()
    for inputs, _ in steps_of((real, generated, groups), 8, recipe):
        gray = inputs["real"][..., 0].mean(axis=(2, 3)) / 255.0
        numbers = np.round(gray * 24).astype(int)
        assert np.abs(gray - numbers / 24).max() < 0.01
        for block in numbers:
            (is_generated,) = set(block % 2)
            kinds.add(is_generated)
            assert len(set(block)) == 4
            if not is_generated:
                centre, *others = groups[block // 2]
                assert centre not in others
    assert kinds == {0, 1}


def test_blocks_are_as_large_as_the_images_allow(made):
    real, generated, _ = made
    ((inputs, wanted),) = steps_of((real[:5], generated, np.array([0, 0, 1, 1, 2])), 1)
    # Three images that are not of the largest group, and the image itself.
    assert inputs["real"].shape == (3, 4, 32, 32, 3)
    few = (real[:5], generated[:3], np.array([0, 0, 0, 1, 2]))
    ((inputs, wanted),) = steps_of(few, 1)
    assert inputs["real"].shape == inputs["generated"].shape == (3, 3, 32, 32, 3)
    assert wanted["embedding"].tolist() == [[0, 1, 2]] * 3
    assert not wanted["pairs"].any()


def test_a_generated_image_is_the_copy_of_the_real_one_of_its_number(made):
    hits = []
    for inputs, wanted in steps_of(made, 4):
        a, b = (inputs[name].mean(axis=-1).reshape(3, 4, -1) for name in ("real", "generated"))
        a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
        likeness = np.einsum("bip,bjp->bij", a, b) / np.linalg.norm(b, axis=-1)[:, None]
        hits.append(likeness.argmax(axis=-1) == wanted["embedding"])
        assert inputs["real"].dtype == np.float32
        assert inputs["real"].min() > -60
        assert 100 < inputs["generated"].max() < 400
    assert np.mean(hits) > 0.8


# Steps


def equal(left, right):
    return all(
        np.array_equal(a[part][name], b[part][name])
        for a, b in zip(left, right, strict=True)
        for part in (0, 1)
        for name in a[part]
    )


def test_a_step_is_a_function_of_seed_and_number_alone(made):
    first = steps_of(made, 4)
    assert equal(first, steps_of(made, 4))
    assert equal(first[2:], steps_of(made, 2, first=2))
    assert not equal(first[:1], first[1:2])
    other = steps_of(made, 1, Recipe(block=4, blocks=3, seed=2))
    assert not equal(first[:1], other)
