"""The parts of the audit's page below the glance: headings, and the blocks under them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ganfp_tf.reports.audit import tables as audit_tables
from ganfp_tf.reports.audit.wording import (
    KINDS,
    MISSING,
    amount,
    duration,
    interval,
    memory,
    missing,
    number,
    p_phrase,
    per_cent,
    primary,
)
from ganfp_tf.reports.render.page import Picture

RATES_NEED_LABELS = (
    "True positive rates, kappa, accuracy and F1 cannot be given: without labels it is not known "
    "of any image that it was used."
)


@dataclasses.dataclass(frozen=True)
class Block:
    """What stands under a heading.

    Attributes:
        kind: "text", "note", "heading", "list", "table", "picture", "details" or "riskiest".
        content: text; a list of texts; a `Table`; a `Picture`; (summary, blocks); (Picture or
            None, entry of audit["riskiest"]) each.
    """

    kind: str
    content: object


@dataclasses.dataclass(frozen=True)
class Part:
    """A heading with blocks under it; `key` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


def parts(audit: dict[str, Any], pictures: Mapping[str, Any]) -> list[Part]:
    """The parts of the page in order.

    Args:
        audit: the dict of audit.json.
        pictures: as in `audit_page.as_html`.

    Returns:
        list of `Part`.
    """
    shown = {
        key: _pictures(pictures.get(key))
        for key in ("roc", "scores", "controls", "detectors", "power")
    }
    title = "Scores" if audit["question"]["kind"] == "suspects" else "ROC curve and scores"
    return [
        Part("scores", title, tuple(_separation(audit, shown))),
        Part("riskiest", "Riskiest images", tuple(_riskiest(audit, pictures))),
        Part("controls", "Controls", tuple(_controls(audit, shown))),
        Part("detectors", "Detectors side by side", tuple(_detectors(audit, shown))),
        Part("power", "Power", tuple(_power(audit["power"], shown))),
        Part("share", "Share of images used", tuple(_share(audit))),
        Part("epsilon", "Bound on epsilon", tuple(_epsilon(audit["epsilon"]))),
        Part("patients", "Patients and siblings", tuple(_patients(audit))),
        Part("data", "Data", tuple(_data(audit["data"]))),
        Part("method", "Method", (Block("list", audit["method"]),)),
        Part("limits", "Limits", (Block("list", audit["limits"]),)),
        Part("settings", "Settings and environment", tuple(_settings(audit))),
    ]


def _pictures(value):
    """A `Picture`, a list of them or nothing, as blocks."""
    values = [value] if isinstance(value, Picture) else value or []
    return [Block("picture", picture) for picture in values]


def _separation(audit, shown):
    row = primary(audit)
    if row and row["auc"]:
        yield Block(
            "text",
            (
                f"The primary detector, fixed beforehand, is the {row['title']}. Its AUC is "
                f"{interval(row['auc'])}, {p_phrase(row['p'])} (permutation p, one-sided)."
            ),
        )
    else:
        title = f", {row['title']}," if row else ""
        yield Block(
            "text",
            (
                f"No AUC and no true positive rate can be given. The primary detector{title} ranks "
                "the suspects; whether the first ones stand out from images that were not used "
                "is not known."
            ),
        )
    yield from shown["roc"]
    if row and row["auc"] and row["tpr"]:
        yield Block(
            "table",
            audit_tables.tpr_table(
                row["tpr"], audit["confidence"], "True positive rates of the primary detector"
            ),
        )
        yield from _resolution(row["tpr"])
    elif row and row["auc"]:
        yield Block("text", RATES_NEED_LABELS)
    yield from shown["scores"]
    if audit["images"]:
        yield Block("text", audit["images"]["note"])


def _resolution(rates):
    coarse = [rate for rate in rates if not rate["resolvable"]]
    if coarse and coarse[0]["negatives"]:
        n = coarse[0]["negatives"]
        yield Block(
            "note",
            (
                f"Not resolvable: one of {amount(n, 'image')} that were not used is "
                f"{100 / n:.2g}%, "
                f"so a false positive rate of {' or '.join(per_cent(r['fpr']) for r in coarse)} "
                "cannot be told from none here."
            ),
        )


def _riskiest(audit, pictures):
    entries = pictures.get("riskiest") or [(None, entry) for entry in audit["riskiest"]]
    if not entries:
        yield Block("text", MISSING["riskiest"])
        return
    tested = any(entry["p"] is not None for _, entry in entries)
    yield Block(
        "text",
        (
            "Each image beside the generated ones nearest to it and, where there is one, "
            "beside the real image of another patient that is about as near. Likeness is not "
            "proof of use: images of the same organ resemble each other."
            + ("" if tested else " This is a ranking: none of these images has been tested.")
        ),
    )
    yield Block("riskiest", entries)


def _controls(audit, shown):
    controls = audit["controls"]
    if not controls:
        yield Block("text", MISSING["controls"])
        return
    states = [control["passed"] for control in controls]
    yield Block(
        "text",
        (
            f"Of {amount(len(states), 'control')}, {states.count(True)} "
            f"passed, {states.count(False)} failed and {states.count(None)} could not be judged. "
            "A negative control has to find nothing; a positive one has to find what was put "
            "there. p is adjusted for their number."
        ),
    )
    yield from shown["controls"]
    yield Block("table", audit_tables.controls_table(controls))


