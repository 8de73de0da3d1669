import numpy as np
import pytest

from ganfp_tf.models.comparator import build_comparator
from ganfp_tf.models.pair_engine import PairEngine
from ganfp_tf.models.siamese import compiled

RNG = np.random.default_rng(0)
CASES = {
    "baseline": ((1, 24), dict(cross_attention=False)),
    "cross-attention": ((6, 16), dict(cross_attention=True, heads=4)),
    "one head": ((6, 16), dict(cross_attention=True, heads=1, similarity="dot")),
    "places": ((6, 16), dict(cross_attention=False, similarity="difference")),
    "domains apart": ((12, 16), dict(cross_attention=True, heads=2, domain_norm=True)),
    "domains apart, no attention": ((12, 16), dict(cross_attention=False, domain_norm=True)),
}


def comparator(shape, **settings):
    """A comparator whose every weight counts."""
    model = build_comparator(shape, hidden=8, **settings)
    for weight in model.weights:
        value = weight.numpy() + RNG.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(value) + 0.1 if "deviation" in weight.path else value)
    return model


@pytest.mark.parametrize("case", CASES)
def test_pairs_have_the_logits_of_the_comparator(case):
    shape, settings = CASES[case]
    model = comparator(shape, **settings)
    real, generated = (RNG.normal(size=(n, *shape)).astype("float32") for n in (5, 7))
    left, right = np.array([0, 4, 4, 1, 3, 0]), np.array([6, 0, 6, 1, 1, 6])
    engine = PairEngine(model)
    found = engine.logits(
        engine.prepare(real, "real"), engine.prepare(generated, "generated"), left, right
    )
    expected = compiled(model)({"real": real[left], "generated": generated[right]})[:, 0]
    assert expected.std() > 0.001
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_all_pairs_have_the_logits_of_single_ones(case, monkeypatch):
    monkeypatch.setattr(PairEngine, "pairs_a_call", 9)  # blocks of 2 x 2, and what is left
    shape, settings = CASES[case]
    engine = PairEngine(comparator(shape, **settings))
    tokens = RNG.normal(size=(5, *shape)).astype("float32")
    real, generated = engine.prepare(tokens[:3], "real"), engine.prepare(tokens, "generated")
    left, right = np.repeat(np.arange(3), 5), np.tile(np.arange(5), 3)
    found = engine.all_logits(real, generated)
    expected = engine.logits(real, generated, left, right).reshape(3, 5)
    assert expected.std() > 0.001
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert engine.traces == [1, 1, 1, 1]


def test_graphs_are_traced_once_whatever_the_numbers_and_read_weights_anew(monkeypatch):
    model = comparator((6, 16), cross_attention=True)
    engine = PairEngine(model)
    tokens = RNG.normal(size=(9, 6, 16)).astype("float32")
    monkeypatch.setattr(PairEngine, "pairs_a_call", 4)
    for n in (1, 5, 9):
        parts = engine.prepare(tokens[:n], "real"), engine.prepare(tokens, "generated")
        before = engine.logits(*parts, np.zeros(9, int), np.arange(9))
    assert engine.traces == [1, 1, 1, 0]
    for weight in model.weights:
        weight.assign(weight + 0.1)
    parts = engine.prepare(tokens, "real"), engine.prepare(tokens, "generated")
    after = engine.logits(*parts, np.zeros(9, int), np.arange(9))
    assert np.abs(after - before).max() > 1e-3
    assert engine.traces == [1, 1, 1, 0]
    expected = compiled(model)({"real": tokens[[0] * 9], "generated": tokens})[:, 0]
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_joined_batches_are_all_images():
    engine = PairEngine(comparator((6, 16), cross_attention=True))
    tokens = RNG.normal(size=(5, 6, 16)).astype("float32")
    whole = engine.prepare(tokens, "real")
    joined = engine.joined([engine.prepare(part, "real") for part in (tokens[:2], tokens[2:])])
    assert len(joined) == len(whole) == 5
    for one, other in zip(joined.parts, whole.parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_size_of_a_prepared_image_is_counted():
    engine = PairEngine(comparator((6, 16), cross_attention=True))
    parts = engine.prepare(np.zeros((3, 6, 16), "float32"), "real").parts
    assert 3 * engine.image_bytes == sum(part.numpy().nbytes for part in parts)
    assert engine.image_bytes == 4 * 4 * 6 * 16  # tokens, query, key, value
