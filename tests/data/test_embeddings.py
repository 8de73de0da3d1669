"""The embedding store: keyed, atomic, checked, memory-mapped, and each image computed once."""

import itertools
import json
import logging
import os
import pathlib
import shutil
import zlib

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ganfp_tf.data import embeddings
from ganfp_tf.data import encode as embed
from ganfp_tf.errors import UserError

TOKENS, CHANNELS = 2, 3


def key(**changes):
    return {
        "backbone": "tiny",
        "dtype": "float16",
        "tokens": TOKENS,
        "channels": CHANNELS,
        **changes,
    }


def digests(count, start=0):
    return [f"digest{i}" for i in range(start, start + count)]


def random(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, TOKENS, CHANNELS)).astype("float32")


def shards(store, suffix):
    return sorted(p for p in store.folder.glob(f"*{suffix}") if p.name != "key.json")


# Keys


@pytest.mark.parametrize(
    "change", [{"backbone": "resnet50"}, {"weights": "abc"}, {"tokens": 4}, {"dtype": "float32"}]
)
def test_another_key_is_another_folder(tmp_path, change):
    store = embeddings.open_store(tmp_path, key())
    store.write(digests(2), random(2))
    other = embeddings.open_store(tmp_path, key(**change))
    assert other.folder != store.folder
    assert other.missing(digests(2)) == digests(2)
    again = embeddings.open_store(tmp_path, key())
    assert again.folder == store.folder
    assert again.missing(digests(3)) == ["digest2"]


def test_the_order_of_a_key_does_not_matter_and_the_folder_explains_itself(tmp_path):
    store = embeddings.open_store(tmp_path, key())
    turned = embeddings.open_store(tmp_path, dict(reversed(key().items())))
    assert turned.folder == store.folder
    assert json.loads((store.folder / "key.json").read_text()) == key()
    assert store.folder.name.startswith("tiny-")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--store_dir: cannot write to .*file"):
        embeddings.open_store(tmp_path / "file", key())


# Atomic


def test_missing_keeps_order_and_names_each_once(tmp_path):
    store = embeddings.open_store(tmp_path, key())
    store.write(["b"], random(1))
    assert store.missing(["d", "b", "a", "d", "a"]) == ["d", "a"]


def test_an_array_without_a_description_is_not_used(tmp_path):
    store = embeddings.open_store(tmp_path, key())
    store.write(digests(2), random(2))
    shards(store, ".json")[0].unlink()
    again = embeddings.open_store(tmp_path, key())
    assert again.rows == {}
    again.write(digests(2), random(2, seed=1))
    np.testing.assert_allclose(again.view(digests(2)).gather([0, 1]), random(2, seed=1), rtol=1e-3)


def test_left_over_temporary_files_are_ignored_and_left_alone(tmp_path, caplog):
    store = embeddings.open_store(tmp_path, key())
    store.write(digests(2), random(2))
    # What another process may be writing at this moment.
    half = [store.folder / ".tmp-1-a.json", store.folder / ".tmp-1-a.npy"]
    for path in half:
        path.write_text("{")
    again = embeddings.open_store(tmp_path, key())
    assert set(again.rows) == set(digests(2))
    assert all(path.exists() for path in half)
    assert caplog.records == []


@pytest.mark.parametrize("number", [1, 2])
def test_a_write_that_is_cut_short_leaves_no_shard(tmp_path, monkeypatch, number):
    store = embeddings.open_store(tmp_path, key())
    store.write(digests(2), random(2))
    real, calls = os.replace, itertools.count(1)

    def replace(source, target):
        if next(calls) == number:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as context:
        context.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            store.write(digests(2, start=2), random(2))
    for opened in (store, embeddings.open_store(tmp_path, key())):
        assert opened.missing(digests(4)) == digests(2, start=2)


def test_shards_are_memory_mapped_read_only(tmp_path):
    store = embeddings.open_store(tmp_path, key())
    store.write(digests(2), random(2))
    for opened in (store, embeddings.open_store(tmp_path, key())):
        for shard, _ in opened.rows.values():
            assert isinstance(shard.features, np.memmap)
            assert not shard.features.flags.writeable


