"""Figures of an audit from scores that are written down: by hand, and against `statistics`."""

import math

import numpy as np
import pytest
from scipy import stats

from ganfp_tf.audit import metrics
from ganfp_tf.audit.detector_results import FIGURES, detector_results
from ganfp_tf.audit.measure import Measured
from ganfp_tf.audit.parts import Estimate
from ganfp_tf.audit.patient_scores import permuted_p, pooled
from ganfp_tf.statistics.power import detectable_auc, power_at, significant_auc
from ganfp_tf.statistics.sample import Resampling
from tests.helpers.small_cases import scored


def rows(group, scores, *, patients=None, decisions=None, folds=None):
    """Rows for `scored`: images g0, g1, ... of a group, each a patient where none are said."""
    first = group[0]
    return [
        (
            f"{first}{i}",
            patients[i] if patients else f"{first}{i}",
            group,
            float(score),
            int(decisions[i]) if decisions else 0,
            folds[i] if folds else "all",
        )
        for i, score in enumerate(scores)
    ]


def test_p_and_q_of_images_by_hand():
    """Four unused images at 1 to 4: p is (1 + those that reach the score) / 5."""
    case, scores = scored(
        rows("suspect", [5, 4.5, 4, 2.5, 0]) + rows("reference", [1, 2, 3, 4]), fdr=0.5
    )
    images = metrics.image_table(case, scores)
    suspects, reference = images[:5], images[5:]
    assert suspects["p"].tolist() == pytest.approx([0.2, 0.2, 0.4, 0.6, 1.0])
    # Benjamini & Hochberg: .2 * 5 / 2 twice, .4 * 5 / 3, .6 * 5 / 4, 1.
    assert suspects["q"].tolist() == pytest.approx([0.5, 0.5, 2 / 3, 0.75, 1.0])
    assert suspects["q"].tolist() == pytest.approx(stats.false_discovery_control(suspects["p"]))
    assert suspects["flagged"].tolist() == [True, True, False, False, False]
    # An image of the reference is held against the three others.
    assert reference["p"].tolist() == pytest.approx([1.0, 0.75, 0.5, 0.25])
    assert reference["q"].isna().all()
    assert not reference["flagged"].any()
    assert images["label"].tolist() == [1] * 5 + [0] * 4
    assert not metrics.image_table(*scored_again(case, scores, fdr=0.49))["flagged"].any()


def scored_again(case, scores, **settings):
    """The same under other settings."""
    listed = [
        (r.name, r.patient, r.group, s.score)
        for r, s in zip(case.tested.itertuples(), scores.itertuples(), strict=True)
    ]
    return scored(listed, kind=case.kind, **settings)


def test_labels_that_nobody_has_said_are_not_told():
    given = rows("suspect", [5, 4]) + rows("reference", [1, 2, 3])
    images = metrics.image_table(*scored(given, kind="reference"))
    assert set(images["label"]) == {-1}
    assert images["p"].notna().all()
    alone = metrics.image_table(*scored(given[:2], kind="suspects"))
    assert alone[["p", "q"]].isna().all(axis=None)
    assert not alone["flagged"].any()


def test_a_reference_of_one_image_has_no_p_of_its_own():
    images = metrics.image_table(*scored(rows("suspect", [5, 4]) + rows("reference", [1])))
    assert images["p"][:2].tolist() == [0.5, 0.5]
    assert math.isnan(images["p"][2])


def test_the_score_of_a_patient_is_the_mean_of_one_group():
    case, scores = scored(
        [
            ("a", "p", "suspect", 1.0),
            ("b", "p", "suspect", 4.0),
            ("c", "q", "reference", 2.0),
            ("d", "p", "sibling", 9.0),
        ]
    )
    images = metrics.image_table(case, scores).set_index("name")
    assert images["patient_score"].to_dict() == {"a": 2.5, "b": 2.5, "c": 2.0, "d": 9.0}


