"""--mode=compare through main.main: on the same splits, resumable, one table."""

import html
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.runs import child_process
from main import main

SMALL = (
    "--mode=compare",
    "--weights=none",
    "--image_size=32",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--epochs=2",
    "--steps_per_epoch=4",
    "--bootstrap=100",
    "--permutations=100",
    "--neighbours=4",
    "--partners=16",
    "--notensorboard",
)


def ganfp(*words):
    """Runs the command line; returns the exit code."""
    return main(["main.py", *map(str, words)])


def words(victim, folder, *more):
    return (
        *SMALL,
        f"--data={victim[0]}",
        f"--run_dir={folder / 'run'}",
        f"--store_dir={folder / 'store'}",
        *more,
    )


@pytest.fixture(scope="module")
def compared(victim, tmp_path_factory):
    """Two systems, each in its own process as a user runs them: the run folder."""
    folder = tmp_path_factory.mktemp("compare")
    assert ganfp(*words(victim, folder, "--systems=tiny,tiny_ca", "--folds=3")) == 0
    return folder


def test_it_writes_a_table_as_csv_markdown_and_html(compared):
    run = compared / "run"
    for name in (
        "comparison.csv",
        "comparison.md",
        "comparison.html",
        "figures/comparison_auc.png",
        "figures/comparison_pairs.png",
        "config.json",
        "images.csv",
        "systems/tiny.log",
        "systems/tiny_ca/evaluation.json",
    ):
        assert (run / name).exists(), name
    assert not list(run.rglob(".tmp-*"))
    assert not (run / "systems" / "tiny" / "saved_model").exists()
    text = (run / "comparison.md").read_text()
    page = html.unescape((run / "comparison.html").read_text())
    for part in (
        "tiny + CA",
        "random (seed 0)",
        "RANDOM WEIGHTS",
        "The paper's Table 1, checked",
        "0.5902",
        "Cost",
        "Method and limits",
    ):
        assert part in text, part
        assert part in page, part


def test_both_systems_have_the_same_splits_and_the_figures_of_their_runs(compared):
    run = compared / "run"
    splits = [(run / "systems" / name / "splits.csv").read_bytes() for name in ("tiny", "tiny_ca")]
    assert splits[0] == splits[1]
    frame = pd.read_csv(run / "comparison.csv")
    assert set(frame["level"]) == {
        "pairs_test",
        "images_test",
        "images_cross_fitted",
        "images_train",
    }
    for name in ("tiny", "tiny_ca"):
        evaluation = json.loads((run / "systems" / name / "evaluation.json").read_text())
        crossed = evaluation["levels"]["images_cross_fitted"]["metrics"]
        line = frame[(frame["system"] == name) & (frame["level"] == "images_cross_fitted")].iloc[0]
        assert line["auc_within"] == pytest.approx(crossed["auc_within"]["value"])
        assert line["auc_within_low"] == pytest.approx(crossed["auc_within"]["low"])
        assert line["n"] == 30
        assert line["share"] == 0.5
        assert line["seconds"] > 0
        assert line["peak_bytes"] > 1e8
        assert line["cross_attention"] == (name == "tiny_ca")
    # The second system finds the features of the first in the store.
    assert frame.groupby("system")["embedded_images"].first().to_dict() == {
        "tiny": 120,
        "tiny_ca": 0,
    }
    assert line["parameters"] > line["trained_parameters"] > 0


def test_the_difference_is_that_of_the_two_aucs(compared):
    frame = pd.read_csv(compared / "run" / "comparison.csv")
    crossed = frame[frame["level"] == "images_cross_fitted"].set_index("system")
    assert np.isnan(crossed.loc["tiny", "auc_difference"])
    line = crossed.loc["tiny_ca"]
    expected = line["auc_within"] - crossed.loc["tiny", "auc_within"]
    assert line["auc_difference"] == pytest.approx(expected)
    assert line["auc_difference_low"] <= expected <= line["auc_difference_high"]
    assert line["reference"] == "tiny"


def test_what_is_done_is_not_done_again(compared, victim, in_this_process, capsys):
    before = (compared / "run" / "comparison.csv").read_bytes()
    assert ganfp("--mode=compare", f"--run_dir={compared / 'run'}", f"--data={victim[0]}") == 0
    assert in_this_process == []
    assert capsys.readouterr().out.count("done earlier") == 2
    assert (compared / "run" / "comparison.csv").read_bytes() == before


