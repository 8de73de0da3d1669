"""Detectors by patches: places, scales and both calibrations, spelled out in NumPy."""

import numpy as np
import pytest

from ganfp_tf.detectors.attacks.distance import CalibratedDistance
from ganfp_tf.detectors.attacks.patches import (
    SAMPLE,
    CalibratedPatches,
    Patches,
    TwoSided,
    places_of,
)
from tests.detectors.attacks.test_distance import generated_images, images, scored
from tests.helpers import contract

RNG = np.random.default_rng(0)
REAL, FAKES = RNG.random((12, 36)), RNG.random((30, 36))
PATIENTS = ["a", "a", "b", "b", "b", *"cdefghi"]
OTHER = np.array(PATIENTS)[:, None] != np.array(PATIENTS)


@pytest.mark.parametrize("detector", [CalibratedPatches(side=3), TwoSided(side=3)])
def test_it_does_what_a_detector_must(detector):
    contract.check(detector)
    contract.check_needs_two_patients(detector)


def test_places_are_squares_and_cover_the_image():
    places = places_of(64 * 64, 8)
    assert len(places) == 64
    assert all(len(place) == 64 for place in places)
    image = np.arange(64 * 64).reshape(64, 64)
    assert (places[9] == image[8:16, 8:16].ravel()).all()
    # What is left at the edges is smaller: 3 + 2 pixels a side.
    places = places_of(25, 3)
    assert [len(place) for place in places] == [9, 6, 6, 4]
    assert sorted(np.concatenate(places)) == list(range(25))
    assert [list(place) for place in places_of(3, 8)] == [[0, 1, 2]]


def patch_distances(left, right):
    """(4, n, m): the 3x3 patches of 6x6 images."""
    difference = (left[:, None] - right).reshape(len(left), len(right), 2, 3, 2, 3)
    return (
        np.sqrt((difference**2).mean(axis=(3, 5)))
        .transpose(2, 3, 0, 1)
        .reshape(4, len(left), len(right))
    )


def by_hand():
    among = patch_distances(REAL, REAL)
    scales = np.median(among[:, OTHER], axis=1)
    groups = np.unique(PATIENTS, return_inverse=True)[1]
    return among, scales, groups


def test_scales_are_medians_between_patients():
    among, scales, groups = by_hand()
    found = Patches.fit(REAL.astype("float32"), groups, 3)
    assert found.scales == pytest.approx(scales, rel=1e-5)
    ((_, block),) = found.distance_rows(REAL.astype("float32"), REAL.astype("float32"))
    assert block == pytest.approx((among / scales[:, None, None]).mean(axis=0), abs=1e-5)


def test_a_place_that_hardly_differs_is_not_blown_up():
    real = REAL.astype("float32").reshape(12, 6, 6).copy()
    real[:, :3, :3] *= 1e-3
    scales = Patches.fit(real.reshape(12, 36), np.arange(12), 3).scales
    rest = scales[1:].sum()
    assert scales[0] == pytest.approx(rest / 8, rel=0.01)
    same = np.zeros((3, 36), "float32")
    assert (Patches.fit(same, np.arange(3), 3).scales > 0).all()


def test_more_images_than_the_sample_give_about_the_same_scales():
    rng = np.random.default_rng(1)
    real = rng.random((SAMPLE + 100, 4)).astype("float32")
    groups = np.arange(len(real))
    found = Patches.fit(real, groups, 1).scales
    assert found == pytest.approx(1 - np.sqrt(0.5), abs=0.02)


def first(values, count):
    return np.sort(values)[:count].mean()


def test_calibrated_by_hand():
    among, scales, _ = by_hand()
    among = (among / scales[:, None, None]).mean(axis=0)
    made = np.stack([distance_to(image, FAKES, scales) for image in REAL])
    expected = [np.log(first(among[i][OTHER[i]], 3)) - np.log(first(made[i], 3)) for i in range(12)]
    detector = CalibratedPatches(k=3, side=3)
    found = scored(detector, images(REAL, PATIENTS), generated_images(FAKES))
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def distance_to(image, others, scales):
    difference = (image - others).reshape(len(others), 2, 3, 2, 3)
    patches = np.sqrt((difference**2).mean(axis=(2, 4))).reshape(len(others), 4)
    return (patches / scales).mean(axis=1)


def test_two_sided_by_hand():
    among, scales, _ = by_hand()
    among = (among / scales[:, None, None]).mean(axis=0)
    made = np.stack([distance_to(image, FAKES, scales) for image in REAL])
    expected = []
    for i in range(12):
        own = np.log(first(among[i][OTHER[i]], 3))
        # The same for each generated image, the patient of image i left out.
        theirs = np.log([first(made[OTHER[i], g], 3) for g in range(30)])
        margins = own / 2 + theirs / 2 - np.log(made[i])
        expected.append(np.sort(margins)[-3:].mean())
    detector = TwoSided(k=3, side=3)
    found = scored(detector, images(REAL, PATIENTS), generated_images(FAKES))
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def test_one_patch_of_all_pixels_is_the_calibrated_distance():
    real, fakes = images(REAL), generated_images(FAKES)
    found = scored(CalibratedPatches(side=6), real, fakes)
    assert found == pytest.approx(scored(CalibratedDistance(), real, fakes), abs=1e-6)


def test_a_generated_image_near_to_everything_is_weaker_evidence():
    # Real images around the middle: what lies in it is near to all of them.
    rng = np.random.default_rng(0)
    real = 0.5 + 0.2 * rng.normal(size=(40, 36))
    middle = np.full((5, 36), 0.5)
    copy = real[:1].repeat(5, axis=0) + rng.normal(0, 0.15, (5, 36))
    fakes = generated_images(np.concatenate([middle, copy]))
    plain, both = (
        scored(detector(side=3), images(real), fakes) for detector in (CalibratedPatches, TwoSided)
    )

    def lead(scores):
        return (scores[0] - scores[1:].mean()) / scores[1:].std()

    assert lead(both) > lead(plain)


def test_a_candidate_may_be_compared_where_the_images_of_fit_are_of_one_patient():
    known, one = images(REAL[:2], ["p", "p"]), images(REAL[2:3], ["q"])
    for detector in (CalibratedPatches(side=3), TwoSided(side=3)):
        assert np.isfinite(scored(detector, one, generated_images(FAKES), known)).all()
