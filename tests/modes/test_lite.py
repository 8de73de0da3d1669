"""--mode=export --export_format=tflite and tflite_int8 through main.main, and what they say."""

import dataclasses
import hashlib
import json

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import special

from ganfp_tf.config import Config
from ganfp_tf.data import encode
from ganfp_tf.data.images import ImageReader
from ganfp_tf.export import images as edge_images
from ganfp_tf.export import lite, lite_agreement
from ganfp_tf.runs import run_folder
from main import main

pytest.importorskip(
    "ai_edge_litert", reason="needs LiteRT's interpreter: pip install -r requirements-edge.txt"
)

SMALL = (
    "--backbone=tiny",
    "--weights=none",
    "--image_size=32",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--bootstrap=100",
    "--permutations=100",
    "--partners=16",
    "--notensorboard",
    "--nosaved_model",
)
LABELLED = ("--epochs=1", "--steps_per_epoch=2", "--neighbours=4")
RUNS = {
    "baseline": LABELLED,
    "cross_attention": (*LABELLED, "--cross_attention", "--pairing=nearest"),
    "mixed": (*LABELLED, "--cross_attention", "--mixed_precision"),
    "copy": (
        "--supervision=copy",
        "--backbone=compact",
        "--finetune=all",
        "--copy_steps=4",
        "--copy_block=4",
        "--copy_blocks=2",
    ),
}


def ganfp(*words):
    """Runs the command line; returns the exit code."""
    return main(["main.py", *map(str, words)])


@pytest.fixture(scope="module", params=RUNS)
def trained(request, victim, tmp_path_factory):
    """`(name of the case, run folder)`."""
    folder = tmp_path_factory.mktemp("lite")
    code = ganfp(
        *SMALL,
        *RUNS[request.param],
        f"--data={victim[0]}",
        f"--run_dir={folder / 'run'}",
        f"--store_dir={folder / 'store'}",
    )
    assert code == 0
    return request.param, folder / "run"


def export(run, export_format):
    """Exports; returns `(model.json, agreement.json)`."""
    assert ganfp("--mode=export", f"--run_dir={run}", f"--export_format={export_format}") == 0
    return (
        json.loads((run / "lite" / f"{name}.json").read_text()) for name in ("model", "agreement")
    )


def test_float_models_agree(trained, capsys):
    case, run = trained
    model, agreement = export(run, "tflite")
    assert agreement["rank_correlation"]["images"] > 0.999
    assert agreement["rank_correlation"]["pairs"] > 0.999
    assert agreement["largest_difference"]["logit"] < 1e-4
    assert agreement["largest_difference"]["score"] < 1e-4
    assert agreement["spread"]["logit"] > 1e-3
    assert agreement["sample"]["real"] == 6
    assert agreement["sample"]["used"] == 3
    assert agreement["sample"]["generated"] == 18
    assert agreement["sample"]["pairs"] == 6 * 18
    assert agreement["auc"]["keras"] == pytest.approx(agreement["auc"]["litert"])
    assert agreement["operations"]["encoder"]["int8"] == 0
    for took in agreement["latency_ms"].values():
        assert took["litert"] > 0
        assert took["tensorflow"] > 0
    for part in ("encoder", "comparator"):
        content = (run / "lite" / f"{part}.tflite").read_bytes()
        assert model[part]["sha256"] == hashlib.sha256(content).hexdigest()
        assert agreement["megabytes"][f"{part}.tflite"] == pytest.approx(len(content) / 1e6)
        assert model[part]["arithmetic"] == "float32"
    out = capsys.readouterr().out
    assert "LiteRT against TensorFlow on 6 real test images (3 used) x 18 generated" in out
    assert ("same_call" in agreement) == (case != "copy")
    assert ("threshold" in model["score"]) == (case != "copy")
    assert not list(run.rglob(".tmp-*"))


