"""Suspects, perhaps a reference, and generated images without labels -> Catalog. No TensorFlow."""

import sys

import pandas as pd

from ganfp_tf.config.data import DataSettings
from ganfp_tf.data.catalog import Catalog, OnImage, assign_patients, with_contents
from ganfp_tf.data.checks import check_suspects
from ganfp_tf.data.folders import list_images
from ganfp_tf.data.images import ImageReader
from ganfp_tf.data.layouts import natural_key

GENERATED, REFERENCE, SIBLING, SUSPECT = "generated", "reference", "sibling", "suspect"
FLAGS = {SUSPECT: "--suspects", REFERENCE: "--reference", GENERATED: "--data"}
SIDES = {SUSPECT: 1, REFERENCE: 0, SIBLING: 0, GENERATED: -1}


def open_suspects(
    data: str,
    suspects: str,
    reference: str,
    settings: DataSettings,
    on_image: OnImage | None = None,
) -> Catalog:
    """Reads the images of an audit without labels; its warnings go to stderr.

    Each source is a folder or a CSV as `folders.list_images` takes it; labels are not looked at.
    Without role folders or a column role, all images of `data` are generated, those of the others
    real. A patient found in both is one.

    Args:
        data: the generated images.
        suspects: the real images in question.
        reference: real images that are known to be unused; "": none.
        settings: how images are read.
        on_image: as in `load_catalog`.

    Returns:
        A Catalog. Its frame has label -1 and part "" in all rows, and two more columns:
        group ("suspect", "reference", "generated"; "sibling": an image of the reference whose
        patient is among the suspects) and side (1 suspect, 0 reference or sibling, -1 generated).
        An image whose name another one of its group has goes by its path relative to the folder.

    Raises:
        UserError: nothing is found, a file cannot be read, or the images contradict each other.
    """
    given = {SUSPECT: suspects, REFERENCE: reference, GENERATED: data}
    if not reference:
        del given[REFERENCE]
    frame, notes = _listed(given)
    frame, more = _with_patients(frame, settings.patient_regex)
    frame, unreadable, lost = with_contents(
        frame,
        skip_unreadable=settings.skip_unreadable,
        reader=ImageReader.of(settings),
        flags=", ".join(FLAGS[group] for group in given),
        on_image=on_image,
    )
    frame = _with_siblings(frame)
    notes += more + lost + check_suspects(frame, {FLAGS[group]: group for group in given})
    frame = frame.assign(side=[SIDES[group] for group in frame.group])
    for note in notes:
        print(f"ganfp: warning: {note}", file=sys.stderr)
    frame = frame.drop(columns="relative").infer_objects()
    return Catalog(frame, unreadable, tuple(notes))


def _listed(given):
    """All images in natural order, each with its group; a list of warnings."""
    frames, notes = [], []
    for group, data in given.items():
        role = GENERATED if group == GENERATED else "real"
        found = list_images(data, flag=FLAGS[group], role=role)
        parts = sorted(set(found.part), key=natural_key)
        if role == GENERATED and len(parts) > 1:
            notes.append(
                f"--data: the generated images of {len(parts)} parts are taken for those of one "
                "generator. If they are not, hand in one part at a time."
            )
        found["name"] = found["name"].where(~found["name"].duplicated(keep=False), found.relative)
        frames.append(found.assign(group=group))
    frame = pd.concat(frames, ignore_index=True).assign(label=-1, part="")
    # The order of a Catalog: generated images first, then the real ones.
    rank = {GENERATED: 0, SUSPECT: 1, REFERENCE: 2}
    keys = [
        (rank[group], natural_key(name), path)
        for group, name, path in zip(frame.group, frame["name"], frame.path, strict=True)
    ]
    order = sorted(range(len(frame)), key=keys.__getitem__)
    return frame.iloc[order].reset_index(drop=True), notes


def _with_patients(frame, patient_regex):
    if patient_regex:
        return assign_patients(frame, patient_regex)
    # Of two folders, images with the same relative path are two patients.
    apart = [f"{group}/{name}" for group, name in zip(frame.group, frame.relative, strict=True)]
    # As objects: see layouts.
    filled, notes = assign_patients(frame.assign(relative=pd.Series(apart, dtype=object)), "")
    return filled.assign(relative=frame.relative), notes


def _with_siblings(frame):
    suspects = set(frame.patient[frame.group == SUSPECT])
    moved = (frame.group == REFERENCE) & frame.patient.isin(suspects)
    return frame.assign(group=frame.group.where(~moved, SIBLING))


def open_generated(
    data: str, settings: DataSettings, flag: str, on_image: OnImage | None = None
) -> pd.DataFrame:
    """Reads generated images that lie anywhere, as the rows of a Catalog; `flag` named them.

    Raises:
        UserError: nothing is found, or a file cannot be read.
    """
    frame = list_images(data, flag=flag, role=GENERATED)
    frame, _, notes = with_contents(
        frame.assign(part="", patient=""),
        skip_unreadable=settings.skip_unreadable,
        reader=ImageReader.of(settings),
        flags=flag,
        on_image=on_image,
    )
    for note in notes:
        print(f"ganfp: warning: {note}", file=sys.stderr)
    return frame
