"""A folder or a manifest -> Catalog: one checked row an image. No TensorFlow."""

import concurrent.futures
import dataclasses
import hashlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ganfp_tf import progress as bars
from ganfp_tf.config.data import DataSettings
from ganfp_tf.data import images
from ganfp_tf.data.checks import check_content, check_names, check_need
from ganfp_tf.data.images import DEFAULT_READER, ImageReader
from ganfp_tf.data.layouts import find_images, natural_key, shown
from ganfp_tf.errors import UserError

LISTED = 20
OnImage = Callable[[str, np.ndarray], None]


@dataclasses.dataclass(frozen=True)
class Catalog:
    """The images of a data set, in natural order.

    Attributes:
        frame: one row an image: path (absolute), name (of the file), role ("real", "generated"),
            label (1 used, 0 not used, -1 unknown or generated), patient ("" for generated), part
            (the folders above the role's folder), digest (SHA-256, hex), fast (bool: decodable in
            graph), height, width (pixels).
        unreadable: path and reason of the files that were left out.
        warnings: what the user should know, one sentence each.
    """

    frame: pd.DataFrame
    unreadable: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def real(self) -> pd.DataFrame:
        """Rows of real images."""
        return self._rows(self.frame.role == "real")

    @property
    def generated(self) -> pd.DataFrame:
        """Rows of generated images."""
        return self._rows(self.frame.role == "generated")

    @property
    def labelled(self) -> pd.DataFrame:
        """Rows of real images known to be used or not used."""
        return self._rows((self.frame.role == "real") & (self.frame.label >= 0))

    @property
    def unknown(self) -> pd.DataFrame:
        """Rows of real images without a label."""
        return self._rows((self.frame.role == "real") & (self.frame.label < 0))

    def _rows(self, mask):
        return self.frame[mask].reset_index(drop=True)


def open_catalog(
    data: str, settings: DataSettings, need: str, on_image: OnImage | None = None
) -> Catalog:
    """Reads the images of `data` for "train" or "predict"; its warnings go to stderr.

    Args:
        data: as in `load_catalog`.
        settings: how images are read.
        need: as in `load_catalog`.
        on_image: as in `load_catalog`.
    """
    catalog = load_catalog(
        data,
        patient_regex=settings.patient_regex,
        skip_unreadable=settings.skip_unreadable,
        reader=ImageReader.of(settings),
        need=need,
        on_image=on_image,
    )
    for warning in catalog.warnings:
        print(f"ganfp: warning: {warning}", file=sys.stderr)
    return catalog


def load_catalog(
    data: str | os.PathLike,
    *,
    patient_regex: str = "",
    skip_unreadable: bool = False,
    reader: ImageReader = DEFAULT_READER,
    need: str = "train",
    progress: bool = True,
    on_image: OnImage | None = None,
) -> Catalog:
    """Lists, selects, reads and checks the images of `data`.

    Args:
        data: a CSV, a folder with a manifest.csv, or a folder in the layouts of the task.
        patient_regex: its first group (else the whole match), searched in a file's path relative
            to the data, is the patient of a real image whose manifest names none.
        skip_unreadable: leave out what cannot be read instead of stopping.
        reader: reads the images.
        need: "train" (used, not used and generated images) or "predict" (unknown and generated).
        progress: show a progress bar on stderr.
        on_image: called with the digest and the (H, W, 3) pixels of every image, in threads.

    Returns:
        A Catalog.

    Raises:
        UserError: nothing is found, a file cannot be read, or the data contradict themselves.
    """
    frame = select(find_images(data), need)
    check_need(frame, need, data)
    keys = [
        (role, natural_key(part), natural_key(name), path)
        for role, part, name, path in zip(
            frame.role, frame.part, frame["name"], frame.path, strict=True
        )
    ]
    order = sorted(range(len(frame)), key=keys.__getitem__)
    frame = frame.iloc[order].reset_index(drop=True)
    check_names(frame)
    frame, notes = assign_patients(frame, patient_regex)
    frame, unreadable, lost = with_contents(
        frame, skip_unreadable=skip_unreadable, reader=reader, progress=progress, on_image=on_image
    )
    notes += lost
    if len(unreadable):
        check_need(frame, need, data)
    notes += check_content(frame)
    frame = frame.drop(columns="relative").infer_objects()
    return Catalog(frame, unreadable, tuple(notes))


def select(frame: pd.DataFrame, need: str) -> pd.DataFrame:
    """Keeps the rows that a purpose needs.

    For "train" the labelled real images, for "predict" the unknown ones, and with them the
    generated images of the same parts; all generated images where those parts have none. The 2023
    task's test part comes from another generator than its training part, and a real image can only
    be judged against the generator that may have seen it.
    """
    if need not in ("train", "predict"):
        raise ValueError(f"need must be 'train' or 'predict'. Received: need={need!r}")
    known = frame.label >= 0
    real = (frame.role == "real") & (known if need == "train" else ~known)
    generated = frame.role == "generated"
    near = generated & frame.part.isin(set(frame.part[real]))
    return frame[real | (near if near.any() else generated)]


