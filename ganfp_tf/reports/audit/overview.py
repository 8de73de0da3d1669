"""The audit at a glance: the set, the image and the patient in a figure and a sentence each."""

import dataclasses
from typing import Any

from ganfp_tf.reports.audit.wording import (
    MISSING,
    amount,
    interval,
    missing,
    number,
    p_phrase,
    per_cent,
    primary,
    typeset,
)
from ganfp_tf.reports.render.tables import NOTHING


@dataclasses.dataclass(frozen=True)
class Tile:
    """One level of the audit.

    Attributes:
        title: the level.
        measure: what the figure is; empty where there is none.
        figure: the figure as text.
        ends: its interval as words; empty for none.
        lines: (name, value) of what stands below.
        sentence: what that means, in plain words.
    """

    title: str
    measure: str
    figure: str
    ends: str
    lines: tuple[tuple[str, str], ...]
    sentence: str


def tiles(audit: dict[str, Any]) -> tuple[Tile, Tile, Tile]:
    """The three tiles: set, image, patient."""
    return _set(audit), _image(audit), _patient(audit)


def _set(audit):
    found = audit["set"]
    if not found:
        return _none("The set as a whole", MISSING["set"])
    below = found["permutation_p"] is not None and found["permutation_p"] < audit["alpha"]
    names = audit["question"]["suspects"]["name"], audit["question"]["reference"]["name"]
    groups = (
        f"{amount(found['suspects'], found['unit'])} ({names[0]}) and "
        f"{found['reference']:,} ({names[1]})"
    )
    difference = found["difference"]
    welch = f"t = {number(found['welch_t'])}, {p_phrase(found['welch_p'])}"
    return Tile(
        "The set as a whole",
        "permutation test",
        p_phrase(found["permutation_p"]),
        f"{found['permutations']:,} permutations of {found['unit']}s" if found["unit"] else "",
        (("difference of mean scores", interval(difference)), ("Welch's t-test", welch)),
        f"The mean scores of {groups} differ "
        + ("by more than chance explains." if below else "no more than chance explains."),
    )


def _image(audit):
    row, found = primary(audit), audit["images"]
    auc = (row or {}).get("auc")
    if not auc or auc["value"] is None:
        return _none("Single images", MISSING["images"])
    lines = [("test against chance", p_phrase(row["p"]))]
    sentence = _pairs(audit, auc["value"], "image")
    if found:
        lines.append(
            (
                f"flagged at {per_cent(found['fdr'])} FDR",
                f"{found['flagged']:,} of {found['tested']:,}",
            )
        )
        sentence += f" {_flagged(found)}"
    return Tile(
        "Single images",
        "AUC, chance 0.50",
        number(auc["value"]),
        _ends(audit, auc),
        tuple(lines),
        sentence,
    )


def _flagged(found):
    if found["flagged"]:
        errors = found["fdr"] * found["flagged"]
        about = amount(max(1, round(errors)), "error") if errors >= 0.5 else "less than one error"
        return f"Among {found['flagged']:,} flagged, about {about} is to be expected.".replace(
            "errors is", "errors are"
        )
    if not found["resolvable"]:
        return "The reference is too small for any single image to be flagged."
    return "No single image stands out enough to be named."


def _patient(audit):
    found = audit["patients"]
    if not found or not found["auc"]:
        return _none("Patients", missing("patients", audit["question"]["kind"]))
    return Tile(
        "Patients",
        "AUC, chance 0.50",
        number(found["auc"]["value"]),
        _ends(audit, found["auc"]),
        (("test against chance", p_phrase(found["p"])), ("patients", f"{found['n']:,}")),
        _pairs(audit, found["auc"]["value"], "patient"),
    )


def _pairs(audit, auc, noun):
    if auc is None:
        return ""
    one, other, who = "used", "not", "used one"
    if audit["question"]["kind"] == "reference":
        one, other, who = "a suspect", "of the reference", "suspect"
    return (
        f"Of two {noun}s, one {one} and one {other}, the {who} has the higher score in "
        f"{round(100 * auc)} of 100 cases; chance gives 50."
    )


def _ends(audit, figure):
    low, high = number(figure["low"]), number(figure["high"])
    if typeset(NOTHING) in (low, high):
        return ""
    return f"{per_cent(audit['confidence'])} interval {low} to {high}"


def _none(title, sentence):
    return Tile(title, "", typeset(NOTHING), "", (), sentence)
