"""What --shadow names, and what is said where it names something else."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf.config import Config
from ganfp_tf.detectors.shadows.folders import open_shadows, parse_paths
from ganfp_tf.errors import UserError

CONFIG = Config()


def picture(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), shade, "uint8")).save(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shadow_folder(folder, *, shade=10, rows=(("d1", "p", 1), ("d2", "", 0)), on="halves"):
    for number in (1, 2):
        picture(folder / "generated" / f"generated_{number}.png", shade + number)
    pd.DataFrame(rows, columns=["digest", "patient", "seen"]).to_csv(
        folder / "seen.csv", index=False
    )
    record = {"settings": {"shadow_on": on}, "generated": 2}
    (folder / "shadow.json").write_text(json.dumps(record))
    return folder


def data_set(folder, patients=("a", "b", "c")):
    """One used, one not used, one unknown image, and a generated one; returns the digests."""
    rows, digests = [], []
    for number, (label, patient) in enumerate(zip(("1", "0", ""), patients, strict=True)):
        digests.append(picture(folder / f"{number}.png", 50 + number))
        rows.append((f"{number}.png", "real", label, patient))
    picture(folder / "g.png", 90)
    rows.append(("g.png", "generated", "", ""))
    table = pd.DataFrame(rows, columns=["path", "role", "label", "patient"])
    table.to_csv(folder / "manifest.csv", index=False)
    return digests


def candidates(*rows):
    return pd.DataFrame(rows, columns=["digest", "patient"])


def test_a_shadow_folder_and_who_it_saw(tmp_path):
    rows = (("d1", "p", 1), ("d2", "", 0), ("d3", "'=q", 0), ("d4", "", 1))
    (shadow,) = open_shadows(str(shadow_folder(tmp_path / "shadow_0", rows=rows)), CONFIG)
    assert shadow.seen == {"d1", "d4"}
    assert shadow.seen_patients == {"p"}
    assert not shadow.by_label
    assert shadow.known == {"d1", "d2", "d3", "d4"}
    assert shadow.known_patients == {"p", "=q"}
    assert len(shadow.generated) == 2
    # By file, by patient, known and not seen, never heard of; no patient is nobody's patient.
    asked = candidates(("d1", "z"), ("other", "p"), ("d2", ""), ("new", "new"), ("new", ""))
    assert shadow.has_seen(asked).tolist() == [True, True, False, False, False]


def test_a_folder_of_shadows_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 0):
        shadow_folder(tmp_path / "run" / f"shadow_{number}", shade=20 * number)
    shadow_folder(tmp_path / "shadow_5", shade=100, on="not_used")
    found = open_shadows(f"{tmp_path / 'run'}, {tmp_path / 'shadow_5'}", CONFIG)
    names = [shadow.title.rsplit("/", 1)[1] for shadow in found]
    assert names == ["shadow_0", "shadow_2", "shadow_10", "shadow_5"]
    assert [shadow.by_label for shadow in found] == [False, False, False, True]


def test_a_data_set_of_another_generator(tmp_path):
    used, not_used, unknown = data_set(tmp_path / "set")
    (shadow,) = open_shadows(str(tmp_path / "set"), CONFIG)
    assert shadow.seen == {used}
    assert shadow.seen_patients == {"a"}
    assert shadow.known == {used, not_used}
    assert unknown not in shadow.known
    assert len(shadow.generated) == 1


def test_a_set_without_real_images_has_seen_nothing(tmp_path):
    picture(tmp_path / "set" / "generated" / "generated_1.png", 3)
    (shadow,) = open_shadows(str(tmp_path / "set"), CONFIG)
    assert not shadow.has_seen(candidates(("d1", "p"))).any()
    assert not shadow.known


def test_the_unrelated_control_of_a_simulation_saw_none_of_its_images(tmp_path):
    data_set(tmp_path)
    digests = data_set(tmp_path / "unrelated")
    (shadow,) = open_shadows(str(tmp_path / "unrelated"), CONFIG)
    assert not shadow.seen
    assert not shadow.seen_patients
    assert shadow.known == set(digests[:2])


def test_patients_by_regular_expression(tmp_path):
    folder = tmp_path / "set" / "training"
    digest = picture(folder / "real_used" / "p7_1.png", 1)
    picture(folder / "real_not_used" / "p8_1.png", 2)
    picture(folder / "generated" / "g_1.png", 3)
    (plain,) = open_shadows(str(tmp_path / "set"), CONFIG)
    (named,) = open_shadows(str(tmp_path / "set"), Config(patient_regex=r"(p\d)_"))
    assert plain.seen == named.seen == {digest}
    assert not plain.known_patients
    assert named.seen_patients == {"p7"}


def test_an_unreadable_image_is_refused_or_left_out(tmp_path):
    shadow_folder(tmp_path / "shadow_0")
    (tmp_path / "shadow_0" / "generated" / "generated_1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"^--shadow: 1 file cannot be read"):
        open_shadows(str(tmp_path / "shadow_0"), CONFIG)
    (shadow,) = open_shadows(str(tmp_path / "shadow_0"), Config(skip_unreadable=True))
    assert len(shadow.generated) == 1


def unfinished(folder):
    shadow_folder(folder / "shadow_0")
    (shadow_folder(folder / "shadow_1", shade=30) / "shadow.json").unlink()


def fewer_than_asked(folder):
    shadow_folder(folder / "shadow_0")
    (folder / "config.json").write_text('{"shadows": 3}')


def no_column(folder):
    (shadow_folder(folder) / "seen.csv").write_text("digest,seen\nd1,1\n")


def neither(folder):
    (shadow_folder(folder) / "seen.csv").write_text("digest,patient,seen\nd1,p,yes\n")


def no_table(folder):
    (shadow_folder(folder) / "seen.csv").unlink()


def no_json(folder):
    (shadow_folder(folder) / "shadow.json").write_text("{")


def lost(folder):
    (shadow_folder(folder) / "generated" / "generated_2.png").unlink()


def only_real(folder):
    picture(folder / "real_used" / "real_used_1.png", 1)


def plain(folder):
    picture(folder / "samples" / "a.png", 1)


def twice(folder):
    shadow_folder(folder / "shadow_0")
    shadow_folder(folder / "shadow_1")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (unfinished, r"holds 1 finished shadows of 2\. The command that made them goes on"),
        (fewer_than_asked, r"holds 1 finished shadows of 3"),
        (no_column, r"seen\.csv is damaged \(its columns are digest, seen, not digest, patient"),
        (neither, r"seen\.csv is damaged \(seen is not 0 or 1"),
        (no_table, r"seen\.csv is damaged \(.*No such file"),
        (no_json, r"shadow\.json is damaged"),
        (lost, r"is damaged \(1 generated images instead of 2\)"),
        (only_real, r"holds no generated images\. Expected what --mode=simulate --shadows=K made"),
        (plain, r"^--shadow: no folder below .* has a known name"),
        (twice, r"shadow_0 and .*shadow_1 hold the same images"),
    ],
)
def test_mistakes(make, message, tmp_path):
    folder = tmp_path / "it"
    folder.mkdir()
    make(folder)
    with pytest.raises(UserError, match=message):
        open_shadows(str(folder), CONFIG)


def test_an_unfinished_shadow_alone(tmp_path):
    (shadow_folder(tmp_path / "shadow_0") / "shadow.json").unlink()
    with pytest.raises(UserError, match=r"shadow_0 has no shadow\.json: it is not finished"):
        open_shadows(str(tmp_path / "shadow_0"), CONFIG)


def test_paths(tmp_path):
    assert parse_paths("") == []
    assert parse_paths(f" {tmp_path} ,") == [tmp_path]
    with pytest.raises(UserError, match="there is no folder nowhere"):
        parse_paths(f"{tmp_path},nowhere")
    with pytest.raises(UserError, match="name every folder once"):
        parse_paths(f"{tmp_path},{tmp_path}/")
    with pytest.raises(UserError, match="--shadow names no folder"):
        open_shadows("", CONFIG)
