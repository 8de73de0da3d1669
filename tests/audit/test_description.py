"""What was audited, and which images look used most."""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf import demo
from ganfp_tf.audit import description, measure, metrics
from ganfp_tf.audit.description import source
from ganfp_tf.audit.parts import Side
from ganfp_tf.errors import UserError
from tests.helpers.small_cases import opened, write, write_patients


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """10 used patients of two images each and 10 others; one used patient has siblings."""
    root = tmp_path_factory.mktemp("summary")
    data = write_patients(root / "data", 10, 10, per_patient=2, both=1, side=64)
    return opened(data, root / "run", detectors="nearest_pixels")


@pytest.fixture(scope="module")
def images(small):
    return metrics.image_table(small, small.scores("nearest_pixels"))


@pytest.fixture(scope="module")
def entries(small, images):
    return description.riskiest(small, images)


def apart(case, name, other):
    """Root mean square of the gray values of two images, read by Pillow."""
    paths = pd.concat([case.real, case.generated]).set_index("name")["path"]
    one, two = (np.asarray(Image.open(paths[n])).astype(float) / 255.0 for n in (name, other))
    return float(np.sqrt(np.mean((one - two) ** 2)))


def test_counts_sizes_and_digests(small):
    found = description.data(small).to_dict()
    assert found["counts"] == [
        ["used images", 20, 10],
        ["images not used", 20, 10],
        ["siblings", 2, 1],
        ["generated images", 40, None],
    ]
    assert found["sizes"] == [["64x64", 82]]
    assert found["duplicates"] == []
    assert found["unreadable"] == []
    assert any("1 patients have used and not used" in line for line in found["warnings"])
    names = [name for name, _ in found["digests"]]
    assert names == ["used images", "images not used", "siblings", "generated images"]
    contents = [pathlib.Path(path).read_bytes() for path in small.group("sibling")["path"]]
    each = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    assert dict(found["digests"])["siblings"] == hashlib.sha256("".join(each).encode()).hexdigest()


def test_a_digest_hangs_on_neither_names_nor_order(small):
    upside_down = dataclasses.replace(
        small, real=small.real.iloc[::-1].assign(name="x"), generated=small.generated.iloc[::-1]
    )
    assert description.data(upside_down).digests == description.data(small).digests
    fewer = dataclasses.replace(small, generated=small.generated.iloc[1:])
    assert description.data(fewer).digests[-1] != description.data(small).digests[-1]
    assert description.data(fewer).digests[:-1] == description.data(small).digests[:-1]


def doubled(case, real=(), generated=(), verbatim=0):
    """What is said where these files have one content, and some generated ones a real one's."""
    frames = {}
    for name, rows in (("real", real), ("generated", generated)):
        frame = getattr(case, name).copy()
        if len(rows):
            frame.loc[list(rows), "digest"] = frame["digest"][rows[0]]
        frames[name] = frame
    for row in range(verbatim):
        frames["generated"].loc[row, "digest"] = case.real["digest"][row]
    return list(description.data(dataclasses.replace(case, **frames)).duplicates)


def test_sentences_on_files_that_repeat_others(small):
    unused = small.real.index[small.real["group"] == "reference"]
    said = "of the images not used {} another one of them."
    assert doubled(small, real=unused[:2]) == ["1 file " + said.format("repeats")]
    assert doubled(small, real=unused[:4]) == ["3 files " + said.format("repeat")]
    assert doubled(small, generated=[5, 6, 7]) == [
        "2 files of the generated images repeat another one of them."
    ]
    assert doubled(small, verbatim=1) == ["1 generated file is a real one, byte by byte."]
    assert doubled(small, verbatim=2) == ["2 generated files are real ones, byte by byte."]


def test_the_riskiest_come_first_and_are_suspects(small, images, entries):
    scores = [entry.score for entry in entries]
    assert len(entries) == 8
    assert scores == sorted(scores, reverse=True)
    used = images[images["group"] == "suspect"]
    assert scores == sorted(used["score"], reverse=True)[:8]
    assert {entry.name for entry in entries} <= set(used["name"])
    row = used.set_index("name").loc[entries[0].name]
    assert (entries[0].p, entries[0].q) == (row["p"], row["q"])
    assert entries[0].flagged == row["flagged"]
    assert entries[0].patient == row["patient"]


def test_the_nearest_generated_images_are_the_nearest(small, entries):
    for entry in entries[:3]:
        by_hand = sorted((apart(small, entry.name, n), n) for n in small.generated["name"])
        assert [name for name, _, _ in entry.generated] == [name for _, name in by_hand[:3]]
        for (_, distance, gray), (expected, name) in zip(entry.generated, by_hand, strict=False):
            assert distance == pytest.approx(expected, abs=1e-5)
            path = small.generated.set_index("name")["path"][name]
            assert np.array_equal(gray, np.asarray(Image.open(path)))


def test_the_neighbour_is_of_another_patient_and_about_as_far(small, entries):
    for entry in entries:
        name, patient, distance, _ = entry.neighbour
        others = small.real[small.real["patient"] != entry.patient]
        assert patient != entry.patient
        assert name in set(others["name"])
        wanted = entry.generated[0][1]
        gaps = [abs(apart(small, entry.name, other) - wanted) for other in others["name"]]
        assert abs(distance - wanted) == pytest.approx(min(gaps), abs=1e-5)


