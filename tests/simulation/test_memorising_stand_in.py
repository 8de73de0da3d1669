"""A generator that memorised by construction: seen by distances, and nothing else is seen."""

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.detectors.registry import make_detector
from ganfp_tf.simulation.memorising_stand_in import stand_in, write_images
from ganfp_tf.statistics.metrics import auc
from tests.helpers.pictures import Pictures, scenes


def known(count=6, side=32, seed=0):
    return np.rint(255 * scenes(np.random.default_rng(seed), count, side)).astype("uint8")


def noise(count, side=32):
    return np.random.default_rng(1).integers(0, 256, (count, side, side)).astype("uint8")


def nearest(made, images):
    rows = images.reshape(len(images), -1).astype(float)
    apart = made.reshape(len(made), 1, -1) - rows
    return (apart**2).mean(axis=2).argmin(axis=1)


@pytest.mark.parametrize("count", [1, 6, 31])
def test_each_source_is_repeated_as_often_give_or_take_one(count):
    images = known()
    made = stand_in(images, count, rng=np.random.default_rng(0))
    assert made.shape == (count, 32, 32)
    assert made.dtype == np.uint8
    # At least 70 percent of it, an image is nearest to its source.
    counts = np.bincount(nearest(made, images), minlength=6)
    assert counts.sum() == count
    assert counts.max() - counts.min() <= 1


def test_the_generator_decides():
    first, again, other = (
        stand_in(known(), 9, rng=np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class Still:
    """Shares of 70 percent, no move, no noise; the last neighbour."""

    def permutation(self, count):
        return np.arange(count)

    def uniform(self, low, high, size=None):
        return low if size is None else np.zeros(size)

    def normal(self, mean, deviation, shape):
        return np.zeros(shape)

    def choice(self, options):
        return options[-1]


def test_a_blend_by_hand():
    """Flat images stay what they are under smoothing: 0.7 * 100 + 0.3 * 200, and back."""
    images = np.stack([np.full((8, 8), value, "uint8") for value in (100, 200)])
    assert (stand_in(images, 1, rng=Still()) == 130).all()
    assert (stand_in(images, 2, rng=Still())[1] == 170).all()
    # Of six others, the five nearest are blended in: the sixth, at 250, is not.
    many = np.stack([np.full((8, 8), v, "uint8") for v in (100, 250, 101, 102, 103, 104, 110)])
    assert (stand_in(many, 1, rng=Still()) == 103).all()
    # Alone, an image is all that there is to draw.
    assert (stand_in(images[:1], 3, rng=Still()) == 100).all()


def test_the_half_it_is_made_of_looks_used_and_the_other_half_does_not():
    """On pictures that differ in nothing: the mean over six draws of 15 + 15 against 30."""
    sees, other = [], []
    for seed in range(6):
        images = known(60, seed=seed)
        made = stand_in(images[:15], 300, rng=np.random.default_rng(seed))
        store = Pictures()
        real, rows = store.add(images / 255.0), store.add(made / 255.0, "generated")
        found = make_detector("calibrated_pixels").fit(real, rows, store).score(real, rows, store)
        labels = np.repeat([1, 0], [15, 30])
        sees.append(auc(labels, np.r_[found[:15], found[30:]]))
        other.append(auc(labels, found[15:]))
    assert min(sees) > 0.99
    # The standard error of one is 0.09, of the mean of six 0.04.
    assert np.mean(other) == pytest.approx(0.5, abs=0.12)


def test_generated_images_become_rows_of_a_catalog(tmp_path):
    images = known(11)
    rows = write_images(tmp_path / "generated", images, "copy")
    assert rows["name"].tolist() == [f"copy_{number}.png" for number in range(1, 12)]
    expected = {"role": "generated", "label": -1, "patient": "", "part": ""}
    assert all((rows[column] == value).all() for column, value in expected.items())
    # A store refuses a file whose digest is another one.
    assert np.array_equal(PixelStore(32).pixels(rows), images.reshape(11, -1) / np.float32(255))
    stamps = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "generated").iterdir()}
    again = write_images(tmp_path / "generated", images, "copy")
    pd.testing.assert_frame_equal(again, rows)
    found = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "generated").iterdir()}
    assert found == stamps
    elsewhere = write_images(tmp_path / "other", images, "copy")
    assert elsewhere.digest.tolist() == rows.digest.tolist()


@pytest.mark.data
def test_on_a_victim(shared_data, tmp_path, capsys):
    """Half of victim_a's members; 8 draws gave 0.54 on average for the other half, 0.50 to 0.58."""
    frame = load_catalog(shared_data / "victim_a", progress=False).frame
    real, store = frame[frame.role == "real"].reset_index(drop=True), PixelStore()

    def gray(rows):
        return np.rint(255 * store.pixels(rows)).astype("uint8").reshape(-1, 64, 64)

    rng = np.random.default_rng(0)
    half, rest = np.split(rng.permutation(np.flatnonzero(real.label == 1)), 2)
    others = np.flatnonzero(real.label == 0)
    images = stand_in(gray(real.iloc[half]), 1000, rng=rng)
    made = write_images(tmp_path, images, "stand_in")
    hidden = real.assign(label=-1)
    found = make_detector("calibrated_pixels").fit(hidden, made, store).score(hidden, made, store)
    labels = np.repeat([1, 0], [35, 70])
    sees, other = (auc(labels, np.r_[found[rows], found[others]]) for rows in (half, rest))
    with capsys.disabled():
        print(f"\nstand-in on victim_a: its half {sees:.3f}, the other half {other:.3f}")
    assert sees > 0.99
    assert 0.35 < other < 0.65
