"""Killed at any moment, the same command ends with the same weights as a run left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def start(victim, run, store, *flags):
    command = [
        sys.executable,
        "main.py",
        f"--data={victim[0]}",
        f"--run_dir={run}",
        f"--store_dir={store}",
        "--backbone=tiny",
        "--weights=none",
        "--image_size=32",
        "--width=16",
        "--heads=2",
        "--hidden=8",
        "--epochs=6",
        "--steps_per_epoch=30",
        "--bootstrap=100",
        "--permutations=100",
        "--cross_attention",
        "--dropout=0.3",
        "--notensorboard",
        *flags,
    ]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
    )


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def kill_when(process, condition):
    limit = time.monotonic() + 200
    while not condition() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.communicate()


def arrays(run):
    with np.load(run / "splits/main/checkpoints/last.npz") as stored:
        return dict(stored)


@pytest.mark.parametrize("flags", [(), pytest.param(("--finetune=all",), marks=pytest.mark.slow)])
def test_killed_and_left_alone_end_alike(victim, tmp_path, flags):
    finish(start(victim, tmp_path / "whole", tmp_path / "store", *flags))
    run = tmp_path / "killed"
    last = run / "splits/main/checkpoints/last.npz"
    best = run / "splits/main/entry.keras"
    kill_when(start(victim, run, tmp_path / "store2", *flags), last.exists)
    before = last.stat().st_mtime_ns
    kill_when(
        start(victim, run, tmp_path / "store2", *flags), lambda: last.stat().st_mtime_ns != before
    )
    assert not best.exists()
    finish(start(victim, run, tmp_path / "store2", *flags))
    whole, resumed = arrays(tmp_path / "whole"), arrays(run)
    assert whole.keys() == resumed.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)
    for name in ("scores.csv", "evaluation.json", "splits/main/history.csv"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