def test_eight_bits_rank_alike(trained, capsys):
    _, run = trained
    model, agreement = export(run, "tflite_int8")
    assert model["comparator"]["arithmetic"] == "int8 weights"
    # Either kind of encoder has to rank as the network does, or it is not kept.
    assert agreement["rank_correlation"]["pairs"] > 0.9
    splits = run_folder.read_splits(run).query("split_id == 'main' and split == 'train'")
    assert model["calibration"]["images"] == splits["role"].value_counts().to_dict()
    kept = model["calibration"]["pairs_rank_correlation_int8"] >= lite_agreement.FAITHFUL
    assert model["encoder"]["arithmetic"] == ("int8" if kept else "int8 weights")
    assert agreement["operations"]["encoder"][model["encoder"]["arithmetic"]] >= 2
    assert agreement["arithmetic"]["encoder"] == model["encoder"]["arithmetic"]
    assert "on pairs of training images an encoder in int8 has rank" in capsys.readouterr().out


@pytest.fixture(scope="module")
def baseline(victim, tmp_path_factory):
    """One more run, for what needs only one: its folder."""
    folder = tmp_path_factory.mktemp("one")
    words = (*SMALL, *LABELLED, f"--data={victim[0]}", f"--store_dir={folder / 'store'}")
    assert ganfp(*words, f"--run_dir={folder / 'run'}") == 0
    return folder / "run"


def test_model_json_is_enough_to_score_an_image(baseline):
    # What a client would do: the files and model.json alone, and images of its own.
    model, _ = export(baseline, "tflite")
    place = baseline / "lite"
    encoder, comparator = (
        lite.LiteModel((place / model[part]["file"]).read_bytes())
        for part in ("encoder", "comparator")
    )
    ((name, shape),) = model["encoder"]["inputs"].items()
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, *shape[1:])).astype(model["encoder"]["dtype"])
    tokens = encoder(**{name: images})
    assert list(tokens.shape[1:]) == model["encoder"]["outputs"]["tokens"][1:]
    real = np.repeat(tokens[:1], 3, axis=0)
    logits = comparator(real=real, generated=tokens[1:])[:, 0].astype("float64")
    score = special.logsumexp(logits) - np.log(3)
    siamese = keras.models.load_model(baseline / "model.keras")
    pairs = {"real": np.repeat(images[:1], 3, axis=0), "generated": images[1:]}
    expected = np.asarray(siamese(pairs, training=False))[:, 0]
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    decision = json.loads((baseline / "splits/main/decision.json").read_text())
    told = model["score"]
    assert [told[key] for key in ("threshold", "slope", "intercept")] == [
        decision[key] for key in ("threshold", "slope", "intercept")
    ]
    assert 0 < special.expit(told["slope"] * score + told["intercept"]) < 1


def images_of(run, **changes):
    config = dataclasses.replace(Config.from_json(run / "config.json"), **changes)
    return edge_images.RunImages(run, config.image_size, ImageReader.of(config), config.seed)


def test_ranges_come_from_training_images_and_agreement_from_test_images(baseline, monkeypatch):
    splits = run_folder.read_splits(baseline).query("split_id == 'main'")
    part = dict(zip(splits["path"], splits["split"], strict=True))
    read = []
    decode = encode.image_dataset

    def noted(frame, *args, **kwargs):
        read.append(frame)
        return decode(frame, *args, **kwargs)

    monkeypatch.setattr(encode, "image_dataset", noted)
    images_of(baseline).calibration()
    seen = pd.concat(read)
    assert {part[path] for path in seen["path"]} == {"train"}
    assert set(seen["role"]) == {"real", "generated"}
    read.clear()
    images_of(baseline).test()
    seen = pd.concat(read)
    assert {part[path] for path in seen["path"]} == {"test"}
    assert len(seen) == 6 + 18
    # And so does the whole command: what sets the ranges is what the converter was handed.
    read.clear()
    export(baseline, "tflite_int8")
    handed = [{part[path] for path in frame["path"]} for frame in read]
    assert handed == [{"train"}, {"train"}, {"test"}, {"test"}]


