"""Weights over detectors that need no labels, and their plain mean."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from ganfp_tf.detectors.attacks.distance import CalibratedDistance, NearestDistance
from ganfp_tf.detectors.attacks.hits import HitCount
from ganfp_tf.detectors.cross_fitting import cross_fitted_scores
from ganfp_tf.detectors.ensemble import Mean, Stack, Weights
from ganfp_tf.detectors.protocol import Unprepared
from ganfp_tf.detectors.spaces.base import PIXELS
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.metrics import auc
from tests.detectors.attacks.test_distance import generated_images, images
from tests.helpers import pictures

MADE = generated_images([0.0, 1.0])


@dataclasses.dataclass(frozen=True)
class Signal(Unprepared):
    """Scores an image by `factor` times its number in its digest, plus the generated images."""

    name: str
    factor: float = 1.0
    uses_labels: bool = False
    fits: list = dataclasses.field(default_factory=list)
    scored: list = dataclasses.field(default_factory=list)

    def fit(self, labelled, generated, store):
        self.fits.append(labelled)
        return self

    def score(self, candidates, generated, store):
        assert self.fits
        assert (candidates["label"] == -1).all()
        self.scored.append(candidates)
        return self.factor * candidates["digest"].astype(float).to_numpy() + len(generated)


@dataclasses.dataclass(frozen=True)
class Square(Signal):
    def score(self, candidates, generated, store):
        return super().score(candidates, generated, store) ** 2


def signals():
    """Two that order images alike and one that does not."""
    return Signal("up"), Signal("more", 3.0), Square("square", -1.0)


def stack(strength=0.03, of=None):
    return Stack("stack", "a stack", of or signals(), strength)


def labelled(values, labels):
    return images(values).assign(label=labels)


REAL = labelled([-2.0, -1.0, 0.5, 1.0, 2.0, 3.0], [0, 0, 1, 0, 1, 1])


def noisy(rng, count=300):
    """Labels and three signals: one good, one weak, one noise; scales differ."""
    labels = np.repeat([0, 1, 1], count // 3)
    rows = rng.normal(size=(count, 3)) + labels[:, None] * [1.5, 0.5, 0.0]
    return rows * [1.0, 10.0, 0.1] + [0.0, 5.0, -2.0], labels


# Weights


def test_where_they_are_strong_weights_are_those_of_a_logistic_regression():
    rows, labels = noisy(np.random.default_rng(0))
    found = Weights.fit(rows, labels, 1e6)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    model = LogisticRegression(C=1e9, class_weight="balanced", max_iter=1000).fit(scaled, labels)
    assert found.weights == pytest.approx(model.coef_[0], abs=0.01)
    constant = model.decision_function(scaled) - found.of(rows)
    assert constant == pytest.approx(model.intercept_[0], abs=0.02)


def test_where_they_are_weak_they_are_drawn_to_the_mean():
    rows, labels = noisy(np.random.default_rng(0))
    found = Weights.fit(rows, labels, 1e-6).weights
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    # From zero the weights go along the gradient, the difference of the classes' means; the common
    # weight counts a tenfold of the mean of three signals, as column and as part of the sum.
    gradient = scaled[labels == 1].mean(axis=0) - scaled[labels == 0].mean(axis=0)
    expected = gradient + 100.0 * gradient.mean() / 3
    assert found / found.sum() == pytest.approx(expected / expected.sum(), abs=1e-3)
    assert found.min() > 0.85 * found.mean()
    free = Weights.fit(rows, labels, 1e6).weights
    assert free.min() < 0.3 * free.mean()


def test_units_of_a_signal_do_not_matter_and_the_mean_is_zero():
    rows, labels = noisy(np.random.default_rng(1))
    found = Weights.fit(rows, labels, 0.03)
    other = Weights.fit(7.0 * rows + 3.0, labels, 0.03)
    assert other.of(7.0 * rows + 3.0) == pytest.approx(found.of(rows))
    assert found.of(rows.mean(axis=0)[None]) == pytest.approx(0.0)


def test_a_signal_that_says_nothing_stays_finite():
    rows = np.column_stack([np.arange(6.0), np.full(6, 0.3)])
    found = Weights.fit(rows, np.array([0, 0, 0, 1, 1, 1]), 0.03)
    assert np.isfinite(found.of(rows)).all()
    assert (np.diff(found.of(rows)) > 0).all()


# The stack


def test_signals_are_fitted_on_all_images_labels_hidden():
    own = stack()
    prepared = own.prepare(REAL.loc[[*REAL.index, 2]].assign(label=-1), MADE, None)
    for signal in own.signals:
        (fitted,) = signal.fits
        assert (fitted["label"] == -1).all()
        assert set(fitted["digest"]) == set(REAL["digest"])
        (asked,) = signal.scored
        assert list(asked["digest"]) == sorted(REAL["digest"])
    assert list(prepared.scores.columns) == ["up", "more", "square"]
    assert prepared.scores.loc["2.0"].tolist() == [4.0, 8.0, 0.0]
    assert own.scores is None


def test_what_is_prepared_is_not_fitted_again():
    own = stack().prepare(REAL.assign(label=-1), MADE, None)
    fitted = own.fit(REAL[:5], MADE, None)
    scores = fitted.score(REAL[5:].assign(label=-1), MADE, None)
    assert [len(signal.fits) for signal in own.signals] == [1, 1, 1]
    rows = own.scores.loc[REAL["digest"]].to_numpy()
    weights = Weights.fit(rows[:5], REAL["label"].to_numpy()[:5], 0.03)
    assert scores == pytest.approx(weights.of(rows[5:]))
    assert scores.shape == (1,)
    assert scores.dtype == np.float64


def test_without_prepare_it_prepares_itself_and_hides_the_labels():
    own = stack()
    fitted = own.fit(REAL, MADE, None)
    assert all((signal.fits[0]["label"] == -1).all() for signal in own.signals)
    # An image that was not there before is scored by the signals.
    scores = fitted.score(images([1.0, 9.0]), MADE, None)
    rows = np.array([[3.0, 5.0, 1.0], [11.0, 29.0, 49.0]])
    assert scores == pytest.approx(fitted.weights.of(rows))


def test_scores_against_other_generated_images_are_made_anew():
    fitted = stack().fit(REAL, MADE, None)
    one = generated_images([0.0])
    rows = np.array([[2.0, 4.0, 0.0], [3.0, 7.0, 1.0]])
    candidates = images([1.0, 2.0])
    assert fitted.score(candidates, one, None) == pytest.approx(fitted.weights.of(rows))
    assert fitted.fit(REAL, one, None).scores.loc["2.0"].tolist() == [3.0, 7.0, 1.0]


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_teaches_nothing(label):
    with pytest.raises(UserError, match=rf"stack learns .*; found labels \[{label}\] only"):
        stack().fit(REAL.assign(label=label), MADE, None)


def test_signals_that_use_labels_and_scoring_before_fit_are_refused():
    with pytest.raises(ValueError, match=r"signals that need no labels, not \['known'\]"):
        stack(of=(Signal("up"), Signal("known", uses_labels=True)))
    for detector in (stack(), Mean("mean", "a mean", signals())):
        with pytest.raises(ValueError, match=r"after fit\(\) only"):
            detector.score(REAL, MADE, None)
    assert stack().uses_labels
    assert not Mean("mean", "a mean", signals()).uses_labels


def planted():
    """A Catalog's frame of planted copies, two images a patient, and its store."""
    store, real, generated, labels = pictures.planted(np.random.default_rng(0), count=40)
    real = real.assign(label=labels, patient=[f"p{i // 2}" for i in range(40)])
    return store, pd.concat([real, generated], ignore_index=True)


