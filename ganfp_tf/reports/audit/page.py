"""The audit's report: one HTML file that opens offline, prints, and has the verdict first."""

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganfp_tf.reports.audit import wording
from ganfp_tf.reports.audit.glossary import GLOSSARY, Linker, anchor
from ganfp_tf.reports.audit.overview import tiles
from ganfp_tf.reports.audit.sections import parts
from ganfp_tf.reports.render.page import data_uri, png, templates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150  # of `write_png`
CSS_PIXELS = 96  # an inch


def as_html(audit: dict[str, Any], pictures: Mapping[str, Any]) -> str:
    """The report as one HTML file: pictures within, no script, no request, every text escaped.

    Args:
        audit: the dict of audit.json.
        pictures: key -> `page.Picture` or a list of them, for "roc", "scores", "controls",
            "detectors" and "power"; "riskiest": (`Picture`, entry of audit["riskiest"]) each.
            Keys that are missing, None or empty are left out of the page.

    Returns:
        The page's text.
    """
    environment = templates()
    environment.filters |= {
        "linked": Linker(),
        "image": image,
        "anchor": anchor,
        "number": wording.number,
        "p_phrase": wording.p_phrase,
        "moment": wording.moment,
    }
    word, headline = wording.verdict_words(audit["verdict"])
    gate = audit["gate"]
    return environment.get_template("audit.html").render(
        audit=audit,
        verdict=audit["verdict"],
        word=word,
        headline=headline,
        audited=wording.audited(audit),
        question=wording.question(audit),
        failed=wording.failed_titles(audit),
        tiles=tiles(audit),
        parts=parts(audit, pictures),
        gate=wording.gate_sentence(gate) if wording.gate_asked(gate) else "",
        glossary=GLOSSARY,
    )


def image(figure: "Figure") -> tuple[str, int, int]:
    """A matplotlib figure for an img element.

    Returns:
        (data URI, width, height), the size in CSS pixels, so that text in it has its own size.
    """
    data = png(figure)
    # PNG, third edition, 11.2.1: IHDR is the first chunk; width and height are its first fields.
    sides = struct.unpack(">II", data[16:24])
    width, height = (round(side * CSS_PIXELS / DPI) for side in sides)
    return data_uri(data), width, height
