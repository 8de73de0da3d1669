import numpy as np
import pytest

from ganfp_tf.simulation import planted_copies
from ganfp_tf.simulation.phantoms import phantom


def members(count=4):
    return np.stack([phantom.phantom(patient, 1, size=32) for patient in range(count)])


def noise(count):
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32)).astype("uint8")


def test_a_copy_is_nearest_to_its_own_source():
    known = members()
    images, sources = planted_copies.plant(noise(40), known, 50.0, np.random.default_rng(0))
    assert (sources >= 0).sum() == 20
    copied = images[sources >= 0].astype(float)
    distance = ((copied[:, None] - known[None].astype(float)) ** 2).mean(axis=(2, 3))
    assert (distance.argmin(axis=1) == sources[sources >= 0]).all()
    # Changed, but slightly: no copy is its source, and all are near.
    assert (distance.min(axis=1) > 4.0).all()
    assert (distance.min(axis=1) < 40.0**2).all()


@pytest.mark.parametrize("percent", [0.0, 2.5, 10.0, 100.0])
def test_the_share_and_the_others_untouched(percent):
    generated = noise(40)
    images, sources = planted_copies.plant(generated, members(), percent, np.random.default_rng(0))
    assert (sources >= 0).sum() == round(0.4 * percent)
    assert np.array_equal(images[sources < 0], generated[sources < 0])
    counts = np.bincount(sources[sources >= 0], minlength=4)
    assert counts.max() - counts.min() <= 1
    assert images.dtype == np.uint8
    assert images is not generated


def test_the_generator_decides():
    first, _ = planted_copies.plant(noise(20), members(), 20.0, np.random.default_rng(3))
    again, _ = planted_copies.plant(noise(20), members(), 20.0, np.random.default_rng(3))
    other, _ = planted_copies.plant(noise(20), members(), 20.0, np.random.default_rng(4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class Still:
    """Draws nothing, or a number for one of the six changes."""

    def __init__(self, **draws):
        self.draws = draws

    def uniform(self, low, high, size):
        return np.array([self.draws.get(i, 0.0) for i in ("zoom", "turn", "x", "y", "gain", "add")])

    def normal(self, mean, deviation, shape):
        return np.zeros(shape)


def test_without_draws_nothing_changes():
    image = members(1)[0]
    assert np.array_equal(planted_copies.change(image, Still()), image)


def test_a_full_shift_is_a_64th_of_the_side():
    image = np.zeros((64, 64), "uint8")
    image[20, 30] = 200
    moved = planted_copies.change(image, Still(x=1.0))
    assert moved[20, 29] == 200
    assert moved.sum() == 200
    moved = planted_copies.change(image, Still(y=-1.0))
    assert moved[21, 30] == 200


def test_gain_and_offset_by_hand():
    image = np.full((32, 32), 100, "uint8")
    assert (planted_copies.change(image, Still(gain=1.0)) == 105).all()
    assert (planted_copies.change(image, Still(add=-1.0)) == 96).all()
