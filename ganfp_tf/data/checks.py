"""Whether what was listed makes a data set: kinds of images, names, contents and patients."""

import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ganfp_tf.data.layouts import natural_key, shown
from ganfp_tf.errors import UserError


def check_need(frame: pd.DataFrame, need: str, data: str | os.PathLike) -> None:
    """Raises `UserError` where a kind of image that `need` asks for is missing."""
    real, generated = frame.role == "real", frame.role == "generated"
    groups = {
        "used real images": (real & (frame.label == 1), "real_used", "role real and label 1"),
        "not used real images": (
            real & (frame.label == 0),
            "real_not_used",
            "role real and label 0",
        ),
        "unknown real images": (
            real & (frame.label == -1),
            "real_unknown",
            "role real and an empty label",
        ),
        "generated images": (generated, "generated", "role generated"),
    }
    wanted = {
        "train": ("used real images", "not used real images", "generated images"),
        "predict": ("unknown real images", "generated images"),
    }[need]
    counts = ", ".join(f"{int(groups[name][0].sum())} {name}" for name in wanted)
    for name in wanted:
        mask, folder, row = groups[name]
        if not mask.any():
            raise UserError(
                f"--data: there are no {name} in {shown(str(data))}. Expected a folder {folder} "
                f"with images, or rows of a CSV with {row}. Found: {counts}."
            )


def check_names(frame: pd.DataFrame) -> None:
    """Raises `UserError` where two images of one role and part share a name.

    The name is what stands for an image in scores and submissions.
    """
    doubled = frame[frame.duplicated(["role", "part", "name"], keep=False)]
    if len(doubled):
        first = doubled.iloc[0]
        same = doubled[(doubled["name"] == first["name"]) & (doubled.part == first.part)]
        one, other = same[same.role == first.role].relative.iloc[:2]
        raise UserError(
            f"--data: two {first.role} images have the same name: {shown(one)} and {shown(other)}. "
            "Rename one, or tell them apart with a column part in the manifest."
        )


def check_content(frame: pd.DataFrame) -> list[str]:
    """Compares digests and patients; raises `UserError` or returns a list of warnings."""
    notes = []
    real, generated = frame[frame.role == "real"], frame[frame.role == "generated"]
    used, unused = real[real.label == 1], real[real.label == 0]
    both = used[used.digest.isin(set(unused.digest))]
    if len(both):
        one = both.iloc[0]
        other = unused[unused.digest == one.digest].iloc[0]
        raise UserError(
            f"--data: the same image is used and not used: {shown(one.relative)} and "
            f"{shown(other.relative)} have the same content"
            + (f" (and {len(both) - 1} more such images)" if len(both) > 1 else "")
            + ". Remove one of them."
        )
    copies: Any = generated[generated.digest.isin(set(real.digest))]
    if len(copies):
        source = real.drop_duplicates("digest").set_index("digest").relative
        pairs = [f"{shown(c.relative)} = {shown(source[c.digest])}" for c in copies.itertuples()]
        notes.append(
            f"{len(copies)} generated images are verbatim copies of real ones: " + _few(pairs) + "."
        )
    notes += _of_two_patients(real, "label")
    mixed = sorted(set(used.patient) & set(unused.patient), key=natural_key)
    if mixed:
        notes.append(
            f"{len(mixed)} patients have used and not used images: "
            + _few([shown(patient) for patient in mixed])
            + "."
        )
    return notes


def check_suspects(frame: pd.DataFrame, flags: Mapping[str, str]) -> list[str]:
    """Compares the images of an audit without labels; raises `UserError` or returns warnings.

    Args:
        frame: DataFrame with path, relative, digest, patient and group ("suspect", "reference",
            "sibling", "generated").
        flags: the flags that were given, and the group that each names.
    """
    groups = {name: frame[frame.group == name] for name in (*flags.values(), "sibling")}
    for flag, name in flags.items():
        if name != "reference" and groups[name].empty:
            raise UserError(f"{flag}: none of the images could be read.")
    suspects, generated, siblings = (groups[name] for name in ("suspect", "generated", "sibling"))
    for name in ("suspect", "reference", "sibling"):
        twice = groups.get(name, siblings).merge(generated, on="path")
        if len(twice):
            flag = "--suspects" if name == "suspect" else "--reference"
            raise UserError(
                f"{flag} and --data name the same file{'s' * (len(twice) > 1)}, such as "
                f"{shown(twice.path[0])}: an image is either real or generated."
            )
    notes = _among_generated(suspects, generated, "--suspects", "verbatim copies")
    if "reference" not in groups:
        return notes + _of_two_patients(suspects, "group")
    unused = frame[frame.group.isin(("reference", "sibling"))]
    both = suspects[suspects.digest.isin(set(unused.digest))]
    if len(both):
        other = unused[unused.digest == both.digest.iloc[0]].iloc[0]
        raise UserError(
            f"--suspects and --reference hold the same image: {shown(both.relative.iloc[0])} and "
            f"{shown(other.relative)} have the same content"
            + (f" (and {len(both) - 1} more such images)" if len(both) > 1 else "")
            + ". Remove one of them: an image cannot be in question and known to be unused."
        )
    notes += _among_generated(unused, generated, "--reference", "so they cannot be unused")
    if len(siblings):
        patients = sorted(set(siblings.patient), key=natural_key)
        notes.append(
            f"{_count(len(patients), 'patient')} with images in --suspects and in --reference: "
            + _few([shown(patient) for patient in patients])
            + f". What they have in --reference ({_count(len(siblings), 'image')}) leaves the null "
            "(group sibling), for it may resemble what was used."
        )
    left = len(groups["reference"])
    if left < 2:
        why = f" ({len(siblings)} of patients of --suspects do not count)" if len(siblings) else ""
        raise UserError(
            "--reference needs at least 2 images of patients that are not in --suspects. Found "
            f"{left}{why}: add images, or leave --reference out."
        )
    return notes + _of_two_patients(pd.concat([suspects, unused]), "group")


def _among_generated(real, generated, flag, meaning):
    copied = real[real.digest.isin(set(generated.digest))]
    if copied.empty:
        return []
    names = _few([shown(name) for name in copied.relative])
    return [
        f"{_count(len(copied), 'image')} of {flag} with the content of a generated one: {names}. "
        f"Either a file lies in the wrong folder, or the generator repeats them ({meaning})."
    ]


def _of_two_patients(real, column):
    return [
        "The same image belongs to different patients: "
        + _few([f"{shown(row.relative)} ({shown(row.patient)})" for row in same.itertuples()])
        + "."
        for _, same in real.groupby([column, "digest"], sort=False)
        if same.patient.nunique() > 1
    ]


def _count(number, what):
    return f"{number} {what}{'s' * (number != 1)}"


def _few(items, count=5):
    more = f" and {len(items) - count} more" if len(items) > count else ""
    return ", ".join(items[:count]) + more
