"""Pairing: every op eagerly and inside tf.data, and what is drawn, measured."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image

from ganfp_tf.data import embeddings, pairs
from ganfp_tf.data.images import ImageReader


class Eagerly:
    """Stands for a dataset of one element, to which ops are applied outside any graph."""

    def __init__(self, element):
        self.element = element

    def map(self, function, num_parallel_calls=None):
        return Eagerly(function(self.element))

    def apply(self, op):
        return op(self)


def drawn(*ops, first=0, steps=1):
    """The elements of steps first, first + 1, ... after `ops`, as NumPy arrays."""
    dataset = pairs.steps(first)
    for op in ops:
        dataset = dataset.apply(op)
    return list(dataset.take(steps).as_numpy_iterator())


def check_eagerly(*ops, steps=3):
    """Compares `ops` inside tf.data with the same outside any graph; returns the elements."""
    found = drawn(*ops, steps=steps)
    for step, element in enumerate(found):
        eager = Eagerly({"step": tf.constant(step, tf.int64)})
        for op in ops:
            eager = eager.apply(op)
        tf.nest.assert_same_structure(eager.element, element)
        for one, other in zip(
            tf.nest.flatten(eager.element), tf.nest.flatten(element), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    return found


def real(blocks=2, count=3, images=10, seed=0):
    return pairs.sample_real(np.full(images, 1 / images), blocks=blocks, count=count, seed=seed)


def table(images=10, k=4):
    """Neighbours of real image i: 100 i, 100 i + 1, ..."""
    return 100 * np.arange(images)[:, None] + np.arange(k)


# Steps and real images


def test_steps_count_from_the_first():
    assert [int(e["step"]) for e in drawn(steps=3)] == [0, 1, 2]
    assert [int(e["step"]) for e in drawn(first=2**40, steps=2)] == [2**40, 2**40 + 1]


def test_class_weights_by_hand():
    # Three of one label, one of the other: each label gets one half.
    np.testing.assert_allclose(pairs.class_weights([0, 0, 1, 0]), [1 / 6, 1 / 6, 1 / 2, 1 / 6])
    np.testing.assert_allclose(pairs.class_weights([0, 0, 1, 0], balanced=False), [0.25] * 4)
    np.testing.assert_allclose(pairs.class_weights([1, 1]), [0.5, 0.5])


@pytest.mark.parametrize(("balanced", "share"), [(True, 0.5), (False, 0.1)])
def test_share_of_used_images_among_20000_draws(balanced, share):
    labels = np.r_[np.ones(10, int), np.zeros(90, int)]
    weights = pairs.class_weights(labels, balanced)
    elements = drawn(pairs.sample_real(weights, blocks=4, count=250, seed=0), steps=20)
    images = np.concatenate([element["real"].ravel() for element in elements])
    assert len(images) == 20_000
    error = np.sqrt(share * (1 - share) / len(images))
    assert abs(labels[images].mean() - share) < 3 * error
    # Inside a label, every image is as likely as another.
    for label in (0, 1):
        counts = np.bincount(images, minlength=100)[labels == label]
        assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_real_images_have_the_shape_asked_for():
    for element in check_eagerly(real(blocks=2, count=3)):
        assert element["real"].shape == (2, 3)
        assert element["real"].dtype == np.int64
        assert element["real"].min() >= 0
        assert element["real"].max() < 10


def test_one_real_a_block():
    before, after = drawn(real())[0]["real"], check_eagerly(real(), pairs.one_real_a_block())
    np.testing.assert_array_equal(after[0]["real"], before.reshape(6, 1))


# Determinism

WAYS = {
    "random": lambda seed: (real(seed=seed), pairs.pair_random(50, count=4, seed=seed)),
    "nearest": lambda seed: (
        real(seed=seed),
        pairs.one_real_a_block(),
        pairs.pair_nearest(table(), count=2, seed=seed),
    ),
    "mixed": lambda seed: (
        real(seed=seed),
        pairs.one_real_a_block(),
        pairs.pair_mixed(table(), 50, count=4, seed=seed),
    ),
}


def flat(elements):
    return [{name: value.tolist() for name, value in element.items()} for element in elements]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_step_is_drawn_from_its_number_and_the_seed(way):
    whole = flat(drawn(*way(0), steps=8))
    assert flat(drawn(*way(0), steps=8)) == whole
    assert flat(drawn(*way(0), first=5, steps=3)) == whole[5:]
    for one, other in itertools.combinations(whole, 2):
        assert one["real"] != other["real"]
        assert one["generated"] != other["generated"]
    for seed in (1, 2**31 - 1):
        for one, other in zip(whole, flat(drawn(*way(seed), steps=8)), strict=True):
            assert one["real"] != other["real"]
            assert one["generated"] != other["generated"]


def test_real_and_generated_images_are_drawn_independently():
    # One of 4 x 4 cells a step: with a shared key, the counts would crowd on few of them.
    elements = drawn(
        real(blocks=1, count=1, images=4), pairs.pair_random(4, count=1, seed=0), steps=800
    )
    cells = np.zeros((4, 4), int)
    for element in elements:
        cells[element["real"][0, 0], element["generated"][0, 0]] += 1
    assert scipy.stats.chi2_contingency(cells).pvalue > 0.001


def test_near_and_random_partners_are_drawn_independently():
    # As many neighbours as images: with a shared key, both draws would take the same number.
    elements = drawn(
        real(blocks=1, count=1),
        pairs.one_real_a_block(),
        pairs.pair_mixed(np.tile(np.arange(50), (10, 1)), 50, count=2, seed=0),
        steps=200,
    )
    same = sum(len(set(element["generated"][0])) == 1 for element in elements)
    assert same <= 12  # expected: 4 of 200


# Generated images


def test_random_partners_are_distinct_and_in_range():
    for element in check_eagerly(real(blocks=5), pairs.pair_random(7, count=6, seed=0)):
        assert element["generated"].shape == (5, 6)
        assert element["generated"].dtype == np.int64
        for block in element["generated"]:
            assert len(set(block)) == 6
            assert set(block) <= set(range(7))


def test_random_partners_are_all_where_there_are_fewer():
    element = drawn(real(blocks=2), pairs.pair_random(3, count=8, seed=0))[0]
    assert [sorted(block) for block in element["generated"].tolist()] == [[0, 1, 2]] * 2


def test_random_partners_are_uniform():
    images, count, blocks, steps = 20, 5, 4, 200
    elements = drawn(
        real(blocks=blocks), pairs.pair_random(images, count=count, seed=0), steps=steps
    )
    seen = np.bincount(np.concatenate([e["generated"].ravel() for e in elements]), minlength=images)
    expected = blocks * steps * count / images
    # Drawn without replacement, counts vary less by (images - count) / (images - 1) than those
    # that a chi-square is for.
    statistic = ((seen - expected) ** 2 / expected).sum() * (images - 1) / (images - count)
    p = scipy.stats.chi2.sf(statistic, images - 1)
    assert 0.001 < p < 0.999
    # Blocks of one step differ from one another.
    assert all(len({tuple(sorted(b)) for b in e["generated"]}) > 1 for e in elements)


def test_nearest_partners_are_neighbours_of_their_own_image():
    elements = check_eagerly(
        real(blocks=1, count=6),
        pairs.one_real_a_block(),
        pairs.pair_nearest(table(k=5), count=3, seed=0),
        steps=20,
    )
    seen = []
    for element in elements:
        assert element["generated"].shape == (6, 3)
        np.testing.assert_array_equal(element["generated"] // 100, np.repeat(element["real"], 3, 1))
        assert all(len(set(block)) == 3 for block in element["generated"])
        seen.extend(element["generated"].ravel() % 100)
    # Each of the five neighbours is used, and about as often: 72 of 360 expected.
    counts = np.bincount(seen, minlength=5)
    assert len(counts) == 5
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_all_neighbours_where_there_are_fewer():
    element = drawn(
        real(blocks=1, count=2),
        pairs.one_real_a_block(),
        pairs.pair_nearest(table(k=3), count=8, seed=0),
    )[0]
    expected = table(k=3)[element["real"][:, 0]]
    np.testing.assert_array_equal(np.sort(element["generated"], axis=1), expected)


@pytest.mark.parametrize(("count", "near"), [(1, 1), (2, 1), (5, 3), (8, 4)])
def test_mixed_partners_are_the_larger_half_near_and_the_rest_any(count, near):
    # Neighbours have numbers from 1000 on, random partners below 50.
    elements = check_eagerly(
        real(blocks=1, count=4),
        pairs.one_real_a_block(),
        pairs.pair_mixed(1000 + table(), 50, count=count, seed=0),
    )
    for element in elements:
        assert set(element) == {"step", "real", "generated"}
        assert element["generated"].shape == (4, count)
        close, rest = element["generated"][:, :near], element["generated"][:, near:]
        owner = np.broadcast_to(element["real"], close.shape)
        np.testing.assert_array_equal((close - 1000) // 100, owner)
        assert (rest < 50).all()
        assert all(len(set(block)) == count for block in element["generated"])


# Inputs and labels


@pytest.fixture(params=[0, 144], ids=["disk", "memory"])
def stored(tmp_path, request):
    """12 images of 2 tokens and 3 channels in two shards; and their features."""
    key = {"backbone": "tiny", "dtype": "float16", "tokens": 2, "channels": 3}
    store = embeddings.open_store(tmp_path, key)
    features = np.arange(72, dtype="float32").reshape(12, 2, 3)
    digests = [str(i) for i in range(12)]
    store.write(digests[:5], features[:5])
    store.write(digests[5:], features[5:])
    return pairs.StoredInput(store.view(digests), memory=request.param), features


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Images of constant colour and different sizes: five PNG, one JPEG; paths and colours."""
    folder = tmp_path_factory.mktemp("files")
    colours = [(10 * i, 100 + i, 200 - 20 * i) for i in range(6)]
    paths = [folder / f"{i}.{'jpg' if i == 5 else 'png'}" for i in range(6)]
    for i, (path, colour) in enumerate(zip(paths, colours, strict=True)):
        Image.new("RGB", (8 + i, 9), colour).save(path, quality=100)
    return [str(path) for path in paths], np.array(colours, "float32")


