"""--distribute=mirrored over two logical CPU devices takes the steps that one device takes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
# All commands in one process: networks of other shapes follow each other on the same devices.
SCRIPT = """
import json, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from ganfp_tf.cli import main
for flags in json.loads(sys.argv[1]):
    code = main(["main.py", *flags])
    if code:
        sys.exit(code)
"""


def train(victim, tmp_path, runs):
    """Trains the runs, dict name -> further flags, one after another on two logical devices."""
    shared = [
        f"--data={victim[0]}",
        f"--store_dir={tmp_path / 'store'}",
        "--backbone=tiny",
        "--weights=none",
        "--image_size=32",
        "--width=16",
        "--heads=2",
        "--hidden=8",
        "--epochs=2",
        "--steps_per_epoch=6",
        "--bootstrap=100",
        "--permutations=100",
        "--cross_attention",
        "--dropout=0",
        "--blocks=2",
        "--notensorboard",
    ]
    commands = [[*shared, f"--run_dir={tmp_path / name}", *flags] for name, flags in runs.items()]
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )


CASES = {
    "none": ["--finetune=none"],
    "last_stage": ["--finetune=last_stage"],
    "all": ["--finetune=all"],
    "mixed": ["--finetune=all", "--mixed_precision"],
}


@pytest.fixture(scope="module")
def trained(victim, tmp_path_factory):
    """The folder with the runs <case>-none and <case>-mirrored."""
    folder = tmp_path_factory.mktemp("mirrored")
    runs = {
        f"{case}-{distribute}": [*flags, f"--distribute={distribute}"]
        for case, flags in CASES.items()
        for distribute in ("none", "mirrored")
    }
    done = train(victim, folder, runs)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_devices_lose_what_one_does(trained, case):
    one, two = (
        pd.read_csv(trained / f"{case}-{distribute}" / "splits/main/history.csv")
        for distribute in ("none", "mirrored")
    )
    assert list(one.loss[1:]) == pytest.approx(list(two.loss[1:]), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != "mixed"])
def test_two_devices_sum_the_gradients_that_one_has(trained, case):
    # Adam takes the same step with a gradient and with half of it; its moments tell them apart.
    # 1e-5: gradients that are zero but for rounding, such as that of the keys' bias.
    one, two = (
        np.load(trained / f"{case}-{distribute}" / "splits/main/checkpoints/last.npz")
        for distribute in ("none", "mirrored")
    )
    assert one.files == two.files
    arrays = 0
    for name in one.files:
        if one[name].dtype == "float32":
            size, apart = np.linalg.norm(one[name]), np.linalg.norm(one[name] - two[name])
            assert apart <= 1e-3 * size + 1e-5, name
            arrays += 1
    assert arrays


@pytest.mark.slow
def test_blocks_that_do_not_divide_are_refused(victim, tmp_path):
    done = train(victim, tmp_path, {"odd": ["--distribute=mirrored", "--blocks=3"]})
    assert done.returncode == 2
    assert "3 blocks do not divide evenly" in done.stderr
