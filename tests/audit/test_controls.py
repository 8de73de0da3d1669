"""What must not be found and what must be: who is asked, what fails, what cannot be run."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.audit import control as asking
from ganfp_tf.audit import controls, measure, synthetic_controls
from ganfp_tf.audit.case import Case
from ganfp_tf.audit.control import Control, evaluate_control, half_of, run_control
from ganfp_tf.audit.controls import judge_controls, remarks, run_controls
from ganfp_tf.errors import UserError
from ganfp_tf.modes.audit import assemble
from tests.helpers.small_cases import opened, scored, write_patients


def control(name, p, kind="negative", **fields):
    return Control(name, f"title of {name}", kind, "expected", p=p, **fields)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("controls")
    return opened(write_patients(root / "data", 20, 20, copies=4), root / "run")


@pytest.fixture(scope="module")
def planted(small):
    return synthetic_controls.planted_control(small, 20.0)[0]


def run(small, **changes):
    """Controls of the case under other settings, name -> Control, without the blind ones."""
    case = dataclasses.replace(small, config=dataclasses.replace(small.config, **changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "BLIND", ())
        return {c.name: c for c in run_controls(case, lambda name, make: make())}


def test_negative_controls_share_the_false_alarms():
    """Holm (1979) by hand: .01 * 4, .02 * 3, max(.06, .025 * 2), .8; a positive one is alone."""
    asked = [
        control("a", 0.02),
        control("b", 0.8),
        control("copies", 0.04, "positive"),
        control("c", 0.01),
        control("not run", None),
        control("d", 0.025),
    ]
    found = {c.name: (p, passed) for c, p, passed in judge_controls(asked, "labelled")}
    assert found["c"] == (pytest.approx(0.04), False)
    assert found["a"] == (pytest.approx(0.06), True)
    assert found["d"] == (pytest.approx(0.06), True)
    assert found["b"] == (pytest.approx(0.8), True)
    assert found["copies"] == (0.04, True)  # 0.04 among negative ones would be 0.2
    assert found["not run"] == (None, None)


def test_copies_that_are_not_found_fail_but_among_suspects_alone():
    for p, kind, passed in (
        (0.05, "labelled", False),
        (0.05, "reference", False),
        (0.05, "suspects", None),
        (0.049, "suspects", True),
        (0.049, "labelled", True),
    ):
        assert judge_controls([control("planted_5", p, "positive")], kind)[0][1:] == (p, passed)


def test_an_unrelated_generator_fails_only_where_it_could_explain_the_finding():
    asked = [control("unrelated", 0.01, auc=0.6, high=0.7, found="AUC 0.60.")]
    for lowest, passed in ((0.71, True), (0.7, False), (None, False)):
        found = judge_controls(asked, "labelled", lowest)
        assert found[0][2] is passed
        assert len(remarks(found)) == passed
    assert "too little to explain" in judge_controls(asked, "labelled", 0.9)[0][0].found
    # No other control has this way out.
    assert not judge_controls([control("members", 0.01, high=0.6)], "labelled", 0.9)[0][2]


def test_halves_keep_patients_whole():
    frame = pd.DataFrame({"patient": ["a", "a", "b", "c", "c", "c", "d", "e"]})
    seen = set()
    for seed in range(20):
        half = half_of(frame, np.random.default_rng(seed))
        of = frame.assign(half=half).groupby("patient")["half"]
        assert (of.nunique() == 1).all()
        assert of.first().sum() == 2
        seen.add(tuple(half))
    assert len(seen) > 5


def test_too_few_patients_are_not_asked(monkeypatch):
    case, _ = scored([(f"i{n}", f"p{n // 4}", "suspect", n) for n in range(32)])
    monkeypatch.setattr(Case, "scores", lambda *_: pytest.fail("asked"))
    question = control("x", None)
    # 12 images, but of three patients.
    frame = case.tested.assign(label=case.tested["patient"].isin(["p0", "p1", "p2"]).astype(int))
    found = run_control(case, question, frame)
    assert found.p is None
    assert found.auc is None
    assert found.found == "Not run: it needs 4 patients on either side, and there are fewer."
    # A single side is too few as well.
    assert asking.too_few(frame.assign(label=1))


def test_what_was_not_run_is_not_shown(tmp_path):
    data = write_patients(tmp_path / "data", 7, 7)
    case = opened(data, tmp_path / "run", detectors="nearest_pixels")
    answers = list(run(case).values())
    found = judge_controls(answers, case.kind)
    unknown = [c for c, _, passed in found if passed is None]
    assert [c.name for c in unknown] == [
        "members",
        "non_members",
        "unrelated",
        "stand_in_sees",
        "planted_1",
        "planted_5",
        "planted_20",
    ]
    said = {c.name: c.found for c in unknown}
    assert "needs 4 patients on either side" in said["members"]
    # 7 patients are no fewer than 4; a stand-in halves both sides.
    assert "needs 8 patients on either side" in said["unrelated"] == said["stand_in_sees"]
    measured = measure.Measured(
        "nearest_pixels", "", False, False, False, case.scores("nearest_pixels"), 0.0, 0
    )
    result, *_ = assemble(case, [measured], answers)
    for each in unknown:
        assert any(f'"{each.title}"' in line for line in result.verdict.not_shown)
    assert not result.verdict.failed_controls


def test_few_copies_say_too_little(small):
    """1 % of 80 generated images is one copy, 5 % are four, 6 % are five."""
    assert synthetic_controls.planted_control(small, 1.0)[0].p is None
    few = synthetic_controls.planted_control(small, 5.0)[0]
    assert few.p is None
    assert "only 4 images can be copied" in few.found
    assert few.share == 0.05
    assert few.recovered is None
    enough = synthetic_controls.planted_control(small, 6.0)[0]
    assert "5 slightly changed copies of 5 of the images not used" in enough.expected
    assert enough.auc > 0.9
    assert enough.p < 0.05


def test_copies_take_the_place_of_generated_images(small, planted, monkeypatch):
    assert planted.auc > 0.9
    assert planted.p < 0.05
    assert planted.share == 0.2
    assert planted.recovered > 0.8
    # 20 % of 80 are 16, and half of 20 images are copied.
    assert "16 slightly changed copies of 10 of the images not used" in planted.expected

    def look(case, question, frame, generated):
        named = generated["name"].str.rsplit("_", n=1).str[0].value_counts()
        assert named.to_dict() == {"made": 64, "copy": 16}
        assert set(frame["group"]) == {"reference"}
        assert frame["label"].sum() == 10
        return question

    monkeypatch.setattr(synthetic_controls, "run_control", look)
    synthetic_controls.planted_control(small, 20.0)


def test_the_same_seed_gives_the_same_control(small, planted):
    again = dataclasses.replace(small)  # nothing remembered
    assert synthetic_controls.planted_control(again, 20.0)[0] == planted
    assert controls._halves(again, "suspect", "members") == controls._halves(
        small, "suspect", "members"
    )
    other = dataclasses.replace(small, config=dataclasses.replace(small.config, seed=1))
    assert controls._halves(other, "suspect", "members") != controls._halves(
        small, "suspect", "members"
    )


def test_the_two_halves_of_a_stand_in(small):
    assert not list(small.folder.glob("*"))
    found = {c.name: c for c in synthetic_controls.stand_in_controls(small)}
    assert found["stand_in_sees"].auc > 0.9 > found["unrelated"].auc
    assert found["stand_in_sees"].kind == "positive"
    assert found["unrelated"].kind == "negative"
    # Each image was asked for once a draw, and counts once.
    assert "over 40 images" in found["unrelated"].found
    assert not list(small.folder.glob("*"))


@pytest.mark.parametrize("make", ["planted", "stand_in"])
def test_no_image_of_a_patient_stays_after_an_error(small, monkeypatch, make):
    seen = []

    def fails(*_, **__):
        seen.extend(small.folder.rglob("*.png"))
        raise UserError("in the middle")

    monkeypatch.setattr(Case, "scores", fails)
    with pytest.raises(UserError, match="in the middle"):
        if make == "planted":
            synthetic_controls.planted_control(small, 20.0)
        else:
            synthetic_controls.stand_in_controls(small)
    assert seen
    assert not list(small.folder.glob("*"))


def columns(scores, labels, **others):
    n = len(scores)
    frame = {"patient": [f"p{i}" for i in range(n)], "split_id": "all", "decision": 0, **others}
    return pd.DataFrame({"score": scores, "label": labels, **frame})


def test_blind_ones_fail_on_either_side():
    """All of label 1 below the others: one-sided p is 1, two-sided twice the smallest."""
    case, _ = scored([("a", "a", "suspect", 0.0)])
    labels = np.repeat([1, 0], 10)
    low = columns(np.arange(20.0), labels)
    assert evaluate_control(case, control("x", None), low).p == 1.0
    both = evaluate_control(case, control("x", None), low, two_sided=True)
    assert (both.auc, both.p) == (0.0, pytest.approx(2 / 200))
    high = evaluate_control(case, control("x", None), low.assign(label=1 - labels), two_sided=True)
    assert (high.auc, high.p) == (1.0, pytest.approx(2 / 200))
    # Where all tie, both sides have p = 1, and so has the test of both.
    assert (
        evaluate_control(case, control("x", None), low.assign(score=0.0), two_sided=True).p == 1.0
    )


def test_patients_with_more_images_are_exchanged_too():
    """Two images of each patient on one side, one on the other: p was 1 whatever the scores."""
    case, _ = scored([("a", "a", "suspect", 0.0)])
    frame = columns(
        np.arange(24.0),
        [0] * 8 + [1] * 16,
        patient=[f"n{i}" for i in range(8)] + [f"u{i // 2}" for i in range(16)],
    )
    found = evaluate_control(case, control("x", None), frame)
    assert found.auc == 1.0
    assert found.p == pytest.approx(1 / 200)


def test_folds_of_one_side_each_are_not_run():
    case, _ = scored([("a", "a", "suspect", 0.0)])
    frame = columns(np.arange(10.0), [1] * 5 + [0] * 5, split_id=["a"] * 5 + ["b"] * 5)
    found = evaluate_control(case, control("x", None), frame)
    assert found.p is None
    assert found.found.startswith("Not run: no fold had images of both sides")


def test_copies_that_are_recovered():
    """By hand: of the other scores 0 to 19 the 95 % quantile is 19; two of four are above."""
    case, _ = scored([("a", "a", "suspect", 0.0)])
    frame = columns([*range(20), 18.5, 19.0, 19.5, 40.0], [0] * 20 + [1] * 4)
    found = evaluate_control(case, control("planted_5", None, "positive", share=0.05), frame)
    assert found.recovered == 0.5
    assert "50% of the copied images" in found.found


def test_blind_controls_of_a_case(small):
    distance = controls._blind(small, "blind_pixels")[0]
    assert distance.name == "blind_distance"
    assert "over 40 images" in distance.found
    classifier = controls._blind(small, "blind_classifier")[0]
    assert classifier.name == "blind_classifier"
    assert 0.0 < classifier.auc < 1.0


def test_small_folds_ask_the_mean(small, monkeypatch):
    """Random halves of 20 patients are 10 a side, enough for 3 folds; of 18 they are not."""
    names, original = [], Case.scores

    def spy(self, name, *others, **named):
        names.append(name)
        return original(self, name, *others, **named)

    monkeypatch.setattr(Case, "scores", spy)
    controls._halves(small, "suspect", "members")
    fewer = small.real[~small.real["patient"].isin(["u0", "u1"])]
    controls._halves(dataclasses.replace(small, real=fewer), "suspect", "members")
    synthetic_controls.planted_control(small, 20.0)
    assert names == ["named_stack", "named_mean", "named_mean"]


def test_suspects_alone(small):
    """No reference: halves of suspects and copies of them are all that can be asked."""
    case = dataclasses.replace(
        small,
        kind="suspects",
        real=small.group("suspect"),
        names=tuple(n for n in small.names if n != "blind_classifier"),
    )
    found = run(case)
    assert list(found) == ["members", "planted_1", "planted_5", "planted_20"]
    assert "of the suspects take the place" in found["planted_20"].expected
    # Every suspect was copied already, so more copies of some need not stand out.
    assert found["planted_20"].auc is not None
