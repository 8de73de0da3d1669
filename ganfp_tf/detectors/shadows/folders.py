"""What `--shadow` names: generated sets of other GANs, and which real images those saw."""

import dataclasses
import pathlib
import re

import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.config.data import DataSettings
from ganfp_tf.data import layouts
from ganfp_tf.data.catalog import assign_patients, describe_unreadable, read_all
from ganfp_tf.data.images import ImageReader
from ganfp_tf.errors import UserError

SHADOW = re.compile(r"shadow_([0-9]+)")  # folders of --mode=simulate --shadows
SEEN = ["digest", "patient", "seen"]
EXPECTED = (
    "Expected what --mode=simulate --shadows=K made, one of its folders shadow_N, or a folder with "
    "a subfolder generated"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Shadow:
    """A generated set, and what is known of the real images its generator saw.

    Attributes:
        title: its path, for people.
        generated: path, name, role, label, patient, part, digest of its images.
        seen: digests (SHA-256 of files) of the images it was trained on.
        seen_patients: their patients, where known.
        known: digests of all images of which is known whether it saw them.
        known_patients: their patients, where known.
        by_label: whether it was trained on those images because of their labels.
    """

    title: str
    generated: pd.DataFrame = dataclasses.field(repr=False)
    seen: frozenset = dataclasses.field(default=frozenset(), repr=False)
    seen_patients: frozenset = dataclasses.field(default=frozenset(), repr=False)
    known: frozenset = dataclasses.field(default=frozenset(), repr=False)
    known_patients: frozenset = dataclasses.field(default=frozenset(), repr=False)
    by_label: bool = False

    def has_seen(self, frame: pd.DataFrame) -> np.ndarray:
        """(len(frame),) bool: it was trained on the image, or on another one of the patient.

        What it knows nothing of it has not seen.
        """
        patients = self.seen_patients - {""}
        return (frame["digest"].isin(self.seen) | frame["patient"].isin(patients)).to_numpy()


def parse_paths(text: str) -> list[pathlib.Path]:
    """Reads folders separated by commas.

    Raises:
        UserError: a name without a folder behind it, or one folder twice.
    """
    paths = [pathlib.Path(part.strip()) for part in text.split(",") if part.strip()]
    for path in paths:
        if not path.is_dir():
            raise UserError(f"--shadow: there is no folder {layouts.shown(str(path))}. {EXPECTED}.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError(f"--shadow: name every folder once. Received: {text!r}")
    return paths


def open_shadows(text: str, settings: DataSettings) -> tuple[Shadow, ...]:
    """Reads the folders that `--shadow` names.

    A path is a folder shadow_N, a folder of such folders, or a data set of another generator in a
    layout of the task. That one's generator saw the real images labelled used and their patients,
    not those labelled not used; of a set without real images it is taken that it saw none of those
    to be scored. The members of such a set must have been drawn without regard to the labels that
    are asked for. A simulation's `unrelated` saw none of the images listed beside it.

    Args:
        text: paths, separated by commas.
        settings: says how files are read: patient_regex, window, nifti_slice, skip_unreadable.

    Returns:
        tuple of `Shadow`, at least one, in the order of the paths.

    Raises:
        UserError: nothing is named; a folder is missing, unfinished, damaged or without generated
            images; two hold the same images.
    """
    shadows = []
    for path in parse_paths(text):
        shadows += [_open(folder, settings) for folder in _folders(path)]
    if not shadows:
        raise UserError(f"--shadow names no folder. {EXPECTED}. Received: {text!r}")
    first: dict[tuple[str, ...], Shadow] = {}
    for shadow in shadows:
        other = first.setdefault(tuple(sorted(shadow.generated["digest"])), shadow)
        if other is not shadow:
            raise UserError(
                f"--shadow: {other.title} and {shadow.title} hold the same images. Name every "
                "generator once."
            )
    return tuple(shadows)


def _folders(path):
    """The folders of single shadows that a path stands for."""
    numbered = {
        int(SHADOW.fullmatch(found.name)[1]): found
        for found in path.iterdir()
        if found.is_dir() and SHADOW.fullmatch(found.name)
    }
    found = [numbered[number] for number in sorted(numbered)]
    asked = _asked(path)
    if not found and not asked:
        return [path]
    done = [folder for folder in found if (folder / "shadow.json").is_file()]
    if len(done) < max(len(found), asked):
        raise UserError(
            f"--shadow: {layouts.shown(str(path))} holds {len(done)} finished shadows of "
            f"{max(len(found), asked)}. The command that made them goes on where it stopped; or "
            "name the finished ones, separated by commas."
        )
    return done


def _asked(path):
    """How many shadows a run folder was to hold; 0 where it is none."""
    try:
        return int(files.read_json(path / "config.json").get("shadows", 0))
    except (OSError, ValueError, TypeError, AttributeError):
        return 0


def _open(path, settings):
    if (path / "shadow.json").is_file():
        return _trained(path, settings)
    if SHADOW.fullmatch(path.name):
        raise UserError(
            f"--shadow: {layouts.shown(str(path))} has no shadow.json: it is not finished. The "
            "command that made it goes on where it stopped."
        )
    return _data_set(path, settings)


def _trained(path, settings):
    """A folder shadow_N."""
    table = _read_seen(path / "seen.csv")
    try:
        record = files.read_json(path / "shadow.json")
        by_label, count = record["settings"]["shadow_on"] == "not_used", record["generated"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path / "shadow.json", f"{type(error).__name__} {error}") from error
    generated = _generated(path, _listed(path), settings)
    if len(generated) != count and not settings.skip_unreadable:
        raise _damaged(path, f"{len(generated)} generated images instead of {count}")
    mine = table["seen"] == "1"
    return Shadow(
        str(path),
        generated,
        frozenset(table["digest"][mine]),
        _named(table["patient"][mine]),
        frozenset(table["digest"]),
        _named(table["patient"]),
        by_label,
    )


def _data_set(path, settings):
    """A data set in a layout of the task."""
    listed = _listed(path)
    generated = _generated(path, listed, settings)
    real = listed[(listed["role"] == "real") & (listed["label"] >= 0)].reset_index(drop=True)
    if not len(real):
        return Shadow(str(path), generated)
    if settings.patient_regex:
        real, _ = assign_patients(real, settings.patient_regex)
    real = _with_digests(real, settings)
    mine = real["label"] == 1
    if path.name == "unrelated" and (path.parent / "manifest.csv").is_file():
        # Its labels are those of the victim above it, for which it is the control.
        mine &= False
    return Shadow(
        str(path),
        generated,
        frozenset(real["digest"][mine]),
        _named(real["patient"][mine]),
        frozenset(real["digest"]),
        _named(real["patient"]),
    )


def _listed(path):
    try:
        return layouts.find_images(str(path))
    except UserError as error:
        raise UserError(_ours(error)) from error


def _generated(path, listed, settings):
    rows = listed[listed["role"] == "generated"].reset_index(drop=True)
    if not len(rows):
        raise UserError(
            f"--shadow: {layouts.shown(str(path))} holds no generated images. {EXPECTED}."
        )
    columns = ["path", "name", "role", "label", "patient", "part", "digest"]
    frame = _with_digests(rows, settings)[columns].infer_objects()
    if not len(frame):
        raise UserError(
            f"--shadow: none of the generated images of {layouts.shown(str(path))} can be read."
        )
    return frame


def _with_digests(frame, settings):
    """Adds digests; what cannot be read is refused, or left out with --skip_unreadable."""
    read = read_all(frame["path"], reader=ImageReader.of(settings))
    failed = (read["reason"] != "").to_numpy()
    if failed.any() and not settings.skip_unreadable:
        unreadable = pd.DataFrame({"path": frame["path"], "reason": read["reason"]})[failed]
        raise UserError(_ours(describe_unreadable(unreadable)))
    return frame.assign(digest=read["digest"])[~failed].reset_index(drop=True)


def _read_seen(path):
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False).map(files.unescape_cell)
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if list(table.columns) != SEEN:
        raise _damaged(path, f"its columns are {', '.join(table.columns)}, not {', '.join(SEEN)}")
    if not table["seen"].isin(("0", "1")).all():
        raise _damaged(path, "seen is not 0 or 1 in every row")
    return table


def _damaged(path, what):
    return UserError(
        f"--shadow: {layouts.shown(str(path))} is damaged ({what}). Remove that shadow's folder "
        "and let the command that made it go on."
    )


def _named(patients):
    return frozenset(patients) - {""}


def _ours(message):
    return str(message).replace("--data", "--shadow", 1)