def test_a_patient_alone_has_no_neighbour(small, images):
    mine = small.real["patient"] == "u0"
    case = dataclasses.replace(small, real=small.real[mine].reset_index(drop=True))
    found = description.riskiest(case, images[images["patient"] == "u0"].reset_index(drop=True))
    assert [entry.neighbour for entry in found] == [None, None]
    assert [row.neighbour for row in description.riskiest_rows(found, "labelled")] == [None, None]


def test_the_list_that_audit_json_holds(entries):
    rows = [row.to_dict() for row in description.riskiest_rows(entries, "reference")]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert rows[0]["group"] == "suspects"
    assert len(rows[0]["generated"]) == 3
    assert set(rows[0]["neighbour"]) == {"name", "patient", "distance"}
    assert description.riskiest_rows(entries, "labelled")[0].group == "used images"


def test_suspects_alone_have_no_p(small, images):
    bare = images.assign(p=np.nan, q=np.nan, flagged=False)
    assert {(entry.p, entry.q) for entry in description.riskiest(small, bare)} == {(None, None)}


def test_best_matches(small, images):
    """Every used image has its own copies; siblings, which are no used images, are matched too."""
    found = description.best_matches(small, images)
    assert list(found.index) == list(images.index)
    assert len(found) == 42
    number = found["best_match"].str.extract(r"made_(\d+)\.png")[0].astype(int)
    used = images["name"].str.startswith("used_")
    expected = images["name"][used].str.extract(r"(\d+)")[0].astype(int)
    # Two noisy copies of each, in order: image n has 2n - 1 and 2n.
    assert ((number[used] + 1) // 2).tolist() == expected.tolist()
    for row in (0, 25, 41):
        name, match = images["name"][row], found["best_match"][row]
        assert found["best_distance"][row] == pytest.approx(apart(small, name, match), abs=1e-5)
    assert (found["best_distance"][used] < 0.03).all()


def test_what_cannot_be_said(small):
    asked = description.question(small)
    assert asked.lost == ()
    assert asked.generated == 40
    assert asked.kind == "labelled"
    alone = dataclasses.replace(small, kind="suspects", real=small.group("suspect"))
    asked = description.question(alone)
    assert asked.reference is None
    assert len(asked.lost) == 3
    assert asked.suspects == Side(20, 10, "suspects")
    assert len(description.question(dataclasses.replace(small, kind="reference")).lost) == 3


def test_files_that_cannot_be_read_are_listed(tmp_path):
    data = write_patients(tmp_path / "data", 4, 4)
    (data / "used_2.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(UserError, match="1 file cannot be read"):
        opened(data, tmp_path / "run")
    case = opened(data, tmp_path / "run", skip_unreadable=True)
    found = description.data(case).to_dict()
    assert found["counts"][0] == ["used images", 3, 3]
    ((path, reason),) = found["unreadable"]
    assert path == str(data / "used_2.png")
    assert reason
    assert "1 file could not be read: left out." in found["warnings"]


def test_scores_that_are_kept_are_those_of_the_same_files_in_the_same_order(tmp_path):
    """Renamed files come in another order: the scores of the first run are not theirs."""
    data = write_patients(tmp_path / "data", 4, 4)

    def scores():
        case = opened(data, tmp_path / "run", detectors="nearest_pixels")
        first = measure.measure(case, measure.StoredResults(case))[0].scores
        table = first.assign(digest=case.tested["digest"]).set_index("digest")
        assert list(first["name"]) == list(case.tested["name"])
        return table["score"].sort_index()

    before = scores()
    renamed = {f"used_{n}.png": f"used_{9 - n}.png" for n in range(1, 5)}
    text = (data / "manifest.csv").read_text()
    for old, new in renamed.items():
        (data / old).rename(data / new)
        text = text.replace(f"{old},", f"{new},")
    (data / "manifest.csv").write_text(text)
    pd.testing.assert_series_equal(scores(), before)


def test_the_neighbour_is_no_copy_of_the_image_itself(tmp_path):
    """The same file under another patient's name is no other person."""
    data = write_patients(tmp_path / "data", 4, 4)
    twin = Image.open(data / "used_1.png")
    write(data, np.asarray(twin)[None], "twin")
    with (data / "manifest.csv").open("a") as file:
        file.write("twin_1.png,real,1,somebody else\n")
    case = opened(data, tmp_path / "run", detectors="nearest_pixels")
    found = description.riskiest(case, metrics.image_table(case, case.scores("nearest_pixels")))
    named = {entry.name: entry.neighbour[0] for entry in found}
    assert named["twin_1.png"] != "used_1.png"
    assert named["used_1.png"] != "twin_1.png"
    assert "1 file of the used images repeats" in description.data(case).duplicates[0]


def test_the_demo_data_is_not_named_by_where_the_package_lies():
    assert source(str(demo.folder())) == ""
    assert source("scans") == "scans"