def test_ablations(victim, tmp_path, in_this_process):
    assert ganfp(*words(victim, tmp_path, "--systems=tiny,tiny_ca", "--ablate")) == 0
    # "Without cross-attention" is tiny, which has been run.
    assert in_this_process == [
        "tiny",
        "tiny_ca",
        "tiny_ca-similarity_dot",
        "tiny_ca-similarity_difference",
        "tiny_ca-pairing_nearest",
        "tiny_ca-seed_1",
        "tiny_ca-seed_2",
        "tiny_ca-seed_3",
        "tiny_ca-seed_4",
    ]
    run = tmp_path / "run"
    frame = pd.read_csv(run / "comparison.csv")
    tested = frame[frame["level"] == "images_test"].set_index("system")
    assert (tested["ablates"].drop(["tiny", "tiny_ca"]) == "tiny_ca").all()
    assert tested.loc["tiny_ca-no_ca", "auc"] == tested.loc["tiny", "auc"]
    assert np.isnan(tested.loc["tiny_ca-no_ca", "seconds"])
    settings = tested[["similarity", "pairing", "cross_attention", "training_seed"]]
    assert settings.loc["tiny_ca-similarity_dot", "similarity"] == "dot"
    assert settings.loc["tiny_ca-seed_3", "training_seed"] == "3"
    # The mean of the seeds is made of their scores, and decided by most of them.
    names = ["tiny_ca", *(f"tiny_ca-seed_{seed}" for seed in range(1, 5))]
    tables = [pd.read_csv(run / "systems" / name / "scores.csv") for name in names]
    tested_rows = [table[table["split"] == "test"] for table in tables]
    # Another training seed: other weights, the same splits and the same images.
    assert all(t["name"].tolist() == tested_rows[0]["name"].tolist() for t in tested_rows)
    assert len({tuple(t["score"]) for t in tested_rows}) == 5
    mean = np.mean([t["score"] for t in tested_rows], axis=0)
    label = tested_rows[0]["label"].to_numpy()
    wins = np.sign(mean[label == 1][:, None] - mean[label == 0][None]).mean() / 2 + 0.5
    assert tested.loc["tiny_ca-mean_of_seeds", "auc"] == pytest.approx(wins)
    votes = np.sum([t["decision"] for t in tested_rows], axis=0) >= 3
    expected = np.mean(votes == label)
    assert tested.loc["tiny_ca-mean_of_seeds", "accuracy"] == pytest.approx(expected)
    text = (run / "comparison.md").read_text()
    assert "5 training seeds on the same splits: AUC" in text
    assert "without the absolute difference" in text
    assert "pairing nearest" in text


def test_a_system_joins_fails_and_goes_on(victim, tmp_path, in_this_process, monkeypatch, capsys):
    """A kill in the added system: the first is not run again, and seconds add up."""
    assert ganfp(*words(victim, tmp_path, "--systems=tiny")) == 0
    well = child_process.run
    monkeypatch.setattr(child_process, "run", lambda *_: child_process.Outcome(-9, 4.0, 5 * 10**9))
    command = words(victim, tmp_path, "--systems=tiny,tiny_ca")
    assert ganfp(*command) == 2
    error = capsys.readouterr().err
    assert "tiny + CA did not end well (killed by signal 9" in error
    assert "goes on from here" in error
    assert "Traceback" not in error
    monkeypatch.setattr(
        child_process, "run", lambda *_: child_process.Outcome(child_process.INTERRUPTED, 2.0, None)
    )
    assert ganfp(*command) == 130
    assert "interrupted; the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(child_process, "run", well)
    # The settings come from the run folder.
    data, run = f"--data={victim[0]}", f"--run_dir={tmp_path / 'run'}"
    assert ganfp("--mode=compare", data, run, "--systems=tiny,tiny_ca") == 0
    assert in_this_process == ["tiny", "tiny_ca"]
    frame = pd.read_csv(tmp_path / "run" / "comparison.csv")
    cost = frame.groupby("system")[["seconds", "peak_bytes"]].first()
    assert cost.loc["tiny_ca"].tolist() == [7.5, 5e9]
    assert cost.loc["tiny"].tolist() == [1.5, 1e9]


def test_a_system_that_lost_its_evaluation_gets_it_again(victim, tmp_path, in_this_process):
    command = words(victim, tmp_path, "--systems=tiny")
    assert ganfp(*command) == 0
    (tmp_path / "run" / "systems" / "tiny" / "evaluation.json").unlink()
    assert ganfp(*command) == 0
    assert in_this_process == ["tiny", "tiny"]


def test_changed_images_are_noticed(victim, tmp_path, in_this_process, capsys):
    data = tmp_path / "data"
    shutil.copytree(victim[0], data)
    command = words((data,), tmp_path, "--systems=tiny")
    assert ganfp(*command) == 0
    next((data / "generated").iterdir()).unlink()
    assert ganfp(*command) == 2
    assert "made from other images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--backbone=tiny"], "takes its networks from --systems"),
        (["--cross_attention"], "leave --cross_attention out"),
        (["--systems=big"], "there is no system 'big'"),
        (["--systems=tiny", "--ablate"], "Expected one in --systems, such as tiny_ca"),
        (["--nosaved_model"], "--nosaved_model goes with --mode=train"),
    ],
)
def test_wrong_commands_are_named(victim, tmp_path, flags, message, capsys):
    assert ganfp(*words(victim, tmp_path, *flags)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_systems_go_with_compare_only(victim, capsys):
    assert ganfp(f"--data={victim[0]}", "--ablate") == 2
    assert "--ablate goes with --mode=compare" in capsys.readouterr().err


def test_a_run_of_another_mode_is_not_mixed_in(compared, victim, capsys):
    code = ganfp(f"--data={victim[0]}", f"--run_dir={compared / 'run'}")
    assert code == 2
    assert "holds a run of --mode=compare, not of --mode=train" in capsys.readouterr().err