def test_what_images_can_be_named():
    """19 unused images give p = .05 at best: all of 5 suspects, or 1 of 1, must be above them."""
    low = list(range(19))
    case, scores = scored(rows("suspect", [50] * 5) + rows("reference", low))
    found = metrics.image_level(case, metrics.image_table(case, scores))
    assert (found.tested, found.flagged, found.resolvable) == (5, 5, True)
    assert found.smallest_p == pytest.approx(0.05)
    assert "that 19 images of the reference can give is 0.050: at least 5 of 5" in found.note
    case, scores = scored(rows("suspect", [50] * 5) + rows("reference", low[:18]))
    found = metrics.image_level(case, metrics.image_table(case, scores))
    assert (found.flagged, found.resolvable) == (0, False)
    assert "too large for any image to be named at a false discovery rate of 5%" in found.note
    case, scores = scored(rows("suspect", [5]), kind="suspects")
    assert metrics.image_level(case, metrics.image_table(case, scores)) is None


def test_the_set_is_compared_by_patients():
    """Welch by SciPy, of the patients' means; the images of a patient are no evidence more."""
    rng = np.random.default_rng(3)
    used, unused = rng.normal(0.8, 1, 24), rng.normal(0, 2, 15)
    case, scores = scored(
        rows("suspect", used, patients=[f"u{i // 3}" for i in range(24)])
        + rows("reference", unused),
        permutations=5000,
    )
    images = metrics.image_table(case, scores)
    found, share = metrics.set_level(case, images)
    means = used.reshape(8, 3).mean(axis=1)
    welch = stats.ttest_ind(means, unused, equal_var=False, alternative="greater")
    assert found.welch_t == pytest.approx(welch.statistic)
    assert found.welch_p == pytest.approx(welch.pvalue)
    assert found.welch_df == pytest.approx(welch.df)
    assert found.difference.value == pytest.approx(means.mean() - unused.mean())
    assert found.difference.low < found.difference.value < found.difference.high
    assert (found.suspects, found.reference, found.unit) == (8, 15, "patient")
    # The t of unequal spreads, exchanged: near the same (SciPy's own differs by as much).
    studentised = stats.permutation_test(
        (means, unused),
        lambda x, y: stats.ttest_ind(x, y, equal_var=False).statistic,
        alternative="greater",
        n_resamples=2000,
        rng=np.random.default_rng(0),
    )
    assert found.permutation_p == pytest.approx(studentised.pvalue, abs=0.04)
    # Storey at 1/2: twice the share of suspects below the median.
    below = (used < np.median(unused)).mean()
    assert share.value == pytest.approx(max(0.0, 1 - 2 * below))
    assert "below" in share.note


def test_folds_are_not_compared_with_each_other():
    """The folds' scores lie 100 apart and hold unequal shares: within them nothing differs."""
    folds = ["a"] * 6 + ["b"] * 2
    case, scores = scored(
        rows("suspect", [101, 103, 102, 104, 106, 105, 1, 2], folds=folds)
        + rows("reference", [102, 105, 1, 2, 1.5, 1.5, 0, 3], folds=folds[4:] + ["b"] * 4)
    )
    found, _ = metrics.set_level(case, metrics.image_table(case, scores))
    assert found.permutation_p > 0.2
    assert abs(found.difference.value) < 1


def test_patients_are_the_mean_of_their_images():
    """By hand: used 2.5, 1; unused 0, 2. Three of four pairs are in order."""
    given = [
        ("a", "u0", "suspect", 1.0, 1),
        ("b", "u0", "suspect", 4.0, 0),
        ("c", "u1", "suspect", 1.0, 0),
        ("d", "n0", "reference", -3.0, 0),
        ("e", "n0", "reference", 3.0, 0),
        ("f", "n1", "reference", 2.0, 1),
        ("g", "u0", "sibling", 50.0),
    ]
    case, scores = scored(given)
    images = metrics.image_table(case, scores)
    found = metrics.patient_level(case, images)
    assert found.n == 4
    assert found.auc.value == 0.75
    # Called used: u0 (one of two images) and n1; so half of both are right: kappa 0.
    assert found.kappa.value == 0.0
    assert [rate.resolvable for rate in found.tpr] == [False] * 4
    without = metrics.patient_level(*of_kind("reference", given))
    assert without.auc.value == 0.75
    assert without.kappa is without.tpr is None
    assert metrics.patient_level(*of_kind("suspects", given[:3])) is None


