import dataclasses
import pathlib
import re
import shlex

import pytest

from ganfp_tf import cli
from ganfp_tf.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "configs").glob("*.cfg"))
NEEDED = {"smoke", "imageclef2023", "imageclef2025", "resnet50", "efficientnetb2", "resnet50_ca"}
FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def opening(path):
    """The text of the comment lines that a file opens with, without their marks."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next(i for i, line in enumerate([*lines, ""]) if not line.startswith("#"))
    return "\n".join(line.lstrip("# ") for line in lines[:end])


def settings(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_experiments_are_there():
    assert {path.stem for path in FILES} >= NEEDED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_opens_with_command_cost_and_expected_figures(path):
    text = opening(path)
    assert "command:" in text
    # A cost without a number, or a name to be replaced by one, says nothing.
    assert re.search(r"^cost\b.*\d", text, re.MULTILINE)
    assert re.search(r"^expected\b.*\w", text, re.MULTILINE)
    assert not re.search(r"\b[A-Z]+_[A-Z_0-9]+\b|\?\?|\bTODO\b", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_parses_into_a_config_that_fits_together(path):
    config = cli.parse(["main.py", f"--flagfile=configs/{path.name}", "--data=FOLDER"])
    assert config.data == "FOLDER"
    # Each line is a setting that takes effect: none is said twice, none is a bare word.
    assert all(line.startswith("--") for line in settings(path))
    names = [re.split("[= ]", line[2:])[0] for line in settings(path)]
    assert len(set(names)) == len(names)
    if config.mode == "train":
        cli.check(config)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_command_is_the_file_and_parses(path):
    commands = re.findall(r"^command:\s*(.+)$", opening(path), re.MULTILINE)
    assert commands
    words = shlex.split(commands[0])
    assert words[:2] == ["python", "main.py"]
    assert f"--flagfile=configs/{path.name}" in words
    cli.parse(words[1:])


def test_a_model_of_the_paper_and_its_cross_attention_differ_in_that_alone():
    plain, crossed = (
        cli.parse(["main.py", f"--flagfile=configs/{name}.cfg"])
        for name in ("resnet50", "resnet50_ca")
    )
    assert (plain.backbone, plain.cross_attention) == ("resnet50", False)
    assert (crossed.backbone, crossed.cross_attention) == ("resnet50", True)
    assert cli.parse(["main.py", "--flagfile=configs/efficientnetb2.cfg"]).backbone == (
        "efficientnetb2"
    )


def test_each_backbone_of_a_file_name_is_the_one_it_sets():
    for path in FILES:
        name = path.stem.removesuffix("_ca")
        if name in FIELDS["backbone"].metadata["choices"]:
            config = cli.parse(["main.py", f"--flagfile=configs/{path.name}"])
            assert (config.backbone, config.cross_attention) == (name, path.stem != name)
