"""The control that learns who was used from real images alone: shifts are found, nothing else."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.detectors.controls.blind_classifier import FLAT, BlindClassifier, appearance
from ganfp_tf.detectors.cross_fitting import cross_fitted_scores
from ganfp_tf.detectors.protocol import Unprepared
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.evaluation import evaluate_frame
from ganfp_tf.statistics.metrics import auc
from ganfp_tf.statistics.sample import Resampling
from tests.helpers.contract import check_finite_in_any_order, check_last_digit
from tests.helpers.pictures import Pictures, scenes, shuffled

SHIFTS = {
    "brightness": lambda images, rng: images + 0.1,
    "contrast": lambda images, rng: 0.5 + 0.8 * (images - 0.5),
    "sharpness": lambda images, rng: ndimage.gaussian_filter(images, (0, 1.0, 1.0)),
    "noise": lambda images, rng: images + rng.normal(0.0, 0.02, images.shape),
    "place": lambda images, rng: images + 0.5 * np.eye(32),
}


class Labelled(Unprepared):
    """The detector with labels that images bring along: every second one in their order."""

    def fit(self, labelled, generated, store):
        digests = np.unique(labelled["digest"])
        return BlindClassifier().fit(
            labelled.assign(label=np.searchsorted(digests, labelled["digest"]) % 2),
            generated,
            store,
        )


def pictures(seed, count=60, shift=None):
    """A store, and the rows of `count` pictures and 3 generated ones; the first half is used."""
    rng = np.random.default_rng(seed)
    images = scenes(rng, count)
    if shift:
        images[: count // 2] = shift(images[: count // 2], rng)
    store, labels = Pictures(), np.repeat([1, 0], count // 2)
    real, made = store.add(images).assign(label=labels), store.add(scenes(rng, 3), "generated")
    return store, real, made


def cross_fitted(seed, shift=None):
    store, real, made = pictures(seed, shift=shift)
    frame = pd.concat([real, made], ignore_index=True)
    found = cross_fitted_scores(BlindClassifier(), frame, store, folds=3, seed=0)
    return auc(real["label"].to_numpy(), found["score"].to_numpy())


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_a_shift_is_found_in_images_it_did_not_learn_from(shift):
    assert cross_fitted(0, shift) > 0.9


def test_without_a_shift_it_is_at_chance():
    """The mean over eight such data sets; the standard error of one is 0.075, of the mean 0.03."""
    found = [cross_fitted(seed) for seed in range(8)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_finite_and_the_same_in_any_order():
    check_finite_in_any_order(Labelled())
    check_last_digit(Labelled())


def test_no_generated_image_is_looked_at():
    store, real, made = pictures(0, shift=SHIFTS["noise"])
    found = BlindClassifier().fit(real, made, store).score(real, made, store)
    assert not set(store.asked) & set(made["digest"])
    none = made[:0]
    again = BlindClassifier().fit(real, none, store).score(shuffled(real, 1), none, store)
    assert (again == found[shuffled(real, 1).index]).all()
    assert auc(real["label"], found) > 0.9


def test_images_without_a_label_and_repeated_ones_do_not_count():
    store, real, made = pictures(0)
    expected = BlindClassifier().fit(real[10:50], made, store).score(real, made, store)
    more = pd.concat([real[40:50], real[10:50], real[:5].assign(label=-1)])
    assert (BlindClassifier().fit(more, made, store).score(real, made, store) == expected).all()


def test_two_images_are_enough_and_a_number_that_does_not_move_is_left_out():
    store = Pictures()
    real = store.add(np.stack([np.full((4, 4), value) for value in (0.2, 0.6, 0.8)]))
    real = real.assign(label=[0, 1, -1])
    found = BlindClassifier().fit(real, real, store).score(real, real, store)
    # One component and the levels tell the two apart; all are flat, and nothing is said of that.
    assert found[0] == pytest.approx(-found[1])
    assert found[0] < 0 < found[1] < found[2]


def test_appearance_by_hand():
    stripes = np.tile([0.2, 0.6], (4, 2))
    dot = np.zeros((4, 4))
    dot[1, 1] = 1.0
    found = appearance(np.stack([stripes.ravel(), dot.ravel()]))
    # Of the 12 steps across all are 0.4, of those down none; the mask gives 0 on stripes.
    expected = np.log(FLAT + np.array([0.2, 0.4 / np.sqrt(2.0), 0.0]))
    assert found[0] == pytest.approx([0.4, 0.2, 0.6, *expected])
    # 2 of 12 steps each way; the mask's 4, 2, 2 and 1 at the four places; 15 of 16 pixels are 0,
    # and 95 percent lie a quarter of the way from the 15th to the 16th.
    expected = np.log(FLAT + np.array([np.sqrt(15) / 16, np.sqrt(1 / 6), 2.0]))
    assert found[1] == pytest.approx([1 / 16, 0.0, 0.25, *expected])


def test_beginnings():
    store, real, made = pictures(0, count=6)
    with pytest.raises(UserError, match="Expected at least 1 of each, found 3 and 0: add images"):
        BlindClassifier().fit(real[:3], made, store)
    with pytest.raises(ValueError, match=r"after fit\(\) only"):
        BlindClassifier().score(real, made, store)
    assert BlindClassifier().uses_labels


@pytest.mark.data
@pytest.mark.parametrize("victim", ["victim_a", "victim_b"])
def test_the_victims_hold_no_shift(shared_data, victim, capsys):
    frame = load_catalog(shared_data / victim, progress=False).frame
    frame = frame[(frame.role == "real") | (frame.index % 100 == 0)].reset_index(drop=True)
    result = cross_fitted_scores(BlindClassifier(), frame, PixelStore(), folds=5, seed=0)
    found = evaluate_frame(result, Resampling(200, 200, 0.95, seed=0), strata="split_id")
    interval = found.intervals["auc"]
    with capsys.disabled():
        print(f"\nblind_classifier on {victim}: {found.metrics.auc:.3f} {interval}")
    assert interval.low < 0.55
    assert interval.high > 0.45
