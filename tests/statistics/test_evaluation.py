"""The whole evaluation, its JSON, and the sentence in each of its wordings."""

import dataclasses
import json
import math

import numpy as np
import pytest

from ganfp_tf.statistics.evaluation import can_show, evaluate
from ganfp_tf.statistics.intervals import Interval
from ganfp_tf.statistics.sample import Resampling, Sample

SETTINGS = Resampling(resamples=200, permutations=199, confidence=0.95, seed=0)


def shifted(shift, n=14, images=1, strata=None):
    """n + n patients with `images` equal images each; the used ones' scores are `shift` higher."""
    labels = np.repeat([1, 0], n)
    scores = np.random.default_rng(0).normal(size=2 * n) + shift * labels
    patients = np.array([f"p{i}" for i in range(2 * n)])
    labels, scores, patients = (np.repeat(v, images) for v in (labels, scores, patients))
    decisions = (scores > shift / 2).astype(int)
    return evaluate(Sample(labels, scores, patients, decisions, strata), SETTINGS)


def test_a_detector_at_chance_is_said_to_show_nothing():
    sentence = can_show(shifted(0.0))
    assert sentence.startswith(
        "28 images (14 used, 14 not used, 28 patients): an AUC below 0.68 cannot be told from "
        "chance at p < .05; a detector would need a true AUC of 0.76 to be found with power .8. "
    )
    assert sentence.endswith("does not show that membership can be told.")


def test_a_good_detector_is_said_to_show_it():
    evaluation = shifted(2.0)
    sentence = can_show(evaluation)
    interval = evaluation.intervals["auc"]
    assert f"AUC {evaluation.metrics.auc:.2f} [{interval.low:.2f}, {interval.high:.2f}]" in sentence
    assert "p = .005, shows that membership can be told better than by chance" in sentence


@pytest.mark.parametrize(
    ("p", "low", "reason"),
    [(0.04, 0.49, "the interval includes 0.5"), (0.06, 0.51, "p is not below .05")],
)
def test_contradicting_figures_are_inconclusive(p, low, reason):
    evaluation = shifted(0.0)
    evaluation = dataclasses.replace(
        evaluation,
        permutation=dataclasses.replace(evaluation.permutation, auc_p=p),
        intervals={**evaluation.intervals, "auc": Interval(low, 0.9, 0.95, "percentile")},
    )
    assert f"is inconclusive, because {reason}" in can_show(evaluation)


def test_scores_that_point_the_wrong_way_are_named():
    assert "point the wrong way" in can_show(shifted(-3.0))
    assert "point the wrong way" not in can_show(shifted(0.0))


def test_patients_count_and_not_images():
    evaluation = shifted(0.0, n=7, images=10)
    assert evaluation.significant_auc == shifted(0.0, n=7).significant_auc
    assert can_show(evaluation).startswith("140 images (70 used, 70 not used, 14 patients): ")


def test_strata_are_what_the_sentence_speaks_of():
    evaluation = shifted(1.0, strata=np.arange(28) % 2)
    assert f"AUC within folds {evaluation.auc_within:.2f}" in can_show(evaluation)
    assert evaluation.to_dict()["metrics"]["auc_within"]["value"] == evaluation.auc_within


def test_labels_permuted_by_image_are_admitted():
    labels = np.tile([1, 0], 14)
    evaluation = evaluate(Sample(labels, labels * 1.0, np.arange(28) // 2, labels), SETTINGS)
    assert "permuted by image" in can_show(evaluation)


def test_too_few_or_one_sided_images():
    two = evaluate(Sample([1, 0], [1.0, 0.0], ["a", "b"], [1, 0]), SETTINGS)
    assert "2 images (1 used, 1 not used, 2 patients): too few for any AUC" in can_show(two)
    one = evaluate(Sample([1], [1.0], ["a"], [1]), SETTINGS)
    assert can_show(one).startswith("1 image (1 used, 0 not used, 1 patient): without used and")
    assert math.isnan(one.significant_auc)


def test_the_dict_is_strict_json_with_value_low_high():
    for evaluation in (
        shifted(1.0, strata=np.arange(28) % 2),
        evaluate(Sample([1, 1], [1.0, 2.0], ["a", "b"], [1, 1]), SETTINGS),
    ):
        found = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
        assert set(found["metrics"]["f1"]) == {"value", "low", "high"}
        assert found["metrics"]["n"] == {"value": evaluation.metrics.n, "low": None, "high": None}
        assert set(found["constants"]) == {"all used", "none used", "coin"}
    assert found["metrics"]["auc"] == {"value": None, "low": None, "high": None}
    assert found["permutation"]["auc_p"] is None
