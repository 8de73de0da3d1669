"""Inverted authenticity and soft hits: numbers by hand, and what becomes of them at the limits."""

import numpy as np
import pytest

from ganfp_tf.detectors.attacks.distance import CalibratedDistance
from ganfp_tf.detectors.attacks.hits import HitCount
from ganfp_tf.detectors.attacks.soft_hits import InvertedAuthenticity, SoftHits, responsibilities
from tests.detectors.attacks.test_distance import GENERATED, generated_images, images, scored
from tests.helpers import contract

RNG = np.random.default_rng(0)
REAL, FAKES = RNG.random((30, 5)), RNG.random((80, 5))


@pytest.mark.parametrize("detector", [InvertedAuthenticity(), SoftHits()])
def test_it_does_what_a_detector_must(detector):
    contract.check(detector)


def test_authenticity_is_the_margin_between_the_nearest_images():
    # 0.3 from the nearest of another patient; the second, 0.1 away, is of the same.
    real = images([0.5, 0.6, 0.2, 1.5], ["a", "a", "b", "c"])
    found = scored(InvertedAuthenticity(), real, generated_images([0.45, 0.0, 0.0]))
    expected = np.log([0.3 / 0.05, 0.4 / 0.15, 0.3 / 0.2, 0.9 / 1.05])
    assert found == pytest.approx(expected, abs=1e-5)


def test_its_sign_is_the_answer_of_alaa_and_others():
    real, fakes = images(REAL), generated_images(FAKES)
    to_real = np.linalg.norm(REAL[:, None] - REAL, axis=2) + np.diag(np.full(30, np.inf))
    to_made = np.linalg.norm(REAL[:, None] - FAKES, axis=2)
    suspect = (to_made < to_real.min(axis=1, keepdims=True)).any(axis=1)
    assert 0 < suspect.sum() < 30
    found = scored(InvertedAuthenticity(), real, fakes)
    assert ((found > 0) == suspect).all()
    assert (found == scored(CalibratedDistance(k=1), real, fakes)).all()
    assert InvertedAuthenticity().name == "authenticity_pixels"


def test_authenticity_needs_another_patient():
    contract.check_needs_two_patients(InvertedAuthenticity())


def test_soft_hits_by_hand():
    # h is half of the median nearest distance: 0.05 of generated, 0.2 of real images.
    real, fakes = np.array([0.0, 0.4, 1.0]), np.array([0.1, 0.05, 0.2, 0.9])
    found = scored(SoftHits(width=0.5), images(real), generated_images(fakes))
    share = np.exp(-0.5 * ((fakes[:, None] - real) / 0.05) ** 2)
    hits = (share / share.sum(axis=1, keepdims=True)).sum(axis=0)
    gift = np.exp(-0.5 * ((real[:, None] - real) / 0.2) ** 2) * (1 - np.eye(3))
    hubs = (gift / gift.sum(axis=1, keepdims=True)).sum(axis=0)
    assert hits.sum() == pytest.approx(4)
    assert hubs.sum() == pytest.approx(3)
    expected = 4 * (hubs + 1) / 6
    assert found == pytest.approx(np.log((hits + 1) / (expected + 1)), abs=1e-5)


def test_images_of_a_patient_give_each_other_nothing():
    # 0.1 would give to 0.0, of its own patient; all that it may give goes to 0.5.
    real = images([0.0, 0.1, 0.5], ["a", "a", "b"])
    found = scored(SoftHits(width=0.01), real, generated_images([0.51]))
    expected = (np.array([0, 1, 2]) + 1) / 6
    assert found == pytest.approx(np.log((np.array([0, 0, 1]) + 1) / (expected + 1)), abs=1e-6)


def test_narrow_hits_are_hard_and_wide_ones_are_even():
    # With k = 1, HitCount too has one vote an image, and adds 1 to the votes for hubs.
    real, fakes = images(REAL), generated_images(FAKES)
    hard = scored(HitCount(k=1), real, fakes)
    assert scored(SoftHits(width=1e-4), real, fakes) == pytest.approx(hard)
    assert scored(SoftHits(width=1e4), real, fakes) == pytest.approx(0.0, abs=1e-6)


def test_with_one_patient_alone_no_image_is_a_hub():
    found = scored(SoftHits(), images([0.1, 0.9], ["p", "p"]), GENERATED)
    # Hits of 0.1 are nearly all three, one and a half expected of each.
    assert found == pytest.approx(np.log([4 / 2.5, 1 / 2.5]), abs=1e-6)


def test_a_row_gives_one_to_those_it_can_give_to():
    block = np.array([[1.0, 1.0, np.inf], [np.inf, np.inf, np.inf], [0.0, 1e9, 1e9]])
    assert responsibilities(block, 0.5) == pytest.approx([1.5, 0.5, 0.0])
