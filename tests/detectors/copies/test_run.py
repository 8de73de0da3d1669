"""Signals of a run with --supervision=copy, with a stand-in for the network."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.config import Config
from ganfp_tf.detectors.copies.run import CopyScorer, Network, Reference
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.metrics import auc
from tests.helpers.pictures import PairsOfTokens

TOKENS = (2, 3)
CONFIG = Config(partners=8)


class Alike(PairsOfTokens):
    """Compares by minus the squared distance of the tokens."""

    def pair(self, real, generated):
        return -np.square(real - generated).sum(axis=(1, 2))


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A material whose images are their tokens."""

    frame: pd.DataFrame
    values: np.ndarray
    settings: Config = CONFIG

    def tokens(self, networks, rows):
        return self.values[rows]


def material(real, generated, patients=None):
    values = np.concatenate([real, generated]).astype("float32")
    names = [f"image_{number}" for number in range(len(values))]
    roles = ["real"] * len(real) + ["generated"] * len(generated)
    owners = patients or [f"p{number}" for number in range(len(real))]
    frame = pd.DataFrame(
        {
            "path": names,
            "digest": names,
            "role": roles,
            "label": [1, 0] * (len(values) // 2),
            "patient": owners + [""] * len(generated),
        }
    )
    return Tokens(frame, values)


def signals(images, real, generated):
    network = Network(Alike())
    reference = Reference.of(network, images, real)
    return network.signals(images, real, generated, reference)[0]


def test_a_threshold_fits_generated_sets_of_any_size():
    rng = np.random.default_rng(0)
    images = material(rng.normal(size=(60, *TOKENS)), rng.normal(size=(2000, *TOKENS)))
    real = np.arange(60)
    many, few = (signals(images, real, np.arange(60, 60 + count)) for count in (2000, 200))
    # Of 200 images the nearest is farther; taken off, what is usual among them leaves no trace.
    assert np.abs(many.mean(axis=0) - few.mean(axis=0))[[0, 2]] == pytest.approx(0, abs=0.12)
    assert many[:, [1, 3]] == pytest.approx(few[:, [1, 3]])


def test_copies_score_higher_by_every_signal_that_sees_generated_images():
    rng = np.random.default_rng(1)
    real = rng.normal(size=(40, *TOKENS))
    copies = np.repeat(real[::2], 10, axis=0) + 0.05 * rng.normal(size=(200, *TOKENS))
    images = material(real, copies)
    found = signals(images, np.arange(40), np.arange(40, 240))
    assert (found[::2, [0, 2]].min(axis=0) > found[1::2, [0, 2]].max(axis=0)).all()
    scorer = CopyScorer.fit(Network(Alike()), images, np.arange(40), np.arange(40, 240))
    scores, logits, partners = scorer.score(images, np.arange(40), np.arange(40, 240), seed=0)
    assert auc(images.frame["label"].to_numpy()[:40], scores) > 0.95
    assert logits.shape == partners.shape == (40, 8)
    # The best partner of a copied image is one of its copies.
    best = partners[np.arange(0, 40, 2), logits[::2].argmax(axis=1)]
    assert ((best - 40) // 10 == np.arange(20)).all()


def test_what_was_saved_scores_the_same(tmp_path):
    rng = np.random.default_rng(2)
    images = material(rng.normal(size=(20, *TOKENS)), rng.normal(size=(50, *TOKENS)))
    network, real, generated = Network(Alike()), np.arange(20), np.arange(20, 70)
    scorer = CopyScorer.fit(network, images, real, generated)
    scorer.save(tmp_path)
    again = CopyScorer.load(network, tmp_path).score(images, real, generated, seed=0)
    for one, other in zip(scorer.score(images, real, generated, seed=0), again, strict=True):
        assert np.array_equal(one, other)


def test_a_single_patient_has_nobody_to_be_set_against():
    images = material(np.ones((4, *TOKENS)), np.zeros((6, *TOKENS)), ["p"] * 4)
    with pytest.raises(UserError, match="train on at least two patients"):
        signals(images, np.arange(4), np.arange(4, 10))
