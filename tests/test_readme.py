import dataclasses
import json
import pathlib
import re
import shlex

import pytest

from ganfp_tf import cli
from ganfp_tf.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"(?<![\w!-])--([a-z]\w*)")
FIELDS = dataclasses.fields(Config)
EXISTING = {
    *(field.name for field in FIELDS),
    *(f"no{field.name}" for field in FIELDS if type(field.default) is bool),
    "config_json",
    "flagfile",
    "help",
}


def commands(text):
    """The ganfp commands of the shell blocks, as lists of words from the program's name on."""
    found = []
    for language, body in BLOCK.findall(text):
        if language not in ("bash", "sh"):
            continue
        for line in body.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if not line.startswith(("python main.py", "ganfp ")):
                continue
            words = shlex.split(line, comments=True)
            # What follows is another program's.
            end = next((i for i, w in enumerate(words) if w in ("|", ">", "2>&1", "&&", ";")), None)
            found.append(words[:end][1 if words[0] == "python" else 0 :])
    return found


def mentioned(text):
    """The names of all flags outside of blocks that are not another program's."""

    def own(span):
        return span[0] if span[1].startswith(("--", "python main.py", "ganfp ")) else ""

    return set(FLAG.findall(re.sub(r"`([^`\n]*)`", own, BLOCK.sub("", text))))


@pytest.fixture(scope="module")
def readme():
    assert README.is_file(), "README.md is missing"
    return README.read_text(encoding="utf-8")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working folder with the experiments in it, where commands may find run folders."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def try_command(words, folder):
    """Parses and checks one command as in a folder whose earlier commands were run."""
    for word in words:
        if word.startswith("--config_json="):
            path = folder / word.partition("=")[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(Config(data="FOLDER").to_dict()), encoding="utf-8")
    config = cli.parse(words)
    stored = folder / (config.run_dir or "unnamed") / "config.json"
    if config.mode == "train" or not stored.exists():
        trained = dataclasses.replace(
            config, mode="train", overwrite=False, submission="", predictions="", truth=""
        )
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps(trained.to_dict()), encoding="utf-8")
    cli.check(config)


def test_every_command_parses(readme, elsewhere):
    found = commands(readme)
    assert found
    for words in found:
        if "--help" in words:
            assert cli.main(words) == 0
        else:
            try_command(words, elsewhere)


def test_every_mode_has_a_command(readme):
    text = " ".join(word for words in commands(readme) for word in words)
    for mode in ("evaluate", "predict", "export"):
        assert f"--mode={mode}" in text


def test_every_flag_that_is_mentioned_exists(readme):
    assert mentioned(readme) - EXISTING == set()


def test_every_flag_is_listed(readme):
    assert {field.name for field in FIELDS} - set(FLAG.findall(readme)) == set()


def test_every_flagfile_and_experiment_that_is_mentioned_exists(readme):
    for name in re.findall(r"configs/(\w+\.cfg)", readme):
        assert name == "NAME.cfg" or (ROOT / "configs" / name).is_file(), name


SAMPLE = """Take `--epochs=3` or --seed; `tensorboard --logdir runs` is not ours.

| a | b |
|---|---|

```bash
pip install --upgrade x
python main.py --data=FOLDER \\
    --seed=3  # a comment
ganfp --mode=predict --run_dir="runs/a b" --data=x | tee --append log.txt
```

```text
python main.py --no_such_flag
```
"""


def test_what_is_read_from_a_text():
    assert commands(SAMPLE) == [
        ["main.py", "--data=FOLDER", "--seed=3"],
        ["ganfp", "--mode=predict", "--run_dir=runs/a b", "--data=x"],
    ]
    assert mentioned(SAMPLE) == {"epochs", "seed"}


def test_commands_of_a_text_parse(elsewhere):
    for words in commands(SAMPLE):
        try_command(words, elsewhere)
