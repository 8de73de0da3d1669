import numpy as np
import pytest

from ganfp_tf.siamese.pair_logits import BATCH, pair_logits


class Engine:
    """Logit: 100 times the real image's number plus the generated one's. Counts what it holds."""

    image_bytes = 10
    joined = staticmethod(np.concatenate)

    def __init__(self):
        self.prepared = {"real": [], "generated": []}

    def prepare(self, tokens, domain):
        assert len(tokens) <= BATCH
        self.prepared[domain] += tokens.ravel().tolist()
        return tokens

    def all_logits(self, real, generated):
        self.most = max(getattr(self, "most", 0), len(real) + len(generated))
        self.blocks = getattr(self, "blocks", 0) + 1
        return 100.0 * real[:, 0] + generated[:, 0].T

    def logits(self, real, generated, left, right):
        self.most = max(getattr(self, "most", 0), len(real) + len(generated))
        return 100.0 * real[left, 0, 0] + generated[right, 0, 0]


def tokens(rows):
    return np.asarray(rows, float)[:, None, None]


@pytest.mark.parametrize("images", [1, 2, 3, 7, 100])
def test_every_pair_gets_its_own_logit_in_bounded_memory(images):
    rng = np.random.default_rng(images)
    left, right = rng.integers(0, 11, 60), rng.integers(0, 23, 60)
    engine = Engine()
    found = pair_logits(engine, tokens, tokens, left, right, limit=4 * 10 * images)
    np.testing.assert_array_equal(found, 100.0 * left + right)
    assert engine.most <= 2 * images
    assert len(engine.prepared["real"]) == len(set(left))


def test_an_image_is_read_once_where_all_fit():
    left, right = np.repeat(np.arange(5), 200), np.tile(np.arange(200), 5)
    engine = Engine()
    pair_logits(engine, tokens, tokens, left, right, limit=1e6)
    assert engine.prepared == {"real": list(range(5)), "generated": list(range(200))}


def test_all_pairs_of_two_sets_are_scored_as_one_block():
    left, right = np.repeat(np.arange(5), 8), np.tile(np.arange(8)[::-1], 5)
    engine = Engine()
    found = pair_logits(engine, tokens, tokens, left, right, limit=1e6)
    np.testing.assert_array_equal(found, 100.0 * left + right)
    assert engine.blocks == 1
    pair_logits(engine, tokens, tokens, left[1:], right[1:], limit=1e6)
    assert engine.blocks == 1


def test_generated_images_are_read_once_for_each_block_of_real_ones():
    left, right = np.repeat(np.arange(6), 8), np.tile(np.arange(8), 6)
    engine = Engine()
    pair_logits(engine, tokens, tokens, left, right, limit=4 * 10 * 3)
    assert engine.prepared["real"] == list(range(6))
    assert sorted(engine.prepared["generated"]) == sorted(2 * list(range(8)))


def test_no_pair_is_no_logit():
    assert pair_logits(Engine(), tokens, tokens, [], [], limit=100).shape == (0,)
