import numpy as np
import pandas as pd
import pytest

from ganfp_tf.data import layouts
from ganfp_tf.data.catalog import load_catalog, select
from ganfp_tf.errors import UserError
from tests.helpers.broken_inputs import good_folder, npy_bytes, png_bytes


def load(data, **options):
    return load_catalog(data, progress=False, **options)


def write(folder, files):
    """Writes one PNG for each name, all different."""
    for seed, name in enumerate(files, start=500):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(seed))


def manifest(folder, text):
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("real_used", ("real", 1)),
        ("Used", ("real", 1)),
        ("not_used", ("real", 0)),
        ("real_not_used", ("real", 0)),
        ("real_unknown", ("real", -1)),
        ("REAL_UNKNOWN_12", ("real", -1)),
        ("generated", ("generated", -1)),
        ("generated_2", ("generated", -1)),
        ("generated_x", None),
        ("unused", None),
        ("real_used_1", None),
        ("real", None),
    ],
)
def test_folder_names(name, meaning):
    assert layouts.role_of(name) == meaning


def test_natural_order():
    names = ["a_10.png", "a_2.png", "a_1b.png", "a_1.png", "b.png", "10.png", "9.png"]
    assert sorted(names, key=layouts.natural_key) == [
        *("9.png", "10.png", "a_1.png", "a_1b.png", "a_2.png", "a_10.png", "b.png")
    ]


def test_layout_of_2025(tmp_path):
    catalog = load(good_folder(tmp_path, used=11, not_used=3, generated=2))
    assert list(catalog.frame.columns) == [
        *("path", "name", "role", "label", "patient", "part", "digest", "fast", "height", "width")
    ]
    used = catalog.real[catalog.real.label == 1]
    assert list(used["name"]) == [f"real_used_{number}.png" for number in range(1, 12)]
    assert list(catalog.generated.index) == [0, 1]
    assert (catalog.generated.patient == "").all()
    assert len(catalog.labelled) == 14
    assert len(catalog.unknown) == 0
    assert catalog.frame.fast.all()
    assert set(catalog.frame.width) == {16}
    assert catalog.frame.digest.str.fullmatch("[0-9a-f]{64}").all()
    # Nobody said who the patients are: one each, and one warning.
    assert catalog.real.patient.nunique() == 14
    assert len(catalog.warnings) == 1
    assert "independent images" in catalog.warnings[0]


def test_layout_of_2023_with_a_test_part(tmp_path):
    write(
        tmp_path,
        [
            *("dev/used/used_0001.png", "dev/not_used/not_used_0001.png"),
            *("dev/generated/generated_0001.png", "test/generated_1/generated_00001.png"),
            "test/real_unknown_1/real_unknown_0001.png",
        ],
    )
    train, predict = load(tmp_path), load(tmp_path, need="predict")
    assert list(train.generated["name"]) == ["generated_0001.png"]
    assert set(train.frame.part) == {"dev"}
    assert set(predict.frame.part) == {"test"}
    assert list(predict.unknown["name"]) == ["real_unknown_0001.png"]
    assert list(predict.generated["name"]) == ["generated_00001.png"]


def test_select_takes_all_generated_images_where_the_parts_have_none():
    frame = pd.DataFrame(
        {
            "role": ["real", "real", "generated", "generated", "real"],
            "label": [1, 0, -1, -1, -1],
            "part": ["a", "a", "b", "c", "c"],
        }
    )
    assert list(select(frame, "train").index) == [0, 1, 2, 3]
    assert list(select(frame, "predict").index) == [3, 4]
    with pytest.raises(ValueError, match="need"):
        select(frame, "evaluate")


def test_innermost_folder_decides_and_the_rest_is_passed_over(tmp_path):
    good_folder(tmp_path / "x")
    write(tmp_path, ["x/generated/set/real_used/inner.png", "x/other/nothing.png"])
    for name in (".hidden.png", "notes.TXT", "a.md", "b.csv", "c.json", "Thumbs.db"):
        (tmp_path / "x" / "real_used" / name).write_bytes(b"text")
    (tmp_path / "x" / "real_used" / "__MACOSX").mkdir()
    (tmp_path / "x" / "real_used" / "__MACOSX" / "z.png").write_bytes(b"text")
    catalog = load(tmp_path)
    inner = catalog.real[catalog.real["name"] == "inner.png"].iloc[0]
    assert inner.label == 1
    assert inner.part == "x/generated/set"
    assert len(catalog.frame) == 7
    assert "nothing.png" not in set(catalog.frame["name"])


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    good_folder(tmp_path / "store")
    (tmp_path / "data").mkdir()
    for name in ("real_used", "real_not_used", "generated"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "real_used" / "loop").symlink_to(tmp_path / "data")
    assert len(load(tmp_path / "data").frame) == 6


def test_manifest_words_labels_and_parts(tmp_path):
    names = [f"{letter}.png" for letter in "abcdefghi"]
    write(tmp_path, ["deep/real_used/z.png", *names])
    text = (
        "\ufeffPath,Role,Label,Patient,extra\n"
        "a.png,real,1,p1,\nb.png,real,1.0,p1,\nc.png,real,used,p2,\n\n"
        "d.png,real,0,p3,\ne.png, REAL ,not_used,p4,\nf.png,real_not_used,,p5,\n"
        "deep/real_used/z.png,used,1,NA,\n"
        "g.png,real,,p6,\nh.png,unknown,,p7,\ni.png,generated,0,p8,\n"
    )
    path = manifest(tmp_path, text)
    catalog = load(path)
    labels = dict(zip(catalog.real["name"], catalog.real.label, strict=True))
    assert labels == {
        **dict.fromkeys(("a.png", "b.png", "c.png", "z.png"), 1),
        **dict.fromkeys(("d.png", "e.png", "f.png"), 0),
    }
    last = catalog.real[catalog.real["name"] == "z.png"].iloc[0]
    assert last.part == "deep"
    assert last.patient == "NA"
    assert catalog.generated.patient[0] == ""
    assert catalog.warnings == ()
    assert set(load(path, need="predict").unknown["name"]) == {"g.png", "h.png"}


