import dataclasses
import sys

import pandas as pd
import pytest

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.errors import UserError
from ganfp_tf.runs import run_folder

SPREAD = {"name": ["=a.png", "'=b.png", "c\r.png"], "patient": ["p,1", "'-2", ""]}


def images(**columns):
    """A Catalog's frame of one used, one not used and one generated image."""
    names = columns.get("name", ["a.png", "b.png", "c.png"])
    frame = {
        "path": [f"/data/{name}" for name in names],
        "name": names,
        "role": ["real", "real", "generated"],
        "label": [1, 0, -1],
        "patient": ["p1", "p2", ""],
        "part": ["", "", ""],
        "digest": ["d1", "d2", "d3"],
        "fast": [True, True, False],
        "height": [32, 32, 32],
    }
    return pd.DataFrame({**frame, **columns})


@pytest.fixture
def config(tmp_path):
    return Config(run_dir=str(tmp_path / "run"), data="images", backbone="tiny", epochs=20)


def test_a_fresh_folder_explains_the_run(config, tmp_path):
    folder = run_folder.start(config, images())
    assert folder == tmp_path / "run"
    assert {p.name for p in folder.iterdir()} == {"config.json", "environment.json", "images.csv"}
    assert Config.from_json(folder / "config.json") == config
    environment = files.read_json(folder / "environment.json")
    assert environment == run_folder.environment()
    assert environment["python"] == ".".join(str(n) for n in sys.version_info[:3])
    assert environment["packages"]["pandas"] == pd.__version__
    assert environment["platform"]
    assert environment["processor"]


@pytest.mark.parametrize("columns", [{}, SPREAD], ids=["plain", "awkward names"])
def test_images_come_back_as_they_went_in(config, columns):
    frame = images(**columns)
    read = run_folder.read_images(run_folder.start(config, frame))
    expected = frame.drop(columns="height")
    assert read.columns.tolist() == expected.columns.tolist()
    assert read.to_numpy().tolist() == expected.to_numpy().tolist()
    assert read["label"].dtype == int
    assert read["fast"].dtype == bool


@pytest.mark.parametrize("columns", [{}, SPREAD], ids=["plain", "awkward names"])
def test_the_same_settings_and_images_go_on(config, columns):
    folder = run_folder.start(config, images(**columns))
    (folder / "splits").mkdir()
    place = dataclasses.replace(config, tensorboard=False, embed_batch=8, partners=5)
    # Neither the order of the rows nor where the images lie makes other images of them.
    frame = images(**columns)[::-1].assign(path="/elsewhere")
    assert run_folder.start(place, frame) == folder
    assert (folder / "splits").is_dir()
    assert Config.from_json(folder / "config.json") == place


def test_other_settings_are_refused_by_name(config):
    folder = run_folder.start(config, images())
    other = dataclasses.replace(config, epochs=3, window="40,400", tensorboard=False)
    with pytest.raises(UserError) as caught:
        run_folder.start(other, images())
    message = str(caught.value)
    assert f"--run_dir: {folder} holds a run with other settings" in message
    assert "epochs (was 20, now 3)" in message
    assert "window (was , now 40,400)" in message
    assert "tensorboard" not in message
    assert "--overwrite" in message
    assert Config.from_json(folder / "config.json") == config


@pytest.mark.parametrize(
    "columns",
    [
        {"digest": ["d1", "d2", "d4"]},
        {"label": [1, 1, -1]},
        {"patient": ["p1", "p1", ""]},
        {"role": ["real", "generated", "generated"]},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_other_images_are_refused(config, columns):
    folder = run_folder.start(config, images())
    before = (folder / "images.csv").read_bytes()
    with pytest.raises(UserError, match="made from other images or labels than --data holds now"):
        run_folder.start(config, images(**columns))
    assert (folder / "images.csv").read_bytes() == before


def test_fewer_images_are_refused(config):
    run_folder.start(config, images())
    with pytest.raises(UserError, match="made from other images"):
        run_folder.start(config, images()[:2])


def test_overwrite_removes_what_a_run_writes_and_nothing_else(config, tmp_path):
    folder = run_folder.start(config, images())
    for name in run_folder.WRITTEN:
        if "." not in name:
            (folder / name / "inner").mkdir(parents=True)
        else:
            (folder / name).touch()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "thesis").mkdir()
    run_folder.clear(folder)
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "thesis"}


def test_overwrite_takes_other_settings_and_images(config):
    folder = run_folder.start(config, images())
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "model.keras").touch()
    other = dataclasses.replace(config, epochs=3, overwrite=True)
    run_folder.start(other, images(digest=["x", "y", "z"]))
    assert Config.from_json(folder / "config.json").epochs == 3
    assert run_folder.read_images(folder)["digest"].tolist() == ["x", "y", "z"]
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert not (folder / "model.keras").exists()


def test_overwrite_unlinks_a_link_and_spares_what_it_points_to(config, tmp_path):
    folder = run_folder.start(config, images())
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "log").touch()
    (folder / "tensorboard").symlink_to(tmp_path / "disk")
    run_folder.start(dataclasses.replace(config, overwrite=True), images())
    assert not (folder / "tensorboard").is_symlink()
    assert (tmp_path / "disk" / "log").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_in_the_way_is_a_users_error(config, tmp_path, overwrite):
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    for place in ("run", "run/inner"):
        there = dataclasses.replace(config, run_dir=str(tmp_path / place), overwrite=overwrite)
        with pytest.raises(UserError, match=r"--run_dir: cannot write to .*/run"):
            run_folder.start(there, images())
    assert (tmp_path / "run").read_text(encoding="utf-8") == "a file"


def test_the_folder_has_a_name_of_its_own_or_the_given_one(config):
    assert str(run_folder.folder_of(config)) == config.run_dir
    unnamed = dataclasses.replace(config, run_dir="")
    assert str(run_folder.folder_of(unnamed)) == config.default_run_dir()


def test_require_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*none\. Train first"):
        run_folder.require(tmp_path / "none", "config.json")
    (tmp_path / "config.json").touch()
    run_folder.require(tmp_path, "config.json")
    with pytest.raises(UserError, match=r"has no splits\.csv\. Train first"):
        run_folder.require(tmp_path, "config.json", "splits.csv")


def test_splits_come_back(tmp_path):
    frame = pd.DataFrame(
        {
            "split_id": ["main"],
            "path": ["=x"],
            "role": ["real"],
            "label": [1],
            "patient": ["NA"],
            "split": ["test"],
        }
    )
    files.write_csv(tmp_path / "splits.csv", frame)
    assert run_folder.read_splits(tmp_path).to_numpy().tolist() == frame.to_numpy().tolist()


@pytest.mark.parametrize("content", [b"", b'a,b\n"x'], ids=["empty", "cut"])
def test_a_damaged_table_is_named(tmp_path, content):
    (tmp_path / "images.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"images\.csv cannot be read"):
        run_folder.read_images(tmp_path)


def test_digest_of_a_file(tmp_path):
    # The published SHA-256 test vector of "abc" (FIPS 180-2, appendix B.1).
    (tmp_path / "a").write_bytes(b"abc")
    assert run_folder.digest_of(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