def test_the_converter_sees_no_test_image(baseline, monkeypatch):
    seen, convert = [], lite.convert

    def noted(model, output, arithmetic="float32", samples=None):
        if arithmetic == "int8":
            seen.extend(sample["pixels"][0] for sample in samples())
        return convert(model, output, arithmetic, samples)

    monkeypatch.setattr(lite, "convert", noted)
    export(baseline, "tflite_int8")
    test = images_of(baseline).test()
    splits = run_folder.read_splits(baseline).query("split_id == 'main'")
    assert len(seen) == (splits["split"] == "train").sum()
    nearest = [min(np.abs(image - one).mean() for one in seen) for image in test.real]
    assert min(nearest) > 1.0


def test_few_images_are_drawn_by_the_seed(baseline, monkeypatch):
    monkeypatch.setattr(edge_images, "REAL_A_LABEL", 2)
    monkeypatch.setattr(edge_images, "GENERATED", 5)
    first = images_of(baseline).test()
    again = images_of(baseline).test()
    assert sorted(first.frame["label"]) == [0, 0, 1, 1]
    assert len(first.generated) == 5
    np.testing.assert_array_equal(first.generated, again.generated)
    other = images_of(baseline, seed=5).test()
    assert not np.array_equal(first.generated, other.generated)


def test_an_encoder_that_eight_bits_would_spoil_keeps_its_activations(
    baseline, monkeypatch, capsys
):
    monkeypatch.setattr(lite_agreement, "FAITHFUL", 1.1)
    model, agreement = export(baseline, "tflite_int8")
    assert model["encoder"]["arithmetic"] == "int8 weights"
    assert agreement["operations"]["encoder"]["int8"] == 0
    assert "below 1.1: only its weights are stored in int8" in capsys.readouterr().out


def test_without_an_interpreter_the_models_are_written_unchecked(baseline, monkeypatch, capsys):
    export(baseline, "tflite")
    monkeypatch.setattr(lite, "interpreter_class", lambda: (None, ""))
    for export_format in ("tflite", "tflite_int8"):
        words = (f"--run_dir={baseline}", f"--export_format={export_format}")
        assert ganfp("--mode=export", *words) == 0
        assert "pip install -r requirements-edge.txt" in capsys.readouterr().out
        assert (baseline / "lite" / "encoder.tflite").stat().st_size > 1000
        # That of the export before would speak of other models.
        assert not (baseline / "lite" / "agreement.json").exists()


@pytest.mark.parametrize("name", ["model.keras", "splits.csv", "splits/main/decision.json"])
def test_a_missing_file_is_named(name, baseline, capsys):
    path = baseline / name
    path.rename(path.with_suffix(".away"))
    try:
        code = ganfp("--mode=export", f"--run_dir={baseline}", "--export_format=tflite")
    finally:
        path.with_suffix(".away").rename(path)
    assert code == 2
    assert f"has no {name}" in capsys.readouterr().err


def test_a_damaged_model_and_images_that_are_gone(baseline, capsys, monkeypatch):
    words = ("--mode=export", f"--run_dir={baseline}", "--export_format=tflite")
    whole = (baseline / "model.keras").read_bytes()
    (baseline / "model.keras").write_bytes(whole[:1000])
    try:
        assert ganfp(*words) == 2
    finally:
        (baseline / "model.keras").write_bytes(whole)
    assert "cannot be read" in capsys.readouterr().err
    digest = run_folder.digest_of
    monkeypatch.setattr(run_folder, "digest_of", lambda path: digest(path)[::-1])
    assert ganfp(*words) == 2
    assert "has changed since the run was trained" in capsys.readouterr().err

    def gone(path):
        raise FileNotFoundError(2, "No such file or directory", path)

    monkeypatch.setattr(run_folder, "digest_of", gone)
    assert ganfp(*words) == 2
    assert "bring them back" in capsys.readouterr().err
