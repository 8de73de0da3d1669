"""Who is suspected, who is known to be unused, which detector the verdict rests on."""

import dataclasses
import shutil

import numpy as np
import pytest

from ganfp_tf.audit import controls, description, metrics
from ganfp_tf.audit.case import Case
from ganfp_tf.audit.parts import Estimate, Side
from ganfp_tf.config import Config
from ganfp_tf.detectors.ensemble import Mean, Stack
from ganfp_tf.detectors.protocol import Unprepared
from ganfp_tf.errors import UserError
from tests.helpers.small_cases import THREE, opened, write, write_patients

ALL_STACKS = ("nearest_pixels", "fast_mean", "fast_stack", "mean", "stack")


def unread(kind, *names):
    """A case of detectors alone: nothing is opened to name the primary one."""
    return Case(kind, None, None, None, names, Config(mode="audit"), None, None)


@pytest.mark.parametrize(
    ("names", "labelled", "without"),
    [
        ((*ALL_STACKS, "shadow_mean", "shadow_stack"), "shadow_stack", "shadow_mean"),
        (ALL_STACKS, "stack", "mean"),
        (ALL_STACKS[:3], "fast_stack", "fast_mean"),
        (("hits_pixels", "nearest_pixels", "blind_pixels"), "named_stack", "named_mean"),
        # One that can stand in a stack is no stack.
        (("blind_pixels", "hits_pixels", "blind_classifier"), "hits_pixels", "hits_pixels"),
        (("siamese_random", "classifier", "hits_pixels"), "hits_pixels", "hits_pixels"),
    ],
)
def test_the_primary_detector_is_fixed_by_the_list_of_names(names, labelled, without):
    assert unread("labelled", *names).detectors.primary == labelled
    assert unread("reference", *names).detectors.primary == without
    assert unread("suspects", *names).detectors.primary == without


def test_what_learns_from_labels_is_primary_where_it_is_alone():
    assert unread("labelled", "classifier", "blind_pixels").detectors.primary == "classifier"
    assert unread("labelled", "siamese_random", "fast_mean").detectors.primary == "fast_mean"


def test_named_stacks_hold_what_can_be_asked_again():
    names = ("nearest_pixels", "fast_mean", "classifier", "blind_pixels", "hits_pixels")
    case = unread("labelled", *names)
    for name, kind in (("named_stack", Stack), ("named_mean", Mean)):
        made = case.detectors.make(name)
        assert isinstance(made, kind)
        assert [signal.name for signal in made.signals] == ["nearest_pixels", "hits_pixels"]


def test_the_mean_beside_a_detector(small):
    assert small.detectors.primary == "named_stack"
    assert small.detectors.mean_of("named_stack") == "named_mean"
    assert small.detectors.mean_of("nearest_pixels") == "nearest_pixels"


@pytest.mark.parametrize("names", ["blind_pixels", "siamese_random", "blind_pixels,siamese_random"])
def test_controls_and_siamese_runs_alone_are_refused(victim, tmp_path, names):
    with pytest.raises(UserError, match="an audit needs a detector that can be asked for its"):
        opened(victim[0], tmp_path, detectors=names)


def test_without_labels_what_learns_from_them_is_left_out(victim, tmp_path):
    asked = dict(suspects=str(victim[0] / "real_used"), reference=str(victim[0] / "real_not_used"))
    with pytest.raises(UserError, match="learn from labels, which --suspects do not have"):
        opened(victim[0] / "generated", tmp_path, detectors="classifier,stack", **asked)
    case = opened(
        victim[0] / "generated", tmp_path, detectors="classifier,fast_stack,hits_pixels", **asked
    )
    assert case.names == ("hits_pixels", "blind_pixels")
    assert case.kind == "reference"
    assert case.real.label.value_counts().to_dict() == {0: 15, 1: 15}


def test_blind_controls_are_there_and_once(victim, tmp_path):
    names = opened(victim[0], tmp_path, detectors="blind_classifier,hits_pixels").names
    assert names == ("blind_classifier", "hits_pixels", "blind_pixels")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """12 used and 12 unused patients; three of the used have two unused images as well."""
    root = tmp_path_factory.mktemp("siblings")
    return opened(write_patients(root / "data", 12, 12, both=3), root / "run")


def test_unused_images_of_used_patients_are_siblings(small):
    siblings = small.group("sibling")
    assert list(siblings["name"]) == [f"alike_{i}.png" for i in range(1, 7)]
    assert set(siblings["patient"]) == {"u0", "u1", "u2"}
    assert set(siblings["label"]) == {0}
    assert small.real["group"].value_counts().to_dict() == {
        "suspect": 12,
        "reference": 12,
        "sibling": 6,
    }
    assert len(small.tested) == 24
    assert "sibling" not in set(small.tested["group"])
    asked = description.question(small)
    assert asked.reference == Side(12, 12, "images not used")
    assert asked.suspects.images == 12