def of_kind(kind, given):
    case, scores = scored(given, kind=kind)
    return case, metrics.image_table(case, scores)


def test_p_does_not_hang_on_equally_many_images():
    """Patients of one side have two images, of the other one: an exchange of single images found
    nobody to exchange, and p was 1 though all used images score above all others."""
    given = rows("suspect", range(10, 26), patients=[f"u{i // 2}" for i in range(16)])
    given += rows("reference", range(8))
    case, scores = scored(given)
    row = detector_results(case, [measured("nearest_pixels", scores)])[0]
    assert row.auc.value == 1.0
    assert row.p == pytest.approx(1 / 200)
    images = metrics.image_table(case, scores)
    assert metrics.patient_level(case, images).p == row.p
    assert len(pooled(scores)) == 16
    assert permuted_p(scores, Resampling.of(case.config)) == row.p


def test_p_by_hand():
    """Of six ways to deal out two labels to four patients one is as good: p near 1/6."""
    case, scores = scored(rows("suspect", [3, 4]) + rows("reference", [1, 2]), permutations=5000)
    assert permuted_p(scores, Resampling.of(case.config)) == pytest.approx(1 / 6, abs=0.02)


def test_p_of_siblings_is_of_patients():
    given = rows("suspect", range(8)) + rows("reference", range(8))
    given += [(f"x{i}", f"s{i // 2}", "sibling", 20.0 + i) for i in range(10)]
    case, scores = scored(given)
    found = metrics.sibling_level(case, metrics.image_table(case, scores))
    assert (found.images, found.patients, found.auc.value) == (10, 5, 1.0)
    assert found.p == pytest.approx(1 / 200)  # one of 1287 ways
    case, scores = scored(given[:16])
    assert metrics.sibling_level(case, metrics.image_table(case, scores)) is None


def test_the_power_is_that_of_patients():
    given = rows("suspect", range(40), patients=[f"u{i // 2}" for i in range(40)])
    case, scores = scored(given + rows("reference", range(30)))
    found = metrics.power(case, metrics.image_table(case, scores), Estimate(0.613, 0.5, 0.7))
    assert (found.suspects, found.reference) == (20, 30)
    assert found.significant_auc == significant_auc(20, 30, 0.05)
    assert found.detectable_auc == detectable_auc(20, 30, 0.05, 0.8)
    assert found.curve[0][0] == 0.5
    assert found.curve[-1][0] == 0.95
    for auc, power in found.curve:
        assert power == power_at(auc, 20, 30, 0.05)
    assert dict(map(tuple, found.curve))[0.7] > 0.5
    assert f"true AUC is {found.detectable_auc:.2f}" in found.found
    assert "measured was 0.61" in found.found


def test_too_few_patients_have_no_power():
    case, scores = scored(rows("suspect", [1]) + rows("reference", [0]))
    found = metrics.power(case, metrics.image_table(case, scores), Estimate(1.0, 1.0, 1.0))
    assert math.isnan(found.detectable_auc)
    assert found.curve[-1][1] == 0.0
    assert "no AUC could have been told from chance" in found.found


