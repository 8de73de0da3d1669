import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.config import Config
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.errors import UserError
from ganfp_tf.simulation import membership
from ganfp_tf.simulation.membership import held_out, patients_needed


def pool(patients, images=3):
    rows = [
        (f"p{patient}_{image}.png", f"p{patient}")
        for patient in range(patients)
        for image in range(images)
    ]
    return pd.DataFrame(rows, columns=["path", "patient"])


def config(**changes):
    small = dict(mode="simulate", members=12, non_members=10, gan_batch=4, test_fraction=0.25)
    return Config(**{**small, **changes})


def divide(patients, settings):
    return membership.divide(
        patients,
        settings.section(VictimSettings),
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )


def test_each_patient_has_one_group_and_one_image():
    frame = divide(pool(40), config(unrelated=True))
    counts = frame.groupby(["group", "part"]).size().to_dict()
    assert counts == {
        ("member", "training"): 9,
        ("member", "test"): 3,
        ("non_member", "training"): 8,
        ("non_member", "test"): 2,
        ("unrelated", ""): 12,
        ("sibling", "test"): 6,
    }
    mains = frame[frame.group != "sibling"]
    assert not mains.patient.duplicated().any()
    assert not frame.path.duplicated().any()


def test_siblings_are_other_images_of_test_members():
    frame = divide(pool(30), config(siblings=4))
    siblings = frame[frame.group == "sibling"]
    tested = frame[(frame.group == "member") & (frame.part == "test")]
    assert len(siblings) == 4
    assert set(siblings.patient) == set(tested.patient)
    assert not set(siblings.path) & set(tested.path)
    # Three patients, four siblings: each has one before any has two.
    assert sorted(siblings.patient.value_counts()) == [1, 1, 2]
    assert not len(divide(pool(30, images=1), config()).query("group == 'sibling'"))
    assert not len(divide(pool(30), config(siblings=0)).query("group == 'sibling'"))


def test_the_seed_draws_the_patients():
    first, again = divide(pool(60), config(seed=1)), divide(pool(60), config(seed=1))
    pd.testing.assert_frame_equal(first, again)
    other = divide(pool(60), config(seed=2))
    assert set(first.query("group == 'member'").patient) != set(
        other.query("group == 'member'").patient
    )


def test_more_members_do_not_come_from_the_front_of_the_list():
    members = np.concatenate(
        [
            divide(pool(100), config(seed=seed)).query("group == 'member'").patient.str[1:]
            for seed in range(40)
        ]
    ).astype(int)
    # 480 draws out of 0..99: the mean is 49.5 with a standard error of 1.3.
    assert abs(members.mean() - 49.5) < 5


def test_too_few_patients_are_counted_out():
    with pytest.raises(UserError, match=r"has 33 patients; 34 are needed \(12 members, 10 non-mem"):
        divide(pool(33), config(unrelated=True))
    assert patients_needed(config()) == 22
    assert patients_needed(config(unrelated=True)) == 34


@settings(deadline=None, max_examples=40)
@given(st.integers(4, 40), st.integers(4, 40), st.floats(0.05, 0.5), st.integers(0, 5))
def test_counts_for_any_setting(members, non_members, fraction, seed):
    frame = divide(
        pool(members + non_members, images=2),
        config(
            members=members, non_members=non_members, test_fraction=fraction, seed=seed, gan_batch=2
        ),
    )
    for group, count in (("member", members), ("non_member", non_members)):
        own = frame[frame.group == group]
        assert len(own) == count
        tested = int((own.part == "test").sum())
        assert tested == held_out(count, fraction, group)
        assert tested >= 1
        assert count - tested >= 2


def test_a_part_of_nothing_is_refused():
    with pytest.raises(UserError, match=r"leaves 1 of 2 generated images for the training part"):
        held_out(2, 0.5, "generated")
