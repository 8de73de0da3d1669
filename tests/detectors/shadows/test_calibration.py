"""Shadow calibration: numbers by hand, and a signal that the base hides."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.detectors.attacks.distance import NearestDistance
from ganfp_tf.detectors.protocol import Unprepared
from ganfp_tf.detectors.shadows.calibration import Shadow, ShadowCalibrated, shadow_signals
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.metrics import auc


class Store:
    """Images are vectors, their digest says which; what is asked for twice is made once."""

    def __init__(self):
        self.kept = {}

    def pixels(self, frame):
        return np.array([[float(x) for x in d.split()] for d in frame["digest"]], "float32")

    def keep(self, key, make):
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]


@dataclasses.dataclass(frozen=True)
class Sum(Unprepared):
    """A base whose score is what a table says: the generated image's digest is its column."""

    table: pd.DataFrame = dataclasses.field(repr=False)
    name: str = "sum"
    title: str = "sum"
    uses_labels: bool = False
    made: str = ""

    def fit(self, labelled, generated, store):
        assert (labelled["label"] == -1).all()
        return dataclasses.replace(self, made=generated["digest"].iloc[0])

    def score(self, candidates, generated, store):
        assert self.made == generated["digest"].iloc[0]
        return self.table.loc[candidates["digest"], self.made].to_numpy(dtype=float)


def images(digests, patients=None, role="real", label=1):
    names = [f"{role}_{digest}" for digest in digests]
    return pd.DataFrame(
        {
            "path": names,
            "name": names,
            "role": role,
            "label": label,
            "part": "",
            "digest": digests,
            "patient": names if patients is None else patients,
        }
    )


def generated(*digests):
    return images(list(digests), [""] * len(digests), role="generated", label=-1)


def shadow(digest, seen=(), patients=()):
    return Shadow(digest, generated(digest), frozenset(seen), frozenset(patients))


TABLE = pd.DataFrame(
    {"G": [5.0, 6.0, 7.0, 8.0], "A": [1.0, 2.0, 0.0, 1.0], "B": [13.0, 12.0, 10.0, 9.0]},
    index=list("wxyz"),
)
REAL = images(list("wxyz"))
SHADOWS = (shadow("A", "wx"), shadow("B", "yz"))


def scored(shadows, real=REAL, reference=REAL, base=None, store=None, made=None):
    store, made = store or Store(), generated("G") if made is None else made
    fitted = ShadowCalibrated(base or Sum(TABLE), shadows).fit(reference, made, store)
    return fitted.score(real, made, store)


def test_balanced_it_is_the_middle_between_in_and_out():
    # Levels: A (1.5 + 0.5) / 2 = 1, B (12.5 + 9.5) / 2 = 11. Less these: A 0 1 -1 0, B 2 1 -1 -2.
    # Middles: 1, 1, -1, -1.
    assert scored(SHADOWS).tolist() == [4.0, 5.0, 8.0, 9.0]


def test_signals_are_finite_and_say_both_sides():
    found = shadow_signals(Sum(TABLE), SHADOWS, REAL, REAL, generated("G"), Store())
    assert list(found.columns) == ["score", "in_mean", "out_mean", "mid"]
    assert found["in_mean"].tolist() == [0.0, 1.0, -1.0, -2.0]
    assert found["out_mean"].tolist() == [2.0, 1.0, -1.0, 0.0]
    assert found["mid"].tolist() == [1.0, 1.0, -1.0, -1.0]


def test_an_image_of_one_kind_is_moved_by_half_the_gap():
    # z is seen by both. A: level (mean(1, 2, 1) + 0) / 2 = 2/3; B: ((10 + 9) / 2 + 12.5) / 2 = 11.
    # Less these: A 1/3 4/3 -2/3 1/3, B 2 1 -1 -2. Both kinds: w 1/3 - 2, x 4/3 - 1, y -1 + 2/3.
    shadows = (shadow("A", "wxz"), shadow("B", "yz"))
    gap = (-5 / 3 + 1 / 3 - 1 / 3) / 3
    fitted = ShadowCalibrated(Sum(TABLE), shadows).fit(REAL, generated("G"), Store())
    assert fitted.levels == pytest.approx((2 / 3, 11.0))
    assert fitted.gap == pytest.approx(gap)
    found = fitted.signals(REAL, generated("G"), Store())
    assert found["mid"].iloc[0] == pytest.approx((1 / 3 + 2) / 2)
    assert found["mid"].iloc[3] == pytest.approx((1 / 3 - 2) / 2 - gap / 2)
    assert found["out_mean"].iloc[3] == pytest.approx((1 / 3 - 2) / 2 - gap)


def test_one_shadow_that_saw_half():
    # Level 1; the gap is that of the two means, 1.5 - 0.5. Less level: 0 1 -1 0.
    assert scored(SHADOWS[:1]).tolist() == [5.5, 5.5, 7.5, 7.5]


