"""Walks a tree of folders as people mean it: links followed, hidden files passed over."""

import os
import pathlib
from collections.abc import Iterator


def walk(root: str | os.PathLike[str]) -> Iterator[tuple[pathlib.Path, list[str], list[str]]]:
    """Yields (folder relative to root, names of its folders, names of its files), sorted.

    Hidden folders and files, and what operating systems leave beside others, are passed over.
    Taking a name out of the list of folders keeps the walk out of that folder. Raises `OSError`
    where a folder cannot be listed.
    """

    def refuse(error):
        raise error

    for current, below, files in os.walk(root, followlinks=True, onerror=refuse):
        # Links to folders are followed; a link to a folder above itself would never end.
        above = {os.path.realpath(parent) for parent in pathlib.Path(current).parents}
        if os.path.realpath(current) in above:
            below.clear()
            continue
        below[:] = sorted(name for name in below if not _is_hidden(name))
        seen = sorted(name for name in files if not _is_hidden(name))
        yield pathlib.Path(current).relative_to(root), below, seen


def _is_hidden(name):
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db")
