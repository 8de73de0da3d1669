"""Writing files so that an interrupted run leaves either the old file or the new one."""

import contextlib
import csv
import json
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# What a spreadsheet may run, and the same behind apostrophes, so that escaping can be undone.
FORMULA = re.compile(r"'*[=+\-@\t\r]")


@contextlib.contextmanager
def atomic_path(path: str | pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; renames it to `path` when the block ends well.

    The temporary name keeps the suffixes of `path`, because writers choose their format by them.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".tmp-", suffix="-" + path.name, dir=path.parent)
    os.close(handle)
    try:
        yield pathlib.Path(name)
        # mkstemp makes files private to the user; a result is as readable as the umask allows.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    finally:
        pathlib.Path(name).unlink(missing_ok=True)


def write_text(path: str | pathlib.Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | pathlib.Path, value: Any) -> None:
    """Writes `value` to `path` as indented JSON, atomically; a non-finite number becomes null."""
    write_text(
        path, json.dumps(json_ready(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def read_json(path: str | pathlib.Path) -> Any:
    """Reads a JSON file."""
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def write_csv(path: str | pathlib.Path, frame: "pd.DataFrame") -> None:
    """Writes a pandas DataFrame to `path` without its index, atomically.

    Text cells that a spreadsheet would run as a formula get a leading apostrophe, as OWASP's page
    on CSV injection advises.
    """
    safe = frame.copy()
    for column in safe.columns:
        if not _is_number(safe[column]):
            safe[column] = [escape_cell(value) for value in safe[column]]
    # The csv module leaves a lone carriage return bare, and a reader would end the row there.
    returns = any("\r" in cell for cell in safe.to_numpy().ravel() if isinstance(cell, str))
    with atomic_path(path) as temporary:
        safe.to_csv(
            temporary, index=False, quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
        )


def escape_cell(value: Any) -> Any:
    """Puts an apostrophe before text that a spreadsheet would run as a formula."""
    return "'" + value if isinstance(value, str) and FORMULA.match(value) else value


def unescape_cell(value: Any) -> Any:
    """Undoes `escape_cell`."""
    escaped = isinstance(value, str) and value[:1] == "'" and FORMULA.match(value)
    return value[1:] if escaped else value


def _is_number(series):
    return series.dtype.kind in "biufc"


def json_ready(value: Any) -> Any:
    """`value` as JSON has it: lists for tuples and arrays, None for numbers that are not finite."""
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    elif hasattr(value, "tolist"):
        return json_ready(value.tolist())
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value
