"""--mode=predict --beam gives what --mode=predict gives, and goes on where it was stopped."""

import json
import re
import shutil
import threading

import numpy as np
import pandas as pd
import pytest

from tests.conftest import write_victim

pytest.importorskip("apache_beam", reason="needs requirements-beam.txt")

from ganfp_tf.beam import pipeline
from ganfp_tf.beam.encode import Encode
from ganfp_tf.beam.score import Score
from main import main

SMALL = (
    "--weights=none",
    "--image_size=32",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--bootstrap=100",
    "--permutations=100",
    "--cross_attention",
    "--nosaved_model",
    "--notensorboard",
)
PAIRS = (
    *SMALL,
    "--backbone=tiny",
    "--epochs=1",
    "--steps_per_epoch=4",
    "--neighbours=4",
    "--pairing=nearest",
)
COPIES = (
    *SMALL,
    "--backbone=compact",
    "--finetune=all",
    "--supervision=copy",
    "--copy_steps=6",
    "--copy_block=4",
    "--copy_blocks=2",
)
TWO = "--runner_options=--direct_num_workers=2 --direct_running_mode=multi_threading"
SHARDS = 7  # 24 real images in shards of 8, 72 generated ones in four


def ganfp(*words):
    """Runs the command line; returns the exit code."""
    return main(["main.py", *map(str, words)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A planted victim with several shards of each kind: `(training folder, test folder)`."""
    return write_victim(tmp_path_factory.mktemp("data"), used=8, unused=8, unknown=24)[:2]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def pairs_run(data, store, tmp_path_factory):
    run = tmp_path_factory.mktemp("pairs") / "run"
    assert ganfp(*PAIRS, f"--data={data[0]}", f"--run_dir={run}", f"--store_dir={store}") == 0
    return run


@pytest.fixture
def run(pairs_run, tmp_path):
    """The trained run in a folder of the test's own."""
    return shutil.copytree(pairs_run, tmp_path / "run")


@pytest.fixture
def predict(data, store):
    """The function (run folder, flags) -> the table of predictions."""

    def predicted(run, *words):
        shared = (f"--run_dir={run}", f"--store_dir={store}", f"--data={data[1]}")
        code = ganfp("--mode=predict", *shared, *words)
        return pd.read_csv(run / "predictions.csv") if code == 0 else code

    return predicted


def assert_same(found, expected):
    columns = ["name", "patient", "prediction", "best_match"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    assert expected["score"].std() > 1e-4
    np.testing.assert_allclose(found["score"], expected["score"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pairing": "nearest"}, ["--submission=2025"]),
        ({"pairing": "random"}, ["--partners=20"]),
        ({"pairing": "mixed"}, ["--partners=6"]),
        ({"pairing": "random", "candidates": 5}, []),
    ],
)
def test_pairs(settings, words, run, predict, capsys):
    # Another pairing of the same weights: a detector scores with any.
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | settings))
    expected = predict(run, *words)
    files = list(run.glob("run_*.csv"))
    answers = [path.read_bytes() for path in files]
    (run / "predictions.csv").unlink()
    assert_same(predict(run, *words, "--beam"), expected)
    assert [path.read_bytes() for path in files] == answers
    assert "score: 0 of 3 shards were there" in capsys.readouterr().out
    # What was encoded is features of patients.
    assert not list((run / "cluster").glob("*/tokens"))


def test_a_backbone_that_was_trained_itself(data, store, predict, tmp_path):
    run = tmp_path / "run"
    words = (f"--data={data[0]}", f"--run_dir={run}", f"--store_dir={store}")
    assert ganfp(*PAIRS, "--finetune=all", "--steps_per_epoch=1", *words) == 0
    expected = predict(run)
    assert_same(predict(run, "--beam"), expected)


def test_a_detector_taught_copies(data, store, predict, tmp_path):
    run = tmp_path / "run"
    assert ganfp(*COPIES, f"--data={data[0]}", f"--run_dir={run}", f"--store_dir={store}") == 0
    words = ("--partners=10",)
    expected = predict(run, *words)
    assert_same(predict(run, *words, "--beam"), expected)


def test_it_goes_on_and_makes_damaged_files_anew(run, predict, monkeypatch, capsys):
    expected = predict(run)

    def broken(self, element, *_):
        raise RuntimeError("no more light")

    with monkeypatch.context() as patch:
        patch.setattr(Score, "process", broken)
        assert predict(run, "--beam") == 2
    error = capsys.readouterr().err
    assert "--runner=DirectRunner failed: no more light. More in" in error
    assert "Traceback" not in error
    (folder,) = (run / "cluster").iterdir()
    assert "no more light" in (folder / "failure.txt").read_text()
    tokens = sorted((folder / "tokens").iterdir())
    assert len(tokens) == SHARDS
    damage(tokens[2])
    tokens[5].write_bytes(tokens[5].read_bytes()[:100])

    assert_same(predict(run, "--beam"), expected)
    assert f"encode: {SHARDS - 2} of {SHARDS} shards were there" in capsys.readouterr().out
    damage(folder / "scores" / "scores-00001-of-00003.npz")
    assert_same(predict(run, "--beam"), expected)
    assert "score: 2 of 3 shards were there" in capsys.readouterr().out
    monkeypatch.setattr(pipeline, "execute", None)
    assert_same(predict(run, "--beam"), expected)


def damage(path):
    """Changes one byte in the numbers of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_two_threads_give_the_same_scores(run, predict, monkeypatch, capsys):
    expected = predict(run)
    threads, encode = set(), Encode.process

    def noting(self, element):
        threads.add(threading.get_ident())
        yield from encode(self, element)

    monkeypatch.setattr(Encode, "process", noting)
    assert_same(predict(run, "--beam", TWO), expected)
    assert f"encode: 0 of {SHARDS} shards were there" in capsys.readouterr().out
    assert len(threads) == 2


def test_a_failure_in_one_of_two_threads_ends_the_command(run, predict, monkeypatch, capsys):
    def broken(self, element, *_):
        raise RuntimeError("no more light")

    monkeypatch.setattr(Score, "process", broken)
    assert predict(run, "--beam", TWO) == 2
    error = capsys.readouterr().err
    # Either thread may be the first to report it, with the name of the error or without.
    assert re.search(r"--runner=DirectRunner failed: (RuntimeError: )?no more light\. More", error)
    assert "Traceback" not in error


def test_other_weights_or_images_than_listed_are_refused(run, predict, monkeypatch, capsys):
    weights = json.loads((run / "weights.json").read_text())
    (run / "weights.json").write_text(json.dumps(weights | {"digest": "another"}))
    assert predict(run, "--beam") == 2
    error = capsys.readouterr().err
    assert "was begun with other backbone weights" in error
    assert "Traceback" not in error
