"""The task's run files, and scoring a file of predictions against a file of truth."""

import csv
import io
import math
import numbers
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ganfp_tf.data.layouts import natural_key
from ganfp_tf.errors import UserError
from ganfp_tf.files import unescape_cell, write_text

# Only known endings are cut off: what follows the last dot of a DICOM UID is part of the id.
_ENDING = re.compile(r"\.(png|jpe?g|bmp|tiff?|gif|npy|dcm|dicom|nii|nii\.gz)$", re.IGNORECASE)
_NAME_HEADERS = ("name", "image", "image_id", "image_name", "filename", "file", "id", "path")
_VALUE_HEADERS = ("prediction", "decision", "predicted")
# A file of two columns may call its answers so too; in a wider one (scores.csv) a label is truth.
_TWO_COLUMN_HEADERS = (*_VALUE_HEADERS, "label", "class", "used", "value")


def stem(name: str) -> str:
    """The last part of a path without the ending of an image file."""
    return _ENDING.sub("", _base(name))


def _base(name):
    return re.split(r"[/\\]", str(name))[-1]


# Year of the task -> what stands for an image in a run file.
RUN_FORMS = {"2023": stem, "2025": _base}


def submission_lines(names: Sequence[str], decisions: Sequence[Any], year: str) -> list[str]:
    """Lines of a run file of that year's task, without a header, in natural order.

    "2023": `real_unknown_0001,0`; "2025": `real_unknown_1.png,1`.

    Args:
        names: file names or paths.
        decisions: 0 or 1 each, as integers.
        year: "2023" or "2025".
    """
    if year not in RUN_FORMS:
        raise UserError(f"--submission must be one of {', '.join(RUN_FORMS)}. Received: {year!r}")
    names, decisions = list(names), list(decisions)
    if len(names) != len(decisions):
        raise ValueError(f"Received {len(names)} names and {len(decisions)} decisions.")
    if not names:
        raise UserError("A run file needs at least one image, found none.")
    lines = {}
    for name, decision in zip(names, decisions, strict=True):
        key = RUN_FORMS[year](name)
        # A comma, quote or line break would need quoting, which the task's readers do not expect.
        if not key.strip() or re.search(r'[,"\x00-\x1f\x7f\u0085\u2028\u2029]', key):
            raise UserError(
                "A run file cannot hold an empty name or one with a comma, quote or control "
                f"character. Rename the image {str(name)!r}."
            )
        if key in lines:
            raise UserError(
                f"A run file names every image once. Received twice: {key!r} (folders"
                f"{' and endings' if year == '2023' else ''} do not count)."
            )
        # numpy's bool is not a numbers.Integral.
        integral = isinstance(decision, numbers.Integral) or type(decision).__name__ == "bool"
        if not integral or int(decision) not in (0, 1):
            raise UserError(f"A decision must be 0 or 1. Received: {decision!r} for {key!r}")
        lines[key] = int(decision)
    return [f"{key},{lines[key]}" for key in sorted(sorted(lines), key=natural_key)]


def write_submission(
    path: pathlib.Path, names: Sequence[str], decisions: Sequence[Any], year: str
) -> None:
    """Writes `submission_lines` to `path`, atomically."""
    write_text(path, "\n".join(submission_lines(names, decisions, year)) + "\n")


def read_predictions(path: str | os.PathLike) -> pd.DataFrame:
    """Reads a predictions.csv of ganfp or a run file of either year, with or without a header.

    Returns:
        DataFrame of name, decision (0 or 1) and score (nan where the file has none).
    """
    expected = "two columns: a name and 0 or 1, or a header with name, prediction and score"
    rows = _read_rows(path, expected)
    columns = _prediction_columns(path, rows)
    if columns is None:
        columns, width = {"name": 0, "decision": 1}, 2
    else:
        width = len(rows.pop(0)[1])
    if not rows:
        raise UserError(f"{path}: expected {expected}; found a header and no rows.")
    seen: dict[str, int]
    seen, records = {}, []
    for line, cells in rows:
        _check_width(path, line, cells, width)
        name = _read_name(path, line, cells[columns["name"]], seen)
        decision = _read_binary(path, line, cells[columns["decision"]], "prediction")
        score = math.nan
        if "score" in columns:
            score = _read_score(path, line, cells[columns["score"]])
        records.append((name, decision, score))
    return pd.DataFrame(records, columns=["name", "decision", "score"])


