"""Pixels of images, and distances in them."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from ganfp_tf.detectors.spaces import PixelStore, distance_rows
from ganfp_tf.errors import UserError


def write(folder, name, values):
    """Writes a PNG and returns its row."""
    path = folder / name
    Image.fromarray(np.asarray(values, "uint8")).save(path)
    return {"path": str(path), "digest": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_gray_is_the_mean_of_the_channels_in_0_to_1(tmp_path):
    colour = np.broadcast_to(np.array([30, 60, 120]), (8, 8, 3))
    frame = pd.DataFrame([write(tmp_path, "a.png", colour)])
    pixels = PixelStore(side=8).pixels(frame)
    assert pixels.shape == (1, 64) and pixels.dtype == np.float32
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
    assert pixels.shape == (1, 256) and pixels == pytest.approx(0.2)


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


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (512, 1024)])
def test_distances_are_root_mean_squares_whatever_the_blocks(rows, columns):
    rng = np.random.default_rng(0)
    left, right = rng.random((5, 12), "float32"), rng.random((7, 12), "float32")
    blocks = list(distance_rows(left, right, rows=rows, columns=columns))
    assert [part.start for part, _ in blocks] == list(range(0, 5, rows))
    found = np.concatenate([block for _, block in blocks])
    assert found == pytest.approx(cdist(left, right) / np.sqrt(12), abs=1e-7)


def test_equal_vectors_are_nearly_0_apart():
    images = np.random.default_rng(0).random((20, 4096), "float32")
    ((_, block),) = distance_rows(images, images)
    assert block.diagonal().max() < 1e-7
