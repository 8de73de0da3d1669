"""--distribute=multiworker: two processes on one machine take the steps that one process takes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
SMALL = [
    "--backbone=tiny",
    "--weights=none",
    "--image_size=32",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--bootstrap=100",
    "--permutations=100",
    "--cross_attention",
    "--dropout=0",
    "--blocks=2",
    "--nosaved_model",
    "--notensorboard",
]


# A worker for which the run folder, the first argument, is read-only.
READER = """
import os, sys
from ganfp_tf.cli import main

place = sys.argv.pop(1)

def refuse(event, args):
    writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.mkdir", "os.rename", "os.remove"):
        if str(args[0]).startswith(place):
            raise PermissionError(f"only worker 0 writes: {event} {args}")

sys.addaudithook(refuse)
sys.exit(main(sys.argv))
"""


def start(runs, stores, *flags):
    """Starts a worker for each run folder and store; only worker 0 may write its run folder."""
    ports = []
    for _ in runs:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(f"127.0.0.1:{free.getsockname()[1]}")
    workers = []
    for index, (run, store) in enumerate(zip(runs, stores, strict=True)):
        task = {"cluster": {"worker": ports}, "task": {"type": "worker", "index": index}}
        command = [
            sys.executable,
            *(["-c", READER, str(run)] if index else ["main.py"]),
            *SMALL,
            *flags,
            "--distribute=multiworker",
            f"--run_dir={run}",
            f"--store_dir={store}",
        ]
        workers.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {"TF_CONFIG": json.dumps(task)},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    return workers


def ended(workers):
    """(exit code, standard output, standard error) of each worker; none is left running."""
    try:
        return [
            (worker.returncode, out, err)
            for worker, (out, err) in [(each, each.communicate(timeout=120)) for each in workers]
        ]
    finally:
        for worker in workers:
            worker.kill()


def wait_for(condition, workers):
    until = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        assert all(worker.poll() is None for worker in workers), ended(workers)
        time.sleep(0.05)


@pytest.fixture(scope="module")
def trained(victim, tmp_path_factory):
    """The folder with the runs one/ and two/; two workers share a run folder, but no store."""
    folder = tmp_path_factory.mktemp("multiworker")
    flags = [f"--data={victim[0]}", "--epochs=2", "--steps_per_epoch=6"]
    stores = [folder / "store", folder / "other_store"]
    workers = ended(start([folder / "two"] * 2, stores, *flags))
    assert [code for code, _, _ in workers] == [0, 0], workers
    one = subprocess.run(
        [
            sys.executable,
            "main.py",
            *SMALL,
            *flags,
            f"--run_dir={folder / 'one'}",
            f"--store_dir={folder / 'store'}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert one.returncode == 0, one.stderr
    return folder, workers


def test_two_workers_lose_what_one_process_does(trained):
    one, two = (
        pd.read_csv(trained[0] / name / "splits/main/history.csv") for name in ("one", "two")
    )
    assert list(one.loss[1:]) == pytest.approx(list(two.loss[1:]), abs=1e-3)
    assert list(one.pair_auc[1:]) == pytest.approx(list(two.pair_auc[1:]), abs=1e-2)
    assert list(one.val_loss) == pytest.approx(list(two.val_loss), abs=1e-3)


def test_two_workers_reach_the_weights_of_one_process(trained):
    # Moments of the optimiser too: they tell a gradient from half of it. 1e-5: as test_mirrored.
    one, two = (
        np.load(trained[0] / name / "splits/main/checkpoints/last.npz") for name in ("one", "two")
    )
    assert one.files == two.files
    arrays = [name for name in one.files if one[name].dtype == "float32"]
    assert arrays
    for name in arrays:
        size, apart = np.linalg.norm(one[name]), np.linalg.norm(one[name] - two[name])
        assert apart <= 1e-3 * size + 1e-5, name


def test_only_the_chief_writes_and_evaluates(trained):
    folder, ((_, chief, _), (_, other, _)) = trained
    # Worker 1 would have ended with a PermissionError: see READER.
    assert (folder / "two/evaluation.json").exists()
    assert "test images" in chief
    assert not list((folder / "two").glob(".workers-*"))
    assert "worker 1: trained; worker 0 has the results" in other
    assert "test images" not in other


@pytest.mark.slow
def test_a_lost_worker_ends_the_others_and_the_same_commands_go_on(victim, tmp_path):
    flags = [f"--data={victim[0]}", "--epochs=3", "--steps_per_epoch=40"]
    places = [tmp_path / "run"] * 2, [tmp_path / "store"] * 2
    last = tmp_path / "run/splits/main/checkpoints/last.npz"
    workers = start(*places, *flags)
    wait_for(lambda: last.exists(), workers)
    first = last.stat().st_mtime_ns
    wait_for(lambda: last.stat().st_mtime_ns != first, workers)
    workers[1].send_signal(signal.SIGKILL)
    code, _, err = ended(workers)[0]
    assert code == 2
    assert "another worker has ended or cannot be reached" in err
    assert "Traceback" not in err
    with np.load(last) as stored:
        before = json.loads(str(stored["facts"]))["history"]
    assert 2 <= len(before) <= 3
    again = ended(start(*places, *flags))
    assert [code for code, _, _ in again] == [0, 0], again
    history = pd.read_csv(last.parents[1] / "history.csv")
    assert list(history.epoch) == [0, 1, 2, 3]
    assert list(history.val_loss[:2]) == [row["val_loss"] for row in before[:2]]


@pytest.mark.slow
def test_workers_with_other_settings_are_refused(victim, tmp_path):
    odd = "import os, sys; os.environ['TF_CONFIG'] = sys.argv.pop(1); "
    odd += "from ganfp_tf.cli import main; sys.exit(main(sys.argv))"
    with socket.socket() as a, socket.socket() as b:
        for free in (a, b):
            free.bind(("127.0.0.1", 0))
        ports = [f"127.0.0.1:{free.getsockname()[1]}" for free in (a, b)]
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": ports}, "task": {"type": "worker", "index": index}}
        command = [
            sys.executable,
            "-c",
            odd,
            json.dumps(task),
            *SMALL,
            f"--data={victim[0]}",
            "--distribute=multiworker",
            f"--run_dir={tmp_path / 'run'}",
            f"--epochs={2 + index}",
        ]
        workers.append(
            subprocess.Popen(
                command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
    for code, _, err in ended(workers):
        assert code == 2
        assert "the settings of worker 1 are not those of worker 0" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_worker_that_does_not_see_the_run_folder_is_named(victim, tmp_path):
    folders = [tmp_path / "chief", tmp_path / "other"]
    for code, _, err in ended(start(folders, folders, f"--data={victim[0]}")):
        assert code == 2
        assert f"worker 1 does not see the run folder of worker 0, {tmp_path}" in err
        assert "Traceback" not in err
    assert not list(folders[0].glob(".workers-*"))
    assert not folders[1].exists()


@pytest.mark.slow
def test_an_error_of_the_chief_ends_every_worker(trained, victim):
    folder = trained[0]
    words = [f"--data={victim[0]}", "--epochs=2", "--steps_per_epoch=6", "--seed=1"]
    chief, other = ended(start([folder / "two"] * 2, [folder / "store"] * 2, *words))
    assert (chief[0], other[0]) == (2, 2)
    assert "holds a run with other settings: seed (was 0, now 1)" in chief[2]
    assert "worker 0 has stopped; its own output says why" in other[2]
    assert "Traceback" not in chief[2] + other[2]
