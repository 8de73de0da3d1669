"""Layer and losses that teach what a copy is: contract, numbers by hand."""

import keras
import numpy as np
import pytest

from ganfp_tf.data.copy_augmentation import Recipe
from ganfp_tf.models import copy_trainer
from ganfp_tf.models.copy_trainer import (
    CopyPairs,
    contrast,
    embedding,
    finds_copy,
    matched,
    schedule,
)

BLOCKS, COUNT = 2, 3


def encoder():
    """Images (1, 1, 2) -> one token of two channels, nothing learned."""
    image = keras.Input((1, 1, 2))
    return keras.Model(image, keras.layers.Reshape((1, 2))(image))


def dot_product():
    sides = {name: keras.Input((1, 2), name=name) for name in ("real", "generated")}
    flat = [keras.layers.Flatten()(side) for side in sides.values()]
    return keras.Model(sides, keras.layers.Dot(axes=1)(flat))


def learning():
    """An encoder and a comparator with weights."""
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(6, 2, 2)(image)
    encode = keras.Model(image, keras.layers.Reshape((4, 6))(x))
    sides = {name: keras.Input((4, 6), name=name) for name in ("real", "generated")}
    x = keras.layers.Concatenate()(list(sides.values()))
    x = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    return encode, keras.Model(sides, x)


def pixels(seed=0, count=COUNT):
    shape = (BLOCKS, count, 4, 4, 3)
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def inputs():
    return {"real": pixels(0), "generated": pixels(1)}


REAL = np.array([[1, 0], [0, 1], [0.6, 0.8]], "float32").reshape(1, 3, 1, 1, 2)
COPIES = np.array([[0.8, 0.6], [0, 2], [1, 0]], "float32").reshape(1, 3, 1, 1, 2)
COSINES = [[0.8, 0.0, 1.0], [0.6, 1.0, 0.0], [0.96, 0.8, 0.6]]


# The layer


def test_cosines_by_hand_and_the_true_copy_first():
    found = CopyPairs(encoder(), dot_product(), candidates=2)(REAL, COPIES)
    np.testing.assert_allclose(found["embedding"][0], 10.0 * np.array(COSINES), atol=1e-5)
    # Beside its own copy, each is shown the other one that is most similar.
    expected = [[0.8, 1.0], [2.0, 0.6], [0.6, 0.96]]
    np.testing.assert_allclose(found["pairs"][0], expected, atol=1e-6)


def test_more_candidates_than_copies_are_all_of_them_by_likeness():
    found = CopyPairs(encoder(), dot_product(), candidates=9)(REAL, COPIES)
    expected = [[0.8, 1.0, 0.0], [2.0, 0.6, 0.0], [0.6, 0.96, 1.6]]
    np.testing.assert_allclose(found["pairs"][0], expected, atol=1e-6)


def test_blocks_do_not_see_each_other():
    layer = CopyPairs(*learning(), candidates=2)
    together, alone = layer(**inputs()), layer(**{k: v[1:] for k, v in inputs().items()})
    for name in ("embedding", "pairs"):
        np.testing.assert_allclose(together[name][1:], alone[name], atol=1e-5)


def test_the_shape_is_said_before_the_call():
    layer = CopyPairs(*learning(), candidates=2)
    found = layer(**inputs())
    said = layer.compute_output_shape(inputs()["real"].shape, inputs()["generated"].shape)
    assert said == {name: tuple(value.shape) for name, value in found.items()}
    assert said == {"embedding": (2, 3, 3), "pairs": (2, 3, 2)}


def test_a_layer_from_its_config_has_all_arguments():
    layer = CopyPairs(*learning(), candidates=2, name="other")
    again = CopyPairs.from_config(layer.get_config())
    assert again.name == "other"
    assert again.candidates == 2
    assert again.encode.output.shape == layer.encode.output.shape
    assert again.compare.output.shape == layer.compare.output.shape
    again(**inputs())
    assert len(again.trainable_variables) == 5  # two kernels, two biases, the temperature


