"""A run in its own process: what it prints, how it ends, what it costs."""

import json
import os
import pathlib
import subprocess
import sys

from ganfp_tf.config import Config
from ganfp_tf.runs import child_process

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_refused_run_says_so_on_stderr_and_in_its_code(tmp_path, capfd):
    config = Config(mode="evaluate", run_dir=str(tmp_path / "nothing"))
    outcome = child_process.run(config, tmp_path / "a.json", tmp_path / "a.log")
    assert outcome.code == 2
    assert "is not a folder. Train first" in capfd.readouterr().err
    assert json.loads((tmp_path / "a.json").read_text()) == config.to_dict()
    assert (tmp_path / "a.log").read_text().startswith("$ python -m ganfp_tf --config_json=")
    assert outcome.seconds > 0


SCRIPT = """
import pathlib, sys
from ganfp_tf.runs import child_process
from ganfp_tf.config import Config
folder = pathlib.Path(sys.argv[1])
config = Config(mode="evaluate", run_dir="nothing")
print(child_process.run(config, folder / "a", folder / "b").peak_bytes)
"""


def test_peak_memory(tmp_path):
    """From a process of its own, because Linux counts what the starting process held as well."""
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT, capture_output=True, check=True
    ).stdout
    # Python alone takes more than a megabyte and, without TensorFlow, less than 200.
    assert 1e6 < int(printed) < 2e8


def test_the_package_is_found_from_another_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    config = Config(mode="evaluate", run_dir="nothing")
    assert child_process.run(config, tmp_path / "a.json", tmp_path / "a.log").code == 2
    assert "No module" not in capfd.readouterr().err
    assert os.environ["PYTHONPATH"] == "elsewhere"


def test_a_run_that_is_interrupted_is_waited_for(tmp_path, monkeypatch, capfd):
    waited = []

    def interrupt(process):
        waited.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(child_process, "_wait", interrupt)
    config = Config(mode="evaluate", run_dir="nothing")
    outcome = child_process.run(config, tmp_path / "a.json", tmp_path / "a.log")
    assert (outcome.code, outcome.peak_bytes) == (130, None)
    assert waited[0].returncode == 2  # it has ended


def test_the_log_grows(tmp_path):
    config = Config(mode="evaluate", run_dir="nothing")
    for _ in range(2):
        child_process.run(config, tmp_path / "a.json", tmp_path / "a.log")
    assert (tmp_path / "a.log").read_text().count("$ python") == 2