def frame(paths, fast=True):
    return {"path": paths, "fast": [fast] * len(paths)}


def test_stored_input_gives_the_features_of_its_indices(stored):
    source, features = stored
    indices = np.array([[3, 0, 11], [5, 5, 4]])
    found = source.look_up(tf.constant(indices))
    np.testing.assert_array_equal(found, features[indices])
    dataset = tf.data.Dataset.from_tensors(indices).map(source.look_up)
    assert dataset.element_spec.shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(next(iter(dataset)), features[indices])


def test_stored_features_are_read_once_where_they_fit(stored):
    features = stored[0].features
    from_disk = pairs.StoredInput(features, memory=143)
    held = pairs.StoredInput(features, memory=144)  # 12 images of 6 numbers in half precision
    assert from_disk.held is None
    assert held.held[0].dtype == tf.float16
    for shard, _ in features.rows:
        shard.path.unlink(missing_ok=True)
        shard.maps.forget(shard.path)
    np.testing.assert_array_equal(held.look_up(tf.constant([[3, 11]])), stored[1][[[3, 11]]])
    with pytest.raises(FileNotFoundError):
        from_disk.look_up(tf.constant([[3, 11]]))


def test_held_features_are_the_stored_ones_to_the_last_bit(tmp_path):
    key = {"backbone": "tiny", "dtype": "float16", "tokens": 3, "channels": 4}
    store = embeddings.open_store(tmp_path, key)
    rng = np.random.default_rng(0)
    # Shards of very different sizes of numbers have very different factors.
    for shard, size in enumerate((1e-6, 1.0, 1e7)):
        store.write([f"{shard}{i}" for i in range(4)], size * rng.standard_normal((4, 3, 4)))
    view = store.view([f"{shard}{i}" for i in range(4) for shard in (2, 0, 1)])
    indices = tf.constant(rng.integers(0, 12, (2, 5)))
    held = pairs.StoredInput(view, memory=2**20)
    assert held.held is not None
    np.testing.assert_array_equal(held.look_up(indices), view.gather(indices))


