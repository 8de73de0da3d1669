"""Images of one role in whatever is handed in: a data set, a CSV, or a folder of nothing else."""

import os
import pathlib

import pandas as pd

from ganfp_tf.data import layouts
from ganfp_tf.data.layouts import shown
from ganfp_tf.data.walk import walk
from ganfp_tf.errors import UserError


def list_images(data: str | os.PathLike, *, flag: str, role: str) -> pd.DataFrame:
    """Lists the images of one role.

    Args:
        data: a folder in a layout of the task, of which the images of `role` are taken; a CSV or a
            folder with a manifest.csv, whose rows without a column role all have it; or a folder
            without role folders, of which all images have it.
        flag: the flag that `data` came from, for messages.
        role: "real" or "generated".

    Returns:
        DataFrame as `layouts.find_images` gives it.

    Raises:
        UserError: there is no such folder, it cannot be listed, or it has no image of `role`.
    """
    if not str(data):
        raise UserError(f"{flag} is empty: hand in a folder of {role} images, or a CSV.")
    root = pathlib.Path(os.path.abspath(data))
    try:
        frame = _list(root, role)
    except UserError as error:
        # What lists a data set names the flag of data sets.
        raise UserError(str(error).replace("--data:", f"{flag}:", 1)) from error
    except OSError as error:
        raise UserError(f"{flag}: cannot read {shown(str(data))}: {error.strerror}.") from error
    frame = frame[frame.role == role].reset_index(drop=True)
    if frame.empty:
        raise UserError(f"{flag}: {shown(str(root))} holds no {role} images.")
    return frame


def _list(root, role):
    manifest = root / "manifest.csv"
    if root.is_dir() and not manifest.is_file():
        roles = any(layouts.role_of(name) for _, below, _ in walk(root) for name in below)
        return layouts.scan_folder(root) if roles else layouts.scan_plain(root, role)
    table = manifest if root.is_dir() else root
    if not table.is_file():
        raise UserError(f"--data: there is no file or folder {shown(str(root))}.")
    return layouts.read_manifest(table, role)
