"""--features=multi and --domain_norm through main.main: train, predict, export and score alike."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ganfp_tf.config import Config
from ganfp_tf.data import decode
from ganfp_tf.data.images import DEFAULT_READER
from ganfp_tf.siamese import encoded_images, networks
from main import main

SMALL = (
    "--backbone=tiny",
    "--weights=none",
    "--image_size=32",
    "--width=8",
    "--heads=2",
    "--hidden=8",
    "--epochs=1",
    "--steps_per_epoch=4",
    "--bootstrap=100",
    "--permutations=100",
    "--neighbours=4",
    "--partners=16",
    "--pairing=nearest",
    "--notensorboard",
    "--store_dtype=float32",
)


def ganfp(*words):
    """Runs the command line; returns the exit code."""
    return main(["main.py", *map(str, words)])


@pytest.fixture(
    scope="module",
    params=[
        ("--features=multi", "--domain_norm", "--cross_attention"),
        pytest.param(("--features=multi", "--domain_norm"), marks=pytest.mark.slow),
        ("--domain_norm", "--finetune=last_stage"),
    ],
    ids=" ".join,
)
def trained(request, victim, tmp_path_factory):
    """A run with both flags, or one of them: `(run folder, store folder)`."""
    folder = tmp_path_factory.mktemp("run")
    code = ganfp(
        *SMALL,
        *request.param,
        f"--data={victim[0]}",
        f"--run_dir={folder / 'run'}",
        f"--store_dir={folder / 'store'}",
    )
    assert code == 0
    return folder / "run", folder / "store"


def test_the_store_the_keras_file_and_the_saved_model_agree(trained):
    run, _ = trained
    config = Config.from_json(run / "config.json")
    material, _ = encoded_images.reopen_images(config, run)
    is_real = (material.frame["role"] == "real").to_numpy()
    rows = np.flatnonzero(is_real)[:6], np.flatnonzero(~is_real)[:6]
    detector = networks.load(run / "splits" / "main").networks
    logits = networks.pair_logits(detector, material, rows[0], rows[1][:, None])
    images = {
        role: np.stack(
            [
                decode.resize(DEFAULT_READER.read(path), 32)
                for path in material.frame["path"].iloc[part]
            ]
        )
        for role, part in zip(("real", "generated"), rows, strict=True)
    }
    network = keras.models.load_model(run / "model.keras")
    assert np.ptp(logits) > 1e-3
    np.testing.assert_allclose(network.predict(images, verbose=0), logits, atol=1e-5)
    loaded = tf.saved_model.load(run / "saved_model")
    served = loaded.signatures["serving_default"](
        **{role: tf.constant(array) for role, array in images.items()}
    )
    expected = 1.0 / (1.0 + np.exp(-logits.astype("float64")))
    np.testing.assert_allclose(served["probability"], expected, atol=1e-5)
    tokens = loaded.signatures["encode"](images=tf.constant(images["real"]))["tokens"]
    np.testing.assert_allclose(tokens, material.tokens(detector, rows[0]), atol=1e-4)


def test_each_domain_has_the_statistics_of_its_own_training_images(trained):
    run, _ = trained
    config = Config.from_json(run / "config.json")
    material, _ = encoded_images.reopen_images(config, run)
    splits = pd.read_csv(run / "splits.csv")
    training = splits["path"][(splits["split_id"] == "main") & (splits["split"] == "train")]
    entry = networks.load(run / "splits" / "main").networks.entry
    head = entry.get_layer("head") if config.finetune != "none" else entry
    for domain in ("real", "generated"):
        features = material.view(material.rows(training, domain)).gather(
            np.arange(len(material.rows(training, domain)))
        )
        norm = head.get_layer(f"standardize_{domain}")
        np.testing.assert_allclose(norm.mean, features.mean(axis=0), rtol=1e-3, atol=1e-5)
        assert norm.mean.shape == features.shape[1:]
        raised = norm.deviation.numpy() - features.std(axis=0)
        assert raised.min() > -1e-4
        assert np.median(np.abs(raised)) < 1e-4


def test_predict_and_export_again(trained, victim):
    run, store = trained
    assert (
        ganfp("--mode=predict", f"--run_dir={run}", f"--store_dir={store}", f"--data={victim[1]}")
        == 0
    )
    predictions = pd.read_csv(run / "predictions.csv")
    assert len(predictions) == 8
    assert predictions["probability"].between(0, 1).all()
    before = (run / "saved_model/saved_model.pb").stat().st_mtime_ns
    assert ganfp("--mode=export", f"--run_dir={run}") == 0
    assert (run / "saved_model/saved_model.pb").stat().st_mtime_ns > before


def test_evaluate_reads_the_same_store(trained, capsys):
    run, store = trained
    before = (run / "scores.csv").read_bytes()
    assert ganfp("--mode=evaluate", f"--run_dir={run}", f"--store_dir={store}") == 0
    assert (run / "scores.csv").read_bytes() == before
    config = Config.from_json(run / "config.json")
    (key,) = store.glob("tiny-*/key.json")
    # A store of before there was a choice stays valid.
    expected = {"features": "multi"} if config.features == "multi" else {}
    assert {k: v for k, v in json.loads(key.read_text()).items() if k == "features"} == expected


def test_both_flags_bind_the_run(trained, victim, capsys):
    run, store = trained
    flags = [*SMALL, f"--data={victim[0]}", f"--run_dir={run}", f"--store_dir={store}"]
    assert ganfp(*flags) == 2
    assert "domain_norm" in capsys.readouterr().err
    bound = Config(data="x").bound_settings()
    assert {"features": "last", "domain_norm": False}.items() <= bound.items()
    folders = {
        Config(data="x", **given).default_run_dir()
        for given in ({}, {"features": "multi"}, {"domain_norm": True})
    }
    assert len(folders) == 3


def test_a_wrong_choice_is_a_usage_error(capsys):
    assert ganfp("--features=middle", "--data=x") == 2
    assert "features" in capsys.readouterr().err