def distances():
    return tuple(make(PIXELS) for make in (NearestDistance, CalibratedDistance, HitCount))


def test_cross_fitted_it_refers_to_all_images_and_finds_planted_copies():
    store, frame = planted()
    detector = stack(of=distances())
    result = cross_fitted_scores(detector, frame, store, folds=4, seed=0)
    for _, fold in result.groupby("split_id"):
        assert fold["label"].nunique() < 2 or auc(fold["label"], fold["score"]) == 1.0
    turned = cross_fitted_scores(detector, frame[::-1], store, folds=4, seed=0)
    pd.testing.assert_frame_equal(turned[::-1].reset_index(drop=True), result)


def test_cross_fitting_fits_each_signal_once_on_every_labelled_image():
    real = labelled(np.arange(24.0), np.arange(24) // 2 % 2)
    frame = pd.concat([real, generated_images([0.0, 1.0, 2.0])], ignore_index=True)
    detector = stack()
    cross_fitted_scores(detector, frame, None, folds=3, seed=0)
    for signal in detector.signals:
        (fitted,) = signal.fits
        assert len(fitted) == 24
        assert (fitted["label"] == -1).all()
        assert len(signal.scored) == 1


# The mean


def test_the_mean_of_z_scores_by_hand():
    detector = Mean("mean", "a mean", (Signal("up"), Signal("down", -1.0), Signal("three", 3.0)))
    fitted = detector.fit(images([0.0, 2.0, 4.0]), MADE, None)
    # (value - 2) / sqrt(8 / 3), once up, once down and once up.
    z = np.array([-2.0, 0.0, 2.0, 4.0]) / np.sqrt(8.0 / 3.0)
    scores = fitted.score(images([0.0, 2.0, 4.0, 6.0]), MADE, None)
    assert scores == pytest.approx((z - z + z) / 3)
    assert scores.dtype == np.float64
    assert detector.scales is None


def test_the_mean_does_not_count_a_file_twice():
    once, twice = images([0.0, 2.0, 4.0]), images([0.0, 2.0, 4.0, 4.0])
    x = images([1.0])
    found = [
        Mean("m", "m", signals()).fit(f, MADE, None).score(x, MADE, None) for f in (once, twice)
    ]
    assert found[0] == pytest.approx(found[1])


def test_the_mean_finds_planted_copies_without_labels():
    store, frame = planted()
    detector = Mean("mean", "a mean", distances())
    result = cross_fitted_scores(detector, frame, store, folds=3, seed=0)
    assert auc(result["label"], result["score"]) == 1.0
