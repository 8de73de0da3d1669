"""Hashes and keypoints: bits by hand, planted copies found."""

import numpy as np
import pytest
from scipy import fft
from scipy.spatial.distance import hamming
from skimage.feature import match_descriptors

from ganfp_tf.detectors.attacks.distance import NearestDistance
from ganfp_tf.detectors.attacks.hits import HitCount
from ganfp_tf.detectors.attacks.keypoints import KeypointMatches
from ganfp_tf.detectors.spaces.hashes import HashSpace
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.metrics import auc
from tests.helpers.pictures import Pictures, planted, scenes, shuffled


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_bits_say_which_low_frequencies_lie_above_their_median(rng):
    image = scenes(rng, 1, side=64)[0]
    small = image.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    low = fft.dct(fft.dct(small, axis=0), axis=1)[:8, :8]
    bits = HashSpace().hashes(image[None])[0]
    assert bits.dtype == np.float32
    assert bits.sum() == 32
    assert (bits == (low > np.median(low)).ravel()).all()


def test_squared_distance_is_the_share_of_bits_that_differ(rng):
    a, b = HashSpace().hashes(scenes(rng, 2, side=64))
    assert np.mean((a - b) ** 2) == pytest.approx(hamming(a, b))


def test_a_hash_survives_noise_and_contrast(rng):
    image = scenes(rng, 1, side=64, grain=4.0)
    noisy = 0.1 + 0.5 * image + rng.normal(0, 0.01, image.shape).astype("float32")
    other = scenes(rng, 1, side=64, grain=4.0)
    first, second, third = HashSpace().hashes(np.concatenate([image, noisy, other]))
    assert hamming(first, second) < 0.1 < 0.3 < hamming(first, third)


def test_an_image_without_a_picture_has_a_hash():
    assert HashSpace().hashes(np.zeros((1, 16, 16), "float32")).sum() == 0
    assert HashSpace().hashes(np.zeros((0, 16, 16), "float32")).shape == (0, 64)


def checks(side=64):
    """Squares of random gray values, with many corners."""
    rng = np.random.default_rng(5)
    return np.kron(rng.random((6, side // 8, side // 8)), np.ones((8, 8))).astype("float32")


def matched(detector, x, others):
    store = Pictures()
    real, made = store.add(x), store.add(others, "generated")
    return detector.fit(real, made, store).score(real, made, store)


def test_an_equal_image_matches_in_all_points_and_another_in_few():
    pictures = checks()
    assert matched(KeypointMatches(), pictures[:1], pictures) == pytest.approx(1.0)
    assert matched(KeypointMatches(), pictures[:1], pictures[1:])[0] < 0.4


def test_matches_are_those_of_scikit_image():
    pictures = checks()
    pictures[1] = np.clip(pictures[0] + np.random.default_rng(1).normal(0, 0.1, (64, 64)), 0, 1)
    detector = KeypointMatches()
    (x, points), (y, others) = (
        (row[:, 2:].astype(bool), row[:, :2]) for row in detector.describe(pictures[:2])
    )
    assert np.isfinite(points).all()
    assert np.isfinite(others).all()
    pairs = match_descriptors(x, y, cross_check=True)
    apart = np.linalg.norm(points[pairs[:, 0]] - others[pairs[:, 1]], axis=1)
    expected = (apart <= 3).sum() / len(x)
    found = matched(detector, pictures[:1], pictures[1:2])[0]
    # scikit-image takes the first of equally near descriptors, the detector all of them.
    assert 0.1 < expected <= found <= expected + 0.1


def test_points_that_moved_do_not_count():
    picture = checks()[:1]
    moved = np.roll(picture, 8, axis=2)
    assert matched(KeypointMatches(tolerance=9.0), picture, moved)[0] > 0.6
    assert matched(KeypointMatches(tolerance=3.0), picture, moved)[0] < 0.2


def test_only_the_nearest_in_pixels_are_matched():
    picture = checks()[:1]
    # The negative has every corner, yet lies farther off than an image without any.
    others = np.concatenate([np.full_like(picture, picture.mean()), 1 - picture, picture * 0.2])
    assert matched(KeypointMatches(neighbours=1), picture, others)[0] == 0.0
    assert matched(KeypointMatches(neighbours=3), picture, others)[0] > 0.5


def test_flat_images_score_0():
    flat = np.full((2, 64, 64), 0.5)
    assert (matched(KeypointMatches(), flat, checks()) == 0).all()
    assert (matched(KeypointMatches(), checks(), flat) == 0).all()


@pytest.mark.parametrize(
    "detector", [NearestDistance(HashSpace(), k=2), HitCount(HashSpace()), KeypointMatches()]
)
def test_planted_copies_are_found_whatever_the_order(detector, rng):
    store, real, made, labels = planted(rng, count=10, side=64)
    found = detector.fit(real, made, store).score(real, made, store)
    assert auc(labels, found) == 1.0
    mixed = shuffled(real, 1)
    again = detector.fit(mixed, shuffled(made, 2), store).score(mixed, shuffled(made, 3), store)
    assert (again == found[mixed.index]).all()


def test_no_generated_image_is_a_mistake(rng):
    store = Pictures()
    real = store.add(scenes(rng, 2))
    with pytest.raises(UserError, match="at least 1 generated image, found none"):
        KeypointMatches().fit(real, real[:0], store).score(real, real[:0], store)
