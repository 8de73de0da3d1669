"""The copy threshold: correlations and quantiles against NumPy's, and images without any."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from ganfp_tf.detectors.attacks.correlation import (
    SPREAD,
    CopyThreshold,
    correlation_rows,
    unit_rows,
)
from ganfp_tf.errors import UserError
from tests.detectors.attacks.test_distance import generated_images, images, scored
from tests.helpers import contract

RNG = np.random.default_rng(0)
REAL = RNG.random((40, 9))
# Of three there are copies, darker and of less contrast; 40 are unrelated.
COPIES = 0.1 + 0.5 * REAL[[0, 0, 1, 2]] + RNG.normal(0, 0.01, (4, 9))
FAKES = np.concatenate([COPIES, RNG.random((40, 9))])


def test_it_does_what_a_detector_must():
    contract.check(CopyThreshold())


def test_scores_by_numpy():
    among = np.corrcoef(REAL) - 2 * np.eye(40)
    median, threshold = np.quantile(among.max(axis=1), [0.5, 0.9])
    to_made = np.corrcoef(REAL, FAKES)[:40, 40:]
    best, count = to_made.max(axis=1), (to_made > threshold).sum(axis=1)
    expected = (best - threshold) / (threshold - median) + np.log(1 + count)
    found = scored(CopyThreshold(level=0.9), images(REAL), generated_images(FAKES))
    assert found == pytest.approx(expected, abs=1e-4)


def test_above_zero_is_a_copy_and_copies_count():
    found = scored(CopyThreshold(level=1.0), images(REAL), generated_images(FAKES))
    assert (found[:3] > 0).all()
    assert found[0] > found[1:].max()
    among, to_made = np.corrcoef(REAL) - 2 * np.eye(40), np.corrcoef(REAL, FAKES)[:40, 40:]
    assert ((found > 0) == (to_made.max(axis=1) > among.max())).all()


def test_scores_are_hardly_tied():
    found = scored(CopyThreshold(), images(REAL), generated_images(FAKES))
    assert len(np.unique(found)) == 40


def test_other_images_of_a_patient_set_no_threshold():
    twins = np.concatenate([REAL, REAL + 0.001 * RNG.random((40, 9))])
    patients = [f"p{number % 40}" for number in range(80)]
    alone = scored(CopyThreshold(), images(REAL), generated_images(FAKES))
    found = scored(CopyThreshold(), images(twins, patients), generated_images(FAKES))
    assert found[:40] == pytest.approx(alone, abs=0.1)
    strangers = scored(CopyThreshold(), images(twins), generated_images(FAKES))
    assert (strangers[3:40] < found[3:40]).all()


def test_correlations_are_pearsons():
    rows = unit_rows(np.asarray(REAL[:3], "float32"))
    ((_, found),) = correlation_rows(rows, rows)
    assert found[0, 1] == pytest.approx(pearsonr(REAL[0], REAL[1])[0], abs=1e-6)
    assert np.diag(found) == pytest.approx(1.0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e6])
def test_a_constant_image_correlates_with_nothing(value):
    assert (unit_rows(np.full((2, 4096), value, "float32")) == 0).all()


def test_real_images_that_are_all_alike_leave_a_least_spread():
    # A gradient in another contrast each: all correlations are 1, but for rounding.
    real = images(np.outer([1.0, 2.0, 3.0], [0.0, 0.1, 0.3]))
    found = scored(CopyThreshold(), real, generated_images([[0.3, 0.1, 0.0], [0.0, 0.0, 0.3]]))
    best = np.corrcoef([0.0, 0.1, 0.3], [0.0, 0.0, 0.3])[0, 1]
    assert found == pytest.approx((best - 1) / SPREAD, abs=0.01)


def test_fit_needs_two_patients():
    with pytest.raises(UserError, match=r"other patients\. Found none for real_0: hand in"):
        scored(CopyThreshold(), images(REAL), generated_images(FAKES), images(REAL[:1]))
    contract.check_needs_two_patients(CopyThreshold())
