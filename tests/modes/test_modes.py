"""Every mode through main.main, on a tiny backbone and a planted victim that the test writes."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from main import main

SMALL = (
    "--backbone=tiny",
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
)


def ganfp(*words):
    """Runs the command line; returns the exit code."""
    return main(["main.py", *map(str, words)])


@pytest.fixture(scope="module")
def trained(victim, tmp_path_factory):
    """A run with folds, cross-attention and pairing nearest: `(run folder, store folder)`."""
    folder = tmp_path_factory.mktemp("run")
    code = ganfp(
        *SMALL,
        f"--data={victim[0]}",
        "--cross_attention",
        "--pairing=nearest",
        "--folds=3",
        f"--run_dir={folder / 'run'}",
        f"--store_dir={folder / 'store'}",
    )
    assert code == 0
    return folder / "run", folder / "store"


def test_train_fills_the_run_folder(trained):
    run, _ = trained
    for name in (
        "config.json",
        "environment.json",
        "weights.json",
        "images.csv",
        "splits.csv",
        "scores.csv",
        "evaluation.json",
        "model.keras",
        "saved_model/saved_model.pb",
        "tensorboard/main",
        "splits/main/history.csv",
        "splits/fold_2/decision.json",
        "figures/test_roc.png",
        "figures/test_scores.png",
        "figures/test_confusion.png",
        "figures/cross_fitted_roc.png",
        "figures/training.png",
    ):
        assert (run / name).exists(), name
    assert not list(run.rglob(".tmp-*"))


def test_evaluation_says_what_was_measured(trained):
    evaluation = json.loads((trained[0] / "evaluation.json").read_text())
    assert evaluation["weights"]["source"].startswith("random")
    crossed = evaluation["levels"]["images_cross_fitted"]
    assert crossed["metrics"]["n"]["value"] == 30
    for figure in ("auc", "kappa", "f1", "precision", "recall", "accuracy", "tpr_at_1_fpr"):
        found = crossed["metrics"][figure]
        assert found["low"] <= found["value"] <= found["high"], figure
    assert 0 < crossed["permutation"]["auc_p"] <= 1
    assert "30 images" in evaluation["can_show"]["images_cross_fitted"]
    assert evaluation["levels"]["pairs_test"]["metrics"]["n"]["value"] == 6 * 4


def test_planted_copies_are_found(trained):
    evaluation = json.loads((trained[0] / "evaluation.json").read_text())
    # Smooth pictures under weak noise: an untrained backbone is enough to find the copies.
    assert evaluation["levels"]["images_cross_fitted"]["metrics"]["auc_within"]["value"] > 0.9


def test_scores_name_every_image_once_a_fold(trained):
    scores = pd.read_csv(trained[0] / "scores.csv")
    tested = scores[(scores.split_id != "main") & (scores.split == "test")]
    assert sorted(tested.name) == sorted(scores[scores.split_id == "main"].name)
    assert scores.probability.between(0, 1).all()
    assert scores.best_match.str.startswith("generated_").all()


def test_evaluate_alone_gives_the_same(trained, capsys):
    run, store = trained
    before = (run / "evaluation.json").read_bytes(), (run / "scores.csv").read_bytes()
    (run / "evaluation.json").unlink()
    assert ganfp("--mode=evaluate", f"--run_dir={run}", f"--store_dir={store}") == 0
    assert ((run / "evaluation.json").read_bytes(), (run / "scores.csv").read_bytes()) == before
    assert "AUC" in capsys.readouterr().out


def test_the_same_command_does_nothing_twice(trained, victim, capsys):
    run, store = trained
    before = (run / "splits/main/checkpoints/last.npz").stat().st_mtime_ns
    assert (
        ganfp(
            *SMALL,
            f"--data={victim[0]}",
            "--cross_attention",
            "--pairing=nearest",
            "--folds=3",
            f"--run_dir={run}",
            f"--store_dir={store}",
        )
        == 0
    )
    assert (run / "splits/main/checkpoints/last.npz").stat().st_mtime_ns == before
    assert "embeddings: 0 computed" in capsys.readouterr().out


@pytest.mark.parametrize("year", ["2023", "2025"])
def test_predict_and_score(trained, victim, year, tmp_path, capsys):
    run, store = trained
    _, test, truth = victim
    assert (
        ganfp(
            "--mode=predict",
            f"--run_dir={run}",
            f"--store_dir={store}",
            f"--data={test}",
            f"--submission={year}",
        )
        == 0
    )
    assert "What they are worth" in capsys.readouterr().out
    predictions = pd.read_csv(run / "predictions.csv")
    assert list(predictions.name) == [f"real_unknown_{i}.png" for i in range(1, 9)]
    assert predictions.probability.between(0, 1).all()
    lines = (run / f"run_{year}.csv").read_text().splitlines()
    names = [line.split(",")[0] for line in lines]
    assert names == [n.removesuffix(".png") if year == "2023" else n for n in predictions.name]
    assert [int(line.split(",")[1]) for line in lines] == list(predictions.prediction)

    pd.DataFrame({"name": truth.keys(), "label": truth.values()}).to_csv(
        tmp_path / "truth.csv", index=False
    )
    for answers in (run / f"run_{year}.csv", run / "predictions.csv"):
        code = ganfp(
            "--mode=evaluate", f"--predictions={answers}", f"--truth={tmp_path / 'truth.csv'}"
        )
        assert code == 0
        assert "kappa" in capsys.readouterr().out


def test_export_again(trained):
    run, _ = trained
    before = (run / "saved_model/saved_model.pb").stat().st_mtime_ns
    assert ganfp("--mode=export", f"--run_dir={run}") == 0
    assert (run / "saved_model/saved_model.pb").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    "flags",
    [
        ("--pairing=random", "--notensorboard"),
        ("--pairing=mixed", "--cross_attention", "--similarity=dot"),
        ("--similarity=difference", "--noclass_weighted", "--normalization=imagenet"),
        ("--finetune=all", "--cross_attention"),
        ("--finetune=last_stage", "--pairing=nearest", "--mixed_precision"),
        ("--jit_compile", "--cross_attention", "--store_dtype=float32"),
        ("--distribute=mirrored", "--blocks=2"),
    ],
    ids=" ".join,
)
def test_every_choice_trains(flags, victim, tmp_path):
    run = tmp_path / "run"
    code = ganfp(
        *SMALL,
        "--epochs=1",
        f"--data={victim[0]}",
        f"--run_dir={run}",
        f"--store_dir={tmp_path / 'store'}",
        *flags,
    )
    assert code == 0
    assert (run / "saved_model/saved_model.pb").exists()
    assert (run / "tensorboard").exists() == ("--notensorboard" not in flags)
    history = pd.read_csv(run / "splits/main/history.csv")
    assert list(history.epoch) == [0, 1]
    assert np.isfinite(history.loss[1])


def test_config_json_reproduces_a_run(trained, victim, tmp_path):
    run, store = trained
    again = tmp_path / "again"
    assert (
        ganfp(
            f"--config_json={run / 'config.json'}",
            "--overwrite",
            f"--run_dir={again}",
            f"--store_dir={store}",
        )
        == 0
    )
    assert (again / "scores.csv").read_bytes() == (run / "scores.csv").read_bytes()
    assert (again / "splits.csv").read_bytes() == (run / "splits.csv").read_bytes()


def test_a_non_finite_loss_stops_the_run(victim, tmp_path, monkeypatch, capsys):
    from ganfp_tf.siamese import training

    compile_trainer = training.compile_trainer

    def with_broken_loss(trainer, settings, supervision):
        compile_trainer(trainer, settings, supervision)
        trainer.compile(
            optimizer=trainer.optimizer,
            loss=lambda y, logits: (logits - logits) / 0.0 * y,
            metrics=[],
        )

    monkeypatch.setattr(training, "compile_trainer", with_broken_loss)
    code = ganfp(
        *SMALL,
        f"--data={victim[0]}",
        f"--run_dir={tmp_path / 'run'}",
        f"--store_dir={tmp_path / 'store'}",
        "--notensorboard",
    )
    assert code == 2
    assert "the loss became nan in epoch 1, step 1" in capsys.readouterr().err


def test_a_changed_image_is_noticed(victim, tmp_path, capsys):
    import shutil

    data = tmp_path / "training"
    shutil.copytree(victim[0], data)
    flags = [*SMALL, f"--data={data}", f"--run_dir={tmp_path / 'run'}", "--notensorboard"]
    assert ganfp(*flags, f"--store_dir={tmp_path / 'store'}") == 0
    used = sorted((data / "real_used").iterdir())
    used[0].write_bytes(next((data / "generated").iterdir()).read_bytes())
    evaluate = ["--mode=evaluate", f"--run_dir={tmp_path / 'run'}"]
    assert ganfp(*evaluate, f"--store_dir={tmp_path / 'new_store'}") == 2
    assert "has changed since the run was trained" in capsys.readouterr().err
    # With the old store the files are not needed at all.
    assert ganfp(*evaluate, f"--store_dir={tmp_path / 'store'}") == 0
    assert ganfp(*flags, f"--store_dir={tmp_path / 'store'}") == 2
    assert "other images or labels" in capsys.readouterr().err


def test_the_smoke_configuration_runs(victim, tmp_path):
    config = pathlib.Path(__file__).parents[2] / "configs" / "smoke.cfg"
    assert (
        ganfp(
            f"--flagfile={config}",
            f"--data={victim[0]}",
            f"--run_dir={tmp_path / 'run'}",
            f"--store_dir={tmp_path / 'store'}",
        )
        == 0
    )


def test_other_weights_than_the_runs_are_refused(victim, tmp_path, capsys):
    flags = [
        *SMALL,
        f"--data={victim[0]}",
        f"--run_dir={tmp_path / 'run'}",
        "--notensorboard",
        f"--store_dir={tmp_path / 'store'}",
    ]
    assert ganfp(*flags) == 0
    weights = tmp_path / "run/weights.json"
    facts = json.loads(weights.read_text())
    weights.write_text(json.dumps({**facts, "source": "imagenet", "digest": "another"}))
    for mode in ("train", "evaluate"):
        asked = flags if mode == "train" else flags[len(SMALL) :]
        assert ganfp(f"--mode={mode}", *asked) == 2
        assert "begun with other backbone weights (imagenet)" in capsys.readouterr().err