def test_a_saved_trainer_says_the_same(tmp_path):
    trainer = copy_trainer.build_copy_trainer(*learning(), blocks=BLOCKS, count=COUNT, candidates=2)
    layer = trainer.get_layer("copy_pairs")
    layer.log_temperature.assign(1.5)
    before = trainer(inputs())
    trainer.save(tmp_path / "trainer.keras")
    after = keras.saving.load_model(tmp_path / "trainer.keras")(inputs())
    for name in ("embedding", "pairs"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-6)


def test_a_step_moves_all_that_can_be_trained():
    trainer = copy_trainer.build_copy_trainer(*learning(), blocks=BLOCKS, count=COUNT, candidates=2)
    copy_trainer.compile_copy_trainer(trainer, Recipe(steps=2, learning_rate=0.1))
    before = [variable.numpy() for variable in trainer.trainable_variables]
    wanted = {"embedding": np.tile(np.arange(3), (2, 1)), "pairs": np.zeros((2, 3), int)}
    for _ in range(2):  # the rate of the first step is 0
        logs = trainer.train_on_batch(inputs(), wanted, return_dict=True)
    assert {"loss", "embedding_finds_copy", "pairs_finds_copy"} <= set(logs)
    # The comparator's bias is moved too: it says how likely a copy is.
    for old, new in zip(before, trainer.trainable_variables, strict=True):
        assert not np.array_equal(old, new.numpy()), new.path


def test_an_embedding_has_length_1_and_zero_stays_finite():
    tokens = np.array([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]], "float32")
    expected = [[0.6, 0.0, 0.0, 0.8], [0.0] * 4]
    np.testing.assert_allclose(embedding(tokens), expected, atol=1e-6)


# Losses


def softplus(x):
    return np.log1p(np.exp(x))


def test_contrast_is_the_cross_entropy_of_rows_and_columns():
    logits = np.array([[[1.0, 3.0], [0.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]], "float32")
    wanted = np.array([[0, 1], [0, 1]])
    rows = (softplus(2.0) + softplus(-2.0)) / 2
    columns = (softplus(-1.0) + softplus(1.0)) / 2
    expected = [rows + columns, 2 * np.log(2.0)]
    np.testing.assert_allclose(contrast(wanted, logits), expected, atol=1e-5)


def test_matched_is_the_choice_and_each_pair_alone():
    logits = np.array([[[0.0, 1.0, -1.0], [5.0, 5.0, 5.0]]], "float32")
    choice = np.log(1 + np.e + 1 / np.e)
    each = (softplus(0.0) + softplus(1.0) + softplus(-1.0)) / 3
    equal = np.log(3.0) + (softplus(-5.0) + 2 * softplus(5.0)) / 3
    found = matched(np.zeros((1, 2), int), logits)
    np.testing.assert_allclose(found, [(choice + each + equal) / 2], atol=1e-5)


def test_a_constant_on_all_logits_of_an_image_is_no_choice_but_is_seen():
    logits = np.array([[[4.0, 0.0]]], "float32")
    zeros = np.zeros((1, 1), int)
    assert matched(zeros, logits + 10.0)[0] > matched(zeros, logits)[0] + 4.0


@pytest.mark.parametrize(("wanted", "share"), [([[1, 0], [0, 0]], 0.75), ([[0, 1], [1, 1]], 0.25)])
def test_finds_copy_is_a_share_of_images(wanted, share):
    logits = np.array([[[0.0, 1.0], [2.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    assert float(finds_copy(np.array(wanted), logits)) == pytest.approx(share)


def test_the_rate_rises_and_falls_to_zero():
    rate = schedule(100, 0.1)
    assert float(rate(0)) == 0.0
    assert float(rate(5)) == pytest.approx(0.1)
    assert float(rate(2)) == pytest.approx(0.04)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-6)
    assert float(schedule(1, 0.1)(1)) == pytest.approx(0.1)