def test_shadows_that_saw_none_are_subtracted_less_their_mean():
    # A less 1, B less 11: 0 1 -1 0 and 2 1 -1 -2; no gap.
    assert scored((shadow("A"), shadow("B"))).tolist() == [4.0, 5.0, 8.0, 9.0]
    # An image of fit() that nobody saw and one that all saw leave no middle to measure.
    alone = scored((shadow("A"),), reference=REAL[:1])
    assert alone.tolist() == [5.0, 5.0, 8.0, 8.0]


def test_another_image_of_a_patient_counts_as_seen():
    real = REAL.assign(patient=["p", "p", "", ""])
    by_patient = (shadow("A", "w", ["p"]), SHADOWS[1])
    assert scored(by_patient, real, real).tolist() == scored(SHADOWS, real, real).tolist()
    assert shadow("A", "", [""]).has_seen(real).tolist() == [False] * 4


def test_the_level_of_a_shadow_does_not_matter():
    moved = Sum(TABLE.assign(B=TABLE["B"] + 100.0))
    assert scored(SHADOWS, base=moved) == pytest.approx(scored(SHADOWS))


def test_neither_order_nor_labels_nor_the_other_candidates_matter():
    expected = pd.Series(scored(SHADOWS), REAL["digest"])
    mixed = REAL.iloc[[2, 0, 3, 1]].assign(label=[0, 1, 0, 1])
    assert scored(SHADOWS, mixed, mixed).tolist() == expected[mixed["digest"]].tolist()
    assert scored(SHADOWS[::-1], mixed).tolist() == expected[mixed["digest"]].tolist()
    assert scored(SHADOWS, REAL[2:3]).tolist() == [expected["y"]]
    twice = pd.concat([REAL, REAL]).reset_index(drop=True)
    assert scored(SHADOWS, twice, twice).tolist() == expected[twice["digest"]].tolist()


def test_what_is_known_is_not_scored_again():
    store, asked = Store(), []

    class Counted(Sum):
        def score(self, candidates, generated, store):
            asked.append(generated["digest"].iloc[0])
            return super().score(candidates, generated, store)

    for _ in range(2):
        scored(SHADOWS, base=Counted(TABLE), store=store)
    assert sorted(asked) == ["A", "B", "G", "G"]


def test_the_images_under_question_are_no_shadow():
    with pytest.raises(UserError, match=r"A has the very images under question \(100 %"):
        scored(SHADOWS, made=generated("A"))


def test_a_shadow_chosen_by_labels_scores_only_what_it_did_not_see():
    chosen = dataclasses.replace(SHADOWS[0], by_label=True)
    assert scored((chosen,), REAL[2:]).tolist() == [7.5, 7.5]
    with pytest.raises(UserError, match=r"trained on 1 of the images to be scored.*give their lab"):
        scored((chosen,), REAL[1:])


def test_wrong_use():
    with pytest.raises(UserError, match=r"shadow_sum needs at least one shadow.*--shadow=PATH"):
        ShadowCalibrated(Sum(TABLE), ())
    with pytest.raises(ValueError, match=r"use no labels\. Received: sum"):
        ShadowCalibrated(dataclasses.replace(Sum(TABLE), uses_labels=True), SHADOWS)
    with pytest.raises(ValueError, match=r"after fit\(\) only"):
        ShadowCalibrated(Sum(TABLE), SHADOWS).score(REAL, generated("G"), Store())


def hidden(seed, count=80, shadows=8, side=16):
    """Plain images are near to every generator's; members are a little nearer than otherwise.

    Returns:
        `(real images, generated ones, labels, shadows)`.
    """
    rng = np.random.default_rng(seed)
    real = rng.normal(0, 1, (count, side)) * rng.uniform(0.2, 2.0, (count, 1))
    digests = [" ".join(map(repr, row.tolist())) for row in real]

    def generator(members):
        """Copies of members at half their contrast, among plain images."""
        made = np.concatenate(
            [
                0.5 * real[members] + rng.normal(0, 0.3, (members.sum(), side)),
                rng.normal(0, 0.3, (count, side)),
            ]
        )
        return generated(*(" ".join(map(repr, row.tolist())) for row in made))

    used = rng.permutation(count) < count // 2
    frames = images(digests), generator(used), used.astype(int)
    masks = [rng.permutation(count) < count // 2 for _ in range(shadows // 2)]
    others = [
        Shadow(str(seen), generator(seen), frozenset(np.array(digests)[seen]))
        for mask in masks
        for seen in (mask, ~mask)
    ]
    return *frames, tuple(others)


def test_shadows_show_what_the_base_hides():
    plain, calibrated = [], []
    for seed in range(3):
        real, made, labels, shadows = hidden(seed)
        store = Store()
        base = NearestDistance(k=1)
        plain.append(auc(labels, base.fit(real, made, store).score(real, made, store)))
        calibrated.append(auc(labels, scored(shadows, real, real, base, store, made)))
    assert np.mean(plain) < 0.75
    assert np.mean(calibrated) > 0.95
