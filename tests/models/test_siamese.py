"""Encoder, comparator and what they make together, on the tiny backbone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.models import siamese
from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.comparator import build_comparator
from ganfp_tf.models.layers import CrossAttention

SIDE = 32
BLOCKS, REAL, GENERATED = 2, 3, 4


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("tiny", image_size=SIDE, weights="none")[0]


@pytest.fixture(params=[False, True], ids=["baseline", "cross_attention"], scope="module")
def networks(request, backbone):
    """`(encoder, head, comparator)` with and without cross-attention; no bias left at zero."""
    encoder, head = siamese.build_encoder(backbone, cross_attention=request.param, width=8)
    comparator = build_comparator(
        encoder.output.shape[1:], cross_attention=request.param, heads=2, hidden=5
    )
    generator = np.random.default_rng(0)
    for variable in comparator.trainable_variables:
        variable.assign(variable + 0.1 * generator.normal(size=variable.shape))
    return encoder, head, comparator


@pytest.fixture
def bfloat16():
    previous = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy(previous)


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (*shape, SIDE, SIDE, 3)).astype("float32")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def through_file(model, path):
    model.save(path / "model.keras")
    return keras.saving.load_model(path / "model.keras")


# Encoder


def test_encoder_projects_tokens_or_pools_them(backbone):
    images = pixels(2)
    encoder, head = siamese.build_encoder(backbone, cross_attention=True, width=8)
    assert encoder(images).shape == (2, 16, 8)  # 4 x 4 positions of 32 pixels
    assert head.input.shape == (None, 16, 32)
    encoder, _ = siamese.build_encoder(backbone, cross_attention=False, width=8)
    # The baseline's vector is the mean over the positions, whatever the width.
    expected = backbone(images).numpy().mean(axis=1, keepdims=True)
    np.testing.assert_allclose(encoder(images), expected, rtol=1e-5, atol=1e-6)
    assert expected.shape == (2, 1, 32)


def test_head_is_the_encoder_behind_the_backbone(networks, backbone):
    encoder, head, _ = networks
    images = pixels(2)
    head.get_layer("standardize").set_statistics(random(32), 1 + np.square(random(32)))
    np.testing.assert_allclose(encoder(images), head(backbone(images)), atol=1e-5)
    shared = {id(variable) for variable in encoder.variables}
    assert {id(variable) for variable in head.variables} <= shared


def test_without_cross_attention_the_encoder_learns_nothing_of_its_own(networks, backbone):
    _, head, comparator = networks
    if any(isinstance(layer, CrossAttention) for layer in comparator.layers):
        assert [tuple(v.shape) for v in head.trainable_variables] == [(32, 8), (8,)]
    else:
        assert head.trainable_variables == []


def test_positions_are_kept_without_cross_attention_where_asked(backbone):
    encoder, head = siamese.build_encoder(backbone, cross_attention=False, width=8, positions=True)
    assert encoder.output_shape == (None, 16, 8)
    assert [tuple(v.shape) for v in head.trainable_variables] == [(32, 8), (8,)]


# Comparator


def test_comparator_has_cross_attention_only_where_asked():
    def layers(**arguments):
        return {type(layer).__name__ for layer in build_comparator((3, 8), **arguments).layers}

    assert "CrossAttention" in layers(cross_attention=True)
    assert "CrossAttention" not in layers(cross_attention=False)


def test_swapping_the_images_does_not_change_the_logit(networks):
    _, _, comparator = networks
    shape = comparator.input["real"].shape[1:]
    a, b = random(4, *shape, seed=1), random(4, *shape, seed=2)
    logits = comparator({"real": a, "generated": b})
    assert logits.shape == (4, 1)
    np.testing.assert_allclose(comparator({"real": b, "generated": a}), logits, atol=1e-5)
    assert np.ptp(logits) > 1e-4


@pytest.mark.parametrize(("signals", "width"), [("both", 9), ("difference", 8), ("dot", 1)])
def test_comparator_hands_on_the_signals_it_was_told(signals, width):
    comparator = build_comparator((3, 8), cross_attention=False, similarity=signals)
    assert comparator.get_layer("similarity").output.shape == (None, 3, width)
    assert comparator.get_layer("pool").output.shape == (None, width)
    assert comparator.get_layer("hidden").kernel.shape == (width, 64)


def signals_by_hand(a, b):
    """Mean over the places of |a - b| and of 10 times the cosine, `(batch, channels + 1)`."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(axis=-1) / lengths
    return np.concatenate([np.abs(a - b), 10.0 * cosine[..., None]], axis=-1).mean(axis=1)


@pytest.mark.parametrize(
    ("signals", "parts"), [("both", (1, 1)), ("difference", (1, 0)), ("dot", (0, 1))]
)
def test_untrained_comparator_takes_what_is_alike_for_used(signals, parts):
    comparator = build_comparator((3, 8), cross_attention=False, similarity=signals)
    a, b = random(5, 3, 8, seed=1), random(5, 3, 8, seed=2)
    found = signals_by_hand(a, b)
    expected = -parts[0] * found[:, :8].mean(axis=1) + parts[1] * found[:, 8]
    np.testing.assert_allclose(comparator({"real": a, "generated": b})[:, 0], expected, atol=1e-4)
    same = comparator({"real": a, "generated": a})
    assert (same > comparator({"real": a, "generated": b})).numpy().all()


