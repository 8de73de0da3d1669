"""Who sees what among shadow generators."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganfp_tf.config import Config
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.errors import UserError
from ganfp_tf.simulation import shadows


def config(**changes):
    return Config(**{"mode": "simulate", "real": "folder", "gan_batch": 2, "shadows": 4, **changes})


def who_sees_what(frame, settings):
    return shadows.who_sees_what(frame, settings.section(VictimSettings), settings.seed)


def table(patients, labels=None):
    """What `list_contents` makes of images of these patients, each file another."""
    frame = pd.DataFrame({"patient": patients, "person": pd.factorize(pd.Series(patients))[0]})
    frame = frame.assign(digest=[f"d{number}" for number in range(len(frame))])
    return frame if labels is None else frame.assign(label=labels)


def pool(folder, contents, patients):
    """Files of these contents, as `open_pool` lists them."""
    rows = []
    for number, (content, patient) in enumerate(zip(contents, patients, strict=True)):
        path = folder / f"{number}.png"
        path.write_text(content)
        rows.append((str(path), path.name, patient or path.name))
    return pd.DataFrame(rows, columns=["path", "relative", "patient"])


@given(st.lists(st.integers(0, 9), min_size=2), st.integers(1, 7), st.integers(0, 99))
def test_every_person_is_in_half_of_the_shadows_and_never_split(persons, count, seed):
    persons = np.array(persons)
    seen = shadows.halves(persons, count, seed)
    assert seen.shape == (count, len(persons))
    for person in np.unique(persons):
        mine = seen[:, persons == person]
        assert (mine == mine[:, :1]).all()
        assert int(mine[:, 0].sum()) in {count // 2, -(-count // 2)}
    number = len(np.unique(persons))
    for row in seen:
        assert len(np.unique(persons[row])) in {number // 2, number - number // 2}
    for first, second in zip(seen[0 : count - 1 : 2], seen[1:count:2], strict=True):
        assert (first != second).all()


def test_halves_are_drawn_and_do_not_depend_on_how_many_follow():
    persons = np.arange(40)
    many = shadows.halves(persons, 6, 3)
    assert (shadows.halves(persons, 3, 3) == many[:3]).all()
    assert (many[0] != many[2]).any()
    assert (many[0] != shadows.halves(persons, 1, 4)[0]).any()


def test_a_file_of_two_patients_makes_them_one_person(tmp_path):
    found = shadows.list_contents(pool(tmp_path, "aabcd", ["p", "q", "q", "r", ""]))
    names = [path.rsplit("/", 1)[1] for path in found.path]
    person = dict(zip(names, found.person, strict=True))
    assert person["0.png"] == person["1.png"] == person["2.png"]
    assert len(set(person.values())) == 3
    assert found.digest.is_monotonic_increasing
    # Who is named by nothing but a path has no name that would leave the folder.
    assert dict(zip(names, found.patient, strict=True))["4.png"] == ""


def test_the_division_follows_contents_not_names(tmp_path):
    texts = [f"image {number}" for number in range(12)]
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one = shadows.list_contents(pool(tmp_path / "one", texts, [""] * 12))
    other = shadows.list_contents(pool(tmp_path / "other", texts[::-1], [""] * 12))
    for first, second in zip(
        who_sees_what(one, config()), who_sees_what(other, config()), strict=True
    ):
        assert set(one.digest[first]) == set(other.digest[second])
        assert shadows.digest_of_division(one, first) == shadows.digest_of_division(other, second)


def test_on_not_used_sees_known_non_members_alone():
    frame = table(["a", "a", "b", "c", "c", "d"], labels=[0, -1, 0, 0, 1, -1])
    seen = who_sees_what(frame, config(shadows=1, shadow_on="not_used"))
    # c has a used image as well, d is unknown.
    assert seen.tolist() == [[True, False, True, False, False, False]]


def test_on_not_used_needs_labels():
    with pytest.raises(UserError, match=r"holds no real images known not to be used"):
        who_sees_what(table(["a", "b"], labels=[-1, 1]), config(shadows=1, shadow_on="not_used"))


def test_too_few_images_for_a_step():
    with pytest.raises(UserError, match=r"would see 2 images of its 5.*--gan_batch \(now 4\)"):
        who_sees_what(table(list("abcde")), config(gan_batch=4))


def test_seeds_are_their_own():
    seeds = {shadows.seed_of(seed, n) for seed in range(5) for n in range(20)}
    assert len(seeds) == 100
    assert min(seeds) >= 0
    assert max(seeds) < 2**31


def test_only_a_simulations_own_shadows_are_cleared(tmp_path):
    for name in ("shadow_0", "shadow_mine"):
        (tmp_path / name).mkdir()
    shadows.clear(tmp_path)
    assert (tmp_path / "shadow_0").exists()
    with pytest.raises(UserError, match="holds shadow_0, which no simulation wrote"):
        shadows.check_free(tmp_path)
    (tmp_path / "config.json").write_text('{"mode": "simulate"}')
    shadows.check_free(tmp_path)
    shadows.clear(tmp_path)
    assert not (tmp_path / "shadow_0").exists()
    assert (tmp_path / "shadow_mine").exists()
