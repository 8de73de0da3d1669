"""Files of shards, and the search that joins what was found in each."""

import numpy as np
import pytest

from ganfp_tf.beam.job import Job, PartnerPlan
from ganfp_tf.beam.shards import Shards
from ganfp_tf.config import Config
from ganfp_tf.config.siamese import SiameseSettings


def test_a_shard_is_whole_or_found_out(tmp_path):
    shards = Shards(tmp_path, "real", 12)
    assert shards.flaw(3, "tokens") == "is not there"
    shards.write(3, tokens=np.arange(1000.0), total=np.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["real-00003-of-00012.npz"]
    total, tokens = shards.read(3, "total", "tokens")
    assert total.tolist() == [1.0, 1.0]
    assert tokens[999] == 999.0
    assert shards.is_sound(3, "tokens", "total")
    assert shards.flaw(3, "pooled") == "cannot be read (KeyError)"
    whole = shards.path(3).read_bytes()
    for at in (0, 2000, len(whole) - 5):
        shards.path(3).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert shards.flaw(3, "tokens", "total").startswith("cannot be read"), at


@pytest.mark.parametrize(
    ("images", "size", "shards"),
    [(1, 8, 1), (24, 8, 3), (72, 18, 4), (1024, 256, 4), (1025, 256, 5), (100_000, 256, 391)],
)
def test_small_sets_give_several_shards_and_large_ones_bounded_ones(images, size, shards, tmp_path):
    job = Job(tmp_path, tmp_path, Config(), (images, images), ())
    assert (job.size("real"), job.shards("real")) == (size, shards)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 0),
        ({"pairing": "nearest"}, 8),
        ({"pairing": "nearest", "partners": 5}, 5),
        ({"pairing": "mixed", "partners": 5}, 3),
        ({"candidates": 30}, 30),
        ({"candidates": 300}, 100),
    ],
)
def test_how_many_are_searched(settings, expected):
    assert PartnerPlan.of(Config(**settings).section(SiameseSettings)).near(100) == expected


def test_joined_in_any_order_the_nearest_are_those_of_all():
    pytest.importorskip("apache_beam", reason="needs requirements-beam.txt")
    from ganfp_tf.beam.search import Nearest, nearest

    rng = np.random.default_rng(0)
    far = rng.integers(0, 6, (5, 40)).astype(float)  # few values: many are equal
    expected = np.argsort(far, axis=1, kind="stable")[:, :7]
    combine = Nearest(7)
    for _ in range(20):
        parts = np.split(np.arange(40), [3, 11, 30])
        found = [
            nearest(far[:, part], np.broadcast_to(part, (5, len(part))), 7)
            for part in (parts[i] for i in rng.permutation(4))
        ]
        joined = [combine.add_input(combine.create_accumulator(), found[0])]
        joined.append(combine.add_input(combine.add_input(None, found[1]), found[2]))
        joined += [combine.create_accumulator(), combine.add_input(None, found[3])]
        smallest, place = combine.extract_output(combine.merge_accumulators(joined))
        np.testing.assert_array_equal(place, expected)
        np.testing.assert_array_equal(smallest, np.take_along_axis(far, expected, axis=1))
