"""TF_CONFIG is read, and refused with what is wrong, before TensorFlow is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ganfp_tf.config import Config, tf_config
from ganfp_tf.errors import UserError

TWO = ["a:1", "b:2"]


def text(workers=TWO, kind="worker", index=1):
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": kind, "index": index}})


def test_what_is_read():
    cluster = tf_config.read({"TF_CONFIG": text(["a:1", "[::1]:2", "c.d:3"])})
    assert cluster.addresses == ("a:1", "[::1]:2", "c.d:3")
    assert cluster.index == 1
    assert cluster.others == [(0, ("a", 1)), (2, ("c.d", 3))]
    assert tf_config.read({"TF_CONFIG": text(index=0)}).others == [(1, ("b", 2))]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "not set"),
        ("{", "not JSON"),
        ("[]", "lacks"),
        ('{"cluster": {"worker": ["a:1"]}}', "lacks"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {}}', "one job"),
        (text([]), "list of host:port"),
        (text(["a", "b:2"]), "must be host:port"),
        (text(["a:70000", "b:2"]), "must be host:port"),
        (text(["a:1", 2]), "must be host:port"),
        (text(["a:1", "a:1"]), "same address"),
        (text(kind="chief"), "type"),
        (text(index=2), "0 to 1"),
        (text(index=True), "0 to 1"),
        (text(index="0"), "0 to 1"),
    ],
)
def test_what_is_refused(value, message):
    with pytest.raises(UserError, match=message):
        tf_config.read({"TF_CONFIG": value})


def test_only_training_asks_for_it(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    asked = {"distribute": "multiworker", "blocks": 2}
    tf_config.check(Config(mode="train"))
    tf_config.check(Config(mode="evaluate", run_dir="run", **asked))
    assert tf_config.leads(Config(mode="evaluate", run_dir="run", **asked))
    with pytest.raises(UserError, match="not set"):
        tf_config.check(Config(mode="train", **asked))
    with pytest.raises(UserError, match="goes with --mode=train"):
        tf_config.check(Config(mode="audit", **asked))


def test_who_leads_and_what_does_not_divide(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text())
    asked = Config(mode="train", distribute="multiworker", blocks=2)
    tf_config.check(asked)
    assert not tf_config.leads(asked)
    with pytest.raises(UserError, match="3 blocks do not divide evenly"):
        tf_config.check(Config(mode="train", distribute="multiworker", blocks=3))
    with pytest.raises(UserError, match="without XLA"):
        tf_config.check(Config(mode="train", distribute="multiworker", blocks=2, jit_compile=True))


def test_the_command_line_answers_without_tensorflow(tmp_path):
    script = (
        "import sys; from ganfp_tf.cli import main; code = main(sys.argv); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, f"--data={tmp_path}", "--distribute=multiworker"],
        cwd=Path(__file__).parents[2],
        env={"PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "TF_CONFIG" in done.stderr
    assert "Traceback" not in done.stderr
