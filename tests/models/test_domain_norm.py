"""Real and generated images standardised apart (--domain_norm), on the tiny backbone."""

import keras
import numpy as np
import pytest

from ganfp_tf.models import siamese
from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.comparator import build_comparator

SIDE = 32


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("tiny", image_size=SIDE, weights="none")[0]


@pytest.fixture(params=[False, True], ids=["baseline", "cross_attention"], scope="module")
def apart(request, backbone):
    """`(encoder, head, comparator)` with domain_norm and statistics of both domains."""
    encoder, head = siamese.build_encoder(
        backbone, cross_attention=request.param, width=8, domain_norm=True
    )
    for seed, domain in enumerate(siamese.DOMAINS):
        head.get_layer(f"standardize_{domain}").set_statistics(
            random(16, 32, seed=seed), 1 + np.square(random(16, 32, seed=seed + 2))
        )
    comparator = build_comparator(
        encoder.output.shape[1:], cross_attention=request.param, heads=2, hidden=5, domain_norm=True
    )
    return encoder, head, comparator


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (*shape, SIDE, SIDE, 3)).astype("float32")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_an_image_is_shown_as_a_real_and_as_a_generated_one(apart):
    _, head, _ = apart
    features = random(2, 16, 32, seed=7)
    found = head(features).numpy()
    views = []
    for domain in siamese.DOMAINS:
        norm = head.get_layer(f"standardize_{domain}")
        view = (features - norm.mean.numpy()) / norm.deviation.numpy()
        if any(layer.name == "projection" for layer in head.layers):
            projection = head.get_layer("projection")
            view = view @ projection.kernel.numpy() + projection.bias.numpy()
        else:
            view = view.mean(axis=1, keepdims=True)
        views.append(view)
    np.testing.assert_allclose(found, np.concatenate(views, axis=1), atol=1e-5)
    # Both views have one projection.
    assert len(head.trainable_variables) in (0, 2)


def test_domains_apart_compares_the_real_view_with_the_generated_one(apart):
    _, _, comparator = apart
    tokens, channels = comparator.input["real"].shape[1:]
    half = tokens // 2
    a, b = random(3, tokens, channels, seed=1), random(3, tokens, channels, seed=2)
    logits = comparator({"real": a, "generated": b}).numpy()
    # The other halves are not looked at.
    a[:, half:] += 1.0
    b[:, :half] += 1.0
    np.testing.assert_array_equal(comparator({"real": a, "generated": b}), logits)
    a[:, :half] += random(3, half, channels, seed=3)
    assert np.abs(comparator({"real": a, "generated": b}).numpy() - logits).max() > 1e-3


def test_domains_apart_by_hand():
    comparator = build_comparator((6, 8), cross_attention=False, domain_norm=True)
    a, b = random(5, 6, 8, seed=1), random(5, 6, 8, seed=2)
    a_real, b_generated = a[:, :3], b[:, 3:]
    # An untrained comparator: 10 times the cosine less the mean difference, over the places.
    lengths = np.linalg.norm(a_real, axis=-1) * np.linalg.norm(b_generated, axis=-1)
    cosine = (a_real * b_generated).sum(axis=-1) / lengths
    expected = 10.0 * cosine.mean(axis=1) - np.abs(a_real - b_generated).mean(axis=(1, 2))
    np.testing.assert_allclose(comparator({"real": a, "generated": b})[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("what", ["siamese", "trainer"])
def test_domains_apart_come_back_from_a_file(apart, tmp_path, what):
    encoder, _, comparator = apart
    build, shape = {
        "siamese": (siamese.build_siamese, (2,)),
        "trainer": (siamese.build_trainer, (1, 2)),
    }[what]
    model = build(encoder, comparator)
    inputs = {"real": pixels(*shape), "generated": pixels(*shape, seed=1)}
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(inputs), model(inputs), atol=1e-5)
    assert len(again.variables) == len(model.variables)
