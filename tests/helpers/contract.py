"""What every detector without labels must do, for the tests of each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.errors import UserError
from ganfp_tf.statistics.metrics import auc
from tests.detectors.attacks.test_distance import (
    GENERATED,
    REFERENCE,
    X,
    generated_images,
    images,
    planted,
    scored,
)

# Black, white, faint and overflowing pixels; equal ones abound.
values = st.sampled_from([0.0, 1.0, 0.5, 1e-9, -3.0, 1e6])
constant = values.map(lambda value: (value,) * 4)
wild = st.lists(constant | st.tuples(values, values, values, values), min_size=2, max_size=7)


def check(detector):
    """All of it; a few seconds' work at most."""
    check_finite_in_any_order(detector)
    check_last_digit(detector)
    check_planted_copies(detector)
    check_unrelated_images(detector)
    check_beginnings(detector)


def check_finite_in_any_order(detector):
    """Finite for images that are constant, equal or out of range; order and labels are nothing."""

    @settings(deadline=None)
    @given(wild.filter(lambda found: len(set(found)) > 1), wild, st.randoms(use_true_random=False))
    def holds(real, fakes, random):
        real, fakes = images(real), generated_images(fakes)
        expected = scored(detector, real, fakes)
        assert expected.shape == (len(real),)
        assert expected.dtype == np.float64
        assert np.isfinite(expected).all()

        def shuffled(frame):
            return frame.iloc[random.sample(range(len(frame)), len(frame))].assign(
                label=[random.randint(0, 1) for _ in range(len(frame))]
            )

        candidates = shuffled(real)
        found = scored(detector, candidates, shuffled(fakes), shuffled(real))
        assert (found == expected[candidates.index]).all()

    holds()


def check_last_digit(detector):
    """Enough images for more than one block, whose sums round by their place in it."""
    rng = np.random.default_rng(0)
    real, fakes = images(rng.random((37, 81))), generated_images(rng.random((1100, 81)))
    candidates = real.sample(frac=1.0, random_state=1)
    found = scored(detector, candidates, fakes.sample(frac=1.0, random_state=2), candidates)
    assert (found == scored(detector, real, fakes)[candidates.index]).all()


def check_planted_copies(detector):
    real, fakes, labels = planted(np.random.default_rng(0), copied=True)
    assert auc(labels, scored(detector, real, fakes)) > 0.9


def check_unrelated_images(detector):
    """The mean of eight such data sets; the standard error of it is 0.02."""
    found = []
    for seed in range(8):
        real, fakes, labels = planted(np.random.default_rng(seed), copied=False)
        found.append(auc(labels, scored(detector, real, fakes)))
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def check_beginnings(detector):
    """Without generated images, before fit(), and with one image of each."""
    with pytest.raises(UserError, match="Expected at least 1 generated image, found none"):
        scored(detector, REFERENCE, GENERATED[:0])
    with pytest.raises(ValueError, match=r"after fit\(\) only"):
        detector.score(X, GENERATED, None)
    assert np.isfinite(scored(detector, images([0.2, 0.9]), X)).all()
    assert not detector.uses_labels


def check_needs_two_patients(detector):
    with pytest.raises(UserError, match=r"other patients\. Found none for real_0: hand in"):
        scored(detector, images([0.1, 0.2], ["p", "p"]), GENERATED)
