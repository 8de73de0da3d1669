"""The small encoder: shapes, and what it does with size and with other images."""

import numpy as np
import pytest

from ganfp_tf.models.backbones.compact import build_network


def pixels(count, side, seed=0):
    return np.random.default_rng(seed).normal(size=(count, side, side, 3)).astype("float32")


@pytest.mark.parametrize(("size", "grid"), [(32, 8), (40, 10), (64, 8), (96, 8), (100, 9)])
def test_larger_images_are_averaged_down_to_the_same_grid(size, grid):
    network = build_network(size)
    assert network.output.shape == (None, grid, grid, 32)
    assert network(pixels(2, size)).shape == (2, grid, grid, 32)


def test_an_enlarged_image_says_what_the_small_one_says():
    small, large = build_network(32), build_network(64)
    large.set_weights(small.get_weights())
    images = pixels(2, 32)
    enlarged = images.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(large(enlarged), small(images), atol=1e-4)


def test_an_image_says_the_same_whoever_else_is_in_the_batch():
    network = build_network(32)
    images = pixels(3, 32)
    np.testing.assert_allclose(network(images)[:1], network(images[:1]), atol=1e-5)
    np.testing.assert_allclose(network(images, training=True), network(images), atol=1e-5)


def test_it_is_small_and_all_of_it_is_trained():
    network = build_network(32)
    # 5x5x3, 3x3x32, 3x3x32, 3x3x64 and 1x1x64 to 32, 32, 64, 64 and 32 channels; three norms.
    kernels = 2400 + 9216 + 18432 + 36864 + 2048
    assert network.count_params() == kernels + (32 + 32 + 64 + 64 + 32) + 2 * (32 + 64 + 64)
    assert not network.non_trainable_variables


def test_positions_are_kept():
    network = build_network(32)
    images = np.zeros((1, 32, 32, 3), "float32")
    images[:, 12:20, 4:8] = 1.0
    places = np.abs(network(images) - network(np.zeros_like(images)))[0].sum(axis=-1)
    assert np.unravel_index(places.argmax(), places.shape)[1] <= 3
