"""Spectra and noise residuals by hand, and against scipy."""

import numpy as np
import pytest
from scipy import ndimage

from ganfp_tf.detectors.attacks.distance import NearestDistance
from ganfp_tf.detectors.attacks.fingerprint import ResidualFingerprint
from ganfp_tf.detectors.spaces.spectra import FrequencySpace, NoiseResidualSpace, residuals
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.metrics import auc
from tests.helpers.pictures import Pictures, planted, scenes, shuffled


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def wave(vertical, horizontal, side=32):
    places = np.arange(side) / side
    phase = vertical * places[:, None] + horizontal * places
    return 0.5 + 0.5 * np.cos(2 * np.pi * phase)[None]


def test_a_wave_lies_in_its_ring_and_its_wedge():
    space = FrequencySpace(wedges=4)
    for vertical, horizontal, ring, wedge in [(0, 8, 8, 0), (8, 0, 8, 2), (5, 5, 7, 1)]:
        row = space.features(wave(vertical, horizontal))[0]
        assert len(row) == 16 + 4
        assert abs(row[:16].argmax() + 1 - ring) <= 1
        assert row[16:].argmax() == wedge


def test_rings_are_means_of_log_power(rng):
    image = scenes(rng, 1, side=8)
    row = FrequencySpace().features(image)[0]
    window = np.hanning(10)[1:-1]
    power = abs(np.fft.fft2((image[0] - image.mean()) * window * window[:, None])) ** 2 / 8**4
    logs = np.log(power + 1e-11)
    # One period an image, rounded: the four neighbours of 0 and the diagonal ones (1.41).
    ring = [logs[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    assert row[0] == pytest.approx(np.mean(ring), rel=1e-5)


def test_brightness_and_contrast_leave_the_spectrum_alone_but_for_a_shift(rng):
    image = scenes(rng, 1, grain=0.5)
    rows = FrequencySpace().features(np.concatenate([image, 0.2 + 0.5 * image]))
    assert rows[1] - rows[0] == pytest.approx(np.log(0.25), abs=1e-3)


def test_residuals_are_what_a_median_takes_away(rng):
    images = rng.random((3, 16, 16), "float32")
    found = residuals(images.reshape(3, -1), 3).reshape(images.shape)
    for image, rest in zip(images, found, strict=True):
        assert rest == pytest.approx(image - ndimage.median_filter(image, 3, mode="nearest"))


def test_squared_distance_of_residuals_is_1_minus_their_correlation(rng):
    store = Pictures()
    real, made = store.add(rng.random((5, 16, 16))), store.add(rng.random((6, 16, 16)), "generated")
    vectors = NoiseResidualSpace().fit(real, made, store)
    a, b = vectors.real(real), vectors.generated(made)
    rest = residuals(store.pixels(real), 3)
    rest -= rest.mean(axis=0)
    other = residuals(store.pixels(made), 3)
    other -= other.mean(axis=0)
    cosine = rest[0] @ other[0] / np.linalg.norm(rest[0]) / np.linalg.norm(other[0])
    assert np.mean((a[0] - b[0]) ** 2) == pytest.approx(1 - cosine, abs=1e-5)


def test_the_fingerprint_is_found_where_it_was_left(rng):
    """Every generated image, and every used one, carries the same faint pattern."""
    store = Pictures()
    pattern = rng.normal(0, 0.03, (32, 32))
    real = 0.5 + 0.3 * (scenes(rng, 20) - 0.5)
    real[:10] += pattern
    real = store.add(real)
    made = store.add(0.5 + 0.3 * (scenes(rng, 40) - 0.5) + pattern, "generated")
    found = ResidualFingerprint().fit(real, made, store).score(real, made, store)
    assert auc(np.repeat([1, 0], 10), found) == 1.0
    mean = residuals(store.pixels(made), 3).mean(axis=0)
    expected = np.corrcoef(residuals(store.pixels(real[:1]), 3)[0], mean)[0, 1]
    assert found[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("detector", "least"),
    [
        (NearestDistance(FrequencySpace(), k=1), 0.9),
        (NearestDistance(NoiseResidualSpace(), k=1), 0.95),
        (ResidualFingerprint(), 0.0),
    ],
)
def test_copies_are_found_whatever_the_order(detector, least, rng):
    store, real, made, labels = planted(rng, noise=0.001, grain=0.7)
    found = detector.fit(real, made, store).score(real, made, store)
    assert auc(labels, found) >= least
    mixed = shuffled(real, 1)
    again = detector.fit(mixed, shuffled(made, 2), store).score(mixed, shuffled(made, 3), store)
    assert (again == found[mixed.index]).all()


def test_images_without_noise_are_no_error():
    store = Pictures()
    flat = store.add(np.linspace(0, 1, 4)[:, None, None] * np.ones((4, 16, 16)))
    for detector in (ResidualFingerprint(), NearestDistance(NoiseResidualSpace())):
        assert np.isfinite(detector.fit(flat, flat, store).score(flat, flat, store)).all()
    assert np.isfinite(FrequencySpace().features(np.zeros((2, 16, 16)))).all()


def test_no_generated_image_is_a_mistake(rng):
    store = Pictures()
    real = store.add(scenes(rng, 2))
    with pytest.raises(UserError, match="at least 1 generated image, found none"):
        ResidualFingerprint().fit(real, real[:0], store).score(real, real[:0], store)
