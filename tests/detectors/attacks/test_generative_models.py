"""Models of the generated images: errors by hand, and classifiers that find what was planted."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from ganfp_tf.detectors.attacks.generative_models import GeneratedClassifier, Reconstruction
from ganfp_tf.detectors.cross_fitting import cross_fitted_scores
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.nearest import FLOOR
from ganfp_tf.statistics.metrics import auc
from tests.helpers.pictures import Pictures, planted, scenes, shuffled


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def scored(detector, real, made, store):
    return detector.fit(real, made, store).score(real, made, store)


def test_reconstruction_error_by_hand():
    """Generated images vary along the first pixel alone: what else x has cannot be made."""
    store = Pictures()
    made = store.add([[[value, 0.5], [0.5, 0.5]] for value in (0.1, 0.5, 0.9)], "generated")
    real = store.add([[[0.2, 0.7], [0.5, 0.5]], [[0.0, 0.5], [0.5, 0.5]]])
    found = scored(Reconstruction(count=1), real, made, store)
    # 0.2 off in one pixel of four; nothing off.
    assert found == pytest.approx(-np.log([0.1, FLOOR]), abs=1e-4)


def test_calibrated_takes_off_the_error_in_other_patients_components():
    rng = np.random.default_rng(0)
    store = Pictures()
    real, made = store.add(scenes(rng, 2)), store.add(scenes(rng, 9), "generated")
    found = scored(Reconstruction(calibrated=True, count=1), real, made, store)
    # Two patients: each is reconstructed from the other's image, which has a mean alone.
    rows = store.pixels(real).astype("float64")
    model = PCA(1).fit(store.pixels(made.sort_values("digest")))
    rest = rows - model.inverse_transform(model.transform(rows))
    own = np.sqrt(np.mean(rest**2, axis=1))
    other = np.sqrt(np.mean((rows[0] - rows[1]) ** 2))
    assert found == pytest.approx(np.log(other / own), abs=1e-3)


def test_neither_x_nor_its_patient_is_in_its_model(rng):
    """Images of a patient are all but equal: a model with one would reconstruct the others."""
    store = Pictures()
    pictures = np.repeat(scenes(rng, 5), 3, axis=0)
    pictures += rng.normal(0, 1e-3, pictures.shape)
    patients = np.repeat(list("abcde"), 3)
    real, made = store.add(pictures, patients=patients), store.add(scenes(rng, 30), "generated")
    calibrated = scored(Reconstruction(calibrated=True, count=12), real, made, store)
    plain = scored(Reconstruction(count=12), real, made, store)
    # What is left is the log of the error by real images.
    assert np.exp(calibrated - plain).min() > 0.1


def test_images_of_new_patients_are_scored(rng):
    store, real, made, _ = planted(rng)
    fitted = Reconstruction(calibrated=True).fit(real[2:], made, store)
    assert np.isfinite(fitted.score(real[:2], made, store)).all()
    # One patient in fit() is enough for those of another.
    fitted = Reconstruction(calibrated=True).fit(real[2:3], made, store)
    assert np.isfinite(fitted.score(real[:2], made, store)).all()


@pytest.mark.parametrize("calibrated", [False, True])
def test_reconstruction_finds_planted_copies_whatever_the_order(calibrated, rng):
    store, real, made, labels = planted(rng)
    detector = Reconstruction(calibrated)
    found = scored(detector, real, made, store)
    assert found.dtype == np.float64
    assert auc(labels, found) == 1.0
    mixed = shuffled(real, 1)
    again = detector.fit(mixed, shuffled(made, 2), store).score(mixed, shuffled(made, 3), store)
    assert (again == found[mixed.index]).all()


def test_a_model_is_fitted_once(rng):
    store, real, made, _ = planted(rng)
    scored(Reconstruction(), real, made, store)
    before = len(store.kept)
    scored(Reconstruction(), real, shuffled(made, 1), store)
    assert len(store.kept) == before


def test_the_classifier_finds_planted_copies_out_of_fold(rng):
    store, real, made, labels = planted(rng, count=60)
    frame = [each.assign(label=label) for each, label in ((real, labels), (made, -1))]
    frame = pd.concat(frame, ignore_index=True)
    result = cross_fitted_scores(GeneratedClassifier(count=20), frame, store, folds=3, seed=0)
    assert auc(labels, result["score"].to_numpy()) > 0.9


def test_the_classifier_learns_from_unused_images_alone(rng):
    store, real, made, labels = planted(rng)
    known = real.assign(label=labels)
    everyone = GeneratedClassifier(count=20).fit(known, made, store)
    unused = GeneratedClassifier(count=20).fit(known[labels == 0], made, store)
    found = everyone.score(real, made, store)
    assert (found == unused.score(real, made, store)).all()
    assert found[labels == 0].max() < found[labels == 1].min()


@pytest.mark.parametrize("degree", [1, 2])
def test_order_does_not_matter_to_the_classifier_nor_do_the_labels_it_scores(degree, rng):
    store, real, made, labels = planted(rng)
    known = real.assign(label=labels)
    detector = GeneratedClassifier(count=20, degree=degree)
    found = detector.fit(known, made, store).score(real, made, store)
    mixed = known.sample(frac=1.0, random_state=1)
    again = detector.fit(mixed, shuffled(made, 2), store)
    relabelled = shuffled(real, 3)
    assert (again.score(relabelled, made, store) == found[relabelled.index]).all()


def test_log_odds_of_one_number_are_those_of_a_logistic_regression():
    """Symmetric classes: even odds at the middle, opposite ones on either side."""
    store = Pictures()
    made = store.add(np.linspace(0.5, 1, 9)[:, None, None] * np.ones((9, 4, 4)), "generated")
    real = store.add(np.linspace(0.0, 0.5, 9)[:, None, None] * np.ones((9, 4, 4)))
    detector = GeneratedClassifier(count=1, degree=1).fit(real.assign(label=0), made, store)
    ends = store.add(np.array([0.0, 0.5, 1.0])[:, None, None] * np.ones((3, 4, 4)))
    low, middle, high = detector.score(ends, made, store)
    assert low == pytest.approx(-high, abs=1e-5)
    assert high > 0
    assert middle == pytest.approx(0, abs=1e-5)


def test_mistakes_are_named(rng):
    store, real, made, labels = planted(rng, count=4)
    for detector in (Reconstruction(), Reconstruction(calibrated=True)):
        with pytest.raises(UserError, match="at least 1 generated image, found none"):
            detector.fit(real, made, store).score(real, made[:0], store)
        with pytest.raises(ValueError, match=r"after fit\(\) only"):
            detector.score(real, made, store)
    with pytest.raises(UserError, match="at least two patients, found one"):
        scored(Reconstruction(calibrated=True), real.assign(patient="p"), made, store)
    with pytest.raises(UserError, match="at least 1 real image of label 0, found none"):
        GeneratedClassifier().fit(real[:2].assign(label=1), made, store)
    with pytest.raises(UserError, match="at least 1 generated image, found none"):
        GeneratedClassifier().fit(real.assign(label=labels), made[:0], store)
    with pytest.raises(ValueError, match=r"after fit\(\) only"):
        GeneratedClassifier().score(real, made, store)
