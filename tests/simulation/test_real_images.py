import pathlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf.config import Config
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.data.images import DEFAULT_READER
from ganfp_tf.errors import UserError
from ganfp_tf.simulation import real_images
from ganfp_tf.simulation.real_images import read_squares


def config(real, **changes):
    return Config(mode="simulate", real=str(real), gan_batch=4, members=4, **changes)


def open_pool(settings):
    return real_images.open_pool(settings.section(VictimSettings), settings.patient_regex)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(image, "uint8")).save(path)


def test_a_plain_folder_in_natural_order(tmp_path):
    for name in ("p2/slice_10.png", "p2/slice_9.png", "p1/a.png", "notes.txt"):
        if name.endswith("png"):
            write(tmp_path / name, np.zeros((8, 8)))
        else:
            (tmp_path / name).write_text("no image")
    frame = open_pool(config(tmp_path))
    assert frame.relative.tolist() == ["p1/a.png", "p2/slice_9.png", "p2/slice_10.png"]
    # Nothing says whose they are: each is its own patient.
    assert frame.patient.tolist() == frame.relative.tolist()
    frame = open_pool(config(tmp_path, patient_regex=r"(p\d)/"))
    assert frame.patient.tolist() == ["p1", "p2", "p2"]


def test_of_a_data_set_only_the_real_images_whatever_their_label(tmp_path):
    for role in ("real_used", "real_not_used", "real_unknown", "generated"):
        write(tmp_path / "training" / role / f"{role}_1.png", np.zeros((8, 8)))
    frame = open_pool(config(tmp_path))
    assert sorted(path.split("/")[-1] for path in frame.path) == [
        "real_not_used_1.png",
        "real_unknown_1.png",
        "real_used_1.png",
    ]


def test_a_manifest_says_whose_they_are(tmp_path):
    for name in ("a.png", "b.png", "g.png"):
        write(tmp_path / name, np.zeros((8, 8)))
    table = {"path": ["b.png", "a.png", "g.png"], "role": ["real", "real", "generated"]}
    table |= {"label": ["1", "0", ""], "patient": ["x", "x", ""]}
    pd.DataFrame(table).to_csv(tmp_path / "manifest.csv", index=False)
    frame = open_pool(config(tmp_path))
    assert frame.relative.tolist() == ["a.png", "b.png"]
    assert set(frame.patient) == {"x"}


def test_phantoms_are_rendered_once_and_shared(tmp_path):
    asked = dict(size=32, slices=2, phantom_dir=str(tmp_path / "phantoms"))
    few = open_pool(config("phantom", non_members=4, **asked))
    assert few.patient.nunique() == 8
    assert len(few) == 16
    stamps = {path: pathlib.Path(path).stat().st_mtime_ns for path in few.path}
    more = open_pool(config("phantom", non_members=5, **asked))
    assert more.patient.nunique() == 9
    assert set(few.path) < set(more.path)
    assert {path: pathlib.Path(path).stat().st_mtime_ns for path in few.path} == stamps
    # What another simulation has rendered beyond what this one takes is not taken.
    again = open_pool(config("phantom", non_members=4, **asked))
    pd.testing.assert_frame_equal(again, few)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, r"there is no folder .*nothing\. Expected phantom, or a folder"),
        (lambda root: root.mkdir(), "holds no real images"),
        (lambda root: write(root / "generated" / "g.png", np.zeros((8, 8))), "holds no real"),
    ],
)
def test_what_is_no_pool(tmp_path, make, message):
    make(tmp_path / "nothing")
    with pytest.raises(UserError, match=message):
        open_pool(config(tmp_path / "nothing"))


def test_squares_by_hand(tmp_path):
    # The central square of a wide image, each pixel the mean of 2 x 2.
    image = np.zeros((64, 96))
    image[:, 16:48] = 100
    image[:, :16] = image[:, 80:] = 255
    write(tmp_path / "wide.png", image)
    write(tmp_path / "colour.png", np.full((32, 32, 3), (30, 60, 90)))
    found = read_squares([str(tmp_path / "wide.png")], 32, DEFAULT_READER)
    assert found.shape == (1, 32, 32)
    assert found.dtype == np.uint8
    assert (found[0, :, :15] == 100).all()
    assert (found[0, :, 17:] == 0).all()
    found = read_squares([str(tmp_path / "colour.png")], 32, DEFAULT_READER)
    assert (found == 60).all()


def test_what_cannot_be_read_is_named(tmp_path):
    write(tmp_path / "good.png", np.zeros((8, 8)))
    bad = [tmp_path / f"bad_{number}.png" for number in range(7)]
    for path in bad:
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"7 of 8 images cannot be read") as caught:
        read_squares([*map(str, bad), str(tmp_path / "good.png")], 32, DEFAULT_READER)
    assert "bad_4.png" in str(caught.value)
    assert "and 2 more" in str(caught.value)


def test_another_phantom_seed_is_another_population(tmp_path):
    asked = dict(size=32, slices=1, non_members=4, phantom_dir=str(tmp_path))
    first, other = (open_pool(config("phantom", phantom_seed=seed, **asked)) for seed in (0, 1))
    assert first.patient.tolist() == other.patient.tolist()
    one, two = (read_squares(frame.path, 32, DEFAULT_READER) for frame in (first, other))
    assert (one != two).mean(axis=(1, 2)).min() > 0.1
    # Who is a member is drawn by --seed: the patients stay the same.
    again = open_pool(config("phantom", seed=5, **asked))
    assert again.path.tolist() == first.path.tolist()
