"""--mode=simulate --shadows through main.main, on the smallest generators there are."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.detectors.shadows.folders import open_shadows
from ganfp_tf.modes import simulate
from ganfp_tf.simulation.gan import training
from main import main

SMALL = (
    "--mode=simulate",
    "--shadows=2",
    "--size=32",
    "--generated=6",
    "--channels=4",
    "--latent=8",
    "--steps=4",
    "--gan_batch=4",
)


def ganfp(*words):
    return main(["main.py", *map(str, words)])


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Ten patients with two images each, in the layout of a victim."""
    folder = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(20):
        name = f"scan_{number}.png"
        Image.fromarray(rng.integers(0, 256, (32, 32)).astype("uint8")).save(folder / name)
        rows.append((name, "real", int(number < 10), f"p{number // 2}"))
    table = pd.DataFrame(rows, columns=["path", "role", "label", "patient"])
    table.to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def made(real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    assert ganfp(*SMALL, f"--real={real}", f"--run_dir={folder}") == 0
    return folder


def test_every_shadow_says_what_it_saw(made, real):
    tables = []
    for number in range(2):
        place = made / f"shadow_{number}"
        names = sorted(path.name for path in place.iterdir())
        assert names == ["generated", "seen.csv", "shadow.json", "victim"]
        images = sorted((place / "generated").iterdir())
        assert len(images) == 6
        with Image.open(images[0]) as image:
            assert image.mode == "L"
            assert image.size == (32, 32)
        record = files.read_json(place / "shadow.json")
        assert (record["images"], record["seen"], record["generated"]) == (20, 10, 6)
        assert record["settings"]["shadow_on"] == "halves"
        assert record["last_epoch"]["step"] == 4
        assert record["frechet"] > 0
        tables.append(pd.read_csv(place / "seen.csv"))
        assert list(tables[-1].columns) == ["digest", "patient", "seen"]
        assert str(real) not in (place / "seen.csv").read_text()
    first, second = (frame.set_index("digest").seen for frame in tables)
    assert (first + second == 1).all()
    assert len(first) == 20
    assert (tables[0].groupby("patient").seen.nunique() == 1).all()
    assert not (made / "manifest.csv").exists()
    assert not (made / "test").exists()


def test_what_was_made_can_be_opened(made):
    shadows = open_shadows(str(made), Config())
    assert [shadow.title for shadow in shadows] == [str(made / f"shadow_{n}") for n in (0, 1)]
    first, second = shadows
    assert len(first.seen) == len(second.seen) == 10
    assert not first.seen & second.seen
    assert first.known == first.seen | second.seen
    assert not first.by_label
    assert not first.seen_patients & second.seen_patients
    assert len(first.known_patients) == 10
    assert set(first.generated.role) == {"generated"}


class NoWatch:
    """Stands for the Fréchet distance, which takes longer than these trainings."""

    def __init__(self, members, others):
        assert len(members)
        assert len(others)
        self.reference = 1.0

    def distance(self, generator):
        return 2.0


def test_finished_ones_stay_and_an_interrupted_one_goes_on(
    made, real, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    words = (*SMALL, f"--real={real}", f"--run_dir={folder}")
    monkeypatch.setattr(training, "EPOCH", 2)
    monkeypatch.setattr(simulate, "Fidelity", NoWatch)
    with monkeypatch.context() as patch:
        well, steps = training.callbacks.Progress.on_train_batch_end, []

        def stop(self, batch, logs=None):
            steps.append(batch)
            if len(steps) == 7:
                raise KeyboardInterrupt
            well(self, batch, logs)

        patch.setattr(training.callbacks.Progress, "on_train_batch_end", stop)
        assert ganfp(*words) == 130
    assert not (folder / "shadow_1" / "shadow.json").exists()
    before = (folder / "shadow_0" / "shadow.json").stat().st_mtime_ns
    capsys.readouterr()
    assert ganfp(*words) == 0
    out = capsys.readouterr().out
    assert "shadow 1 of 2: trained earlier on 10 of 20 images" in out
    assert "shadow 2 of 2: trained on 10 of 20 images" in out
    assert (folder / "shadow_0" / "shadow.json").stat().st_mtime_ns == before
    for number in range(2):
        for name in ("seen.csv", "generated/generated_1.png", "generated/generated_6.png"):
            place = f"shadow_{number}/{name}"
            assert (folder / place).read_bytes() == (made / place).read_bytes(), place


def test_other_images_are_refused(made, real, tmp_path, capsys):
    table = pd.read_csv(real / "manifest.csv").iloc[2:]
    table = table.assign(path=[str(real / name) for name in table.path])
    (tmp_path / "other").mkdir()
    table.to_csv(tmp_path / "other" / "manifest.csv", index=False)
    # As if the folder behind the same --real had changed.
    config = Config.from_json(made / "config.json").to_dict() | {"real": str(tmp_path / "other")}
    folder = tmp_path / "run"
    (folder / "shadow_0").mkdir(parents=True)
    files.write_json(folder / "config.json", config)
    record = files.read_json(made / "shadow_0" / "shadow.json")
    files.write_json(folder / "shadow_0" / "shadow.json", record)
    assert ganfp(*SMALL, f"--real={tmp_path / 'other'}", f"--run_dir={folder}") == 2
    assert "was trained on other images than --real gives now" in capsys.readouterr().err


def test_one_on_the_known_non_members(real, tmp_path, monkeypatch):
    monkeypatch.setattr(simulate, "Fidelity", NoWatch)
    folder = tmp_path / "run"
    words = (*SMALL, f"--real={real}", f"--run_dir={folder}", "--notensorboard", "--shadows=1")
    assert ganfp(*words, "--shadow_on=not_used", "--steps=1") == 0
    (shadow,) = open_shadows(str(folder), Config())
    assert shadow.by_label
    assert shadow.seen_patients == {f"p{number}" for number in range(5, 10)}
    assert len(shadow.seen) == 10
    assert len(shadow.known) == 20
    # Made anew as a victim, the folder keeps no shadow.
    plain = [word for word in SMALL if word != "--shadows=2"]
    code = ganfp(
        *plain,
        f"--real={real}",
        f"--run_dir={folder}",
        "--overwrite",
        "--members=4",
        "--non_members=4",
        "--steps=1",
        "--notensorboard",
    )
    assert code == 0
    assert not list(folder.glob("shadow_*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--members=8", "--non_members=9"), "--members and --non_members decide a victim's data"),
        (("--unrelated",), "--unrelated decide a victim's data set"),
        (("--grid=seed=0,1",), "--grid decide a victim's data set"),
        (("--shadows=0", "--grid=shadows=1,2"), "--grid makes victims, no shadows"),
        (("--real=phantom",), "--shadows needs --real=FOLDER"),
        (("--shadow_on=not_used",), "--shadow_on=not_used trains one shadow: say --shadows=1"),
        (("--shadows=0", "--shadow_on=not_used"), "--shadow_on=not_used goes with --shadows"),
        (("--gan_batch=11",), "would see 10 images of its 20"),
        (("--shadow=x",), "--shadow goes with --mode=audit or --mode=benchmark"),
        (("--mode=benchmark", "--data=x"), "go with --mode=simulate"),
    ],
)
def test_mistakes(words, message, real, tmp_path, capsys):
    assert ganfp(*SMALL, f"--real={real}", f"--run_dir={tmp_path / 'run'}", *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_shadow_that_is_not_there_is_refused_at_once(capsys):
    assert ganfp("--mode=benchmark", "--data=x", "--shadow=nowhere") == 2
    assert "--shadow: there is no folder nowhere. Expected what" in capsys.readouterr().err
