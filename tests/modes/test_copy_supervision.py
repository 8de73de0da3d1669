"""--supervision=copy and attribution through main.main, on pictures that the test writes."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ganfp_tf.models.callbacks import SaveEpoch
from ganfp_tf.siamese import copy_training
from ganfp_tf.statistics.metrics import auc
from main import main

SMALL = (
    "--backbone=compact",
    "--weights=none",
    "--finetune=all",
    "--image_size=32",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--partners=8",
    "--bootstrap=100",
    "--permutations=100",
)
COPY = (
    *SMALL,
    "--supervision=copy",
    "--copy_steps=20",
    "--copy_block=4",
    "--copy_blocks=2",
    "--folds=2",
    "--cross_attention",
)
KEPT = ("scores.csv", "evaluation.json")


def ganfp(*words):
    """Runs the command line; returns the exit code."""
    return main(["main.py", *map(str, words)])


def weights(run):
    """All arrays of the last checkpoint: networks and optimiser."""
    with np.load(run / "copies" / "checkpoint.npz") as stored:
        return {name: stored[name] for name in stored.files if stored[name].dtype.kind == "f"}


def assert_same_weights(run, other):
    one, two = weights(run), weights(other)
    assert one
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def trained(victim, store, tmp_path_factory):
    """The run folder of a run that was left alone."""
    run = tmp_path_factory.mktemp("copy") / "run"
    words = (f"--data={victim[0]}", f"--run_dir={run}", f"--store_dir={store}", "--nosaved_model")
    assert ganfp(*COPY, *words) == 0
    return run


def test_the_run_folder(trained):
    for name in (
        "model.keras",
        "model.json",
        "copies/entry.keras",
        "copies/comparator.keras",
        "copies/history.csv",
        "splits/main/reference.npz",
        "splits/main/weights.json",
        "splits/fold_1/decision.json",
        "figures/training.png",
        "tensorboard/copies",
    ):
        assert (trained / name).exists(), name
    assert not list(trained.rglob(".tmp-*"))
    history = pd.read_csv(trained / "copies" / "history.csv")
    assert history.step.tolist() == [20]
    assert np.isfinite(history.to_numpy()).all()


def test_planted_copies_are_found(trained):
    evaluation = json.loads((trained / "evaluation.json").read_text())
    assert evaluation["supervision"] == "copy"
    levels = evaluation["levels"]
    assert levels["images_cross_fitted"]["metrics"]["auc_within"]["value"] > 0.9
    assert levels["images_cross_fitted"]["metrics"]["n"]["value"] == 30
    scores = pd.read_csv(trained / "scores.csv")
    assert scores.probability.between(0, 1).all()
    # Six copies of each used image, in order: the best match of a used image is one of its own.
    used = scores[(scores.split_id == "main") & (scores.label == 1)]
    number = used.name.str.extract(r"(\d+)")[0].astype(int)
    match = used.best_match.str.extract(r"(\d+)")[0].astype(int)
    assert ((match - 1) // 6 + 1 == number).mean() > 0.5


def test_evaluate_alone_gives_the_same_and_what_is_exported_answers(trained, store, capsys):
    before = [(trained / name).read_bytes() for name in KEPT]
    assert ganfp("--mode=evaluate", f"--run_dir={trained}", f"--store_dir={store}") == 0
    assert [(trained / name).read_bytes() for name in KEPT] == before
    assert "no label was: labels of train and validation" in capsys.readouterr().out
    assert ganfp("--mode=export", f"--run_dir={trained}") == 0
    served = tf.saved_model.load(trained / "saved_model")
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (3, 40, 40, 3)), tf.float32)
    answer = served.signatures["serving_default"](real=images, generated=images)["probability"]
    assert answer.shape == (3, 1)
    assert (answer.numpy() > 0).all()
    assert (answer.numpy() < 1).all()


def test_the_same_command_again_trains_nothing(trained, victim, store, monkeypatch):
    before = [(trained / name).read_bytes() for name in KEPT]

    def never(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(keras.Model, "fit", never)
    words = (f"--data={victim[0]}", f"--run_dir={trained}", f"--store_dir={store}")
    assert ganfp(*COPY, *words, "--nosaved_model") == 0
    assert [(trained / name).read_bytes() for name in KEPT] == before


def test_predict_and_score(trained, victim, store, tmp_path, capsys):
    _, test, truth = victim
    words = (f"--run_dir={trained}", f"--store_dir={store}", f"--data={test}")
    assert ganfp("--mode=predict", *words, "--submission=2025") == 0
    predictions = pd.read_csv(trained / "predictions.csv")
    assert list(predictions.name) == [f"real_unknown_{i}.png" for i in range(1, 9)]
    labels = predictions.name.map(truth)
    # The four used ones have copies in this set, the others have not.
    assert auc(labels, predictions.score) > 0.8
    pd.DataFrame({"name": truth.keys(), "label": truth.values()}).to_csv(
        tmp_path / "truth.csv", index=False
    )
    answers = (f"--predictions={trained / 'predictions.csv'}", f"--truth={tmp_path / 'truth.csv'}")
    assert ganfp("--mode=evaluate", *answers) == 0
    assert "kappa" in capsys.readouterr().out


def test_killed_and_left_alone_end_alike(trained, victim, store, tmp_path, monkeypatch):
    run = tmp_path / "run"
    words = (*COPY, f"--data={victim[0]}", f"--run_dir={run}", f"--store_dir={store}")
    monkeypatch.setattr(copy_training, "EPOCH", 10)
    saved = SaveEpoch.on_epoch_end
    with monkeypatch.context() as patch:

        def interrupted(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt
            saved(self, epoch, logs)

        patch.setattr(SaveEpoch, "on_epoch_end", interrupted)
        assert ganfp(*words, "--nosaved_model") == 130
    assert not (run / "copies" / "entry.keras").exists()
    assert ganfp(*words, "--nosaved_model") == 0
    assert pd.read_csv(run / "copies" / "history.csv").step.tolist() == [10, 20]
    assert_same_weights(run, trained)
    for name in KEPT:
        assert (run / name).read_bytes() == (trained / name).read_bytes(), name


def test_no_label_is_in_the_network_and_overwrite_starts_anew(trained, victim, store, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(victim[0], data)
    (data / "real_used").rename(data / "swap")
    (data / "real_not_used").rename(data / "real_used")
    (data / "swap").rename(data / "real_not_used")
    run = tmp_path / "run"
    # A finished training that --overwrite has to remove, or it would be gone on with.
    shutil.copytree(trained / "copies", run / "copies")
    stale = run / "copies" / "stale.txt"
    stale.write_text("of the run before")
    words = (f"--data={data}", f"--run_dir={run}", f"--store_dir={store}", "--nosaved_model")
    assert ganfp(*COPY, *words, "--overwrite") == 0
    assert not stale.exists()
    assert_same_weights(run, trained)
    used = pd.read_csv(run / "images.csv").query("label == 1")
    before = pd.read_csv(trained / "images.csv").query("label == 0")
    assert set(used.digest) == set(before.digest)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*COPY, "--domain_norm"), "leave --domain_norm out"),
        ((*COPY, "--distribute=mirrored"), "leave --distribute out"),
        ((*COPY, "--finetune=none"), "--backbone=compact has no pretrained weights"),
        ((*SMALL, "--supervision=attribution", "--pairing=nearest"), "only --pairing=random does"),
        ((*COPY, "--pairing=nearest", "--epochs=3"), "--pairing and --epochs decide how pairs"),
        ((*SMALL, "--copy_steps=5"), "--copy_steps goes with --supervision=copy"),
        ((*SMALL, "--supervision=copies"), "--supervision must be one of"),
    ],
)
def test_mistakes(words, message, victim, tmp_path, capsys):
    assert ganfp(*words, f"--data={victim[0]}", f"--run_dir={tmp_path / 'run'}") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("ganfp: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_damaged_detector_is_named(trained, store, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "splits" / "main" / "reference.npz").write_bytes(b"no numbers")
    assert ganfp("--mode=evaluate", f"--run_dir={run}", f"--store_dir={store}") == 2
    error = capsys.readouterr().err
    assert "the trained detector in" in error
    assert "Train it anew" in error


def test_attribution_trains(victim, store, tmp_path):
    run = tmp_path / "run"
    words = (f"--data={victim[0]}", f"--run_dir={run}", f"--store_dir={store}")
    code = ganfp(
        *SMALL,
        *words,
        "--supervision=attribution",
        "--backbone=tiny",
        "--finetune=none",
        "--epochs=2",
        "--steps_per_epoch=4",
        "--nosaved_model",
        "--notensorboard",
    )
    assert code == 0
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["supervision"] == "attribution"
    history = pd.read_csv(run / "splits" / "main" / "history.csv")
    # All logits alike would cost the log of one over the used share, 0.7 at a half.
    assert history.epoch.tolist() == [0, 1, 2]
    assert history.loss[1:].between(0, 3).all()
    assert len(pd.read_csv(run / "scores.csv")) == 30
