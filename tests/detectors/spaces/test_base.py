"""Pixels of images, and distances in them."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from ganfp_tf.data.pixels import PixelStore, contents
from ganfp_tf.detectors.spaces.base import PIXELS, GeneratedComponents, Pixels
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.distances import distance_rows
from tests.helpers.pictures import Pictures, scenes


def write(folder, name, values):
    """Writes a PNG and returns its row."""
    path = folder / name
    Image.fromarray(np.asarray(values, "uint8")).save(path)
    return {"path": str(path), "digest": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_gray_is_the_mean_of_the_channels_in_0_to_1(tmp_path):
    colour = np.broadcast_to(np.array([30, 60, 120]), (8, 8, 3))
    frame = pd.DataFrame([write(tmp_path, "a.png", colour)])
    pixels = PixelStore(side=8).pixels(frame)
    assert pixels.shape == (1, 64)
    assert pixels.dtype == np.float32
    assert pixels == pytest.approx(70 / 255)


def test_shrinking_averages_areas(tmp_path):
    values = np.arange(64, dtype="uint8").reshape(8, 8)
    frame = pd.DataFrame([write(tmp_path, "a.png", values)])
    blocks = values.reshape(4, 2, 4, 2).mean(axis=(1, 3)) / 255
    assert PixelStore(side=4).pixels(frame)[0].reshape(4, 4) == pytest.approx(blocks, abs=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (8, 40), (50, 20)])
def test_every_size_becomes_a_square_and_a_constant_stays_one(tmp_path, shape):
    frame = pd.DataFrame([write(tmp_path, "a.png", np.full(shape, 51))])
    pixels = PixelStore(side=16).pixels(frame)
    assert pixels.shape == (1, 256)
    assert pixels == pytest.approx(0.2)


def test_rows_follow_the_frame_and_each_content_is_read_once(tmp_path, monkeypatch):
    rows = [write(tmp_path, f"{value}.png", np.full((8, 8), value)) for value in (51, 102, 51)]
    rows.append(write(tmp_path, "copy.png", np.full((8, 8), 102)))
    frame = pd.DataFrame(rows)
    store, read = PixelStore(side=8), []
    original = PixelStore._read
    monkeypatch.setattr(PixelStore, "_read", lambda *args: read.append(args[1]) or original(*args))
    assert store.pixels(frame)[:, 0] == pytest.approx([0.2, 0.4, 0.2, 0.4])
    assert len(read) == 2
    assert store.pixels(frame[::-1])[:, 0] == pytest.approx([0.4, 0.2, 0.4, 0.2])
    assert len(read) == 2
    assert store.pixels(frame[:0]).shape == (0, 64)


def test_a_file_that_changed_is_refused(tmp_path):
    frame = pd.DataFrame([write(tmp_path, "a.png", np.full((8, 8), 1))])
    write(tmp_path, "a.png", np.full((8, 8), 2))
    with pytest.raises(UserError, match=r"a\.png has changed since the data were listed"):
        PixelStore(side=8).pixels(frame)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    frame = pd.DataFrame([{"path": str(tmp_path / "gone.png"), "digest": "d"}])
    with pytest.raises(UserError, match=r"gone\.png cannot be read: no such file"):
        PixelStore(side=8).pixels(frame)


def test_what_is_kept_is_made_once_for_each_key_and_store():
    store, made = PixelStore(), []

    def make(value):
        return lambda: made.append(value) or value

    assert [store.keep(("a", 1), make("first")), store.keep(("a", 1), make("second"))] == [
        "first",
        "first",
    ]
    assert store.keep(("a", 2), make("third")) == "third"
    assert PixelStore().keep(("a", 1), make("fourth")) == "fourth"
    assert made == ["first", "third", "fourth"]


def test_nothing_is_kept_of_what_fails():
    store = PixelStore()
    with pytest.raises(ZeroDivisionError):
        store.keep("key", lambda: 1 / 0)
    assert store.keep("key", lambda: 3) == 3


def test_contents_name_images_in_any_order():
    frame = pd.DataFrame({"digest": ["b", "a", "c"]})
    assert contents(frame) == contents(frame[::-1])
    others = [frame[:2], frame.loc[[0, 1, 2, 2]], frame.assign(digest=["b", "a", "d"])]
    assert len({contents(frame), *(contents(other) for other in others)}) == 4


def stored(count=12, side=16, seed=0):
    """Real images and as many generated ones in a store without files."""
    store, rng = Pictures(), np.random.default_rng(seed)
    store.side = side
    real, made = scenes(rng, count, side), scenes(rng, count, side)
    return store, store.add(real), store.add(made, role="generated")


def test_smoothing_by_hand():
    store = Pictures()
    store.side = 33
    dot, flat = np.zeros((33, 33)), np.full((33, 33), 0.7)
    dot[16, 16] = 1.0
    frame = store.add([dot, flat])
    vectors = Pixels(blur=2.0).fit(frame, frame, store)
    places = np.arange(33) - 16
    # Keeps its sum; what is farther than four deviations is left out.
    bell = np.where(np.abs(places) <= 8, np.exp(-(places**2) / (2 * 2.0**2)), 0.0)
    bell /= bell.sum()
    for function in (vectors.real, vectors.generated):
        found = function(frame)
        assert found.shape == (2, 33 * 33)
        assert found.dtype == np.float32
        assert found[0].reshape(33, 33) == pytest.approx(np.outer(bell, bell), abs=1e-6)
        assert found[1] == pytest.approx(0.7)


def test_pixels_unsmoothed_are_those_of_the_store():
    store, real, made = stored()
    vectors = PIXELS.fit(real, made, store)
    np.testing.assert_array_equal(vectors.real(real), store.pixels(real))
    assert (PIXELS.name, PIXELS.title) == ("pixels", "pixels")
    assert (Pixels(1.5).name, Pixels(1.5).title) == ("blur1.5", "pixels smoothed by 1.5")
    assert Pixels(2.0).name == "blur2"


def test_all_components_keep_the_distances_of_generated_images():
    store, real, made = stored(count=12)
    vectors = GeneratedComponents(60).fit(real, made, store)
    found = vectors.generated(made)
    assert found.shape == (12, 12)
    assert found.dtype == np.float32
    pixels = store.pixels(made)
    assert cdist(found, found) == pytest.approx(cdist(pixels, pixels), abs=1e-4)
    ((_, block),) = distance_rows(found, found)
    assert block == pytest.approx(cdist(pixels, pixels) / np.sqrt(12), abs=1e-4)


def test_components_are_the_directions_in_which_generated_images_vary():
    store, real, made = stored(count=12)
    found = GeneratedComponents(3).fit(real, made, store).real(real)
    pixels = store.pixels(made).astype("float64")
    directions = np.linalg.svd(pixels - pixels.mean(axis=0))[2][:3]
    expected = (store.pixels(real) - pixels.mean(axis=0)) @ directions.T
    # Either way along a direction.
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-3)


def test_components_are_fitted_once_whatever_the_order():
    store, real, made = stored()
    space = GeneratedComponents(5)
    first = space.fit(real, made, store).real(real)
    asked = len(store.asked)
    np.testing.assert_array_equal(space.fit(real[::-1], made[::-1], store).real(real), first)
    assert len(store.asked) == asked + len(real)
    assert len(store.kept) == 1
    GeneratedComponents(6).fit(real, made, store)
    for generated in (made[1:], real):
        space.fit(real, generated, store)
    assert len(store.kept) == 4
    turned, real, made = stored()
    np.testing.assert_array_equal(space.fit(real, made[::-1], turned).real(real), first)


def test_components_of_one_generated_image_are_finite():
    store, real, made = stored(count=3)
    assert np.isfinite(GeneratedComponents().fit(real, made[:1], store).real(real)).all()
    assert GeneratedComponents(7).title == "7 principal components of the generated images"
