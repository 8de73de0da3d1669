"""--mode=benchmark --measure=speed through main.main; no figure is compared with a limit."""

import json

import keras
import pandas as pd
import pytest

from ganfp_tf.modes import speed
from ganfp_tf.speed.timing import Extent
from main import main

SMALL = Extent(
    repeats=2,
    seconds=0.2,
    shortest=0.001,
    real=10,
    generated=12,
    matrix=64,
    reference=4,
    curve=((2, 3), (4, 6), (1000, 1000)),
    curve_seconds=1.0,
)
FLAGS = (
    "--mode=benchmark",
    "--measure=speed",
    "--backbone=tiny",
    "--weights=none",
    "--image_size=32",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--embed_batch=8",
)


def ganfp(*words):
    return main(["main.py", *map(str, words)])


@pytest.fixture(scope="module")
def measured(victim, tmp_path_factory):
    """A run with cross-attention: the run folder and what it printed."""
    folder = tmp_path_factory.mktemp("speed") / "run"
    policy = keras.config.dtype_policy().name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "EXTENT", SMALL)
        assert ganfp(*FLAGS, "--cross_attention", f"--data={victim[0]}", f"--run_dir={folder}") == 0
    assert keras.config.dtype_policy().name == policy == "float32"
    return folder


@pytest.fixture(scope="module")
def frame(measured):
    return pd.read_csv(measured / "speed.csv").set_index("name")


def test_every_part_has_figures_and_all_are_positive(frame):
    parts = ["machine", "input", "encoder", "pair scores", "training", "scoring", "memory"]
    assert list(dict.fromkeys(frame.part)) == parts
    measured = frame[~frame.index.str.startswith("power of")]
    assert (measured.value[measured.unit != "s"] > 0).all()
    assert (frame.low.dropna() <= frame.value[frame.low.notna()]).all()
    assert (frame.high.dropna() >= frame.value[frame.high.notna()]).all()
    for name in (
        "tiny, float32",
        "tiny, float32, XLA",
        "tiny, mixed_bfloat16",
        "tiny, mixed_bfloat16, XLA",
        "images read and decoded",
        "49 tokens of 256, heads 4, float32",
        "49 tokens of 256, heads 1, mixed_bfloat16, by the model",
        "the run's comparator",
        "training, frozen",
        "training, frozen, pair by pair",
        "training, fine-tuned",
        "training, fine-tuned, pair by pair",
        "naive way, a pair",
        "store way, an image",
        "store way, 200 x 5000",
        "naive way, 200 x 5000",
        "most memory held",
    ):
        assert name in frame.index, name
    assert frame.repeats["training, frozen"] >= 1


def test_ratios_are_of_the_figures_named(frame):
    related = frame[frame.ratio_to.notna()]
    assert len(related) > 15
    for name, row in related.iterrows():
        assert row.ratio == pytest.approx(row.value / frame.value[row.ratio_to]), name
    assert frame.ratio_to["training, frozen"] == "training, frozen, pair by pair"
    assert frame.ratio_to["naive way, 200 x 5000"] == "store way, 200 x 5000"


def test_totals_follow_from_the_costs_of_images_and_pairs(measured, frame):
    curve = json.loads((measured / "speed.json").read_text())["curve"]
    image, pair = curve["seconds_image"], curve["seconds_pair"]
    total = frame.value["store way, 200 x 5000"]
    assert total == pytest.approx(image * 5200 + pair * 1_000_000)
    naive = frame.value["naive way, a pair"]
    assert frame.value["naive way, 200 x 5000"] == pytest.approx(naive * 1_000_000)
    assert naive == pytest.approx(1 / frame.value["naive way, images held"])
    # A point that would have taken too long is left out, not made up.
    first, second, last = curve["points"]
    assert first["seconds_total"] > 0
    assert second["seconds_pairs"] > 0
    assert last["seconds_total"] is None
    # 15 used and 15 not used real images, 90 generated ones.
    assert "store way, 30 x 90 (this data)" in frame.index


def test_bytes_of_an_image_are_those_of_its_tokens(victim, frame):
    assert frame.value["decoded"] == 32 * 32 * 3 * 4
    tokens = frame.value["tokens in float16"]
    assert tokens == 4 * 4 * 32 * 2
    assert tokens < frame.value["in the store, float16, with its descriptions"] < 3 * tokens


def test_files_are_written_and_nothing_else_is_left(measured):
    kept = json.loads((measured / "speed.json").read_text())
    assert kept["settings"]["backbone"] == "tiny"
    assert kept["environment"]["packages"]
    assert kept["machine"]["cores"] >= 1
    assert kept["extent"]["repeats"] == 2
    assert (measured / "figures/speed.png").read_bytes()[1:4] == b"PNG"
    text = (measured / "speed.md").read_text()
    assert "## Encoders" in text
    assert "images held" in text
    assert sorted(path.name for path in measured.iterdir()) == [
        "config.json",
        "environment.json",
        "figures",
        "images.csv",
        "speed.csv",
        "speed.json",
        "speed.md",
    ]


def test_the_flag_needs_its_mode(capsys):
    assert ganfp("--measure=speed", "--data=nowhere") == 2
    assert "--measure goes with --mode=benchmark" in capsys.readouterr().err
