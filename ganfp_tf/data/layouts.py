"""Where images lie and what they are: a folder in a layout of the task, or a manifest.

Both give a DataFrame of text columns path (absolute), name, relative (to the data, with / between
its parts), role, part, patient ("" where unknown), and the integer column label.
"""

import csv
import io
import os
import pathlib
import re

import pandas as pd

from ganfp_tf.data import images
from ganfp_tf.data.walk import walk
from ganfp_tf.errors import NO_DATA, UserError

COLUMNS = ["path", "name", "relative", "role", "label", "patient", "part"]
FOLDERS = (
    "real_used (or used), real_not_used (or not_used), real_unknown (or real_unknown_N), "
    "generated (or generated_N)"
)
_ROLE_PATTERNS = (
    (re.compile(r"(real_)?used"), ("real", 1)),
    (re.compile(r"(real_)?not_used"), ("real", 0)),
    (re.compile(r"real_unknown(_[0-9]+)?"), ("real", -1)),
    (re.compile(r"generated(_[0-9]+)?"), ("generated", -1)),
)
_LABEL_WORDS = {
    **dict.fromkeys(("1", "1.0", "used"), 1),
    **dict.fromkeys(("0", "0.0", "not_used", "not used", "unused"), 0),
    **dict.fromkeys(("", "-1", "unknown"), -1),
}
# Only a folder with such a name inside a role folder is reported; any other is looked into.
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"),
    *(".npy", ".dcm", ".nii", ".nii.gz"),
)
_PASSED_OVER = (".txt", ".md", ".csv", ".json")


def natural_key(text: str) -> list[int | str]:
    """A sort key that orders numbers inside text by value: a_2 before a_10."""
    pieces = re.split(r"([0-9]+)", text)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)]


def role_of(folder: str) -> tuple[str, int] | None:
    """The (role, label) that a folder's name says, or None; case does not matter."""
    for pattern, meaning in _ROLE_PATTERNS:
        if pattern.fullmatch(folder.lower()):
            return meaning
    return None


def shown(text: str) -> str:
    """`text` for a message of one line: control characters are escaped."""
    return text if text.isprintable() else ascii(text)


def find_images(data: str | os.PathLike) -> pd.DataFrame:
    """Lists the images of `data`: a manifest, a folder with a manifest.csv, or a folder.

    Raises `UserError` where there is nothing to list; no image is opened.
    """
    if not data:
        raise UserError(NO_DATA)
    root = pathlib.Path(os.path.abspath(data))
    try:
        if root.is_dir():
            manifest = root / "manifest.csv"
            return read_manifest(manifest) if manifest.is_file() else scan_folder(root)
        if root.is_file():
            return read_manifest(root)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"--data: cannot read {shown(str(data))}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"--data: {shown(str(data))} is not a path: {error}.") from error
    raise UserError(
        f"--data: there is no file or folder {shown(str(data))} (looked for {shown(str(root))})."
    )


def scan_folder(root: str | os.PathLike) -> pd.DataFrame:
    """Lists every file below a folder whose name is a role; the innermost such folder decides."""
    root = pathlib.Path(root)
    rows, folders = [], []
    for relative, below, files in walk(root):
        found = _role_on_path(relative.parts)
        folders += [str(relative / name) for name in below]
        if found is None:
            continue
        odd = [name for name in below if name.lower().endswith(IMAGE_SUFFIXES)]
        below[:] = [name for name in below if name not in odd]
        for name in files + odd:
            if name not in odd and name.lower().endswith(_PASSED_OVER):
                continue
            rows.append(_row(root, str(relative / name), *found))
    if rows:
        return _frame(rows)
    if not os.listdir(root):
        raise UserError(f"--data: the folder {shown(str(root))} is empty. Expected {FOLDERS}.")
    if any(role_of(pathlib.Path(name).name) for name in folders):
        raise UserError(f"--data: the folders below {shown(str(root))} hold no images.")
    names = ", ".join(shown(name) for name in folders[:5]) or "no folders"
    more = f" and {len(folders) - 5} more" if len(folders) > 5 else ""
    raise UserError(
        f"--data: no folder below {shown(str(root))} has a known name. Expected {FOLDERS}, or a "
        f"manifest.csv. Found: {names}{more}."
    )


def scan_plain(root: str | os.PathLike, role: str) -> pd.DataFrame:
    """Lists the images below a folder that no name tells apart: all have `role` and label -1.

    Images are files with the suffix of one, or without it but with its content: DICOM files are
    often called IM000001.
    """
    root = pathlib.Path(root)
    rows = [
        _row(root, str(relative / name), role, -1)
        for relative, _, files in walk(root)
        for name in files
        if _is_image(root / relative / name)
    ]
    return _frame(rows).assign(part="")


