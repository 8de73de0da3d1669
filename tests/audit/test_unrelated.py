"""The control with the images of an unrelated generator."""

import dataclasses
import shutil

import pytest

from ganfp_tf.audit import controls
from ganfp_tf.errors import UserError
from tests.helpers.small_cases import opened, scenes, write, write_patients


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("controls")
    return opened(write_patients(root / "data", 20, 20, copies=4), root / "run")


def asked_against(monkeypatch):
    """What `controls` asks of other generated images: list of (detectors' frame, generated)."""
    asked = []

    def look(case, question, frame, generated=None, **_):
        asked.append((question.name, frame, generated))
        return question

    monkeypatch.setattr(controls, "run_control", look)
    return asked


def unrelated(case):
    return controls._unrelated(case, controls.unrelated_images(case))


def test_the_unrelated_generator_of_a_plain_folder(small, tmp_path, monkeypatch):
    names = write(tmp_path / "of somebody else", scenes(20, seed=9), "strange")
    case = dataclasses.replace(
        small, config=dataclasses.replace(small.config, unrelated_generated=str(tmp_path))
    )
    found = unrelated(case)
    assert [c.name for c in found] == ["unrelated"]
    assert found[0].title == "Unrelated generator"
    # These owe nothing to the used images.
    assert 0.2 < found[0].auc < 0.8
    assert found[0].p > 0.01
    asked = asked_against(monkeypatch)
    unrelated(case)
    assert sorted(asked[0][2]["name"]) == sorted(names)
    assert len(asked[0][1]) == 40


def test_the_folder_that_a_simulation_left(small, tmp_path, monkeypatch):
    data = tmp_path / "victim"
    shutil.copytree(small.config.data, data)
    case = dataclasses.replace(small, config=dataclasses.replace(small.config, data=str(data)))
    assert controls.unrelated_images(case) is None
    # As a simulation writes it: real images of the victim and generated ones of its own.
    write(data / "unrelated" / "generated", scenes(6, seed=8), "generated")
    rows = [f"generated/generated_{n}.png,generated,," for n in range(1, 7)]
    text = "\n".join(["path,role,label,patient", "../used_1.png,real,1,u0", *rows])
    (data / "unrelated" / "manifest.csv").write_text(text)
    asked = asked_against(monkeypatch)
    unrelated(case)
    assert list(asked[0][2]["name"]) == [f"generated_{n}.png" for n in range(1, 7)]
    # So where --data is the manifest itself.
    by_table = dataclasses.replace(case.config, data=str(data / "manifest.csv"))
    (data / "manifest.csv").touch()
    assert len(controls.unrelated_images(dataclasses.replace(case, config=by_table))) == 6
    # What is named comes first.
    write(tmp_path / "named", scenes(5, seed=7), "strange")
    named = dataclasses.replace(case.config, unrelated_generated=str(tmp_path / "named"))
    unrelated(dataclasses.replace(case, config=named))
    assert len(asked[1][2]) == 5


def test_an_unrelated_folder_that_is_not_there(small, tmp_path):
    config = dataclasses.replace(small.config, unrelated_generated=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="--unrelated_generated: there is no file or folder"):
        unrelated(dataclasses.replace(small, config=config))