def test_few_shards_are_mapped_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "MAPPED", 2)
    store = embeddings.open_store(tmp_path, key())
    features = random(10)
    for start in range(0, 10, 2):
        store.write(digests(2, start=start), features[start : start + 2])
    view = embeddings.open_store(tmp_path, key()).view(digests(10))
    np.testing.assert_allclose(view.gather(range(10)), features, rtol=1e-3)
    assert len(view.rows[0][0].maps._open) == 2
    monkeypatch.setattr(embeddings, "MAPPED_BYTES", 1)
    view.gather([0, 9])
    assert list(view.rows[0][0].maps._open) == [view.rows[9][0].path]


# Numbers


@pytest.mark.parametrize("magnitude", [1e-20, 1e-5, 1.0, 1e5, 1e20])
def test_float16_keeps_a_thousandth_at_every_magnitude(tmp_path, magnitude):
    rng = np.random.default_rng(0)
    # Six decades below the largest, both signs.
    spread = 10.0 ** rng.uniform(-6, 0, (5, TOKENS, CHANNELS)) * rng.choice([-1, 1], (5, 2, 3))
    features = (spread * magnitude).astype("float32")
    embeddings.open_store(tmp_path, key()).write(digests(5), features)
    found = embeddings.open_store(tmp_path, key()).view(digests(5)).gather(np.arange(5))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, features, rtol=1e-3)


@pytest.mark.parametrize("magnitude", [1e-5, 1.0, 1e5])
def test_float32_is_exact(tmp_path, magnitude):
    features = random(5) * np.float32(magnitude)
    embeddings.open_store(tmp_path, key(dtype="float32")).write(digests(5), features)
    store = embeddings.open_store(tmp_path, key(dtype="float32"))
    np.testing.assert_array_equal(store.view(digests(5)).gather(np.arange(5)), features)