def test_epsilon_counts_patients():
    """20 used patients of two images, one called used in each: all are. 20 others: none is."""
    given = rows(
        "suspect", range(40), patients=[f"u{i // 2}" for i in range(40)], decisions=[1, 0] * 20
    )
    given += rows("reference", range(20), decisions=[0] * 20)
    given += [("x", "u0", "sibling", 3.0)]
    case, scores = scored(given)
    found = metrics.epsilon(case, metrics.image_table(case, scores))
    assert [getattr(found, k) for k in ("true_positives", "used", "false_positives", "unused")] == [
        20,
        20,
        0,
        20,
    ]
    # No attack on 20 and 20 can show more: log(q / (1 - q)) of q = .025^(1 / 20).
    q = 0.025 ** (1 / 20)
    assert found.low == pytest.approx(math.log(q / (1 - q)))
    assert metrics.epsilon(*of_kind("reference", given)) is None


def measured(name, scores, **flags):
    flags = {"control": False, "network": False, "uses_labels": False, **flags}
    return Measured(name=name, title=name, scores=scores, seconds=1.0, peak_bytes=2, **flags)


def test_a_detector_is_held_against_the_best_classical_attack():
    """A control, a stack and a network are no classical attack, however good they are."""
    names = ("hits_pixels", "nearest_pixels", "comparator", "blind_pixels")
    case, scores = scored(
        rows("suspect", range(10, 20)) + rows("reference", range(10)), names=names
    )
    label = scores["label"].to_numpy()
    noise = np.random.default_rng(0).normal(size=20)
    weak, fair = scores.assign(score=label + 3 * noise), scores.assign(score=label + noise)
    found = detector_results(
        case,
        [
            measured("named_stack", scores),
            measured("hits_pixels", weak),
            measured("nearest_pixels", fair),
            measured("comparator", scores, network=True),
            measured("blind_pixels", scores, control=True),
            measured("fast_mean", scores),
        ],
    )
    by_name = {row.name: row for row in found}
    assert by_name["nearest_pixels"].less_best is None
    others = {n: row.less_best for n, row in by_name.items() if n != "nearest_pixels"}
    assert {less.other for less in others.values()} == {"nearest_pixels"}
    best = by_name["nearest_pixels"].auc.value
    for name, less in others.items():
        assert less.difference == pytest.approx(by_name[name].auc.value - best)
        assert less.low <= less.difference <= less.high
    assert others["named_stack"].difference > 0 > others["hits_pixels"].difference
    assert [row.primary for row in found] == [True] + [False] * 5
    assert found[0].auc.value == 1.0
    assert found[0].p < 0.05


def test_without_a_classical_attack_there_is_no_best():
    case, scores = scored(rows("suspect", range(4)) + rows("reference", range(4)))
    found = detector_results(
        case,
        [
            measured("stack", scores),
            measured("blind_pixels", scores, control=True),
            measured("shadow_nearest_pixels", scores),
        ],
    )
    assert [row.less_best for row in found] == [None] * 3


def test_what_needs_labels_is_empty_without_them():
    given = rows("suspect", range(4)) + rows("reference", range(4))
    case, scores = scored(given, kind="reference")
    row = detector_results(case, [measured("nearest_pixels", scores)])[0]
    assert row.auc.value == 0.5
    assert row.tpr is None
    assert {getattr(row, name) for name in FIGURES} == {None}
    case, scores = scored(given[:4], kind="suspects")
    row = detector_results(case, [measured("nearest_pixels", scores)])[0]
    assert row.auc is row.p is row.tpr is row.less_best is None
    assert row.seconds == 1.0
    assert row.peak_bytes == 2


def test_low_rates_of_a_labelled_audit():
    """20 unused images allow two false alarms at 10 %, one at 5 %, none below."""
    case, scores = scored(rows("suspect", [18.5, 17.5, 30, 40]) + rows("reference", range(20)))
    rates = detector_results(case, [measured("nearest_pixels", scores)])[0].tpr
    assert [rate.fpr for rate in rates] == [0.1, 0.05, 0.01, 0.001]
    assert [rate.value for rate in rates[:2]] == [1.0, 0.75]
    assert [rate.resolvable for rate in rates] == [True, True, False, False]
