"""The comparator as a registered model: from a file, from a file of 0.1, and taken apart."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from ganfp_tf.layers import Comparator, CrossAttention
from ganfp_tf.models.comparator import build_comparator
from ganfp_tf.models.pair_engine import PairEngine
from ganfp_tf.models.siamese import compiled

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"


def tokens(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def assert_scores_as_it_compares(comparator):
    """`project` and `score` give the logits of `call`."""
    shape = comparator.token_shape
    real, generated = tokens(4, *shape), tokens(4, *shape, seed=1)
    expected = comparator({"real": real, "generated": generated})
    found = comparator.score(
        comparator.project(real, "real"), comparator.project(generated, "generated")
    )
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("cross_attention", [False, True])
def test_a_comparator_comes_back_from_a_file(tmp_path, cross_attention):
    model = build_comparator((6, 8), cross_attention=cross_attention, heads=2, hidden=4)
    assert_scores_as_it_compares(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is Comparator
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]
    assert again.num_heads == (2 if cross_attention else 0)
    assert_scores_as_it_compares(again)
    pair = {"real": tokens(3, 6, 8), "generated": tokens(3, 6, 8, seed=2)}
    np.testing.assert_allclose(again(pair), model(pair), atol=1e-6)


@pytest.mark.parametrize("name", ["pooled", "crossed_dot", "crossed_multi"])
def test_a_functional_comparator_of_an_old_file_scores(name):
    old = keras.models.load_model(GOLDEN / f"{name}.keras").get_layer("comparator")
    assert not isinstance(old, Comparator)
    comparator = Comparator.of(old)
    assert [weight.path for weight in comparator.weights] == [w.path for w in old.weights]
    assert_scores_as_it_compares(comparator)
    engine = PairEngine(comparator)
    shape = comparator.token_shape
    real, generated = tokens(3, *shape), tokens(3, *shape, seed=1)
    places = np.arange(3)
    found = engine.logits(
        engine.prepare(real, "real"), engine.prepare(generated, "generated"), places, places
    )
    expected = compiled(old)({"real": real, "generated": generated})[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_old_cross_attention_has_its_heads():
    layer = CrossAttention.from_config({"name": "old", "heads": 3, "key_dim": 5, "dropout": 0.1})
    assert (layer.num_heads, layer.key_dim, layer.dropout) == (3, 5, 0.1)
    assert "heads" not in layer.get_config()
    assert CrossAttention.from_config(layer.get_config()).num_heads == 3


def test_the_public_module_registers_what_a_file_holds():
    script = (
        "import keras, sys, ganfp_tf.layers\n"
        "print(keras.models.load_model(sys.argv[1]).get_layer('comparator').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, GOLDEN / "crossed_multi.keras"],
        cwd=GOLDEN.parents[1],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "comparator", done.stderr
