"""--candidates through main.main: N k pairs, the same threshold everywhere, the recall reported."""

import json

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.siamese import candidates
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
    "--cross_attention",
    "--notensorboard",
    "--nosaved_model",
    "--candidates=3",
)


def ganfp(*words):
    return main(["main.py", *map(str, words)])


@pytest.fixture(scope="module")
def trained(victim, tmp_path_factory):
    folder = tmp_path_factory.mktemp("candidates")
    words = (f"--data={victim[0]}", f"--run_dir={folder / 'run'}", f"--store_dir={folder / 's'}")
    assert ganfp(*SMALL, *words) == 0
    return folder / "run"


def test_each_image_meets_its_candidates_and_the_search_is_told(trained, capsys):
    evaluation = json.loads((trained / "evaluation.json").read_text())
    assert evaluation["partners"] == 3
    assert {found["method"] for found in evaluation["searches"]} == {"exact"}
    assert {found["k"] for found in evaluation["searches"]} == {3}
    assert ganfp("--mode=evaluate", f"--run_dir={trained}") == 0
    assert "candidates: the 3 nearest of" in capsys.readouterr().out


def test_an_approximate_search_scores_the_same_images_and_tells_its_recall(
    trained, victim, monkeypatch, capsys
):
    pytest.importorskip("faiss", reason="needs faiss-cpu, which requirements.txt installs")
    words = ("--mode=predict", f"--run_dir={trained}", f"--data={victim[1]}")
    assert ganfp(*words) == 0
    exact = pd.read_csv(trained / "predictions.csv")
    assert "exact search" in capsys.readouterr().out
    found = candidates.candidates

    def approximate(*arguments, **keywords):
        return found(*arguments, exact_up_to=1, **keywords)

    monkeypatch.setattr(candidates, "candidates", approximate)
    assert ganfp(*words) == 0
    assert "recall 1.000 [1.000, 1.000] on 8 real images" in capsys.readouterr().out
    again = pd.read_csv(trained / "predictions.csv")
    np.testing.assert_allclose(again["score"], exact["score"], atol=1e-5)


def test_another_number_of_candidates_is_another_detector(trained, capsys):
    assert ganfp("--mode=evaluate", f"--run_dir={trained}", "--candidates=5") == 2
    assert "--candidates (trained with 3)" in capsys.readouterr().err
