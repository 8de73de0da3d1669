"""Monte Carlo and the density ratio: numbers by hand, and against scikit-learn's densities."""

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

from ganfp_tf.detectors.attacks.density import DensityRatio, MonteCarlo
from ganfp_tf.detectors.spaces.base import PIXELS, GeneratedComponents
from ganfp_tf.neighbours.nearest import FLOOR
from tests.detectors.attacks.test_distance import (
    GENERATED,
    Vectors,
    generated_images,
    images,
    scored,
)
from tests.helpers import contract

REAL = images([0.0, 0.4, 1.0])
FAKES = generated_images([0.1, 0.05, 0.2, 0.9, 0.5])


@pytest.mark.parametrize("detector", [MonteCarlo(), DensityRatio(PIXELS)])
def test_it_does_what_a_detector_must(detector):
    contract.check(detector)


def test_monte_carlo_counts_within_the_median_nearest_distance():
    # Nearest: 0.05, 0.1, 0.1, of which the median is 0.1.
    near, count = np.array([0.05, 0.1, 0.1]), np.array([2, 1, 1])
    expected = np.log((count + 0.1 / (0.1 + near)) / 6)
    assert scored(MonteCarlo(), REAL, FAKES) == pytest.approx(expected, abs=1e-5)


def test_images_of_fit_have_a_part_in_the_median():
    # Alone, 0.0 has 0.05 for a median and one image within it; beside 1.0, 0.075.
    found = scored(MonteCarlo(), REAL[:1], FAKES, REAL[[True, False, True]])
    assert found == pytest.approx(np.log((1 + 0.075 / 0.125) / 6), abs=1e-5)


def test_the_nearest_distance_parts_equal_counts_and_nothing_else():
    # No generated image is within 0.1 of the last two; three are of the first.
    real = images([0.0, 0.9, 0.4, 2.0, 3.0])
    fakes = generated_images([0.0, 0.05, 0.1, 1.0, 0.5])
    first, _, _, near, far = scored(MonteCarlo(), real, fakes)
    assert np.log(1 / 6) > near > far
    assert np.log(4 / 6) >= first >= np.log(3 / 6)


def test_density_ratio_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    real, fakes = rng.random((20, 3)), rng.random((50, 3))
    rms = np.sqrt(((real[:, None] - fakes) ** 2).mean(axis=2))
    width = 0.7 * np.median(rms.min(axis=1)) * np.sqrt(3)
    made = KernelDensity(bandwidth=width).fit(fakes).score_samples(real)
    others = [
        KernelDensity(bandwidth=width).fit(np.delete(real, i, 0)).score_samples(real[[i]])[0]
        for i in range(20)
    ]
    found = scored(DensityRatio(PIXELS, width=0.7), images(real), generated_images(fakes))
    assert found == pytest.approx(made - others, abs=1e-4)


def test_density_ratio_leaves_out_the_images_of_the_patient():
    patients = ["a", "b", "b", "c"]
    real = images([0.0, 0.5, 0.4, 1.0], patients)
    found = scored(DensityRatio(PIXELS, width=2.0), real, FAKES)
    # Nearest: 0.05, 0.0 (so FLOOR), 0.1, 0.1. Left for 0.5 are 0.0 and 1.0.
    width = 2.0 * np.median([0.05, FLOOR, 0.1, 0.1])
    kernel = KernelDensity(bandwidth=width)
    made = kernel.fit([[0.1], [0.05], [0.2], [0.9], [0.5]]).score_samples([[0.5]])
    others = kernel.fit([[0.0], [1.0]]).score_samples([[0.5]])
    assert found[1] == pytest.approx(made[0] - others[0], rel=1e-4)


def test_density_ratio_needs_another_patient():
    contract.check_needs_two_patients(DensityRatio(PIXELS))


def test_density_ratio_works_in_principal_components_of_the_generated_images():
    class Store(Vectors):
        def keep(self, key, make):
            return make()

    # Real images differ most where the generator does not vary, which must not matter.
    rng = np.random.default_rng(0)
    real = rng.random((30, 6))
    fakes = real[:15].repeat(4, axis=0) + rng.normal(0, 0.02, (60, 6))
    fakes[:, 3:] = 0.5
    detector, store = DensityRatio(GeneratedComponents(3)), Store()
    assert DensityRatio().name == "density_components"
    real, fakes = images(real), generated_images(fakes)
    found = detector.fit(real, fakes, store).score(real, fakes, store)
    assert found[:15].min() > found[15:].max()


def test_only_the_density_ratio_needs_another_patient():
    found = scored(MonteCarlo(), images([0.1, 0.2], ["p", "p"]), GENERATED)
    assert np.isfinite(found).all()
