import dataclasses

import pytest
from absl import flags

from ganfp_tf.config import Config
from ganfp_tf.config.flags import define_flags, explicit_settings, help_text

FIELDS = dataclasses.fields(Config)


def read(*words):
    values = flags.FlagValues()
    define_flags(values)
    assert values(["main.py", *words]) == ["main.py"]
    return values


def test_one_flag_for_each_field_with_its_default():
    values = flags.FlagValues()
    own = set(values)
    define_flags(values)
    assert set(values) - own == {field.name for field in FIELDS} | {"config_json"}
    for field in FIELDS:
        assert values[field.name].default == field.default
        assert type(values[field.name].default) is type(field.default)
        assert values[field.name].help == field.metadata["help"]


def test_nothing_is_explicit_when_nothing_is_given():
    assert explicit_settings(read()) == {}
    assert explicit_settings(read("--config_json=x")) == {}


def test_explicit_settings_are_those_given_defaults_included():
    given = explicit_settings(read("--seed=0", "--learning_rate", "1e-2", "-data=a=b"))
    assert given == {"seed": 0, "learning_rate": 0.01, "data": "a=b"}


@pytest.mark.parametrize("name", [f.name for f in FIELDS if type(f.default) is bool])
def test_booleans(name):
    assert explicit_settings(read(f"--{name}")) == {name: True}
    assert explicit_settings(read(f"--no{name}")) == {name: False}
    assert explicit_settings(read(f"--{name}=false")) == {name: False}


def test_a_flag_after_the_flagfile_overrides_it(tmp_path):
    path = tmp_path / "a.cfg"
    path.write_text("# a comment\n--seed=3\n--epochs=5\n--cross_attention\n", encoding="utf-8")
    given = explicit_settings(read(f"--flagfile={path}", "--seed=4", "--nocross_attention"))
    assert given == {"seed": 4, "epochs": 5, "cross_attention": False}
    assert explicit_settings(read("--seed=4", f"--flagfile={path}"))["seed"] == 3


def test_a_flagfile_may_name_another(tmp_path):
    inner, outer = tmp_path / "inner.cfg", tmp_path / "outer.cfg"
    inner.write_text("--seed=3\n--epochs=5\n", encoding="utf-8")
    outer.write_text(f"--flagfile={inner}\n--epochs=6\n", encoding="utf-8")
    assert explicit_settings(read(f"--flagfile={outer}")) == {"seed": 3, "epochs": 6}


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_help_shows_default_unit_choices_and_sentence(field):
    lines = help_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"  --{field.name}="))
    default = str(field.default).lower() if type(field.default) is bool else str(field.default)
    assert lines[at].startswith(f"  --{field.name}={default}")
    assert field.metadata["unit"] in lines[at]
    for choice in field.metadata["choices"]:
        assert choice in lines[at].partition("[")[2]
    assert lines[at + 1].strip() == field.metadata["help"]


def test_help_names_groups_and_the_two_files():
    text = help_text()
    for group in {field.metadata["group"] for field in FIELDS}:
        assert f"\n{group}:\n" in text
    assert "--flagfile" in text
    assert "--config_json" in text
    assert text.endswith("\n")
