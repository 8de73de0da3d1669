"""The scanner gives back what was put in, with the noise that counting photons brings."""

import numpy as np
import pytest

from ganfp_tf.simulation.phantoms.scanner import Scanner, window

FIELD = 300.0  # mm


def water(side=128, radius=90.0):
    line = (np.arange(side) + 0.5) * FIELD / side - FIELD / 2
    distance = np.hypot(*np.meshgrid(line, line))
    return np.where(distance < radius, 0.0, -1000.0)


def middle(image):
    return image[24:40, 24:40]


def test_water_comes_back_as_water_and_air_as_air():
    image = Scanner(photons=np.inf).scan(water(), FIELD, np.random.default_rng(0))
    assert image.shape == (64, 64)
    assert abs(middle(image).mean()) < 8
    assert middle(image).std() < 6
    assert image[32, 5] == pytest.approx(-1000, abs=25)
    assert image[0, 0] == -1000


def test_the_scale_does_not_depend_on_the_image_size():
    for side in (64, 256):
        image = Scanner(photons=np.inf).scan(water(side), FIELD, np.random.default_rng(0))
        half = side // 4
        assert abs(image[half - 3 : half + 3, half - 3 : half + 3].mean()) < 8


def test_what_is_right_stays_right():
    slab = water()
    slab[60:68, 90:98] = 800.0
    image = Scanner(photons=np.inf).scan(slab, FIELD, np.random.default_rng(0))
    assert np.unravel_index(image.argmax(), image.shape) in [
        (row, column) for row in (30, 31, 32, 33) for column in (45, 46, 47, 48)
    ]


def test_noise_falls_with_the_root_of_the_photons():
    clean = Scanner(photons=np.inf).scan(water(), FIELD, np.random.default_rng(0))

    def deviation(photons):
        image = Scanner(photons=photons).scan(water(), FIELD, np.random.default_rng(1))
        return middle(image - clean).std()

    assert deviation(1e4) / deviation(9e4) == pytest.approx(3.0, rel=0.15)


def test_the_default_dose_leaves_mild_noise_at_every_size():
    for side in (128, 256):
        scans = [Scanner().scan(water(side, 110), FIELD, np.random.default_rng(k)) for k in (0, 1)]
        half = side // 4
        part = slice(half - 8, half + 8)
        noise = (scans[0] - scans[1])[part, part].std() / np.sqrt(2)
        assert 3 < noise < 30


def test_no_photon_left_is_no_error():
    image = Scanner(photons=3).scan(water() + 3000, FIELD, np.random.default_rng(0))
    assert np.isfinite(image).all()


def test_window_by_hand():
    hu = [-2000, -1050, -300, 449.9, 450, 3000]
    np.testing.assert_array_equal(window(hu), [0, 0, 128, 255, 255, 255])
    np.testing.assert_array_equal(window([-1350, -600, 150], -600, 1500), [0, 128, 255])
    assert window(hu).dtype == np.uint8


def test_bad_arguments():
    with pytest.raises(ValueError, match="width must be positive"):
        window([0.0], 0, 0)
    with pytest.raises(ValueError, match="square with an even side"):
        Scanner().scan(np.zeros((5, 5)), FIELD, np.random.default_rng(0))