def assign_patients(frame: pd.DataFrame, patient_regex: str) -> tuple[pd.DataFrame, list[str]]:
    """Fills the column patient; returns the frame and a list of warnings.

    A manifest's patient comes first, then `patient_regex`, else an image is its own patient, named
    by its relative path, which no other image has.
    """
    open_rows = (frame.role == "real") & (frame.patient == "")
    if patient_regex:
        try:
            pattern = re.compile(patient_regex)
        except re.error as error:
            raise UserError(
                f"--patient_regex is not a regular expression: {error}. Received: {patient_regex!r}"
            ) from error
        found = [_first_group(pattern, text) for text in frame.relative]
        lost = [
            shown(text)
            for text, patient, needed in zip(frame.relative, found, open_rows, strict=True)
            if needed and not patient
        ]
        if lost:
            raise UserError(
                f"--patient_regex matches nothing in {len(lost)} of {int(open_rows.sum())} paths, "
                f"such as {', '.join(lost[:3])}. Received: {patient_regex!r}"
            )
        patients = pd.Series(found, index=frame.index, dtype=object)
        return frame.assign(patient=frame.patient.where(~open_rows, patients)), []
    if not open_rows.any():
        return frame, []
    filled = frame.assign(patient=frame.patient.where(~open_rows, frame.relative))
    if (frame.patient != "").any():
        note = (
            f"{int(open_rows.sum())} real images have no patient in the manifest: each counts as a "
            "patient of its own."
        )
    else:
        note = (
            "No patients are known: every image counts as its own patient, and intervals then "
            "assume independent images. Say --patient_regex, or add a column patient."
        )
    return filled, [note]


def _first_group(pattern, text):
    match = pattern.search(text)
    if not match:
        return ""
    return (match.group(1) if pattern.groups else match.group(0)) or ""


def with_contents(
    frame: pd.DataFrame,
    *,
    skip_unreadable: bool = False,
    reader: ImageReader = DEFAULT_READER,
    progress: bool = True,
    flags: str = "--data",
    on_image: OnImage | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Reads the files of `frame` and adds what `read_all` finds in them.

    Args:
        frame: DataFrame with path.
        skip_unreadable: as in `load_catalog`.
        reader: reads the images.
        progress: show a progress bar on stderr.
        on_image: as in `load_catalog`.
        flags: where the files come from, for the message.

    Returns:
        The rows that could be read with digest, fast, height and width; a DataFrame of path and
        reason of the others; a list of warnings.

    Raises:
        UserError: names all files that cannot be read, unless `skip_unreadable`.
    """
    read = read_all(frame.path, reader=reader, progress=progress, on_image=on_image)
    frame = pd.concat([frame.reset_index(drop=True), read], axis=1)
    failed = frame.reason != ""
    unreadable = frame.loc[failed, ["path", "reason"]].reset_index(drop=True)
    # A name that is not UTF-8 could be neither printed nor written into a report.
    unreadable["path"] = [_writable(path) for path in unreadable.path]
    if len(unreadable) and not skip_unreadable:
        raise UserError(describe_unreadable(unreadable, flags))
    count = len(unreadable)
    many = f"{count} {'file' if count == 1 else 'files'}"
    notes = [f"{many} could not be read: left out."] if count else []
    return frame[~failed].drop(columns="reason").reset_index(drop=True), unreadable, notes


def read_all(
    paths: Sequence[str] | pd.Series,
    *,
    reader: ImageReader = DEFAULT_READER,
    progress: bool = True,
    on_image: OnImage | None = None,
) -> pd.DataFrame:
    """Reads every file once; returns a frame with digest, fast, height, width, reason.

    The reason is empty if the file could be read. Arguments as in `load_catalog`.
    """

    def read(path):
        row = {"digest": "", "fast": False, "height": 0, "width": 0, "reason": ""}
        try:
            path.encode("utf-8")
            data = images.read_bytes(path)
            pixels = reader.decode(data)
        except images.ImageError as error:
            return {**row, "reason": str(error)}
        except UnicodeEncodeError:
            return {**row, "reason": "its name is not UTF-8: rename it"}
        digest, fast = hashlib.sha256(data).hexdigest(), images.is_fast(data)
        if on_image:
            on_image(digest, pixels)
        return {
            **row,
            "digest": digest,
            "fast": fast,
            "height": len(pixels),
            "width": len(pixels[0]),
        }

    rows = []
    workers = min(8, os.cpu_count() or 1)
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        # What libraries warn of (odd tags, missing headers) either becomes a reason or is harmless.
        warnings.simplefilter("ignore")
        try:
            results = pool.map(read, paths)
            with bars.bar(len(paths), "reading images", "image", progress) as bar:
                for row in results:
                    rows.append(row)
                    bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pd.DataFrame(rows, columns=["digest", "fast", "height", "width", "reason"])


def describe_unreadable(unreadable: pd.DataFrame, flags: str = "--data") -> str:
    """One message for all files that cannot be read: the first `LISTED` with their reasons."""
    count = len(unreadable)
    lines = [
        f"  {shown(path)}: {shown(reason)}"
        for path, reason in unreadable.head(LISTED).itertuples(index=False)
    ]
    if count > LISTED:
        lines.append(f"  and {count - LISTED} more")
    head = f"{count} {'file' if count == 1 else 'files'} cannot be read"
    return (
        f"{flags}: {head} (repair or remove them, or go on without them: --skip_unreadable):\n"
        + "\n".join(lines)
    )


def _writable(text):
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