def test_features_that_are_all_zero_stay_zero(tmp_path):
    store = embeddings.open_store(tmp_path, key())
    store.write(digests(2), np.zeros((2, TOKENS, CHANNELS), "float32"))
    assert not store.view(digests(2)).gather([0, 1]).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(tmp_path, bad):
    store = embeddings.open_store(tmp_path, key())
    features = random(3)
    features[1, 1, 1] = bad
    with pytest.raises(UserError, match=r"not finite.*--weights.*--mixed_precision"):
        store.write(digests(3), features)
    assert store.rows == {}
    assert shards(store, ".npy") == shards(store, ".json") == []


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Features 0, 1, 2, ... of 7 images in shards of 3, 3 and 1, as array and as Features."""
    store = embeddings.open_store(tmp_path_factory.mktemp("store"), key())
    values = np.arange(7 * TOKENS * CHANNELS, dtype="float32").reshape(7, TOKENS, CHANNELS)
    for start in (0, 3, 6):  # whole numbers below 2048 are exact in float16
        rows = slice(start, start + 3)
        store.write(digests(7)[rows], values[rows])
    return values, store.view(digests(7))


INDICES = hnp.arrays(
    np.int64,
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.integers(0, 6),
)


@settings(deadline=None, max_examples=100)
@given(indices=INDICES)
def test_gather_is_indexing(numbered, indices):
    values, features = numbered
    found = features.gather(indices)
    assert found.shape == (*indices.shape, TOKENS, CHANNELS)
    np.testing.assert_array_equal(found, values[indices])


def test_a_view_follows_its_digests(numbered, tmp_path):
    store = embeddings.open_store(tmp_path, key())
    store.write(["a", "b"], random(2))
    store.write(["c"], random(1, seed=1))
    found = store.view(["c", "a", "c"]).gather([0, 1, 2])
    expected = np.stack([random(1, seed=1)[0], random(2)[0], random(1, seed=1)[0]])
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_batches_are_the_features_in_order(numbered, size):
    values, features = numbered
    batches = list(features.batches(size))
    assert [len(batch) for batch in batches] == [
        min(size, 7 - start) for start in range(0, 7, size)
    ]
    np.testing.assert_array_equal(np.concatenate(batches), values)


def test_pooled_is_the_mean_over_tokens(numbered):
    values, features = numbered
    np.testing.assert_allclose(features.pooled(), values.mean(axis=1))
    np.testing.assert_allclose(features.pooled()[[3, 0, 3]], values.mean(axis=1)[[3, 0, 3]])
    rows = np.array([1, 4, 2])
    np.testing.assert_allclose(features.pooled().mean(rows), values[rows].mean(axis=(0, 1)))
    assert np.asarray(embeddings.Features([], (TOKENS, CHANNELS)).pooled()).shape == (0, CHANNELS)


@pytest.mark.parametrize(
    "harm", [lambda data: b"", lambda data: data[:-1], lambda data: data[::-1]]
)
def test_means_are_kept_and_made_anew_where_damaged(tmp_path, harm):
    store = embeddings.open_store(tmp_path, key())
    features = random(4)
    store.write(digests(4), features)
    np.testing.assert_allclose(store.view(digests(4)).pooled(), features.mean(axis=1), atol=1e-3)
    (path,) = shards(store, ".mean")
    path.write_bytes(harm(path.read_bytes()))
    again = embeddings.open_store(tmp_path, key()).view(digests(4)).pooled()
    np.testing.assert_allclose(again, features.mean(axis=1), atol=1e-3)
    assert len(path.read_bytes()) == 4 + 4 * np.asarray(again).size


def test_statistics_against_numpy(numbered):
    values, features = numbered
    mean, deviation = embeddings.statistics(features)
    flat = values.reshape(-1, CHANNELS).astype("float64")
    np.testing.assert_allclose(mean, flat.mean(axis=0))
    np.testing.assert_allclose(deviation, flat.std(axis=0))
    # Each channel of each token.
    mean, deviation = embeddings.statistics(features, places=True)
    np.testing.assert_allclose(mean, values.mean(axis=0, dtype="float64"))
    np.testing.assert_allclose(deviation, values.std(axis=0, dtype="float64"))
    # Three of seven images, evenly: the first, the middle one and the last.
    mean, deviation = embeddings.statistics(features, limit=3)
    flat = values[[0, 3, 6]].reshape(-1, CHANNELS).astype("float64")
    np.testing.assert_allclose(mean, flat.mean(axis=0))
    np.testing.assert_allclose(deviation, flat.std(axis=0))


def test_the_deviation_of_a_constant_channel_is_zero_not_nan(tmp_path):
    store = embeddings.open_store(tmp_path, key(dtype="float32"))
    store.write(digests(5), np.full((5, TOKENS, CHANNELS), 1000.1, "float32"))
    _, deviation = embeddings.statistics(store.view(digests(5)))
    np.testing.assert_allclose(deviation, 0.0, atol=1e-3)


# Filling


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """Ten images of constant gray 0, 10, 20, ...; rows as a Catalog has them."""
    folder = tmp_path_factory.mktemp("images")
    for i in range(10):
        Image.new("L", (8, 8), 10 * i).save(folder / f"{i}.png")
    paths = [str(folder / f"{i}.png") for i in range(10)]
    return pd.DataFrame({"path": paths, "digest": digests(10), "fast": True})


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(embeddings, "SHARD", 4)


class Encoder:
    """Every feature of an image is its mean gray plus 1; counts images and can fail."""

    def __init__(self, fail_at=None):
        self.calls, self.images, self.fail_at = 0, 0, fail_at

    def __call__(self, images):
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        self.images += len(images)
        means = np.mean(images, axis=(1, 2, 3))[:, None, None] + 1.0
        return np.broadcast_to(means, (len(images), TOKENS, CHANNELS))


def fill(store, frame, encode, batch=3):
    return embed.fill(store, frame, encode, size=4, batch=batch, progress=False)


def grays(store, frame):
    return store.view(frame["digest"]).gather(np.arange(len(frame)))[:, 0, 0] - 1.0


@pytest.mark.parametrize("batch", [1, 3, 4, 9, 64])
def test_fill_computes_each_image_once_ever(tmp_path, frame, small_shards, batch):
    store, encode = embeddings.open_store(tmp_path, key()), Encoder()
    assert fill(store, frame, encode, batch) == encode.images == 10
    assert fill(store, frame, encode, batch) == 0
    again = embeddings.open_store(tmp_path, key())
    assert fill(again, frame, encode, batch) == 0
    assert encode.images == 10
    assert [len(json.loads(p.read_text())["digests"]) for p in shards(again, ".json")].count(4) == 2
    for opened in (store, again):
        np.testing.assert_allclose(grays(opened, frame), 10.0 * np.arange(10), rtol=1e-3)


def test_fill_computes_only_what_is_missing(tmp_path, frame):
    store, encode = embeddings.open_store(tmp_path, key()), Encoder()
    assert fill(store, frame.iloc[[7, 2, 5]], encode) == 3
    assert fill(store, frame, encode) == 7
    assert encode.images == 10
    np.testing.assert_allclose(grays(store, frame), 10.0 * np.arange(10), rtol=1e-3)


def test_fill_computes_copies_of_an_image_once(tmp_path, frame):
    doubled = pd.concat([frame, frame.iloc[::-1], frame.iloc[:3]], ignore_index=True)
    store, encode = embeddings.open_store(tmp_path, key()), Encoder()
    assert fill(store, doubled, encode) == encode.images == 10
    expected = 10.0 * np.r_[np.arange(10), np.arange(10)[::-1], np.arange(3)]
    np.testing.assert_allclose(grays(store, doubled), expected, rtol=1e-3)


def test_fill_of_no_images_computes_nothing(tmp_path, frame):
    assert fill(embeddings.open_store(tmp_path, key()), frame.iloc[:0], Encoder()) == 0


def test_an_interrupted_fill_keeps_its_shards_and_goes_on(tmp_path, frame, small_shards):
    store = embeddings.open_store(tmp_path, key())
    with pytest.raises(KeyboardInterrupt):
        fill(store, frame, Encoder(fail_at=3))  # 6 of 10 images done, in shards of 4: 4 are kept
    again, encode = embeddings.open_store(tmp_path, key()), Encoder()
    assert again.missing(frame["digest"]) == digests(6, start=4)
    assert fill(again, frame, encode) == encode.images == 6
    np.testing.assert_allclose(grays(again, frame), 10.0 * np.arange(10), rtol=1e-3)


def test_images_are_decoded_in_the_frames_order(frame):
    turned = frame.iloc[[3, 0, 9]]
    images = list(embed.image_dataset(turned, 4).as_numpy_iterator())
    assert [image.shape for image in images] == [(4, 4, 3)] * 3
    np.testing.assert_allclose([image.mean() for image in images], [30.0, 0.0, 90.0], atol=1e-4)


# Damage. Each function harms the first shard: (the .json, the .npy, a folder for other stores).


def flip(position):
    def harm(description, array, scratch):
        data = bytearray(array.read_bytes())
        data[position] ^= 0x10
        array.write_bytes(bytes(data))

    return harm


def cut(length):
    def harm(description, array, scratch):
        array.write_bytes(array.read_bytes()[:length])

    return harm


def array_gone(description, array, scratch):
    array.unlink()


def foreign_description(description, array, scratch):
    other = embeddings.open_store(scratch, key(weights="other"))
    digests = json.loads(description.read_text())["digests"]
    other.write(digests, random(len(digests)))
    shutil.copy(shards(other, ".json")[0], description)


def foreign_array(description, array, scratch):
    other = embeddings.open_store(scratch, key(weights="other"))
    other.write(["x"] * 4, random(4))
    shutil.copy(shards(other, ".npy")[0], array)


def described(**changes):
    def harm(description, array, scratch):
        facts = {**json.loads(description.read_text()), **changes}
        facts = {name: value for name, value in facts.items() if value is not ...}
        description.write_text(json.dumps(facts))

    return harm


def content(text):
    def harm(description, array, scratch):
        description.write_bytes(text)

    return harm


def replaced(change):
    def harm(description, array, scratch):
        features = np.ascontiguousarray(change(np.load(array)))
        np.save(array, features)
        described(crc32=zlib.crc32(features))(description, array, scratch)

    return harm


HARM = {
    "a flipped feature": flip(-1),
    "a flipped first feature": flip(128),
    "a flipped shape": flip(60),
    "a flipped magic": flip(1),
    "half an array": cut(140),
    "half a header": cut(30),
    "an empty array": cut(0),
    "no array": array_gone,
    "another store's description": foreign_description,
    "another store's array": foreign_array,
    "fewer rows": replaced(lambda features: features[:3]),
    "another shape": replaced(lambda features: features.transpose(0, 2, 1)),
    "another dtype": replaced(lambda features: features.astype("float32")),
    "an empty description": content(b""),
    "half a description": content(b'{"key": "'),
    "a description of bytes": content(b"\xff\xfe\x00\x80"),
    "a list": content(b"[1, 2]"),
    "null": content(b"null"),
    "no digests": described(digests=...),
    "a number of digests": described(digests=4),
    "one digest too few": described(digests=digests(3)),
    "no checksum": described(crc32=...),
    "no scale": described(scale=...),
    "a scale of text": described(scale="big"),
    "another scale": described(scale=3.0),
    "exchanged digests": described(digests=["digest1", "digest0", "digest2", "digest3"]),
}


@pytest.mark.parametrize("harm", [pytest.param(harm, id=name) for name, harm in HARM.items()])
def test_damage_is_noticed_dropped_and_made_good(tmp_path, frame, small_shards, caplog, harm):
    fill(embeddings.open_store(tmp_path / "store", key()), frame, Encoder())
    store = embeddings.open_store(tmp_path / "store", key())
    description = next(
        path for path in shards(store, ".json") if "digest0" in path.read_text().split('"')
    )
    array = description.with_suffix(".npy")
    harm(description, array, tmp_path / "scratch")

    with caplog.at_level(logging.WARNING):
        opened = embeddings.open_store(tmp_path / "store", key())
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert description.stem in messages[0]
    assert "made anew" in messages[0]
    assert opened.missing(frame["digest"]) == digests(4)
    assert not description.exists()
    assert not array.exists()

    encode = Encoder()
    assert fill(opened, frame, encode) == encode.images == 4
    caplog.clear()
    for checked in (opened, embeddings.open_store(tmp_path / "store", key())):
        np.testing.assert_allclose(grays(checked, frame), 10.0 * np.arange(10), rtol=1e-3)
    assert caplog.records == []


def test_no_flipped_byte_of_an_array_becomes_a_feature(tmp_path, caplog):
    store = embeddings.open_store(tmp_path, key())
    features = random(2)
    store.write(digests(2), features)
    (description,), (array,) = shards(store, ".json"), shards(store, ".npy")
    text, data = description.read_bytes(), array.read_bytes()
    noticed = 0
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 0x20 if position % 2 else 0x01
        description.write_bytes(text)
        array.write_bytes(flipped)
        opened = embeddings.open_store(tmp_path, key())
        if opened.rows:  # padding of the header
            found = opened.view(digests(2)).gather([0, 1])
            np.testing.assert_allclose(found, features, rtol=1e-3, err_msg=str(position))
        else:
            assert not description.exists()
            noticed += 1
    assert noticed >= features.size * 2
    assert len(caplog.records) == noticed


def test_damage_between_writing_and_using_is_an_error_not_a_feature(tmp_path, monkeypatch):
    store = embeddings.open_store(tmp_path, key())
    real = os.replace

    def replace(source, target):
        if str(target).endswith(".npy"):
            flip(-1)(None, pathlib.Path(source), None)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(UserError, match=r"--store_dir: a file just written .* checksum"):
        store.write(digests(2), random(2))
    assert store.rows == {}
