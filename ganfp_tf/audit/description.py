"""What was audited, and which images look used most."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ganfp_tf import demo
from ganfp_tf.audit.case import Case
from ganfp_tf.audit.parts import DataResult, NearImage, Neighbour, Question, RiskyImage, Side
from ganfp_tf.audit.riskiest import Entry
from ganfp_tf.data import images as reader
from ganfp_tf.data.suspects import REFERENCE, SIBLING, SUSPECT
from ganfp_tf.detectors.spaces.base import PIXELS
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.distances import distance_rows

RISKIEST = 8
NEAREST = 3
LOST = {
    "labelled": (),
    "reference": (
        "It is not known of any image that it was used, so neither the share of used images that "
        "are found (TPR) nor kappa, accuracy and F1 can be given.",
        "The detectors that learn from labels are left out, and the weights of the mean are equal: "
        "with labels more can be found.",
        "A difference between suspects and reference shows use only if they differ in nothing else "
        "(scanner, site, disease, processing).",
    ),
    "suspects": (
        "Without images known to be unused nothing is known of the scores that unused images get: "
        "no test, no p-value, no AUC, no share, no verdict but 'inconclusive'.",
        "The images are ranked: which of them to look at first, not which were used.",
        "With --reference, a folder of real images of the same kind that were not used, all of "
        "this can be had.",
    ),
}


def names_of(kind: str) -> dict[str, str]:
    """What the groups are called, group -> name."""
    if kind == "labelled":
        return {SUSPECT: "used images", REFERENCE: "images not used", SIBLING: "siblings"}
    return {SUSPECT: "suspects", REFERENCE: "reference", SIBLING: "siblings"}


def source(data: str) -> str:
    """What --data says; empty for the demo data, which lie in a cache."""
    return "" if data == str(demo.folder()) else data


def question(case: Case) -> Question:
    """Who is suspected, against whom, and what cannot be said."""
    names = names_of(case.kind)

    def part(group):
        frame = case.group(group)
        if frame.empty:
            return None
        return Side(len(frame), frame["patient"].nunique(), names[group])

    return Question(
        kind=case.kind,
        data=source(case.config.data),
        suspects=part(SUSPECT),
        reference=part(REFERENCE),
        generated=len(case.generated),
        lost=LOST[case.kind],
    )


def data(case: Case) -> DataResult:
    """The images of the audit: counts, sizes, digests and what is odd about them."""
    names = names_of(case.kind)
    groups = {names[group]: case.group(group) for group in (SUSPECT, REFERENCE, SIBLING)}
    groups = {name: frame for name, frame in groups.items() if len(frame)}
    counts: list[tuple[str, int, int | None]] = [
        (name, len(frame), frame["patient"].nunique()) for name, frame in groups.items()
    ]
    counts.append(("generated images", len(case.generated), None))
    groups["generated images"] = case.generated
    frame = case.catalog.frame
    sizes = (frame["width"].astype(str) + "x" + frame["height"].astype(str)).value_counts()
    doubled = []
    for name, rows in groups.items():
        more = int(rows.duplicated("digest").sum())
        if more:
            repeat = "repeats" if more == 1 else "repeat"
            doubled.append(f"{_counted(more, 'file')} of the {name} {repeat} another one of them.")
    verbatim = int(case.generated["digest"].isin(set(case.real["digest"])).sum())
    if verbatim:
        real = "is a real one" if verbatim == 1 else "are real ones"
        doubled.append(f"{_counted(verbatim, 'generated file')} {real}, byte by byte.")
    unreadable = case.catalog.unreadable
    return DataResult(
        counts=tuple(counts),
        sizes=tuple((str(size), int(count)) for size, count in sizes.items()),
        duplicates=tuple(doubled),
        warnings=tuple(case.catalog.warnings),
        unreadable=tuple(zip(unreadable["path"], unreadable["reason"], strict=True)),
        digests=tuple((name, _digest(rows)) for name, rows in groups.items()),
    )


def best_matches(case: Case, images: pd.DataFrame) -> pd.DataFrame:
    """The name and the distance of the generated image nearest to each: two columns."""
    vectors = PIXELS.fit(case.real, case.generated, case.store)
    made = vectors.generated(case.generated)
    nearest, distance = np.empty(len(images), int), np.empty(len(images))
    for part, block in distance_rows(vectors.real(images), made):
        nearest[part] = block.argmin(axis=1)
        distance[part] = block.min(axis=1)
    names = case.generated["name"].to_numpy()[nearest]
    return pd.DataFrame({"best_match": names, "best_distance": distance}, index=images.index)


def riskiest(case: Case, images: pd.DataFrame) -> list[Entry]:
    """The suspects with the highest scores, the highest first.

    Distances are root mean squares of gray values from 0 to 1. The real neighbour is the image of
    another patient whose distance is nearest to that of the first generated one: what that distance
    looks like between two people.
    """
    top = images[images["group"] == SUSPECT].nlargest(RISKIEST, "score", keep="first")
    vectors = PIXELS.fit(case.real, case.generated, case.store)
    mine, made, real = vectors.real(top), vectors.generated(case.generated), vectors.real(case.real)
    to_made = np.concatenate([block for _, block in distance_rows(mine, made)])
    to_real = np.concatenate([block for _, block in distance_rows(mine, real)])
    entries = []
    rows: Iterable[Any] = top.itertuples()
    for number, row in enumerate(rows):
        near = np.argsort(to_made[number], kind="stable")[:NEAREST]
        generated = [
            (
                case.generated["name"].iloc[i],
                float(to_made[number, i]),
                _gray(case, case.generated["path"].iloc[i]),
            )
            for i in near
        ]
        entries.append(
            Entry(
                row.name,
                row.patient,
                float(row.score),
                _known(row.p),
                _known(row.q),
                bool(row.flagged),
                _gray(case, row.path),
                generated,
                _neighbour(case, row, to_real[number], generated[0][1]),
            )
        )
    return entries


def riskiest_rows(entries: list[Entry], kind: str) -> tuple[RiskyImage, ...]:
    """The same without their pixels."""
    return tuple(
        RiskyImage(
            name=entry.name,
            patient=entry.patient,
            group=names_of(kind)[SUSPECT],
            score=entry.score,
            p=entry.p,
            q=entry.q,
            flagged=entry.flagged,
            generated=tuple(NearImage(name, distance) for name, distance, _ in entry.generated),
            neighbour=None if entry.neighbour is None else Neighbour(*entry.neighbour[:3]),
        )
        for entry in entries
    )


def _neighbour(case, row, distances, wanted):
    others = np.flatnonzero(
        (case.real["patient"] != row.patient) & (case.real["digest"] != row.digest)
    )
    if not len(others):
        return None
    chosen = others[np.argmin(np.abs(distances[others] - wanted))]
    other = case.real.iloc[chosen]
    return (other["name"], other["patient"], float(distances[chosen]), _gray(case, other["path"]))


def _gray(case, path):
    try:
        pixels = case.store.reader.read(path)
    except reader.ImageError as error:
        raise UserError(f"{path} cannot be read: {error}.") from error
    return np.clip(np.rint(pixels.mean(axis=2)), 0, 255).astype("uint8")


def _digest(frame):
    return hashlib.sha256("".join(sorted(frame["digest"])).encode()).hexdigest()


def _counted(number, noun):
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _known(value):
    return None if pd.isna(value) else float(value)
