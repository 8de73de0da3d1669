"""--mode=benchmark and --mode=simulate --grid through main.main."""

import json
import shutil

import pandas as pd
import pytest

from ganfp_tf import cli
from ganfp_tf.config import Config
from ganfp_tf.modes import benchmark
from ganfp_tf.runs import child_process
from main import main

SIAMESE = (
    "--backbone=tiny",
    "--weights=none",
    "--image_size=32",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--epochs=1",
    "--steps_per_epoch=2",
    "--bootstrap=100",
    "--permutations=100",
    "--folds=3",
    "--notensorboard",
)
GRID = (
    "--mode=simulate",
    "--grid=members=10,12;seed=0",
    "--size=32",
    "--slices=1",
    "--non_members=10",
    "--generated=20",
    "--channels=4",
    "--latent=8",
    "--steps=2",
    "--gan_batch=4",
    "--unrelated",
)


DETECTORS = (
    "nearest_pixels",
    "calibrated_pixels",
    "hits_pixels",
    "siamese_random",
    "siamese_nearest",
    "blind_pixels",
)


def ganfp(*words):
    return main(["main.py", *map(str, words)])


def test_classical_ones_and_runs_on_one_data_set(victim, tmp_path, capsys, in_this_process):
    words = (
        "--mode=benchmark",
        *SIAMESE,
        f"--data={victim[0]}",
        f"--run_dir={tmp_path / 'run'}",
        f"--store_dir={tmp_path / 'store'}",
        f"--detectors={','.join(DETECTORS)}",
    )
    assert ganfp(*words) == 0
    assert in_this_process == ["siamese_random", "siamese_nearest"]
    out = capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "run" / "benchmark.csv").set_index("detector")
    assert list(frame.index) == list(DETECTORS)
    # The victim's generated images are noisy copies of its used images.
    assert frame.auc["nearest_pixels"] > 0.9
    assert frame.auc["calibrated_pixels"] > 0.9
    assert frame.control["blind_pixels"]
    assert not frame.control["nearest_pixels"]
    assert set(frame.images) == {30}
    assert set(frame.members) == {15}
    # 15 non-members do not resolve a false-positive rate of 1 %.
    assert frame.tpr_1.isna().all()
    assert frame.tpr_10.notna().all()
    evaluation = json.loads(
        (tmp_path / "run/detectors/victim/siamese_random/evaluation.json").read_text()
    )
    metrics = evaluation["levels"]["images_cross_fitted"]["metrics"]
    assert frame.auc["siamese_random"] == pytest.approx(metrics["auc_within"]["value"])
    for name in ("benchmark.html", "benchmark.md"):
        assert "nearest distance in pixels" in (tmp_path / "run" / name).read_text()
    assert "benchmark.html" in out

    # The same command measures nothing again; another seed does.
    assert ganfp(*words) == 0
    assert capsys.readouterr().out.count("done earlier") == 6
    assert len(in_this_process) == 2


def test_a_grid_goes_on_victim_by_victim(tmp_path, capsys, in_this_process):
    words = (
        *GRID,
        f"--run_dir={tmp_path / 'run'}",
        f"--phantom_dir={tmp_path / 'phantoms'}",
        "--detectors=nearest_pixels,blind_pixels",
        "--bootstrap=100",
        "--permutations=100",
        "--folds=3",
    )
    well = child_process.run
    with pytest.MonkeyPatch.context() as patch:

        def interrupted(config, settings_path, log_path):
            if config.members == 12:
                return child_process.Outcome(child_process.INTERRUPTED, 1.0, None)
            return well(config, settings_path, log_path)

        patch.setattr(child_process, "run", interrupted)
        assert ganfp(*words) == 130
    # What is known so far can be read.
    first = pd.read_csv(tmp_path / "run" / "benchmark.csv")
    assert set(first.victim) == {"phantom-dcgan-n10-s0"}
    assert len(first) == 4
    assert ganfp(*words) == 0
    assert in_this_process == ["phantom-dcgan-n10-s0", "phantom-dcgan-n12-s0"]
    frame = pd.read_csv(tmp_path / "run" / "benchmark.csv")
    assert len(frame) == 8
    assert set(frame.set) == {"victim", "unrelated"}
    assert set(frame.members) == {10, 12}
    assert set(frame.generated) == {16}
    assert set(frame.steps) == {2}
    page = (tmp_path / "run" / "benchmark.html").read_text()
    assert "phantom" in page
    assert "https://" not in page
    assert 'src="http' not in page
    assert "trained earlier" in capsys.readouterr().out

    # A longer grid in the same folder trains only what is new.
    more = [word.replace("members=10,12", "members=10,12,14") for word in map(str, words)]
    assert ganfp(*more) == 0
    assert in_this_process[2:] == ["phantom-dcgan-n14-s0"]

    # A victim is a data set of its own, which its victim.json describes.
    place = tmp_path / "run" / "victims" / "phantom-dcgan-n10-s0"
    code = ganfp(
        "--mode=benchmark",
        f"--data={place}",
        "--detectors=hits_pixels",
        "--bootstrap=100",
        "--permutations=100",
        "--folds=3",
        f"--run_dir={tmp_path / 'one'}",
    )
    assert code == 0
    one = pd.read_csv(tmp_path / "one" / "benchmark.csv")
    assert one.victim.tolist() == ["phantom-dcgan-n10-s0"] * 2
    assert one.set.tolist() == ["victim", "unrelated"]
    assert set(one.members) == {10}
    assert set(one.generated) == {16}


def test_a_victim_that_fails_stops_the_grid(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(child_process, "run", lambda *_: child_process.Outcome(-9, 4.0, 5 * 10**9))
    words = (*GRID, f"--run_dir={tmp_path / 'run'}", "--detectors=nearest_pixels")
    assert ganfp(*words) == 2
    error = capsys.readouterr().err
    assert "[1/2] phantom-dcgan-n10-s0 did not end well (killed by signal 9" in error


def test_a_folder_of_another_mode_is_refused(victim, tmp_path, capsys):
    run = tmp_path / "run"
    words = (f"--data={victim[0]}", f"--run_dir={run}", "--detectors=blind_pixels")
    quick = ("--bootstrap=100", "--permutations=100", "--folds=3")
    assert ganfp("--mode=benchmark", *quick, *words) == 0
    assert ganfp("--mode=compare", "--systems=tiny", f"--data={victim[0]}", words[1]) == 2
    assert "holds a run of --mode=benchmark, not of --mode=compare" in capsys.readouterr().err
    shutil.rmtree(run)


def test_a_siamese_run_of_a_grid_is_a_run_that_its_process_accepts(tmp_path, monkeypatch):
    """What decides victims, folders of phantoms included, goes with simulations alone."""
    given = {
        "mode": "simulate",
        "grid": "seed=0",
        "members": 20,
        "phantom_dir": "elsewhere",
        "steps": 7,
        "detectors": "siamese_nearest",
        "overwrite": True,
        "backbone": "tiny",
        "epochs": 3,
    }
    asked = []

    def once(config, place, result, title):
        asked.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(child_process, "once", once)
    with pytest.raises(KeyboardInterrupt):
        benchmark.measure(tmp_path, tmp_path / "out", ["siamese_nearest"], Config(**given), "one")
    cli.check(asked[0])
    assert (asked[0].mode, asked[0].pairing, asked[0].epochs) == ("train", "nearest", 3)
    assert asked[0].folds == benchmark.FOLDS
    assert asked[0].data == str(tmp_path)
