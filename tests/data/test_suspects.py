"""Images without labels: groups, names, patients, and what contradicts itself."""

import os
import pathlib
import tempfile

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.config.data import DataSettings
from ganfp_tf.data.folders import list_images
from ganfp_tf.data.suspects import open_suspects
from ganfp_tf.errors import UserError
from tests.helpers.broken_inputs import good_folder, png_bytes


def write(folder, names, first=0):
    """Writes one PNG for each name, all different."""
    for seed, name in enumerate(names, start=first):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(seed))


@pytest.fixture
def audit(tmp_path):
    """Writes three plain folders; returns a function that reads them with other settings."""
    write(tmp_path / "made", ["g_10.png", "g_2.png"], 100)
    write(tmp_path / "asked", ["p1_a.png", "p1_b.png", "p2_a.png"], 200)
    write(tmp_path / "unused", ["p8_a.png", "p9_a.png"], 300)
    return lambda **settings: opened(tmp_path, **settings)


def opened(root, *, reference="unused", **changes):
    sources = dict(data=str(root / "made"), suspects=str(root / "asked"))
    sources |= {name: changes.pop(name) for name in sources if name in changes}
    sources["reference"] = str(root / reference) if reference else ""
    return open_suspects(**sources, settings=DataSettings(**changes))


def names(catalog, group):
    return catalog.frame[catalog.frame.group == group]["name"].tolist()


def test_three_plain_folders(audit, capsys):
    frame = (catalog := audit()).frame
    assert list(frame.columns) == [
        *("path", "name", "role", "label", "patient", "part", "group", "digest", "fast"),
        *("height", "width", "side"),
    ]
    assert frame["name"].tolist() == [
        *("g_2.png", "g_10.png", "p1_a.png", "p1_b.png", "p2_a.png", "p8_a.png", "p9_a.png")
    ]
    assert frame.group.tolist() == ["generated"] * 2 + ["suspect"] * 3 + ["reference"] * 2
    assert frame.side.tolist() == [-1, -1, 1, 1, 1, 0, 0]
    assert frame.side.dtype.kind == "i"
    assert frame.role.tolist() == ["generated"] * 2 + ["real"] * 5
    assert set(frame.label) == {-1}
    assert set(frame.part) == {""}
    assert len(catalog.real) == 5
    assert len(catalog.generated) == 2
    assert frame.digest.is_unique
    # Nobody said whose they are: each its own, which a warning tells.
    assert frame.patient.tolist()[:3] == ["", "", "suspect/p1_a.png"]
    assert len(catalog.warnings) == 1
    assert "ganfp: warning: No patients are known" in capsys.readouterr().err


def test_without_a_reference(audit):
    catalog = audit(reference="")
    assert catalog.frame.group.value_counts().to_dict() == {"suspect": 3, "generated": 2}


def test_patients_by_a_pattern_and_siblings(audit, tmp_path):
    write(tmp_path / "unused", ["p2_b.png"], 400)
    catalog = audit(patient_regex="^(p[0-9])_")
    found = catalog.real.set_index("name")
    assert found.patient.tolist() == ["p1", "p1", "p2", "p2", "p8", "p9"]
    assert found.group["p2_b.png"] == "sibling"
    assert found.side["p2_b.png"] == 0
    assert catalog.warnings == (
        "1 patient with images in --suspects and in --reference: p2. What they have in --reference "
        "(1 image) leaves the null (group sibling), for it may resemble what was used.",
    )


def test_a_csv_needs_no_roles_and_its_labels_do_not_count(audit, tmp_path):
    text = "path,patient,label\np2_a.png,x,any word\np1_a.png,y,1\n"
    (tmp_path / "asked" / "manifest.csv").write_text(text)
    (tmp_path / "unused" / "list.csv").write_text("path\np8_a.png\np9_a.png\n")
    catalog = audit(reference="unused/list.csv")
    assert dict(zip(catalog.real["name"], catalog.real.patient, strict=True)) == {
        "p1_a.png": "y",
        "p2_a.png": "x",
        "p8_a.png": "reference/p8_a.png",
        "p9_a.png": "reference/p9_a.png",
    }
    assert catalog.warnings[0].startswith("2 real images have no patient in the manifest")


def test_of_a_data_set_each_flag_takes_its_own(audit, tmp_path):
    victim = good_folder(tmp_path / "victim", used=2, not_used=3, generated=4)
    catalog = audit(data=str(victim))
    assert names(catalog, "generated") == [f"generated_{number}.png" for number in (1, 2, 3, 4)]
    unused = str(victim / "real_not_used")
    catalog = audit(data=str(victim), suspects=str(victim / "real_used"), reference=unused)
    assert catalog.frame.group.value_counts().to_dict() == {
        "generated": 4,
        "suspect": 2,
        "reference": 3,
    }
    rows = [
        ("generated/generated_1.png", "generated", ""),
        ("real_used/real_used_1.png", "real", "1"),
    ]
    pd.DataFrame(rows, columns=["path", "role", "label"]).to_csv(victim / "some.csv", index=False)
    catalog = audit(data=str(victim / "some.csv"))
    assert names(catalog, "generated") == ["generated_1.png"]


def test_generated_images_of_two_parts_are_told(audit, tmp_path):
    write(tmp_path / "two", ["a/generated/g.png", "b/generated/g.png"], 500)
    catalog = audit(data=str(tmp_path / "two"))
    assert names(catalog, "generated") == ["a/generated/g.png", "b/generated/g.png"]
    assert "images of 2 parts are taken for those of one generator" in catalog.warnings[0]