def test_untrained_comparator_minds_where_things_are():
    comparator = build_comparator((3, 8), cross_attention=False)
    a = random(1, 3, 8)
    moved = {"real": a, "generated": a[:, ::-1]}
    assert float(comparator(moved)[0, 0]) < float(comparator({"real": a, "generated": a})[0, 0]) - 1


def test_signals_are_standardized_on_the_pairs_handed_in():
    comparator = build_comparator((3, 8), cross_attention=False)
    a, b = random(12, 3, 8, seed=1), random(12, 3, 8, seed=2)
    siamese.standardize_signals(
        comparator, ({"real": a[i : i + 5], "generated": b[i : i + 5]} for i in (0, 5, 10))
    )
    found = signals_by_hand(a, b)
    scale = comparator.get_layer("scale")
    np.testing.assert_allclose(scale.mean, found.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(scale.deviation, found.std(axis=0), atol=1e-4)
    after = keras.Model(comparator.input, scale.output)({"real": a, "generated": b}).numpy()
    np.testing.assert_allclose(after.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(after.std(axis=0), 1.0, atol=1e-4)


def test_logits_are_float32_in_half_precision(bfloat16):
    backbone, _ = build_backbone("tiny", image_size=SIDE, weights="none")
    encoder, _ = siamese.build_encoder(backbone, cross_attention=True, width=8)
    comparator = build_comparator((16, 8), cross_attention=True, heads=2)
    assert encoder(pixels(1)).dtype == tf.bfloat16
    model = siamese.build_siamese(encoder, comparator)
    logits = model({"real": pixels(2), "generated": pixels(2, seed=1)})
    assert logits.dtype == tf.float32
    trainer = siamese.build_trainer(encoder, comparator)
    blocks = {"real": pixels(1, 2), "generated": pixels(1, 3, seed=1)}
    # Not compared as numbers with float32: what matters is that a logit is not rounded to 8 bits.
    scores = np.asarray(trainer(blocks))
    assert scores.dtype == np.float32
    assert (scores != np.asarray(tf.cast(tf.cast(scores, tf.bfloat16), tf.float32))).any()


# All pairs of a block


def test_all_pairs_are_the_single_pairs(networks):
    encoder, _, comparator = networks
    single = siamese.build_siamese(encoder, comparator)
    trainer = siamese.build_trainer(encoder, comparator)
    real, generated = pixels(BLOCKS, REAL), pixels(BLOCKS, GENERATED, seed=1)
    logits = trainer({"real": real, "generated": generated})
    assert logits.shape == (BLOCKS, REAL, GENERATED)
    for b in range(BLOCKS):
        for r in range(REAL):
            for g in range(GENERATED):
                pair = {"real": real[b, r][None], "generated": generated[b, g][None]}
                assert float(logits[b, r, g]) == pytest.approx(float(single(pair)[0, 0]), abs=1e-5)


def test_an_image_is_encoded_once_however_many_pairs_it_is_in(networks):
    encoder, _, comparator = networks
    seen = []

    class Counting(keras.layers.Layer):
        def call(self, images, training=None):
            seen.append(tuple(images.shape))
            return encoder(images, training=training)

    layer = siamese.AllPairs(Counting(), comparator)
    layer(pixels(BLOCKS, REAL), pixels(BLOCKS, GENERATED, seed=1))
    assert seen == [(BLOCKS * REAL, SIDE, SIDE, 3), (BLOCKS * GENERATED, SIDE, SIDE, 3)]


def test_trainer_takes_blocks_of_any_shape_in_a_graph(networks):
    _, head, comparator = networks
    trainer = siamese.build_trainer(head, comparator)
    call = tf.function(lambda inputs: trainer(inputs), reduce_retracing=True)
    shape = head.input.shape[1:]
    for blocks, real, generated in [(1, 1, 1), (2, 3, 4), (3, 2, 1)]:
        inputs = {
            "real": random(blocks, real, *shape),
            "generated": random(blocks, generated, *shape, seed=1),
        }
        logits = call(inputs)
        assert logits.shape == (blocks, real, generated)
        np.testing.assert_allclose(logits, trainer(inputs), atol=1e-5)
    assert trainer.output.shape == (None, None, None)


def test_training_moves_all_that_can_be_trained(networks):
    _, head, comparator = networks
    trainer = siamese.build_trainer(head, comparator)
    variables = trainer.trainable_variables
    expected = {id(v) for v in head.trainable_variables + comparator.trainable_variables}
    assert {id(v) for v in variables} == expected
    before = trainer.get_weights(), [v.numpy() for v in variables]
    trainer.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    shape = head.input.shape[1:]
    inputs = {"real": random(1, 4, *shape), "generated": random(1, 4, *shape, seed=1)}
    trainer.train_on_batch(inputs, np.tile([[0.0], [1.0], [0.0], [1.0]], (1, 1, 4)))
    still = {
        variable.path
        for variable, old in zip(variables, before[1], strict=True)
        if not np.abs(variable.numpy() - old).max() > 0
    }
    trainer.set_weights(before[0])
    # A bias of the keys shifts all products of a query alike, which the softmax does not see.
    assert all(path.endswith("key/bias") for path in still), still


def test_dropout_is_off_unless_training(networks):
    _, head, comparator = networks
    trainer = siamese.build_trainer(head, comparator)
    shape = head.input.shape[1:]
    inputs = {"real": random(1, 4, *shape), "generated": random(1, 4, *shape, seed=1)}
    calm = trainer(inputs, training=False)
    np.testing.assert_array_equal(trainer(inputs, training=False), calm)
    assert np.abs(trainer(inputs, training=True) - calm).max() > 1e-6


# Files


@pytest.mark.parametrize("what", ["head", "encoder", "comparator", "siamese", "trainer"])
def test_models_come_back_from_a_file(networks, tmp_path, what):
    encoder, head, comparator = networks
    head.get_layer("standardize").set_statistics(random(32), 1 + np.square(random(32)))
    tokens, images = comparator.input["real"].shape[1:], pixels(2)
    model, inputs = {
        "head": (head, random(2, *head.input.shape[1:])),
        "encoder": (encoder, images),
        "comparator": (
            comparator,
            {"real": random(2, *tokens), "generated": random(2, *tokens, seed=1)},
        ),
        "siamese": (
            siamese.build_siamese(encoder, comparator),
            {"real": images, "generated": pixels(2, seed=1)},
        ),
        "trainer": (
            siamese.build_trainer(encoder, comparator),
            {"real": pixels(1, 2), "generated": pixels(1, 3, seed=1)},
        ),
    }[what]
    again = through_file(model, tmp_path)
    np.testing.assert_allclose(again(inputs), model(inputs), atol=1e-5)
    assert len(again.variables) == len(model.variables)


def test_siamese_holds_one_encoder(networks):
    encoder, _, comparator = networks
    model = siamese.build_siamese(encoder, comparator)
    assert len(model.variables) == len(encoder.variables) + len(comparator.variables)
    assert [layer for layer in model.layers if layer is encoder] == [encoder]


# Inference


def test_compiled_gives_the_models_numbers_for_batches_of_any_length(networks):
    encoder, _, _ = networks
    call = siamese.compiled(encoder)
    for length in (1, 3, 2):
        images = pixels(length, seed=length)
        found = call(images)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, encoder(images), atol=1e-5)


def test_compiled_takes_dicts_tensors_and_half_precision(networks):
    _, _, comparator = networks
    call = siamese.compiled(comparator)
    shape = comparator.input["real"].shape[1:]
    real, generated = random(3, *shape, seed=1), random(3, *shape, seed=2)
    expected = comparator({"real": real, "generated": generated}).numpy()
    np.testing.assert_allclose(call({"real": real, "generated": generated}), expected, atol=1e-5)
    # By name: the order in the dict does not matter.
    np.testing.assert_allclose(call({"generated": generated, "real": real}), expected, atol=1e-5)
    tensors = {"real": tf.constant(real), "generated": tf.constant(generated)}
    np.testing.assert_allclose(call(tensors), expected, atol=1e-5)
    halves = {"real": real.astype("float16"), "generated": generated.astype("float16")}
    widened = {name: half.astype("float32") for name, half in halves.items()}
    np.testing.assert_allclose(call(halves), comparator(widened), atol=1e-5)


def test_compiled_traces_once(networks):
    _, _, comparator = networks
    traces = []

    class Watched(keras.layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return x

    shape = comparator.input["real"].shape[1:]
    entry = keras.Input(shape)
    call = siamese.compiled(keras.Model(entry, Watched()(entry)))
    before = len(traces)  # making the model has called it
    for length in (1, 2, 5):
        call(random(length, *shape))
    assert len(traces) == before + 1


def test_compiled_leaves_dropout_out(networks):
    _, _, comparator = networks
    call = siamese.compiled(comparator)
    shape = comparator.input["real"].shape[1:]
    inputs = {"real": random(3, *shape, seed=1), "generated": random(3, *shape, seed=2)}
    np.testing.assert_array_equal(call(inputs), call(inputs))


def test_a_gradient_is_the_same_in_every_call():
    tf.config.experimental.enable_op_determinism()
    model = build_comparator((4, 8), cross_attention=True, heads=2, hidden=8, dropout=0.0)
    for weight in model.weights:  # an untrained hidden layer has no gradient behind it
        weight.assign(weight + np.random.default_rng(0).normal(0, 0.1, weight.shape))
    layer = siamese.AllPairs(keras.layers.Identity(), model)
    real, generated = (tf.random.stateless_normal((1, 8, 4, 8), (0, seed)) for seed in (1, 2))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(real, generated, training=True) ** 2)
        return tape.gradient(loss, model.trainable_weights)

    first = [gradient.numpy() for gradient in gradients()]
    for _ in range(30):
        for one, other in zip(first, gradients(), strict=True):
            np.testing.assert_array_equal(one, other)
