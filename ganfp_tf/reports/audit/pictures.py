"""The pictures of an audit's report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ganfp_tf.audit.case import Case
from ganfp_tf.audit.description import names_of
from ganfp_tf.audit.riskiest import Entry
from ganfp_tf.data.suspects import REFERENCE, SIBLING, SUSPECT
from ganfp_tf.reports.audit import charts, gallery, score_plots
from ganfp_tf.reports.render import bars
from ganfp_tf.reports.render.page import Picture
from ganfp_tf.reports.render.tables import format_number
from ganfp_tf.reports.render.words import counted
from ganfp_tf.statistics.roc_bands import rate_grid, roc_band
from ganfp_tf.statistics.sample import Resampling, Sample

if TYPE_CHECKING:
    from ganfp_tf.audit.measure import Measured

BESIDE = 2  # further detectors in the ROC, without a band


def draw(
    case: Case,
    audit: dict[str, Any],
    measured: "Sequence[Measured]",
    images: pd.DataFrame,
    entries: Sequence[Entry],
) -> dict[str, Any]:
    """Draws them all.

    Args:
        case: the `Case`.
        audit: the dict of audit.json.
        measured: the detectors' `Measured`, the primary one first.
        images: what `metrics.image_table` returned.
        entries: the riskiest images.

    Returns:
        dict of `page.Picture`: roc, scores, controls, detectors, power; "riskiest" is a list of
        (Picture, row of audit.json). What makes no sense for this kind of audit is left out.
    """
    pictures = {"scores": _scores(case, audit, images)}
    if case.kind != "suspects":
        pictures["roc"] = _roc(case, audit, measured)
        pictures["detectors"] = _detectors(audit)
        pictures["power"] = _power(audit)
    pictures["controls"] = _controls(audit)
    figures = gallery.riskiest(entries, title="Riskiest image", columns=3)
    pictures["riskiest"] = [
        (Picture(figure, f"figures/riskiest_{number}.png", gallery.alt_text(entry)), row)
        for number, (figure, entry, row) in enumerate(
            zip(figures, entries, audit["riskiest"], strict=True), start=1
        )
    ]
    return pictures


def _roc(case, audit, measured):
    chosen = [measured[0]]
    rows = {row["name"]: row for row in audit["detectors"]}
    others = [each for each in measured[1:] if not each.control]
    others.sort(key=lambda each: -(rows[each.name]["auc"]["value"] or 0.0))
    chosen += others[:BESIDE] + [each for each in measured if each.name == "blind_pixels"]
    labels = measured[0].scores["label"].to_numpy()
    negatives, positives = int((labels == 0).sum()), int((labels == 1).sum())
    grid = rate_grid(negatives)
    curves = []
    for each in chosen:
        sample = Sample.from_frame(each.scores)
        tpr, low, high = roc_band(sample, grid, Resampling.of(case.config))
        if each is not measured[0]:
            low = high = None
        curves.append((each.title, grid, tpr, low, high, each.control))
    named = names_of(case.kind)
    note = (
        f"{positives} {named[SUSPECT]}, {negatives} {named[REFERENCE]}; shaded: "
        f"{case.config.confidence:.0%} over patients; others than the first by AUC"
    )
    figure = score_plots.log_roc(
        curves,
        title="How many are found at how many false alarms",
        note=note,
        floor=(0.5 / negatives, 0.5 / positives),
    )
    alt = (
        "ROC curves on logarithmic axes; the table of detectors holds the rates of found images "
        "at 10, 5, 1 and 0.1% false alarms."
    )
    return Picture(figure, "figures/roc.png", alt)


def _scores(case, audit, images):
    named = names_of(case.kind)
    reference = images["score"][images["group"] == REFERENCE].to_numpy()
    threshold, note = None, ""
    if len(reference):
        threshold = float(np.quantile(reference, 0.95, method="higher"))
        note = f"line: 5% of the {named[REFERENCE]} score above it; filled: named one by one"
    names = {
        group: named[group]
        for group in (SUSPECT, REFERENCE, SIBLING)
        if (images["group"] == group).any()
    }
    figure = score_plots.scores_by_image(
        images["group"].tolist(),
        images["score"].to_numpy(),
        threshold=threshold,
        flagged=images["flagged"].to_numpy(dtype=bool),
        title="Score of every image",
        note=note,
        names=names,
    )
    flagged = int(images["flagged"].sum())
    alt = f"Scores of all images, a dot each; {counted(flagged, 'image')} named as used."
    return Picture(figure, "figures/scores.png", alt)


def _controls(audit):
    rows = [
        (
            c["title"],
            c["kind"],
            *(_part(c["auc"], key) for key in ("value", "low", "high")),
            c["passed"],
        )
        for c in audit["controls"]
    ]
    figure = charts.controls_chart(rows, title="Controls")
    count = sum(c["passed"] is True for c in audit["controls"])
    alt = (
        f"AUC of each control with its interval; {count} of {len(rows)} passed. The table below "
        "holds every value."
    )
    return Picture(figure, "figures/controls.png", alt)


def _detectors(audit):
    rows = sorted(audit["detectors"], key=lambda row: -(row["auc"]["value"] or 0.0))
    figure = bars.auc_chart(
        [
            (row["title"], *(row["auc"][key] for key in ("value", "low", "high")), row["control"])
            for row in rows
        ],
        title="AUC of each detector, the highest first",
        note="grey: blind controls",
        above=True,
    )
    alt = "AUC of each detector with its interval; the table below holds every value."
    return Picture(figure, "figures/detectors.png", alt)


def _power(audit):
    power = audit["power"]
    primary = audit["detectors"][0]["auc"]
    figure = charts.power_curve(
        power["curve"],
        alpha=power["alpha"],
        detectable=power["detectable_auc"],
        measured=primary,
        title="What this many patients could show",
        power=power["power"],
    )
    seen = format_number(power["detectable_auc"])
    alt = (
        f"Power against the true AUC: an AUC of {seen} is found with probability {power['power']}."
    )
    return Picture(figure, "figures/power.png", alt)


def _part(figure, key):
    return None if figure is None else figure[key]
