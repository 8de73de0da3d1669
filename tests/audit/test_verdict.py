"""Every rule of the verdict, what it must never say, and the gate's exit codes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.audit.verdict import HEADLINES, KINDS, gate, judge

CLEAR = {
    "kind": "reference",
    "p": 0.001,
    "auc": 0.72,
    "auc_low": 0.65,
    "auc_high": 0.79,
    "detectable_auc": 0.6,
}
NOTHING = {**CLEAR, "p": 0.4, "auc": 0.51, "auc_low": 0.44, "auc_high": 0.58}


def all_words(verdict):
    return " ".join([verdict.headline, *verdict.because, *verdict.not_shown])


def test_evidence():
    verdict = judge(**CLEAR, n_flagged=7)
    assert (verdict.code, verdict.headline) == ("evidence", "Evidence that the images were used")
    words = " ".join(verdict.because)
    assert "72% of cases (AUC 0.720, 95% interval 0.650 to 0.790); chance is 50%" in words
    assert "probability of 0.001; less than 0.05 counts as evidence" in words
    assert "7 images are flagged one by one, of which 5% at most" in words
    assert any("beyond those that are flagged" in s for s in verdict.not_shown)
    assert verdict.failed_controls == ()


def test_no_evidence():
    verdict = judge(**NOTHING)
    assert (verdict.code, verdict.headline) == ("no_evidence", "No evidence of use at this power")
    assert "a true AUC of 0.600 is noticed with a probability of 80%" in verdict.because[-1]
    assert verdict.not_shown[0].startswith("That the images were not used:")
    assert any("other attacks" in s for s in verdict.not_shown)
    assert any("other images of the same patients" in s for s in verdict.not_shown)
    labelled = judge(**{**NOTHING, "kind": "labelled"})
    assert "an image said to be used" in labelled.because[0]
    assert labelled.not_shown[0].startswith("That use left no trace:")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"detectable_auc": 0.66}, "below 0.660 would be noticed with a probability of less than"),
        ({"detectable_auc": math.nan}, "too few patients for such figures"),
        ({"detectable_auc": None}, "too few patients for such figures"),
        ({"p": 0.01}, "small enough, yet the interval does not lie above chance"),
        ({"auc_low": 0.51}, "interval lies above chance, yet the probability is not small enough"),
        ({"p": None}, "no test"),
        ({"auc_low": math.nan}, "no test"),
        ({"kind": "suspects"}, "Without images known to be unused nothing can be tested"),
    ],
)
def test_inconclusive_says_why(changes, reason):
    verdict = judge(**{**NOTHING, **changes})
    assert (verdict.code, verdict.headline) == ("inconclusive", "Inconclusive")
    assert reason in " ".join(verdict.because)
    assert "neither direction" in verdict.not_shown[0]


def test_the_limits_of_the_rules():
    assert judge(**{**NOTHING, "detectable_auc": 0.65}).code == "no_evidence"
    # p of exactly alpha is not below it; an interval that touches 0.5 does not lie above it.
    assert judge(**{**NOTHING, "p": 0.05}).code == "no_evidence"
    assert judge(**{**CLEAR, "auc_low": 0.5}).code == "inconclusive"
    assert judge(**{**CLEAR, "p": 0.02}, alpha=0.01).code == "inconclusive"
    # Great power is not asked for where something was found.
    assert judge(**{**CLEAR, "detectable_auc": 0.9}).code == "evidence"


def test_rounding_does_not_contradict_the_rule():
    verdict = judge(**{**CLEAR, "p": 100 / 2001})
    assert "a probability of just below 0.05;" in verdict.because[1]
    assert "a probability of less than 0.001;" in judge(**{**CLEAR, "p": 0.0004}).because[1]


def test_scores_that_point_the_wrong_way_are_named():
    verdict = judge(**{**NOTHING, "auc": 0.2, "auc_low": 0.1, "auc_high": 0.3})
    assert verdict.code == "no_evidence"
    assert "look for another difference between the two groups" in " ".join(verdict.because)


def test_flagged_images_do_not_make_evidence():
    verdict = judge(**NOTHING, n_flagged=1)
    assert verdict.code == "no_evidence"
    assert verdict.because[-1].startswith("1 image is flagged one by one")
    assert "the answer rests on the comparison of all images" in verdict.because[-1]


def test_a_failed_control_is_named():
    failed = [("members", "AUC 0.71 where 0.5 was expected"), ("unrelated", "It saw something.")]
    verdict = judge(**CLEAR, failed=failed, not_run=["stand_in_sees"])
    assert verdict.code == "not_trustworthy"
    assert verdict.headline == "Not trustworthy: a control failed"
    assert verdict.failed_controls == ("members", "unrelated")
    words = " ".join(verdict.because)
    assert 'The control "members" failed: AUC 0.71 where 0.5 was expected.' in words
    assert 'The control "unrelated" failed: It saw something.' in words
    assert 'control "stand_in_sees" would have said: it could not be run' in verdict.not_shown[-1]


share = st.none() | st.floats(0, 1) | st.just(math.nan)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    p=share,
    ends=st.tuples(share, share, share),
    detectable=share,
    failed=st.lists(st.sampled_from(["members", "blind_distance", "planted_20"]), max_size=2),
    not_run=st.lists(st.sampled_from(["unrelated", "stand_in_sees"]), max_size=2),
    n_flagged=st.integers(0, 3),
)
def test_any_figures_give_one_answer_that_reassures_no_one(
    kind, p, ends, detectable, failed, not_run, n_flagged
):
    low, auc, high = sorted(ends, key=lambda x: -1 if x is None or math.isnan(x) else x)
    verdict = judge(
        kind=kind,
        p=p,
        auc=auc,
        auc_low=low,
        auc_high=high,
        detectable_auc=detectable,
        failed=[(name, "it did") for name in failed],
        not_run=not_run,
        n_flagged=n_flagged,
    )
    assert verdict.headline == HEADLINES[verdict.code]
    assert verdict.because
    assert verdict.not_shown
    words = all_words(verdict)
    assert "safe" not in words.lower()
    assert not {"nan", "None"} & set(words.split())
    for sentence in (*verdict.because, *verdict.not_shown):
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence[0].isdigit()
    undefined = any(x is None or math.isnan(x) for x in (p, auc, low, high, detectable))
    if failed:
        assert verdict.code == "not_trustworthy"
        assert verdict.failed_controls == tuple(failed)
    elif kind == "suspects" or undefined:
        assert verdict.code == "inconclusive"
    else:
        evidence = p < 0.05 and low > 0.5
        nothing = p >= 0.05 and low <= 0.5 and detectable <= 0.65
        expected = "evidence" if evidence else "no_evidence" if nothing else "inconclusive"
        assert verdict.code == expected


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match=r"labelled, reference, suspects. Received: kind='x'"):
        judge(**{**CLEAR, "kind": "x"})
    for name in ("alpha", "enough"):
        with pytest.raises(ValueError, match=name):
            judge(**CLEAR, **{name: 1.0})


@pytest.mark.parametrize(
    ("code", "auc", "above", "evidence", "expected", "why"),
    [
        ("evidence", 0.9, None, False, 0, "No gate was asked for"),
        ("not_trustworthy", None, None, False, 0, "No gate"),
        ("evidence", 0.9, None, True, 3, "there is evidence of use"),
        ("no_evidence", 0.55, None, True, 0, '"No evidence of use at this power"'),
        ("inconclusive", 0.7, 0.6, False, 3, "the AUC 0.700 is above 0.6"),
        ("inconclusive", 0.6, 0.6, False, 0, "the AUC 0.600 is not above 0.6"),
        ("evidence", 0.7, 0.6, True, 3, "above 0.6 and there is evidence"),
        ("evidence", 0.7, 0.8, True, 3, "evidence"),
        ("not_trustworthy", 0.9, 0.6, True, 4, "A control failed"),
        ("not_trustworthy", 0.5, None, True, 4, "A control failed"),
        ("inconclusive", None, 0.6, False, 4, "no AUC"),
        ("inconclusive", math.nan, None, True, 4, "no AUC"),
    ],
)
def test_gate(code, auc, above, evidence, expected, why):
    exit_code, sentence = gate(code, auc, fail_above_auc=above, fail_on_evidence=evidence)
    assert exit_code == expected
    assert why in sentence
    assert "safe" not in sentence


def test_impossible_gates_are_refused():
    with pytest.raises(ValueError, match="verdict_code"):
        gate("fine", 0.5, fail_on_evidence=True)
    with pytest.raises(ValueError, match="fail_above_auc"):
        gate("evidence", 0.5, fail_above_auc=60)
