"""The audit's report: one HTML file that opens offline, prints, and has the verdict first."""

import base64
import io
import struct

import jinja2

from ganfp_tf.reports import audit_words
from ganfp_tf.reports.audit_glance import tiles
from ganfp_tf.reports.audit_parts import parts
from ganfp_tf.reports.canvas import write_png
from ganfp_tf.reports.glossary import GLOSSARY, Linker, anchor
from ganfp_tf.reports.tables import printable

DPI = 150  # of `write_png`
CSS_PIXELS = 96  # an inch


def as_html(audit, pictures):
    """The report as one HTML file: pictures within, no script, no request, every text escaped.

    Args:
        audit: the dict of audit.json.
        pictures: key -> `page.Picture` or a list of them, for "roc", "scores", "controls",
            "detectors" and "power"; "riskiest": (`Picture`, entry of audit["riskiest"]) each.
            Keys that are missing, None or empty are left out of the page.

    Returns:
        The page's text.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ganfp_tf.reports"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "printable": printable, "linked": Linker(), "image": image, "anchor": anchor,
        "number": audit_words.number, "p_phrase": audit_words.p_phrase,
        "moment": audit_words.moment,
    }  # fmt: skip
    word, headline = audit_words.verdict_words(audit["verdict"])
    gate = audit["gate"]
    return environment.get_template("audit.html").render(
        audit=audit, verdict=audit["verdict"], word=word,
        headline=headline, audited=audit_words.audited(audit), question=audit_words.question(audit),
        failed=audit_words.failed_titles(audit), tiles=tiles(audit), parts=parts(audit, pictures),
        gate=audit_words.gate_sentence(gate) if audit_words.gate_asked(gate) else "",
        glossary=GLOSSARY,
    )  # fmt: skip


def image(figure):
    """A matplotlib figure for an img element.

    Returns:
        (data URI, width, height), the size in CSS pixels, so that text in it has its own size.
    """
    stream = io.BytesIO()
    write_png(figure, stream)
    data = stream.getvalue()
    # PNG, third edition, 11.2.1: IHDR is the first chunk; width and height are its first fields.
    sides = struct.unpack(">II", data[16:24])
    width, height = (round(side * CSS_PIXELS / DPI) for side in sides)
    return "data:image/png;base64," + base64.b64encode(data).decode(), width, height
