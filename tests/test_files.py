import json
import os
import stat
import tempfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ganfp_tf import files


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_exception_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), files.atomic_path(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "old"
    assert left_in(tmp_path) == ["a.txt"]


def test_the_old_file_stands_until_the_block_ends(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_text("old", encoding="utf-8")
    with files.atomic_path(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
        assert temporary.suffixes[-2:] == [".tar", ".gz"]
        assert temporary.parent == tmp_path
    assert path.read_text(encoding="utf-8") == "new"
    assert left_in(tmp_path) == ["a.tar.gz"]


def test_a_folder_in_the_way_is_an_os_error_and_stays(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write_text(tmp_path / "a.txt", "new")
    assert left_in(tmp_path) == ["a.txt"]


def test_parents_are_made_and_text_is_utf8(tmp_path):
    files.write_text(tmp_path / "b" / "c" / "a.txt", "Größe\n")
    assert (tmp_path / "b" / "c" / "a.txt").read_bytes() == "Größe\n".encode()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "a.txt", "x")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_json_of_numpy_and_of_what_is_not_finite(tmp_path):
    value = {
        "nan": float("nan"),
        "inf": [float("inf"), -np.inf],
        "scalars": (np.int64(3), np.float32(0.5), np.bool_(True), np.float16("nan")),
        "array": np.array([[1.0, np.nan], [np.inf, 2.0]]),
        "zero_d": np.array(4),
        "text": np.str_("Größe"),
        "none": None,
        7: "a number as a key",
    }
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == {
        "nan": None,
        "inf": [None, None],
        "scalars": [3, 0.5, True, None],
        "array": [[1.0, None], [None, 2.0]],
        "zero_d": 4,
        "text": "Größe",
        "none": None,
        "7": "a number as a key",
    }
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert "Größe" in text
    assert text.endswith("}\n")


NUMBERS = st.floats() | st.integers() | st.floats(width=32).map(np.float32)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(VALUES)
def test_json_can_always_be_read_strictly(value):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    with tempfile.TemporaryDirectory() as folder:
        files.write_json(f"{folder}/a.json", value)
        with open(f"{folder}/a.json", encoding="utf-8") as handle:
            json.load(handle, parse_constant=refuse)


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        ("a.png", "a.png"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("'=x", "''=x"),
        ("''-x", "'''-x"),
        ("'quoted'", "'quoted'"),
        ("", ""),
        (-1.5, -1.5),
        (None, None),
    ],
)
def test_cells_that_a_spreadsheet_would_run(plain, escaped):
    assert files.escape_cell(plain) == escaped
    assert files.unescape_cell(escaped) == plain


# What file names and patients may hold: all but NUL and what UTF-8 cannot write.
AWKWARD = st.text(st.sampled_from("'=+-@\t\r\n,;\" aé漢<&"), max_size=6)
CELLS = AWKWARD | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6
)


@given(CELLS)
def test_no_text_cell_starts_a_formula_and_every_one_comes_back(text):
    escaped = files.escape_cell(text)
    assert escaped[:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert files.unescape_cell(escaped) == text


@settings(deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=5))
@example(["=HYPERLINK(1)", "'=x", 'a,"b"\nc', "<b>&amp;</b>", "漢字.png"])
@example(["a\rb", "a\r\nb", "\r", "\n"])
@example(["NA", "nan", "", " ", "007", "1e3", "True"])
def test_csv_gives_every_name_back(names):
    frame = pd.DataFrame({"name": names, "row": range(len(names))})
    with tempfile.TemporaryDirectory() as folder:
        files.write_csv(f"{folder}/a.csv", frame)
        read = pd.read_csv(f"{folder}/a.csv", dtype=str, keep_default_na=False)
    assert list(read.columns) == ["name", "row"]
    assert read["name"].map(files.unescape_cell).tolist() == names
    assert read["row"].tolist() == [str(row) for row in range(len(names))]
    assert frame["name"].tolist() == names


def test_csv_leaves_numbers_alone(tmp_path):
    frame = pd.DataFrame({"score": [-1.5, float("nan")], "used": [True, False], "n": [-1, 2]})
    files.write_csv(tmp_path / "a.csv", frame)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == (
        "score,used,n\n-1.5,True,-1\n,False,2\n"
    )


def test_csv_of_no_rows_has_a_header(tmp_path):
    files.write_csv(tmp_path / "a.csv", pd.DataFrame({"path": [], "reason": []}))
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "path,reason\n"
