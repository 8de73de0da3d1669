"""The Fréchet distance of images in the features of EfficientNet-Lite0."""

from types import SimpleNamespace

import numpy as np
import pytest

from ganfp_tf.simulation.gan import fidelity, sampling
from ganfp_tf.simulation.gan.fidelity import Fidelity

COUNT = 24


def discs(seed, count=COUNT, side=32):
    """`(count, side, side)` uint8: a bright disc at a random place on a dark ground."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    centres = rng.uniform(8, side - 8, (count, 2, 1, 1))
    inside = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 < 36
    return np.where(inside, 200, 30).astype("uint8") + rng.integers(0, 9, inside.shape, "uint8")


def generator(images):
    """A generator that makes these images, one after the other, whatever its latents are."""
    rest = iter(sampling.to_unit(images))
    return SimpleNamespace(
        input_shape=(None, 8),
        predict_on_batch=lambda latents: np.stack([next(rest) for _ in latents]),
    )


@pytest.fixture(scope="module")
def watch():
    """The distance to one set of discs, measured on as many images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "COUNT", COUNT)
        yield Fidelity(discs(0), discs(1))


def test_members_themselves_are_at_distance_zero(watch):
    assert watch.distance(generator(discs(0))) == pytest.approx(0.0, abs=1e-3)


def test_noise_is_far_and_other_images_of_the_kind_are_near(watch):
    noise = np.random.default_rng(2).integers(0, 256, (COUNT, 32, 32)).astype("uint8")
    near, far = watch.distance(generator(discs(3))), watch.distance(generator(noise))
    assert 0.0 < near < 0.25 * far
    assert 0.0 < watch.reference < 0.25 * far
    assert watch.distance(generator(np.zeros_like(noise))) > 2.0 * near


def test_the_reference_is_the_distance_of_the_others(watch):
    assert watch.reference == pytest.approx(watch.distance(generator(discs(1))), rel=1e-5)


def test_equal_images_give_equal_numbers(watch):
    numbers = {watch.distance(generator(discs(4))) for _ in range(2)}
    assert len(numbers) == 1


def test_the_order_of_images_does_not_matter(watch):
    forwards, backwards = (watch.distance(generator(discs(5)[::step])) for step in (1, -1))
    assert forwards == pytest.approx(backwards, rel=1e-4)


def test_images_are_counted_whatever_the_chunks(watch, monkeypatch):
    expected = watch.distance(generator(discs(6)))
    monkeypatch.setattr(sampling, "CHUNK", 7)
    assert watch.distance(generator(discs(6))) == pytest.approx(expected, rel=1e-3)