def test_equal_names_of_one_group_become_paths(audit, tmp_path):
    write(tmp_path / "asked", ["x/p1_a.png", "x/y/z.png", "p8_a.png"], 500)
    catalog = audit()
    assert names(catalog, "suspect") == [
        *("p1_a.png", "p1_b.png", "p2_a.png", "p8_a.png", "x/p1_a.png", "z.png")
    ]
    # The same name on the other side is another image of another patient.
    assert names(catalog, "reference") == ["p8_a.png", "p9_a.png"]
    assert catalog.real.patient.is_unique


def test_an_image_without_its_suffix_is_known_by_its_content(audit, tmp_path):
    write(tmp_path / "asked", ["IM0001", "scan.7"], 500)
    for name in (".hidden.png", "LICENSE", "notes.txt", "__MACOSX/a.png"):
        (tmp_path / "asked" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "asked" / name).write_text("no image")
    assert {"IM0001", "scan.7"} < set(names(audit(), "suspect"))
    assert len(audit().real) == 7


def test_what_is_among_the_generated_is_told(audit, tmp_path):
    for name, seed in (("copy_1.png", 200), ("copy_2.png", 300)):
        (tmp_path / "made" / name).write_bytes(png_bytes(seed))
    first, second = [note for note in audit().warnings if "content of a generated one" in note]
    assert first.startswith("1 image of --suspects with the content of a generated one: p1_a.png.")
    assert second.startswith("1 image of --reference")
    assert second.endswith("cannot be unused).")


def break_nothing(root):
    return {}


def remove(name):
    def broken(root):
        for path in (root / name).iterdir():
            path.unlink()

    return broken


def put(name, data):
    return lambda root: (root / name).write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (break_nothing, {"suspects": "nowhere"}, "^--suspects: there is no file or folder .*where"),
        (break_nothing, {"reference": "nowhere"}, "^--reference: there is no file or folder"),
        (break_nothing, {"data": "no\0where"}, "^--data: there is no file or folder"),
        (break_nothing, {"suspects": ""}, "^--suspects is empty: hand in a folder of real images"),
        (remove("asked"), {}, "^--suspects: .*asked holds no real images"),
        (remove("made"), {}, "^--data: .*made holds no generated images"),
        (put("asked/manifest.csv", b"file\na.png\n"), {}, "^--suspects: .*there is no column path"),
        (put("unused/p8_a.png", png_bytes(200)), {}, "hold the same image: p1_a.png and p8_a.png"),
        (lambda root: (root / "unused/p8_a.png").unlink(), {}, r"at least 2 images .* Found 1: "),
        (break_nothing, {"patient_regex": r"^(p)"}, r"Found 0 \(2 of patients of --susp"),
        (break_nothing, {"patient_regex": r"^(p1)"}, "matches nothing in 3 of 5 paths"),
    ],
)
def test_what_is_refused(audit, tmp_path, spoil, changes, message):
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        audit(**changes)


def test_a_file_cannot_be_real_and_generated(audit, tmp_path):
    with pytest.raises(UserError, match=r"--suspects and --data name the same files, such as .*g_"):
        audit(suspects=str(tmp_path / "made"))


def test_all_that_cannot_be_read_is_named_at_once_or_left_out(audit, tmp_path):
    for name in ("made/bad_1.png", "asked/bad_2.png", "unused/bad_3.png"):
        (tmp_path / name).write_bytes(b"text")
    with pytest.raises(UserError) as caught:
        audit()
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("--suspects, --reference, --data: 3 files cannot be read")
    assert [f"bad_{number}.png: not an image" in lines[number] for number in (1, 2, 3)] == [
        True
    ] * 3
    catalog = audit(skip_unreadable=True)
    assert len(catalog.frame) == 7
    assert len(catalog.unreadable) == 3
    assert "3 files could not be read: left out." in catalog.warnings
    for path in (tmp_path / "asked").iterdir():
        path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"^--suspects: none of the images could be read"):
        audit(skip_unreadable=True)


def test_a_name_that_is_not_utf8_is_unreadable(audit, tmp_path):
    with open(os.path.join(os.fsencode(tmp_path / "asked"), b"\xff.png"), "wb") as stream:
        stream.write(png_bytes(9))
    with pytest.raises(UserError, match="its name is not UTF-8"):
        audit()


wild = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
)


@settings(deadline=None, max_examples=25)
@given(st.sets(wild.filter(lambda name: not name.startswith(".")), min_size=2, max_size=4))
def test_any_name_is_one_image_of_its_own_patient(found):
    with tempfile.TemporaryDirectory() as folder:
        for seed, (part, name) in enumerate((p, n) for p in ("asked", "unused") for n in found):
            target = os.path.join(folder, part, f"d{seed % 2}", name + ".png")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as stream:
                stream.write(png_bytes(seed))
        os.makedirs(os.path.join(folder, "made"))
        with open(os.path.join(folder, "made", "g.png"), "wb") as stream:
            stream.write(png_bytes(99))
        catalog = opened(pathlib.Path(folder))
    for group in ("suspect", "reference"):
        assert set(names(catalog, group)) == {name + ".png" for name in found}
    assert catalog.real.patient.is_unique
    assert len(catalog.real) == 2 * len(found)


def test_a_flag_of_its_own_is_named(tmp_path):
    with pytest.raises(UserError, match=r"^--real: .*x holds no real images"):
        (tmp_path / "x").mkdir()
        list_images(tmp_path / "x", flag="--real", role="real")
