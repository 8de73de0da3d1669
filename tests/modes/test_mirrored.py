"""--distribute=mirrored over two logical CPU devices gives the losses of one device."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from ganfp_tf.cli import main
sys.exit(main(["main.py", *sys.argv[1:]]))
"""


def train(victim, tmp_path, name, *flags):
    run = tmp_path / name
    done = subprocess.run(
        [
            sys.executable, "-c", SCRIPT, f"--data={victim[0]}", f"--run_dir={run}",
            f"--store_dir={tmp_path / 'store'}", "--backbone=tiny", "--weights=none",
            "--image_size=32", "--width=16", "--heads=2", "--hidden=8", "--epochs=2",
            "--steps_per_epoch=6", "--bootstrap=100", "--permutations=100", "--cross_attention",
            "--dropout=0", "--blocks=2", "--notensorboard", *flags,
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    return done, run


@pytest.mark.slow
@pytest.mark.parametrize("finetune", ["none", "all"])
def test_two_devices_lose_what_one_does(victim, tmp_path, finetune):
    histories = []
    for distribute in ("none", "mirrored"):
        done, run = train(
            victim, tmp_path, distribute, f"--distribute={distribute}", f"--finetune={finetune}"
        )
        assert done.returncode == 0, done.stderr
        histories.append(pd.read_csv(run / "splits/main/history.csv"))
    one, two = histories
    # Adam divides a gradient near zero by its own size: with a trained backbone, last digits grow.
    tolerance = 1e-3 if finetune == "none" else 1e-2
    assert list(one.loss[1:]) == pytest.approx(list(two.loss[1:]), abs=tolerance)


@pytest.mark.slow
def test_blocks_that_do_not_divide_are_refused(victim, tmp_path):
    done, _ = train(victim, tmp_path, "odd", "--distribute=mirrored", "--blocks=3")
    assert done.returncode == 2
    assert "3 blocks do not divide evenly" in done.stderr