def test_file_input_decodes_the_images_of_its_indices(files):
    paths, colours = files
    source = pairs.FileInput(frame(paths), 8)
    indices = np.array([[3, 0, 5], [4, 4, 1]])
    dataset = tf.data.Dataset.from_tensors(indices).map(source.look_up)
    assert dataset.element_spec.shape == (2, 3, 8, 8, 3)
    for found in (source.look_up(tf.constant(indices)), next(iter(dataset))):
        assert found.dtype == tf.float32
        expected = np.broadcast_to(colours[indices][:, :, None, None], (2, 3, 8, 8, 3))
        # JPEG rounds a colour's luminance and chrominance to whole numbers.
        np.testing.assert_allclose(found, expected, atol=2.0)
        np.testing.assert_allclose(np.asarray(found)[1], expected[1], atol=1e-3)


def test_file_input_leaves_python_out_for_png_and_jpeg(files, monkeypatch):
    paths, colours = files

    def refuse(*arguments, **keywords):
        raise AssertionError("read in Python")

    monkeypatch.setattr(ImageReader, "read", refuse)
    indices = tf.constant([[0, 5, 2]], tf.int64)
    dataset = tf.data.Dataset.from_tensors(indices).map(pairs.FileInput(frame(paths), 8).look_up)
    np.testing.assert_allclose(
        np.mean(next(iter(dataset)), axis=(2, 3))[0], colours[[0, 5, 2]], atol=2.0
    )
    # What is not named fast does go there.
    slow = pairs.FileInput(frame(paths, fast=False), 8)
    with pytest.raises(tf.errors.OpError, match="read in Python"):
        next(iter(tf.data.Dataset.from_tensors(indices).map(slow.look_up)))