def test_a_manifest_in_the_folder_comes_before_folder_names(tmp_path):
    good_folder(tmp_path, used=5, not_used=5, generated=5)
    (tmp_path / "manifest.csv").write_text(
        "path,role,label\nreal_used/real_used_1.png,real,0\n"
        "real_not_used/real_not_used_1.png,real,1\ngenerated/generated_1.png,generated,\n"
    )
    catalog = load(tmp_path)
    assert len(catalog.frame) == 3
    assert catalog.real.set_index("name").label.to_dict() == {
        "real_used_1.png": 0,
        "real_not_used_1.png": 1,
    }


def test_parts_tell_equal_names_apart(tmp_path):
    write(tmp_path, ["u/1.png", "n/1.png", "g.png"])
    rows = "path,role,label,part\nu/1.png,real,1,a\nn/1.png,real,0,{}\ng.png,generated,,a\n"
    assert len(load(manifest(tmp_path, rows.format("b"))).real) == 2
    with pytest.raises(UserError, match=r"two real images have the same name: n/1.png and u/1.png"):
        load(manifest(tmp_path, rows.format("a")))


def test_patient_regex(tmp_path):
    write(tmp_path, ["used/p1_a.png", "used/p1_b.png", "not_used/p2_a.png", "generated/g.png"])
    grouped = load(tmp_path, patient_regex="/(p[0-9])_")
    assert list(grouped.real.patient) == ["p1", "p1", "p2"]
    catalog = load(tmp_path, patient_regex="p[0-9]+")
    assert catalog.real.set_index("name").patient.to_dict() == {
        "p1_a.png": "p1",
        "p1_b.png": "p1",
        "p2_a.png": "p2",
    }
    assert catalog.warnings == ()


def test_empty_patients_of_a_manifest(tmp_path):
    write(tmp_path, ["a1.png", "b2.png", "c3.png", "g.png"])
    path = manifest(
        tmp_path,
        "path,role,label,patient\na1.png,real,1,P\nb2.png,real,0,\nc3.png,real,0, \n"
        "g.png,generated,,\n",
    )
    catalog = load(path)
    assert list(catalog.real.patient) == ["P", "b2.png", "c3.png"]
    assert catalog.warnings[0].startswith("2 real images have no patient in the manifest")
    # A regular expression fills only what the manifest leaves open.
    assert list(load(path, patient_regex="[0-9]").real.patient) == ["P", "2", "3"]


def test_a_copy_among_generated_images_is_a_finding(tmp_path):
    good_folder(tmp_path)
    (tmp_path / "generated" / "copy.png").write_bytes(png_bytes(0))
    note = load(tmp_path).warnings[-1]
    assert note == (
        "1 generated images are verbatim copies of real ones: "
        "generated/copy.png = real_used/real_used_1.png."
    )


def test_one_image_of_two_patients_and_patients_on_both_sides(tmp_path):
    good_folder(tmp_path)
    (tmp_path / "real_used" / "again.png").write_bytes(png_bytes(0))
    path = manifest(
        tmp_path,
        "path,role,label,patient\nreal_used/real_used_1.png,real,1,A\nreal_used/again.png,real,1,B\n"
        "real_not_used/real_not_used_1.png,real,0,A\ngenerated/generated_1.png,generated,,\n",
    )
    first, second = load(path).warnings
    assert "different patients: real_used/again.png (B), real_used/real_used_1.png (A)" in first
    assert second == "1 patients have used and not used images: A."


def test_slow_files_are_marked(tmp_path):
    good_folder(tmp_path)
    array = np.arange(180, dtype=np.uint8).reshape(9, 20)
    (tmp_path / "generated" / "z.npy").write_bytes(npy_bytes(array))
    row = load(tmp_path).generated.iloc[-1]
    assert not row.fast
    assert (row.height, row.width) == (9, 20)


def test_progress_goes_to_stderr(tmp_path, capsys):
    load_catalog(good_folder(tmp_path), progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "reading images" in captured.err
    assert "6/6" in captured.err


@pytest.mark.data
@pytest.mark.parametrize(
    ("victim", "need", "counts"),
    [
        ("victim_a", "train", (70, 70, 0, 4000)),
        ("victim_a", "predict", (0, 0, 60, 1000)),
        ("victim_b", "train", (200, 200, 0, 4000)),
        ("victim_b", "predict", (0, 0, 200, 1000)),
    ],
)
def test_victims(shared_data, victim, need, counts):
    by_manifest = load(shared_data / victim, need=need)
    folder = "training" if need == "train" else "test"
    by_folder = load(shared_data / victim / folder, need=need)
    for catalog in (by_manifest, by_folder):
        label = catalog.real.label
        found = ((label == 1).sum(), (label == 0).sum(), len(catalog.unknown))
        assert (*found, len(catalog.generated)) == counts
        assert catalog.frame.fast.all()
        assert set(catalog.frame.height) == {64}
    assert by_manifest.warnings == ()
    assert len(by_folder.warnings) == 1
    assert list(by_manifest.frame["name"]) == list(by_folder.frame["name"])
    assert list(by_manifest.frame.digest) == list(by_folder.frame.digest)
    if need == "train":
        assert by_manifest.real.patient.nunique() == sum(counts[:2])
