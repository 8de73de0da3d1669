"""--mode=simulate through main.main, on the smallest victim there is."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf import files
from ganfp_tf.models.callbacks import Progress
from ganfp_tf.simulation.gan import training
from main import main

SMALL = (
    "--mode=simulate",
    "--size=32",
    "--slices=2",
    "--members=12",
    "--non_members=10",
    "--generated=40",
    "--channels=4",
    "--latent=8",
    "--steps=6",
    "--gan_batch=4",
    "--test_fraction=0.25",
)


def ganfp(*words):
    return main(["main.py", *map(str, words)])


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return f"--phantom_dir={tmp_path_factory.mktemp('phantoms')}"


@pytest.fixture(scope="module")
def simulated(phantoms, tmp_path_factory):
    """A victim with both controls: its folder."""
    folder = tmp_path_factory.mktemp("simulated") / "run"
    code = ganfp(*SMALL, phantoms, f"--run_dir={folder}", "--unrelated", "--plant_copies=10")
    assert code == 0
    return folder


def test_everything_is_there(simulated):
    for name in (
        "config.json",
        "environment.json",
        "manifest.csv",
        "truth.csv",
        "planted.csv",
        "victim.json",
        "images.png",
        "victim/generator.keras",
        "victim/history.csv",
        "victim/samples.png",
        "victim/tensorboard",
        "unrelated/manifest.csv",
        "unrelated/victim/generator.keras",
    ):
        assert (simulated / name).exists(), name
    for folder, count in {
        "training/real_used": 9,
        "training/real_not_used": 8,
        "training/generated": 30,
        "test/real_unknown": 8,
        "test/generated": 10,
        "unrelated/generated": 30,
    }.items():
        assert len(list((simulated / folder).glob("*.png"))) == count, folder


def test_victim_json_says_how_to_make_it_again(simulated):
    record = files.read_json(simulated / "victim.json")
    assert record["command"].startswith("python main.py --mode=simulate --members=12")
    assert "--plant_copies=10.0" in record["command"]
    assert "--unrelated=True" in record["command"]
    assert record["settings"]["architecture"] == "dcgan"
    assert record["settings"]["seed"] == 0
    assert record["settings"]["test_fraction"] == 0.25
    assert record["images"] == {
        "member test": 3,
        "member training": 9,
        "non_member test": 2,
        "non_member training": 8,
        "sibling test": 3,
        "unrelated": 12,
    }
    made = record["victim"]
    assert made["generated"] == 40
    assert made["generated_test"] == 10
    assert made["planted"] == 4
    assert made["last_epoch"]["step"] == 6
    assert made["frechet"] > 0
    for digest in (*record["digests"].values(), made["weights_digest"], made["generated_digest"]):
        assert len(digest) == 64
    assert record["unrelated"]["weights_digest"] != made["weights_digest"]


def test_planted_copies_are_near_their_sources(simulated):
    planted = pd.read_csv(simulated / "planted.csv")
    assert len(planted) == 4

    def pixels(name):
        return np.asarray(Image.open(simulated / name), "float64")

    for path, source in planted.itertuples(index=False):
        assert np.abs(pixels(path) - pixels(source)).mean() < 20
        group = source.split("/")[1]
        assert group in ("real_used", "real_unknown")


def test_the_same_command_does_nothing_again(simulated, phantoms, capsys):
    before = (simulated / "manifest.csv").stat().st_mtime_ns
    code = ganfp(*SMALL, phantoms, f"--run_dir={simulated}", "--unrelated", "--plant_copies=10")
    assert code == 0
    assert (simulated / "manifest.csv").stat().st_mtime_ns == before
    out = capsys.readouterr().out
    assert "victim: dcgan, 6 steps" in out
    assert "12 unrelated" in out


def test_interrupted_it_goes_on_to_the_same_victim(simulated, phantoms, tmp_path, monkeypatch):
    """Stopped in the second epoch, then run again: the images are those of the other folder."""
    folder = tmp_path / "run"
    words = (*SMALL, phantoms, f"--run_dir={folder}", "--unrelated", "--plant_copies=10")
    monkeypatch.setattr(training, "EPOCH", 2)
    with monkeypatch.context() as patch:
        well = Progress.on_train_batch_end

        def stop(self, batch, logs=None):
            if int(self.model.step) == 3:
                raise KeyboardInterrupt
            well(self, batch, logs)

        patch.setattr(Progress, "on_train_batch_end", stop)
        assert ganfp(*words) == 130
    assert not (folder / "manifest.csv").exists()
    assert ganfp(*words) == 0
    for name in ("manifest.csv", "truth.csv", "planted.csv", "training/generated/generated_7.png"):
        assert (folder / name).read_bytes() == (simulated / name).read_bytes(), name
    history = pd.read_csv(folder / "victim" / "history.csv")
    assert history.step.tolist() == [2, 4, 6]


def test_the_whole_way_to_scored_siblings(simulated, tmp_path, capsys):
    """A detector is trained on the data set, predicts its test part, and meets the truth."""
    small = (
        "--backbone=tiny",
        "--weights=none",
        "--image_size=32",
        "--width=16",
        "--heads=2",
        "--epochs=1",
        "--steps_per_epoch=2",
        "--bootstrap=100",
        "--permutations=100",
        "--nosaved_model",
        f"--store_dir={tmp_path / 'store'}",
    )
    run = tmp_path / "run"
    assert ganfp(*small, f"--data={simulated}", f"--run_dir={run}") == 0
    assert ganfp("--mode=predict", f"--run_dir={run}", f"--data={simulated}") == 0
    capsys.readouterr()
    code = ganfp(
        "--mode=evaluate",
        f"--run_dir={run}",
        f"--predictions={run / 'predictions.csv'}",
        f"--truth={simulated / 'truth.csv'}",
    )
    out = capsys.readouterr().out
    assert code == 0
    assert "3 siblings (unseen images of used patients)" in out
    levels = files.read_json(run / "evaluation_predictions.json")["levels"]
    assert levels["images"]["metrics"]["n"]["value"] == 5
    assert levels["siblings"]["metrics"]["n"]["value"] == 5
    assert levels["siblings"]["metrics"]["positives"]["value"] == 3


def test_real_images_of_a_folder(simulated, tmp_path):
    """The real images of one data set are the pool of another victim."""
    code = ganfp(
        "--mode=simulate",
        f"--real={simulated}",
        "--size=32",
        "--members=8",
        "--non_members=8",
        "--generated=8",
        "--channels=4",
        "--latent=8",
        "--steps=2",
        "--gan_batch=4",
        "--architecture=residual",
        "--gan_loss=hinge",
        "--diffaugment=color,translation,cutout",
        "--r1=0",
        "--test_fraction=0.25",
        f"--run_dir={tmp_path / 'run'}",
        "--notensorboard",
    )
    assert code == 0
    record = files.read_json(tmp_path / "run" / "victim.json")
    assert record["images"] == {
        "member test": 2,
        "member training": 6,
        "non_member test": 2,
        "non_member training": 6,
    }
    assert not (tmp_path / "run" / "unrelated").exists()
    assert not (tmp_path / "run" / "victim" / "tensorboard").exists()


def test_other_settings_are_refused(simulated, capsys):
    assert ganfp(*SMALL, f"--run_dir={simulated}", "--steps=7", "--unrelated") == 2
    error = capsys.readouterr().err
    assert "holds a run with other settings: steps (was 6, now 7)" in error


def test_a_folder_with_images_of_its_own_is_left_alone(tmp_path, phantoms, capsys):
    mine = tmp_path / "training" / "mine.png"
    mine.parent.mkdir()
    mine.write_bytes(b"precious")
    for extra in ((), ("--overwrite",)):
        assert ganfp(*SMALL, phantoms, f"--run_dir={tmp_path}", *extra) == 2
        assert "holds training, which no simulation wrote" in capsys.readouterr().err
        assert mine.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--real=nowhere",), "--real: there is no folder nowhere"),
        (("--size=48",), "--size must be one of 32, 64, 128, 256"),
        (("--diffaugment=blur",), "--diffaugment must name some of color, translation, cutout"),
        (("--gan_batch=16",), "--gan_batch must be at most --members"),
        (("--data=x",), "--mode=simulate makes data"),
        (("--grid=members=a",), "--grid: members must be int"),
        (("--detectors=nearest_pixels",), "--detectors goes with --mode=audit, --mode=benchmark"),
        (("--grid=seed=0", "--detectors=nearest"), "there is no detector 'nearest'"),
    ],
)
def test_mistakes(words, message, tmp_path, capsys):
    assert ganfp(*SMALL, f"--run_dir={tmp_path / 'run'}", *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_settings_of_a_victim_elsewhere(capsys):
    assert ganfp("--members=5", "--data=x", "--gan_batch=2") == 2
    assert "--members and --gan_batch go with --mode=simulate" in capsys.readouterr().err


def test_overwrite_makes_another(simulated, phantoms, tmp_path):
    folder = tmp_path / "run"
    assert ganfp(*SMALL, phantoms, f"--run_dir={folder}", "--steps=1") == 0
    first = json.loads((folder / "victim.json").read_text())
    assert ganfp(*SMALL, phantoms, f"--run_dir={folder}", "--overwrite", "--steps=2") == 0
    second = json.loads((folder / "victim.json").read_text())
    assert first["victim"]["last_epoch"]["step"] == 1
    assert second["victim"]["last_epoch"]["step"] == 2
