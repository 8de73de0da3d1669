"""Whatever is handed in, the answer is a catalog or one UserError that says what is wrong."""

import csv

import pytest

from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.errors import UserError
from tests.helpers.broken_inputs import BROKEN, good_folder, png_bytes

AWKWARD = (
    "a,b.png",
    'quo"te.png',
    "=cmd|'calc'!A1.png",
    "<img src=x onerror=alert(1)>.png",
    "日本語 ü.png",
    "line\nbreak.png",
    "  spaces  .png",
    "-dash.png",
    "%s {0}.png",
    "tab\t.png",
)


@pytest.mark.parametrize(("build", "options"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_broken_input_is_one_clear_message(build, options, tmp_path):
    data, expected = build(tmp_path)
    with pytest.raises(UserError) as caught:
        load_catalog(data, progress=False, **options)
    message = str(caught.value)
    assert expected in message
    # A list of files may follow; the message itself is one line, printable on any terminal.
    assert all(line.isprintable() for line in message.splitlines())
    assert "Traceback" not in message
    assert "object at 0x" not in message


def test_many_unreadable_files_are_listed_together(tmp_path):
    good_folder(tmp_path)
    for number in range(25):
        (tmp_path / "generated" / f"bad_{number}.png").write_bytes(b"text")
    with pytest.raises(UserError) as caught:
        load_catalog(tmp_path, progress=False)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("--data: 25 files cannot be read")
    assert len(lines) == 22
    assert lines[-1] == "  and 5 more"
    assert "bad_0.png: not an image: text" in lines[1]
    assert "bad_19.png" in lines[20]


def test_unreadable_files_can_be_left_out(tmp_path):
    good_folder(tmp_path)
    (tmp_path / "generated" / "bad.png").write_bytes(b"")
    catalog = load_catalog(tmp_path, skip_unreadable=True, progress=False)
    assert len(catalog.generated) == 2
    assert list(catalog.unreadable.reason) == ["the file is empty"]
    assert catalog.unreadable.path[0].endswith("bad.png")
    assert "1 file could not be read: left out." in catalog.warnings


def test_leaving_out_every_used_image_is_refused(tmp_path):
    good_folder(tmp_path, used=1)
    (tmp_path / "real_used" / "real_used_1.png").write_bytes(b"")
    with pytest.raises(UserError, match="no used real images"):
        load_catalog(tmp_path, skip_unreadable=True, progress=False)


def test_awkward_names_survive_a_folder_scan(tmp_path):
    good_folder(tmp_path)
    for seed, name in enumerate(AWKWARD, start=100):
        (tmp_path / "real_used" / name).write_bytes(png_bytes(seed))
    catalog = load_catalog(tmp_path, progress=False)
    assert set(AWKWARD) <= set(catalog.real["name"])
    assert len(catalog.unreadable) == 0


def test_awkward_names_survive_a_manifest(tmp_path):
    good_folder(tmp_path)
    rows = [["path", "role", "label", "patient"]]
    for kind, label in (("real_not_used", "0"), ("generated", "")):
        role = "generated" if kind == "generated" else "real"
        rows += [[f"{kind}/{kind}_{number}.png", role, label, ""] for number in (1, 2)]
    for seed, name in enumerate(AWKWARD, start=100):
        (tmp_path / name).write_bytes(png_bytes(seed))
        rows.append([name, "real", "1", f"patient of {name}"])
    with open(tmp_path / "manifest.csv", "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    used = load_catalog(tmp_path, progress=False).labelled.query("label == 1")
    assert dict(zip(used["name"], used.patient, strict=True)) == {
        name: f"patient of {name}".strip() for name in AWKWARD
    }


def test_at_least_thirty_cases_with_unique_names():
    names = [name for name, _, _ in BROKEN]
    assert len(set(names)) == len(names) >= 30
