"""--mode=benchmark with detectors that train a network, that use labels, and that need shadows."""

import ast
import json

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.siamese import copy_training
from main import main

QUICK = (
    "--mode=benchmark",
    "--bootstrap=100",
    "--permutations=100",
    "--folds=3",
    "--copy_steps=8",
    "--copy_block=4",
    "--copy_blocks=2",
    "--fold_seeds=2",
)
NETWORKS = ("calibrated_pixels", "nearest_copies", "comparator", "stack")


def ganfp(*words):
    return main(["main.py", *map(str, words)])


def table_of(run):
    return pd.read_csv(run / "benchmark.csv").set_index("detector")


def stack_of(run):
    return run / "detectors" / "victim" / "stack.csv"


def test_networks_and_a_stack(victim, tmp_path, capsys, monkeypatch):
    run, trainings, train = tmp_path / "run", [], copy_training.train

    def counted(*args, **kwargs):
        trainings.append(kwargs["folder"])
        return train(*args, **kwargs)

    monkeypatch.setattr(copy_training, "train", counted)
    words = (*QUICK, f"--detectors={','.join(NETWORKS)}", f"--data={victim[0]}", f"--run_dir={run}")
    assert ganfp(*words) == 0
    # All of them ask for the same network.
    (folder,) = trainings
    assert (folder / "checkpoint.npz").exists()
    assert folder.parent.parent == run / "detectors/victim"
    frame = table_of(run)
    assert list(frame.index) == list(NETWORKS)
    # Noisy copies are there to be found.
    assert (frame.auc > 0.8).all()
    # What the victim is stays what it is.
    assert set(frame.members) == {15}
    assert set(frame.non_members) == {15}
    for name in ("less", "members_auc", "non_members_auc"):
        low, value, high = (frame[name + end] for end in ("_low", "", "_high"))
        known = value.notna()
        assert known.sum() == len(NETWORKS) - (name == "less")
        assert (low[known] <= value[known]).all()
        assert (value[known] <= high[known]).all()
    assert np.isnan(frame.less["calibrated_pixels"])
    difference = frame.auc["comparator"] - frame.auc["calibrated_pixels"]
    assert frame.less["comparator"] == pytest.approx(difference, abs=1e-9)
    # Only what uses labels depends on the folds; the first draw is that of the other figures.
    draws = frame.auc_seeds.map(ast.literal_eval)
    assert draws.map(len).to_dict() == dict(zip(NETWORKS, (1, 1, 1, 2), strict=True))
    assert draws["stack"][0] == pytest.approx(frame.auc["stack"])
    assert (frame.peak_bytes > 1e8).all()
    page = (run / "benchmark.md").read_text()
    for title in ("AUC less that of", "Spread over draws of the folds", "halves of one kind"):
        assert title in page

    # The same command measures nothing again; a lost result is made again without training.
    before = stack_of(run).read_bytes()
    assert ganfp(*words) == 0
    assert capsys.readouterr().out.count("done earlier") == 4
    assert len(trainings) == 1

    def never(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(keras.Model, "fit", never)
    stack_of(run).with_suffix(".json").unlink()
    assert ganfp(*words) == 0
    assert capsys.readouterr().out.count("done earlier") == 3
    assert stack_of(run).read_bytes() == before


@pytest.fixture
def shadows(victim, tmp_path):
    """Two generators; each saw every second real image, used or not, and repeats it with noise."""
    real = load_catalog(victim[0], progress=False).labelled
    real = real.sort_values("digest", ignore_index=True)
    rng = np.random.default_rng(0)
    for number in range(2):
        place = tmp_path / "shadows" / f"shadow_{number}"
        (place / "generated").mkdir(parents=True)
        seen = real.index % 2 == number
        for copy, path in enumerate(real.path[seen].repeat(3), start=1):
            pixels = np.asarray(Image.open(path), "float32")
            noisy = (pixels + rng.normal(0, 8, pixels.shape)).clip(0, 255).astype("uint8")
            Image.fromarray(noisy).save(place / "generated" / f"generated_{copy}.png")
        table = pd.DataFrame({"digest": real.digest, "patient": "", "seen": seen.astype(int)})
        table.to_csv(place / "seen.csv", index=False)
        record = {"settings": {"shadow_on": "halves"}, "generated": 3 * int(seen.sum())}
        (place / "shadow.json").write_text(json.dumps(record))
    return tmp_path / "shadows"


def test_a_detector_calibrated_by_shadows(victim, shadows, tmp_path, capsys):
    run = tmp_path / "run"
    words = (*QUICK, f"--data={victim[0]}", f"--run_dir={run}")
    asked = "--detectors=calibrated_pixels,shadow_nearest_pixels"
    assert ganfp(*words, asked) == 2
    error = capsys.readouterr().err
    assert "shadow_nearest_pixels needs shadow generators: say --shadow=PATH" in error
    assert "Traceback" not in error
    assert not run.exists()
    assert ganfp(*words, asked, f"--shadow={shadows}") == 0
    frame = table_of(run)
    assert frame.auc["shadow_nearest_pixels"] > 0.9
    assert "calibrated by shadow generators" in frame.title["shadow_nearest_pixels"]
    # Other shadows are another question: nothing is taken over.
    capsys.readouterr()
    assert ganfp(*words, asked, f"--shadow={shadows / 'shadow_1'}") == 0
    assert "calibrated by shadow generators on victim: done" not in capsys.readouterr().out
