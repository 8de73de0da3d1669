"""What 0.1 wrote still opens, resumes, predicts and exports, and the demo's audit says the same.

The files come from write_golden.py. Numbers may differ in their last digits between processors.
"""

import json
import os
import pathlib
import shutil
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest

from ganfp_tf.models.comparator import Comparator
from main import main
from tests.golden import recipes

HERE = pathlib.Path(__file__).parent
# Of an audit: when and where it ran, and how long that took.
PASSING = {"created", "seconds", "peak_bytes", "environment", "ganfp"}


@pytest.fixture
def golden(tmp_path, monkeypatch):
    """The golden runs, unpacked in the current folder."""
    with zipfile.ZipFile(HERE / "runs.zip") as archive:
        archive.extractall(tmp_path)
    for path in tmp_path.rglob("*.csv"):
        path.write_bytes(path.read_bytes().replace(recipes.PLACE, os.fsencode(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same_table(path, expected):
    found, wanted = (pd.read_csv(each, keep_default_na=False) for each in (path, expected))
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-3, atol=1e-5)


def test_an_interrupted_run_goes_on(golden):
    words = [w.replace("--run_dir=run", "--run_dir=interrupted") for w in recipes.TRAIN]
    assert main(["main.py", *words]) == 0
    names = ["scores.csv", "splits.csv"] + [
        f"splits/{split}/history.csv" for split in ("main", "fold_0", "fold_1")
    ]
    for name in names:
        same_table(golden / "interrupted" / name, golden / "run" / name)


def test_a_run_predicts_and_exports(golden):
    for name in ("predictions.csv", "scores.csv"):
        shutil.move(golden / "run" / name, golden / name)
    for words in (recipes.PREDICT, ("--mode=evaluate", "--run_dir=run", "--store_dir=store")):
        assert main(["main.py", *words]) == 0
    for name in ("predictions.csv", "scores.csv"):
        same_table(golden / "run" / name, golden / name)
    assert main(["main.py", "--mode=export", "--run_dir=run"]) == 0
    assert (golden / "run/saved_model/saved_model.pb").exists()


@pytest.mark.parametrize("name", ["pooled", "crossed_dot", "crossed_multi"])
def test_old_keras_files_load(name):
    network = keras.models.load_model(HERE / f"{name}.keras")
    with np.load(HERE / "logits.npz") as stored:
        images, logits = stored["images"], stored[name]
    found = network.predict({"real": images[0], "generated": images[1]}, verbose=0)
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
    built = recipes.networks()[name]
    assert [w.path for w in built.weights] == [w.path for w in network.weights]
    # The comparator has a class of its own since 0.1; its layers have not changed.
    kinds = [
        {Comparator if layer.name == "comparator" else type(layer) for layer in model.layers}
        for model in (built, network)
    ]
    assert kinds[0] == kinds[1]
    old, new = (model.get_layer("comparator") for model in (network, built))
    assert [type(layer) for layer in new.layers] == [type(layer) for layer in old.layers]


def test_the_audit_of_the_demo_is_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["main.py", *recipes.AUDIT]) == 0
    found = pd.read_csv("audit/scores.csv", keep_default_na=False)
    wanted = pd.read_csv(HERE / "scores.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-6, atol=1e-9)
    found, wanted = (
        json.loads(path.read_text())
        for path in (tmp_path / "audit/audit.json", HERE / "audit.json")
    )
    assert _alike(found, wanted, "audit.json")


def _alike(found, wanted, place):
    if isinstance(wanted, dict):
        assert list(found) == list(wanted), place
        return all(
            _alike(found[key], wanted[key], f"{place}.{key}")
            for key in wanted
            if key not in PASSING
        )
    if isinstance(wanted, list):
        assert len(found) == len(wanted), place
        pairs = zip(found, wanted, strict=True)
        return all(_alike(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(pairs))
    if isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9), place
    else:
        assert found == wanted, place
    return True