def read_truth(path: str | os.PathLike) -> pd.DataFrame:
    """Reads a CSV with the columns name, label (0 or 1) and optionally patient and group.

    A simulation's truth has the group "sibling" for unseen images of used patients.

    Returns:
        DataFrame of name, label, patient, group; without a patient column each image is its own
        patient, without a group column all groups are "".
    """
    expected = "a header with the columns name, label and optionally patient and group"
    rows = _read_rows(path, expected)
    header = [cell.strip().lower() for cell in rows[0][1]]
    if (
        header.count("name") != 1
        or header.count("label") != 1
        or (max(header.count("patient"), header.count("group")) > 1)
    ):
        raise UserError(f"{path}, line {rows[0][0]}: expected {expected}; found {rows[0][1]}.")
    if len(rows) == 1:
        raise UserError(f"{path}: expected rows after the header, found none.")
    seen: dict[str, int]
    seen, records = {}, []
    for line, cells in rows[1:]:
        _check_width(path, line, cells, len(header))
        name = _read_name(path, line, cells[header.index("name")], seen)
        label = _read_binary(path, line, cells[header.index("label")], "label")
        patient = stem(name)
        if "patient" in header:
            patient = unescape_cell(cells[header.index("patient")].strip())
            if not patient:
                raise UserError(
                    f"{path}, line {line}: the patient is empty. Name it, or remove the column if "
                    "no patients are known."
                )
        group = cells[header.index("group")].strip() if "group" in header else ""
        records.append((name, label, patient, group))
    return pd.DataFrame(records, columns=["name", "label", "patient", "group"])


def join(predictions: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Puts predictions beside the truth, by file stem.

    Args:
        predictions: what `read_predictions` returns.
        truth: what `read_truth` returns.

    Returns:
        DataFrame of name, patient, label, group, decision, score in the order of `truth`; the
        score is the decision where the predictions have none.
    """
    frames = {"predictions": predictions, "truth": truth}
    stems: dict[str, Any] = {
        what: [stem(name) for name in frame["name"]] for what, frame in frames.items()
    }
    for what, keys in stems.items():
        if len(set(keys)) < len(keys):
            raise UserError(
                f"The {what} name an image twice: "
                + _some(sorted({key for key in keys if keys.count(key) > 1}, key=natural_key))
            )
    problems = []
    for what, other, verb in (
        ("truth", "predictions", "have no"),
        ("predictions", "truth", "has no"),
    ):
        absent = set(stems[what]) - set(stems[other])
        if absent:
            named = _some(sorted(absent, key=natural_key))
            problems.append(
                f"the {other} {verb} {len(absent)} of the {len(stems[what])} images in the "
                f"{what}: {named}"
            )
    if problems:
        raise UserError(
            f"Predictions and truth must name the same images; {'; '.join(problems)}. Hand in one "
            "prediction for each image of the truth and no other."
        )
    order = pd.Index(stems["predictions"]).get_indexer(stems["truth"])
    found = predictions.iloc[order].reset_index(drop=True)
    joined = truth[["name", "patient", "label", "group"]].reset_index(drop=True)
    decision = found["decision"].astype("int64")
    score = found["score"].astype("float64")
    return joined.assign(decision=decision, score=score.fillna(decision.astype("float64")))


def _read_rows(path, expected):
    """The rows of a CSV that are not empty, as (line number, cells); at least one."""
    try:
        raw = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: not UTF-8 text. Save the file as CSV in UTF-8."
        ) from error
    rows = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not a readable CSV: {error}.") from error
    if not rows:
        raise UserError(f"{path}: expected {expected}; the file is empty.")
    return rows


def _prediction_columns(path, rows):
    """Places of name, decision and score in a header, or None where the file has none."""
    line, cells = rows[0]
    header = [cell.strip().lower() for cell in cells]
    if any(cell in ("0", "1") for cell in header[1:2]):
        return None
    places = {}
    answers = _TWO_COLUMN_HEADERS if len(header) == 2 else _VALUE_HEADERS
    wanted = {"name": _NAME_HEADERS, "decision": answers, "score": ("score",)}
    for what, words in wanted.items():
        places[what] = next((header.index(word) for word in words if word in header), None)
    places = {what: place for what, place in places.items() if place is not None}
    if not places:
        return None
    if len(header) == 2 and "score" not in places:
        return {"name": 0, "decision": 1} | {
            what: place for what, place in places.items() if len(places) == 2
        }
    if "name" not in places or "decision" not in places:
        raise UserError(
            f"{path}, line {line}: expected a header with the columns name and prediction; found "
            f"{cells}."
        )
    return places


def _check_width(path, line, cells, width):
    if len(cells) != width:
        raise UserError(
            f"{path}, line {line}: expected {width} columns separated by commas, found "
            f"{len(cells)}."
        )


def _read_name(path, line, cell, seen):
    name = unescape_cell(cell.strip())
    if not stem(name):
        raise UserError(f"{path}, line {line}: the name of the image is empty.")
    if stem(name) in seen:
        raise UserError(
            f"{path}, line {line}: {name!r} was named in line {seen[stem(name)]} already. Each "
            "image may be named once (folders and endings do not count)."
        )
    seen[stem(name)] = line
    return name


def _read_binary(path, line, cell, what):
    if cell.strip() not in ("0", "1"):
        hint = " If this line is a header, name its columns name,prediction." if line == 1 else ""
        raise UserError(f"{path}, line {line}: the {what} must be 0 or 1, found {cell!r}.{hint}")
    return int(cell)


def _read_score(path, line, cell):
    try:
        score = float(unescape_cell(cell.strip()))
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise UserError(f"{path}, line {line}: the score must be a finite number, found {cell!r}.")
    return score


def _some(names, limit=5):
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")