def _detectors(audit, shown):
    tables = audit_tables.detector_tables(audit)
    if not tables:
        yield Block("text", MISSING["detectors"])
        return
    if any(row["auc"] for row in audit["detectors"]):
        yield Block(
            "text",
            (
                "The verdict rests on the primary detector alone; the best of many would look "
                "good by chance. Brackets hold the confidence interval of "
                f"{per_cent(audit['confidence'])}."
            ),
        )
    else:
        yield Block("text", "Without a reference no detector can be measured; what each took:")
    yield from shown["detectors"]
    yield from (Block("table", table) for table in tables)


def _power(power, shown):
    if not power:
        yield Block("text", MISSING["power"])
        return
    if power["detectable_auc"] is not None:
        yield Block(
            "text",
            (
                f"The minimum detectable AUC is {number(power['detectable_auc'])}: one as high is "
                f"found with a probability of {per_cent(power['power'])}; weaker memorisation "
                f"may go unseen. Measured, an AUC from {number(power['significant_auc'])} on "
                f"is significant (p < {power['alpha']:g})."
            ),
        )
    yield Block("text", power["found"])
    yield from shown["power"]
    if power["curve"]:
        table = Block("table", audit_tables.curve_table(power))
        yield Block("details", ("Power by AUC, in figures", (table,)))


def _share(audit):
    share = audit["share"]
    if not share:
        yield Block("text", MISSING["share"])
        return
    name = audit["question"]["suspects"]["name"]
    yield Block(
        "text",
        (
            f"Estimated from below, the share of the {name} whose scores show use is "
            f"{interval(share, percent=True)} ({share['method']})."
        ),
    )
    yield Block("text", share["note"])


def _epsilon(epsilon):
    if not epsilon:
        yield Block("text", MISSING["epsilon"])
        return
    yield Block(
        "text",
        (
            f"With {per_cent(epsilon['confidence'])} confidence, epsilon is at least "
            f"{number(epsilon['low'])} (delta {epsilon['delta']:g}): of {epsilon['used']:,} "
            f"that were used {epsilon['true_positives']:,} are called so, and "
            f"of {epsilon['unused']:,} that were not {epsilon['false_positives']:,}."
        ),
    )
    yield Block("text", epsilon["note"])


def _patients(audit):
    patients, siblings, kind = audit["patients"], audit["siblings"], audit["question"]["kind"]
    yield Block("heading", "Patients")
    if patients:
        yield Block(
            "text",
            (
                f"{amount(patients['n'], 'patient')}, each with one score "
                f"({patients['pooling']}): AUC "
                f"{interval(patients['auc'])}, {p_phrase(patients['p'])}"
                + (f", kappa {interval(patients['kappa'])}." if patients["kappa"] else ".")
            ),
        )
        if patients["tpr"]:
            yield Block(
                "table",
                audit_tables.tpr_table(
                    patients["tpr"], audit["confidence"], "True positive rates of patients"
                ),
            )
    else:
        yield Block("text", missing("patients", kind))
    yield Block("heading", "Siblings")
    if siblings:
        yield Block(
            "text",
            (
                f"{amount(siblings['images'], 'sibling image')} of "
                f"{amount(siblings['patients'], 'patient')}, against images that were not used "
                f"of other patients: AUC {interval(siblings['auc'])}, {p_phrase(siblings['p'])}."
            ),
        )
        yield Block("text", siblings["note"])
    else:
        yield Block("text", missing("siblings", kind))


def _data(data):
    yield Block("table", audit_tables.counts_table(data["counts"]))
    if data["sizes"]:
        yield Block("table", audit_tables.sizes_table(data["sizes"]))
    for key, title in (("duplicates", "Duplicates"), ("warnings", "Warnings")):
        yield Block("heading", title)
        yield Block("list", data[key]) if data[key] else Block("text", MISSING[key])
    yield Block("heading", "Files that could not be read")
    if data["unreadable"]:
        yield Block("table", audit_tables.unreadable_table(data["unreadable"]))
    else:
        yield Block("text", MISSING["unreadable"])
    if data["digests"]:
        yield Block("heading", "Digests")
        yield Block("text", "Who has the same files can check that they are the audited ones.")
        yield Block("table", audit_tables.digests_table(data["digests"]))


def _settings(audit):
    yield Block(
        "text",
        (
            f"{KINDS[audit['question']['kind']]} Seed {audit['seed']}, {audit['folds']} folds, "
            f"{audit['resamples']:,} resamples for intervals, "
            f"{audit['permutations']:,} permutations for p. The audit took "
            f"{duration(audit['seconds'])} and at most {memory(audit['peak_bytes'])} of memory."
        ),
    )
    for title, values in (("Settings", audit["settings"]), ("Environment", audit["environment"])):
        table = Block("table", audit_tables.values_table(title, values))
        yield Block("details", (title, (table,)))