def test_file_input_reads_what_only_python_can(tmp_path):
    np.save(tmp_path / "a.npy", np.full((9, 8, 3), 77, "uint8"))
    source = pairs.FileInput(frame([str(tmp_path / "a.npy")], fast=False), 4)
    indices = tf.zeros((1, 2), tf.int64)
    found = next(iter(tf.data.Dataset.from_tensors(indices).map(source.look_up)))
    np.testing.assert_allclose(found, 77.0, atol=1e-3)


def test_labels_are_those_of_the_real_images(stored):
    source, features = stored
    labels = np.array([1, 0, 0, 1, 1, 0, 1, 0, 0, 1])
    ops = (real(blocks=2, count=3), pairs.pair_random(12, count=4, seed=0))
    chosen = drawn(*ops, steps=3)
    found = check_eagerly(*ops, pairs.look_up(source, source), pairs.add_labels(labels))
    for indices, (inputs, of_pairs) in zip(chosen, found, strict=True):
        assert set(inputs) == {"real", "generated"}
        np.testing.assert_array_equal(inputs["real"], features[indices["real"]])
        np.testing.assert_array_equal(inputs["generated"], features[indices["generated"]])
        assert of_pairs.dtype == np.float32
        expected = np.broadcast_to(labels[indices["real"]][:, :, None], (2, 3, 4))
        np.testing.assert_array_equal(of_pairs, expected)


def test_shapes_are_known_before_anything_is_drawn(stored):
    source, _ = stored
    dataset = pairs.steps().apply(real(blocks=2, count=3))
    dataset = dataset.apply(pairs.pair_random(12, count=4, seed=0))
    dataset = dataset.apply(pairs.look_up(source, source)).apply(pairs.add_labels(np.ones(10)))
    inputs, labels = dataset.element_spec
    assert inputs["real"].shape[1:] == (3, 2, 3)
    assert inputs["generated"].shape[1:] == (4, 2, 3)
    assert labels.shape.rank == 3