def read_manifest(path: str | os.PathLike, role: str | None = None) -> pd.DataFrame:
    """Lists the rows of a CSV (UTF-8, commas) with the columns path, role, [label, patient, part].

    Paths are relative to the CSV's folder. A role is real or generated, or one of the folder names
    of the layouts, which fixes the label. Labels of generated rows are not looked at. Row numbers
    in messages count the header as row 1.

    Args:
        path: of the CSV.
        role: of all rows where there is no column role; labels are then not looked at. None: there
            must be one.
    """
    path = pathlib.Path(path)
    header, cells = _read_rows(path)
    wanted = ("path",) if role else ("path", "role")
    missing = [name for name in wanted if name not in header]
    if missing:
        found = ", ".join(shown(name) for name in header)
        raise UserError(
            f"{_named(path)}: there is no column {' and no column '.join(missing)}. Expected the "
            f"columns path, role, label, patient, separated by commas. Found: {found}."
        )
    first_row: dict[str, int]
    rows, first_row = [], {}
    for number, values in cells:
        entry = dict(zip(header, values, strict=True))
        where = f"{_named(path)}, row {number}"
        if not entry["path"]:
            raise UserError(f"{where}: the path is empty.")
        kind, label = (role, -1)
        if "role" in header:
            kind, label = _meaning(entry["role"], entry.get("label", ""), where)
        row = _row(path.parent, entry["path"], kind, label)
        if row["path"] in first_row:
            raise UserError(
                f"{where}: {shown(entry['path'])} is in row {first_row[row['path']]} already; "
                "name every file once."
            )
        first_row[row["path"]] = number
        row["part"] = entry.get("part", row["part"]).strip()
        row["patient"] = entry.get("patient", "").strip() if kind == "real" else ""
        rows.append(row)
    if not rows:
        raise UserError(f"{_named(path)}: there are no rows below the header.")
    return _frame(rows)


def _read_rows(path):
    """The header and the rows, each with its number, of a CSV that keeps every cell as text."""
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{_named(path)} is in UTF-16: save the CSV as UTF-8.")
    kind = images.recognise(content)
    if kind:
        raise UserError(
            f"--data: {shown(str(path))} is an image ({kind}): expected a folder or a CSV with the "
            "columns path, role, label, patient."
        )
    try:
        text = content.decode("utf-8-sig")
        # pandas would fill short rows and move long ones; the csv module lets both be refused.
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise UserError(f"{_named(path)} is not UTF-8 text: save the CSV as UTF-8.") from error
    except csv.Error as error:
        raise UserError(f"{_named(path)} is not a CSV: {error}.") from error
    if not lines or not any(lines):
        raise UserError(
            f"{_named(path)} is empty: expected the columns path, role, label, patient."
        )
    header = [name.strip().lower() for name in lines[0]]
    doubled = next((name for name in header if header.count(name) > 1 and name), None)
    if doubled:
        raise UserError(f"{_named(path)}: the column {shown(doubled)} occurs twice.")
    rows = [(number, line) for number, line in enumerate(lines[1:], start=2) if line]
    for number, line in rows:
        if len(line) != len(header):
            raise UserError(
                f"{_named(path)}, row {number}: {len(line)} cells under a header of {len(header)}. "
                "A name with a comma needs quotes around it."
            )
    return header, rows


def _meaning(role, label, where):
    """The role and label of a manifest's cells."""
    word = role.strip().lower()
    fixed = ("real", -1) if word == "unknown" else role_of(word)
    if word != "real" and fixed is None:
        raise UserError(
            f"{where}: unknown role {role!r}. Expected real or generated (or real_used, "
            "real_not_used, real_unknown)."
        )
    if fixed and fixed[0] == "generated":
        return fixed
    value = _LABEL_WORDS.get(label.strip().lower())
    if value is None:
        raise UserError(
            f"{where}: unknown label {label!r}. Expected 1 (used), 0 (not used) or nothing "
            "(unknown)."
        )
    if fixed is None:
        return "real", value
    if value not in (-1, fixed[1]):
        raise UserError(
            f"{where}: the role {role!r} and the label {label!r} contradict each other."
        )
    return fixed


def _frame(rows):
    # As objects: pandas' text type refuses names that are not UTF-8, which are reported later.
    frame = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    return frame.astype({"label": "int64"})


def _row(root, relative, role, label):
    path = os.path.normpath(root / relative)
    # An absolute path of a manifest is told relative to the manifest as well.
    parts = pathlib.PurePath(os.path.relpath(path, root)).parts
    above = [index for index, part in enumerate(parts[:-1]) if role_of(part)]
    return {
        "path": path,
        "name": parts[-1],
        "relative": "/".join(parts),
        "role": role,
        "label": label,
        "patient": "",
        "part": "/".join(parts[: above[-1]]) if above else "",
    }


def _is_image(path):
    if path.name.lower().endswith(IMAGE_SUFFIXES):
        return True
    if path.name.lower().endswith(_PASSED_OVER) or not path.is_file():
        return False
    with open(path, "rb") as stream:
        return images.recognise(stream.read(512)) is not None


def _role_on_path(parts):
    return next((role_of(part) for part in reversed(parts) if role_of(part)), None)


def _named(path):
    return f"--data: {shown(str(path))}"
