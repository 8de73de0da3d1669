"""The demo data that the package ships, and the command that needs no data at hand."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf import cli, demo, files
from ganfp_tf.config import Config
from ganfp_tf.data.catalog import open_catalog
from ganfp_tf.data.layouts import natural_key
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.detectors.cross_fitting import cross_fitted_scores
from ganfp_tf.detectors.registry import make_detector
from ganfp_tf.errors import UserError
from ganfp_tf.simulation.dataset import digest_of_images
from ganfp_tf.simulation.phantoms.phantom import phantom
from ganfp_tf.statistics.evaluation import evaluate_frame
from ganfp_tf.statistics.sample import Resampling
from main import main


@pytest.fixture(scope="module")
def record():
    return files.read_json(demo.unpack() / "victim.json")


@pytest.fixture(scope="module")
def manifest():
    return pd.read_csv(demo.unpack() / "manifest.csv", dtype=str, keep_default_na=False)


def pixels(paths):
    return np.stack([np.asarray(Image.open(demo.unpack() / path)) for path in paths])


def test_it_holds_what_it_says(manifest):
    assert demo.is_there()
    counts = {
        folder: len(list((demo.unpack() / folder).glob("*.png")))
        for folder in (
            "training/real_used",
            "training/real_not_used",
            "training/generated",
            "test/real_unknown",
            "test/generated",
            "unrelated/generated",
        )
    }
    assert list(counts.values()) == [100, 100, 1000, 150, 500, 1000]
    assert len(manifest) == 1850
    truth = pd.read_csv(demo.unpack() / "truth.csv")
    assert truth.group.value_counts().to_dict() == {"member": 50, "non_member": 50, "sibling": 50}
    # Patients of the test part are not in the training part.
    assert not set(truth.patient.astype(str)) & set(manifest.patient[manifest.label != ""])


def test_it_is_small_and_what_its_digest_says():
    archive = demo.ARCHIVE.read_bytes()
    assert len(archive) < 12e6
    assert hashlib.sha256(archive).hexdigest() == demo.DIGEST


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of its own."""
    demo.folder.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    demo.folder.cache_clear()


def test_it_is_unpacked_once_and_whole(cache, monkeypatch):
    target = demo.unpack()
    assert target.parent == cache / "ganfp"
    assert len(list(target.rglob("*.png"))) == 2850
    assert list(target.parent.iterdir()) == [target]
    monkeypatch.setattr(demo.zipfile, "ZipFile", None)
    assert demo.unpack() == target


def test_a_half_unpacked_folder_is_replaced(cache):
    (demo.folder() / "training").mkdir(parents=True)
    assert (demo.unpack() / "manifest.csv").is_file()


def test_without_a_cache_it_goes_into_a_temporary_folder(cache, tmp_path, monkeypatch):
    cache.write_text("no folder")
    monkeypatch.setattr(demo.tempfile, "gettempdir", lambda: str(tmp_path))
    assert demo.unpack().parent.parent == tmp_path
    assert (demo.unpack() / "manifest.csv").is_file()


def test_a_damaged_archive_is_a_users_error(cache, tmp_path, monkeypatch):
    (tmp_path / "half.zip").write_bytes(demo.ARCHIVE.read_bytes()[:1000])
    monkeypatch.setattr(demo, "ARCHIVE", tmp_path / "half.zip")
    with pytest.raises(UserError, match=r"the demo data cannot be unpacked into .*Pass --data"):
        demo.unpack()
    assert not list(demo.folder().parent.glob("*"))


def test_its_digests_are_those_of_its_images(record, manifest):
    generated = [path for path in manifest.path if "/generated/" in path]
    order = sorted(generated, key=lambda path: (path.startswith("test/"), natural_key(path)))
    assert digest_of_images(pixels(order)) == record["victim"]["generated_digest"]
    truth = pd.read_csv(demo.unpack() / "truth.csv")
    for group, label in (("member", "1"), ("non_member", "0"), ("sibling", "none")):
        hidden = [f"test/real_unknown/{name}" for name in truth.name[truth.group == group]]
        known = manifest.path[manifest.label == label].tolist()
        paths = sorted(hidden + known, key=natural_key)
        assert digest_of_images(pixels(paths)) == record["digests"][group]


def test_its_patients_are_the_phantoms_of_this_version(manifest):
    """Where this fails, the phantoms have changed: make the demo data again, see README."""
    known = manifest[manifest.label != ""].sample(6, random_state=0)
    for path, patient in zip(known.path, known.patient, strict=True):
        found = pixels([path])[0]
        assert any(np.array_equal(found, phantom(int(patient), index)) for index in range(3))


def test_its_command_makes_it_again(record):
    words = record["command"].split()
    assert words[:2] == ["python", "main.py"]
    config = cli.parse(words[1:])
    assert config.mode == "simulate"
    # Settings that came later stand at their defaults.
    recorded = Config.from_dict({"mode": "simulate", **record["settings"]})
    assert config.bound_settings() == recorded.bound_settings()


def auc(folder, name):
    """(value, low, high) of a classical detector on a data set."""
    config = Config(data=str(folder))
    catalog = open_catalog(config.data, config, "train")
    scores = cross_fitted_scores(make_detector(name), catalog.frame, PixelStore(), folds=5, seed=0)
    figure = evaluate_frame(scores, Resampling.of(config)).to_dict()["metrics"]["auc"]
    return figure["value"], figure["low"], figure["high"]


def test_it_holds_a_signal_that_an_unrelated_generator_does_not():
    value, low, _ = auc(demo.unpack(), "nearest_pixels")
    assert value > 0.7
    assert low > 0.5
    _, low, high = auc(demo.unpack() / "unrelated", "nearest_pixels")
    assert low < 0.5 < high


def test_the_first_command_uses_it_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = main(
        [
            "main.py",
            "--backbone=tiny",
            "--weights=none",
            "--image_size=32",
            "--epochs=1",
            "--steps_per_epoch=2",
            "--bootstrap=100",
            "--permutations=100",
            "--notensorboard",
            "--cross_attention",
            "--width=16",
            "--heads=2",
        ]
    )
    out = capsys.readouterr().out
    assert code == 0
    assert "Without --data, this run uses the demo data of the package" in out
    assert "100 used, 100 not used, 1000 generated; 200 patients" in out
    assert "seconds: import" in out
    assert "encoding" in out
    assert "export" in out
    (run,) = (tmp_path / "runs").glob("tiny-*")
    assert (run / "evaluation.json").exists()
    assert (run / "saved_model").is_dir()
    # Its own test part, without --data.
    assert main(["main.py", "--mode=predict", f"--run_dir={run}"]) == 0
    assert len(pd.read_csv(run / "predictions.csv")) == 150


def test_other_runs_are_not_predicted_on_the_demo(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    files.write_json(run / "config.json", Config(data="elsewhere").to_dict())
    assert main(["main.py", "--mode=predict", f"--run_dir={run}"]) == 2
    assert "--data is empty: hand in a folder" in capsys.readouterr().err


def test_without_the_demo_data_one_message_says_what_to_hand_in(monkeypatch, capsys):
    monkeypatch.setattr(demo, "is_there", lambda: False)
    assert main(["main.py"]) == 2
    assert "--data is empty: hand in a folder" in capsys.readouterr().err
