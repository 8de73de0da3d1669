"""Layers of the Siamese network: Keras's contract, numbers by hand, messages."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.testing import TestCase

from ganfp_tf.errors import UserError
from ganfp_tf.models.layers import AdaptiveSimilarity, CrossAttention
from ganfp_tf.models.standardize import Standardize

TOKENS = ((2, 3, 8), (2, 5, 8))
VECTORS = ((4, 6), (4, 6))


def contract(layer, arguments, input_shape, **expected):
    """Config, build, symbolic and eager call, one training step, mixed precision."""
    TestCase().run_layer_test(layer, arguments, input_shape=input_shape, **expected)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def reloaded(layer, inputs, path):
    """`layer` on `inputs` (one array or a tuple of two), before and after a .keras file."""
    several = isinstance(inputs, tuple)
    entries = [keras.Input(array.shape[1:]) for array in (inputs if several else (inputs,))]
    model = keras.Model(entries, layer(tuple(entries) if several else entries[0]))
    before = model.predict_on_batch(list(inputs) if several else inputs)
    model.save(path / "layer.keras")
    again = keras.saving.load_model(path / "layer.keras")
    return before, again.predict_on_batch(list(inputs) if several else inputs)


# Contract


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_cross_attention_keeps_the_contract(dropout):
    contract(
        CrossAttention,
        {"num_heads": 2, "dropout": dropout},
        TOKENS,
        expected_output_shape=TOKENS,
        expected_num_trainable_weights=10,  # scale and offset; kernel and bias of q, k, v, output
        expected_num_non_trainable_weights=0,
        expected_num_non_trainable_variables=1 if dropout else 0,
        expected_num_seed_generators=1 if dropout else 0,
        expected_num_losses=0,
    )


@pytest.mark.parametrize(
    ("signals", "channels", "weights"), [("both", 7, 2), ("difference", 6, 1), ("dot", 1, 1)]
)
def test_adaptive_similarity_keeps_the_contract(signals, channels, weights):
    contract(
        AdaptiveSimilarity,
        {"signals": signals},
        VECTORS,
        expected_output_shape=(4, channels),
        expected_num_trainable_weights=weights,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
    )


@pytest.mark.parametrize("shape", [(2, 5), (2, 4, 5), (2, 3, 4, 5)])
def test_standardize_keeps_the_contract(shape):
    contract(
        Standardize,
        {},
        shape,
        expected_output_shape=shape,
        expected_num_trainable_weights=0,
        expected_num_non_trainable_weights=2,
        expected_num_seed_generators=0,
        expected_num_losses=0,
    )


def test_cross_attention_comes_back_from_a_file_with_what_it_learned(tmp_path):
    layer = CrossAttention(2, key_dim=3, dropout=0.1)
    layer.build(((None, 3, 8), (None, 5, 8)))
    layer.norm.gamma.assign(random(8))  # otherwise 1 on both sides
    before, after = reloaded(layer, (random(2, 3, 8, seed=1), random(2, 5, 8, seed=2)), tmp_path)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)


def test_adaptive_similarity_comes_back_from_a_file_with_what_it_learned(tmp_path):
    layer = AdaptiveSimilarity()
    layer.build(VECTORS)
    layer.channel_weights.assign(random(6))
    layer.log_temperature.assign(0.5)
    before, after = reloaded(layer, (random(4, 6, seed=1), random(4, 6, seed=2)), tmp_path)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_standardize_comes_back_from_a_file_with_its_statistics(tmp_path):
    layer = Standardize()
    layer.build((None, 4, 5))
    layer.set_statistics([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    before, after = reloaded(layer, random(2, 4, 5), tmp_path)
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert np.abs(before - random(2, 4, 5)).min() > 1e-3  # the statistics did something


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_parts_of_cross_attention_follow_its_policy(policy):
    layer = CrossAttention(2, dtype=policy)
    outputs = layer((random(2, 3, 8), random(2, 5, 8)))
    assert layer.norm.dtype_policy.name == layer.attention.dtype_policy.name == policy
    assert {output.dtype for output in outputs} == {tf.as_dtype(layer.compute_dtype)}


# Numbers


def identity_attention():
    """One head whose queries, keys, values and output are the normalised tokens themselves."""
    layer = CrossAttention(num_heads=1)
    layer.build(((None, None, 4), (None, None, 4)))
    kernel = np.eye(4, dtype="float32")
    # Four pairs of kernel (4, 1, 4), the last (1, 4, 4), and bias, which stays zero.
    for variable in layer.attention.trainable_variables:
        if variable.path.endswith("kernel"):
            variable.assign(kernel.reshape(variable.shape))
    return layer


def layer_norm(tokens):
    mean, variance = tokens.mean(-1, keepdims=True), tokens.var(-1, keepdims=True)
    return (tokens - mean) / np.sqrt(variance + 1e-6)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_cross_attention_by_hand():
    layer = identity_attention()
    a, b = random(2, 3, 4, seed=3), random(2, 5, 4, seed=4)
    new_a, new_b, map_ab, map_ba = layer((a, b), return_attention_scores=True)
    na, nb = layer_norm(a), layer_norm(b)
    products = na @ nb.transpose(0, 2, 1) / np.sqrt(4)  # scaled by the root of key_dim
    np.testing.assert_allclose(map_ab[:, 0], softmax(products), atol=1e-5)
    np.testing.assert_allclose(map_ba[:, 0], softmax(products.transpose(0, 2, 1)), atol=1e-5)
    np.testing.assert_allclose(new_a, a + softmax(products) @ nb, atol=1e-5)
    np.testing.assert_allclose(new_b, b + softmax(products.transpose(0, 2, 1)) @ na, atol=1e-5)


def test_a_token_takes_from_the_one_it_resembles():
    layer = identity_attention()
    tokens = 100.0 * np.eye(4, dtype="float32")[None]
    *_, scores, _ = layer((tokens[:, [2]], tokens), return_attention_scores=True)
    # Normalised one-hot rows: 3 / sqrt(3) in place, -1 / sqrt(3) elsewhere; products 4 and -4/3;
    # over the root of 4 channels, 2 and -2/3.
    expected = np.exp(2) / (np.exp(2) + 3 * np.exp(-2 / 3))
    assert float(scores[0, 0, 0, 2]) == pytest.approx(expected, abs=1e-4)


def test_swapping_the_images_swaps_the_outputs():
    layer = CrossAttention(num_heads=4)
    a, b = random(2, 3, 8, seed=5), random(2, 5, 8, seed=6)
    new_a, new_b, map_ab, map_ba = layer((a, b), return_attention_scores=True)
    swapped_b, swapped_a, swapped_ba, swapped_ab = layer((b, a), return_attention_scores=True)
    for one, other in [
        (new_a, swapped_a),
        (new_b, swapped_b),
        (map_ab, swapped_ab),
        (map_ba, swapped_ba),
    ]:
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_attention_maps_sum_to_one_and_do_not_change_the_outputs():
    layer = CrossAttention(num_heads=2)
    inputs = (random(3, 4, 8, seed=7), random(3, 6, 8, seed=8))
    new_a, new_b, map_ab, map_ba = layer(inputs, return_attention_scores=True)
    assert map_ab.shape == (3, 2, 4, 6)
    assert map_ba.shape == (3, 2, 6, 4)
    np.testing.assert_allclose(np.sum(map_ab, axis=-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.sum(map_ba, axis=-1), 1.0, atol=1e-5)
    plain_a, plain_b = layer(inputs)
    np.testing.assert_allclose(plain_a, new_a, atol=1e-5)
    np.testing.assert_allclose(plain_b, new_b, atol=1e-5)


def test_dropout_acts_in_training_alone():
    layer = CrossAttention(num_heads=2, dropout=0.5)
    inputs = (random(2, 4, 8, seed=9), random(2, 4, 8, seed=10))
    calm, same = layer(inputs, training=False), layer(inputs, training=False)
    np.testing.assert_array_equal(calm[0], same[0])
    assert np.abs(layer(inputs, training=True)[0] - calm[0]).max() > 1e-3


def test_key_dim_frees_the_channels_from_the_heads():
    layer = CrossAttention(num_heads=3, key_dim=5)
    a, b = layer((random(1, 2, 8), random(1, 2, 8)))
    assert a.shape == b.shape == (1, 2, 8)
    sizes = sorted(int(np.prod(v.shape)) for v in layer.attention.trainable_variables)
    assert sizes == sorted([8 * 15, 15] * 3 + [15 * 8, 8])


def test_adaptive_similarity_by_hand():
    a = np.array([[3.0, 4.0]], "float32")  # length 5
    b = np.array([[6.0, -8.0]], "float32")  # length 10; product 18 - 32 = -14
    layer = AdaptiveSimilarity()
    # At the start: |a - b| = (3, 12) and -14 / 50 / 0.1.
    np.testing.assert_allclose(layer((a, b)), [[3.0, 12.0, -2.8]], rtol=1e-5)
    layer.channel_weights.assign([2.0, -0.5])
    layer.log_temperature.assign(np.log(0.7))
    np.testing.assert_allclose(layer((a, b)), [[6.0, -6.0, -0.4]], rtol=1e-5)
    np.testing.assert_allclose(layer((b, a)), layer((a, b)), rtol=1e-6)


def test_each_signal_alone_is_its_part_of_both():
    a, b = random(4, 6, seed=11), random(4, 6, seed=12)
    both = AdaptiveSimilarity("both")((a, b))
    np.testing.assert_allclose(AdaptiveSimilarity("difference")((a, b)), both[:, :-1], atol=1e-6)
    np.testing.assert_allclose(AdaptiveSimilarity("dot")((a, b)), both[:, -1:], atol=1e-6)


def test_tokens_are_compared_place_by_place():
    a, b = random(2, 3, 6, seed=11), random(2, 3, 6, seed=12)
    layer = AdaptiveSimilarity()
    found = layer((a, b))
    assert found.shape == (2, 3, 7)
    for place in range(3):
        np.testing.assert_allclose(layer((a[:, place], b[:, place])), found[:, place], atol=1e-6)


def test_the_dot_product_does_not_depend_on_lengths():
    a, b = random(4, 6, seed=13), random(4, 6, seed=14)
    dot = AdaptiveSimilarity("dot")
    np.testing.assert_allclose(dot((100 * a, 0.01 * b)), dot((a, b)), rtol=1e-4)
    np.testing.assert_allclose(dot((a, 5 * a)), 10.0, rtol=1e-4)  # cosine 1 over 0.1


@pytest.mark.parametrize("signals", ["both", "difference", "dot"])
def test_gradients_are_finite_at_zero_vectors(signals):
    layer = AdaptiveSimilarity(signals)
    zero, other = tf.zeros((2, 6)), tf.constant([[0.0] * 6, [1.0] * 6])
    layer.build(VECTORS)
    with tf.GradientTape() as tape:
        tape.watch([zero, other])
        total = tf.reduce_sum(layer((zero, other)))
    gradients = tape.gradient(total, [zero, other, *layer.trainable_variables])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_agrees_with_float32(policy):
    a, b = random(4, 64, seed=15), random(4, 64, seed=16)
    precise = AdaptiveSimilarity("dot")((a, b))
    np.testing.assert_allclose(
        tf.cast(AdaptiveSimilarity("dot", dtype=policy)((a, b)), tf.float32), precise, atol=0.15
    )


def test_long_vectors_keep_their_cosine_in_float16():
    # 2048 channels of 8: the squared length, 131072, is beyond float16's 65504.
    a = np.full((1, 2048), 8.0, "float32")
    dot = AdaptiveSimilarity("dot", dtype="mixed_float16")
    assert float(dot((a, a))[0, 0]) == pytest.approx(10.0, rel=0.01)


def test_standardize_by_hand():
    layer = Standardize()
    x = np.array([[[1.0, 10.0], [3.0, 30.0]]], "float32")
    np.testing.assert_array_equal(layer(x), x)  # until told otherwise
    layer.set_statistics([2.0, 10.0], [0.5, 20.0])
    np.testing.assert_allclose(layer(x), [[[-2.0, 0.0], [2.0, 1.0]]])


@pytest.mark.parametrize(
    ("deviation", "expected"),
    [
        ([1.0, 2.0, 1e-9, 4.0, 5.0], [1.0, 2.0, 0.02, 4.0, 5.0]),  # 1 % of the median 2
        ([0.0, 0.0, 0.0, 0.0, 1.0], [1e-6, 1e-6, 1e-6, 1e-6, 1.0]),  # median 0
        ([1.0, 2.0, 0.03, 4.0, 5.0], [1.0, 2.0, 0.03, 4.0, 5.0]),  # low, but above the floor
    ],
)
def test_standardize_raises_a_dead_channels_deviation(deviation, expected):
    layer = Standardize()
    layer.build((None, 5))
    layer.set_statistics(np.zeros(5), np.array(deviation))
    np.testing.assert_allclose(layer.deviation, expected, rtol=1e-6)


def test_standardize_at_each_place_by_hand(tmp_path):
    layer = Standardize(places=True)
    x = np.array([[[1.0, 10.0], [3.0, 30.0]]], "float32")
    np.testing.assert_array_equal(layer(x), x)
    layer.set_statistics([[1.0, 0.0], [1.0, 10.0]], [[1.0, 5.0], [0.5, 20.0]])
    np.testing.assert_allclose(layer(x), [[[0.0, 2.0], [4.0, 1.0]]])
    before, after = reloaded(layer, x, tmp_path)
    np.testing.assert_array_equal(after, before)


def test_a_place_that_hardly_moved_counts_a_tenth_of_its_channel():
    layer = Standardize(places=True)
    layer.build((None, 2, 3))
    # Root mean squares of the channels over the places: 5, 0 and 13; 1 % of their median is 0.05.
    layer.set_statistics(np.zeros((2, 3)), [[7.0, 0.0, 17.0], [1.0, 0.0, 7.0]])
    np.testing.assert_allclose(layer.deviation, [[7.0, 0.05, 17.0], [1.0, 0.05, 7.0]], rtol=1e-6)
    layer.set_statistics(np.zeros((2, 3)), [[np.sqrt(50), 0.0, 13.0], [0.0, 0.0, 13.0]])
    expected = [[np.sqrt(50), 0.05, 13.0], [0.5, 0.05, 13.0]]
    np.testing.assert_allclose(layer.deviation, expected, rtol=1e-6)


# Messages


@pytest.mark.parametrize("shapes", [((2, 3, 8), (2, 5, 9)), ((2, 8), (2, 8)), ((2, 3, 8), (2, 8))])
def test_cross_attention_names_shapes_that_do_not_fit(shapes):
    with pytest.raises(UserError, match=r"same number of channels\. Received: input_shape=.*8"):
        CrossAttention(2)(tuple(np.zeros(shape, "float32") for shape in shapes))


def test_cross_attention_names_channels_that_the_heads_do_not_divide():
    with pytest.raises(UserError, match=r"heads=3 divides, or a key_dim\. Received: channels=8"):
        CrossAttention(3)((np.zeros((1, 2, 8), "float32"), np.zeros((1, 2, 8), "float32")))


@pytest.mark.parametrize("layer", [CrossAttention(2), AdaptiveSimilarity()])
@pytest.mark.parametrize("shape", [(2, 8), (2, 3, 8), ((2, 8), (2, 8), (2, 8))])
def test_layers_of_two_images_name_another_number_of_inputs(layer, shape):
    expected = f"{type(layer).__name__} expects two inputs"
    with pytest.raises(UserError, match=expected):
        layer.build(shape)


@pytest.mark.parametrize(
    "shapes", [((4, 6), (4, 5)), ((4, 2, 6), (4, 3, 6)), ((4, 2, 6), (4, 6)), ((4,), (4,))]
)
def test_adaptive_similarity_names_shapes_that_do_not_fit(shapes):
    with pytest.raises(UserError, match=r"two inputs \(batch, \.\.\., channels\).*Received: input"):
        AdaptiveSimilarity()(tuple(np.zeros(shape, "float32") for shape in shapes))


def test_adaptive_similarity_names_an_unknown_signal():
    with pytest.raises(UserError, match=r"both, difference or dot\. Received: signals='cosine'"):
        AdaptiveSimilarity("cosine")


def test_standardize_at_each_place_wants_statistics_of_each_place():
    layer = Standardize(places=True)
    layer.build((None, 3, 5))
    with pytest.raises(UserError, match=r"shape \(3, 5\). Received: mean \(5,\)"):
        layer.set_statistics(np.zeros(5), np.ones(5))


@pytest.mark.parametrize(("mean", "deviation"), [(4, 5), (5, 4), (4, 4)])
def test_standardize_names_statistics_of_another_width(mean, deviation):
    layer = Standardize()
    layer.build((None, 3, 5))
    message = rf"shape \(5,\). Received: mean \({mean},\), deviation \({deviation},\)"
    with pytest.raises(UserError, match=message):
        layer.set_statistics(np.zeros(mean), np.ones(deviation))