def test_siblings_have_a_row_of_their_own_and_are_in_no_other_figure(small):
    scores = small.scores(small.detectors.primary)
    images = metrics.image_table(small, scores)
    found = metrics.sibling_level(small, images)
    assert (found.images, found.patients) == (6, 3)
    # They are nearly the used images, which the generated ones copy.
    assert found.auc.value == 1.0
    assert found.p < 0.05
    last = images.tail(6)
    assert set(last["group"]) == {"sibling"}
    assert last[["p", "q"]].isna().all(axis=None)
    assert not last["flagged"].any()
    assert set(last["decision"]) == {-1}
    # Of u0 there is a used image, and its two siblings have a mean of their own.
    own = images[images["patient"] == "u0"]
    assert own["patient_score"].nunique() == 2
    assert metrics.image_level(small, images).tested == 12
    together, _ = metrics.set_level(small, images)
    assert (together.suspects, together.reference) == (12, 12)
    assert metrics.patient_level(small, images).n == 24
    power = metrics.power(small, images, Estimate(0.9, 0.8, 1.0))
    assert (power.suspects, power.reference) == (12, 12)
    epsilon = metrics.epsilon(small, images)
    assert (epsilon.used, epsilon.unused) == (12, 12)
    names = {
        row.name for row in description.riskiest_rows(description.riskiest(small, images), "x")
    }
    assert len(names) == 8
    assert not [name for name in names if name.startswith("alike")]


def test_siblings_of_a_stack_are_on_the_scale_of_its_scores(small):
    """Their scores are those that weights of all folds together give, less the mean of all."""
    case = small
    hidden = case.real.assign(label=-1)
    prepared = case.detector(case.detectors.primary).prepare(hidden, case.generated, case.store)
    fitted = prepared.fit(case.tested, case.generated, case.store)
    whole = fitted.score(hidden, case.generated, case.store)
    siblings = (case.real["group"] == "sibling").to_numpy()
    expected = whole[siblings] - whole[~siblings].mean()
    assert np.allclose(case.scores_of_siblings(case.detectors.primary), expected)
    # Used images score above the mean, the others below: what copies used ones is above, too.
    scores = case.scores(case.detectors.primary)
    others = scores["score"][scores["label"] == 0]
    assert expected.min() > others.max()


@dataclasses.dataclass
class Learner(Unprepared):
    """Uses labels, and scores by the number of its name, higher the more images it was shown."""

    name: str = "learner"
    title: str = "learner"
    uses_labels: bool = True
    shown: int = 0

    def fit(self, labelled, generated, store):
        return dataclasses.replace(self, shown=len(labelled))

    def score(self, candidates, generated, store):
        numbers = candidates["name"].str.extract(r"(\d+)")[0].astype(float)
        return numbers.to_numpy() + 100.0 * self.shown


def test_siblings_of_what_learns_are_less_the_mean_of_the_others(small):
    """Used and other images are 1 to 12, with a mean of 6.5; siblings are 1 to 6."""
    case = dataclasses.replace(small)
    case._fitted["learner"] = Learner()
    assert case.scores_of_siblings("learner").tolist() == [-5.5, -4.5, -3.5, -2.5, -1.5, -0.5]


def test_siblings_of_a_detector_without_labels_score_as_it_says(small):
    hidden = small.group("sibling").assign(label=-1)
    expected = small.detector("nearest_pixels").score(hidden, small.generated, small.store)
    assert np.array_equal(small.scores_of_siblings("nearest_pixels"), expected)


def test_no_control_asks_for_a_sibling(small, monkeypatch):
    asked, original = set(), Case.scores

    def spy(self, name, real=None, *others, **named):
        asked.update(real["name"])
        return original(self, name, real, *others, **named)

    monkeypatch.setattr(Case, "scores", spy)
    # That of the blind ones takes longest, and asks for the tested images as `unrelated` does.
    monkeypatch.setattr(controls, "BLIND", ("blind_pixels",))
    controls.run_controls(small, lambda name, make: make())
    assert len(asked) == 24
    assert not [name for name in asked if name.startswith("alike")]


def test_scores_are_in_the_order_of_what_was_asked(small):
    upside_down = small.tested.iloc[::-1]
    one, other = (
        small.scores("named_mean", rows, decide=False) for rows in (small.tested, upside_down)
    )
    assert list(other["name"]) == list(upside_down["name"])
    assert set(other["decision"]) == {0}
    assert np.array_equal(one["score"].to_numpy(), other["score"].to_numpy()[::-1])
    labelled = small.scores("named_mean")
    assert set(labelled["decision"]) == {0, 1}
    assert np.array_equal(labelled["score"], one["score"])


def test_siblings_alone_are_no_reference(tmp_path):
    data = write_patients(tmp_path / "data", 4, 0, both=4)
    with pytest.raises(UserError, match="all images known to be unused are of patients who have"):
        opened(data, tmp_path / "run")


def test_siblings_of_a_reference(tmp_path):
    """Without labels: patients who are in both folders."""
    data = write_patients(tmp_path / "data", 4, 4)
    for name in ("used", "other", "made"):
        (tmp_path / name).mkdir()
        for path in data.glob(f"{name}_*.png"):
            patient = 1 if path.stem in ("used_1", "other_1") else path.stem
            shutil.copy(path, tmp_path / name / f"p{patient}-{path.name}")
    case = opened(
        tmp_path / "made",
        tmp_path / "run",
        suspects=str(tmp_path / "used"),
        reference=str(tmp_path / "other"),
        patient_regex="^p([^-]*)-",
    )
    assert list(case.group("sibling")["name"]) == ["p1-other_1.png"]
    assert len(case.group("reference")) == 3
    assert set(case.group("suspect")["label"]) == {1}


def test_two_generators_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("one", "two"):
        for role in ("real_used", "real_not_used", "generated"):
            images = rng.integers(0, 255, (3, 8, 8), dtype="uint8")
            write(tmp_path / "data" / part / role, images, role)
    with pytest.raises(UserError, match="an audit is of one generator, and 2 parts"):
        opened(tmp_path / "data", tmp_path / "run", detectors=THREE)
    assert opened(tmp_path / "data" / "one", tmp_path / "run").kind == "labelled"
