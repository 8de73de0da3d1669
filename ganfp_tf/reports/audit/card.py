"""The audit card: one page of Markdown to go with a release of generated images."""

import dataclasses
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ganfp_tf.config import Config
from ganfp_tf.reports.audit import wording as words
from ganfp_tf.reports.render.tables import escape_markdown, printable

# What renderers make a link, a mention or a formula of without any bracket.
ENTITIES = {"~": "&#126;", "$": "&#36;", "@": "&#64;"}
# What opens a heading, a list or a quotation.
BLOCK = re.compile(r"\s*(?:[#>+=:-]|\d+[.)](?:\s|$))")


def audit_card(audit: dict[str, Any]) -> str:
    """The card as Markdown; every text is escaped.

    Args:
        audit: the dict of audit.json.

    Returns:
        The card's text.
    """
    verdict, asked = audit["verdict"], audit["question"]
    word, headline = words.verdict_words(verdict)
    symbol = words.SYMBOLS[verdict["code"]]
    parts = [
        f"# Audit card: {escaped(words.audited(audit))}",
        f"**{symbol} {word}.** {escaped(headline)}".rstrip(),
        escaped(words.question(audit)),
    ]
    failed = words.failed_titles(audit)
    if failed:
        parts.append(f"**Failed controls:** {escaped(', '.join(failed))}.")
    for title, sentences in (
        ("Because", verdict["because"]),
        ("What is not shown", verdict["not_shown"]),
        ("What is lost without labels", asked["lost"]),
    ):
        if sentences:
            parts += [f"## {title}", _list(sentences)]
    if words.gate_asked(audit["gate"]):
        parts += ["## Gate", escaped(words.gate_sentence(audit["gate"]))]
    parts += ["## Figures", *_figures(audit), "## Controls", _controls(audit["controls"])]
    parts += ["## Limits", _list(audit["limits"]), "## Data", *_data(audit)]
    parts += ["## How it was made", *_made(audit)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def escaped(text: object) -> str:
    """`text` as plain Markdown text: no link, no HTML, no block, whatever is in it.

    Beyond `escape_markdown`, bare addresses lose what renderers recognise them by.
    """
    text = escape_markdown(text)
    text = re.sub("[~$@]", lambda found: ENTITIES[found.group()], text)
    text = re.sub(r"(?i)\bwww\.", lambda found: found.group()[:-1] + "&#46;", text)
    text = text.replace("://", "&#58;//").replace("!\\[", "&#33;\\[")
    if BLOCK.match(text):
        text = re.sub(r"[#>+=:.)-]", lambda found: f"&#{ord(found.group())};", text, count=1)
    return text


def _list(sentences):
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences) or "None."


def _table(headers, rows):
    """A Markdown table whose cells are escaped as `escaped` does it."""
    lines = [headers, ["---"] * len(headers), *([escaped(cell) for cell in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _figures(audit):
    row = words.primary(audit)
    rows = list(_rows(audit, row))
    if not rows:
        yield "None: without a reference nothing can be measured, and images are only ranked."
        return
    yield (
        f"Primary detector: {escaped(row['title'] if row else audit['primary'])}. Brackets: "
        f"{words.per_cent(audit['confidence'])} intervals, patients resampled."
    )
    yield _table(["figure", "value", "p"], rows)


def _rows(audit, row):
    if row and row["auc"]:
        yield "AUC of images (chance 0.50)", words.interval(row["auc"]), words.p_value(row["p"])
        for rate in row["tpr"] or ():
            value = words.interval(rate, True) if rate["resolvable"] else words.UNRESOLVABLE
            yield f"TPR at {words.per_cent(rate['fpr'])} FPR", value, ""
        if row["kappa"]:
            yield "kappa", words.interval(row["kappa"]), ""
    found = audit["set"]
    if found:
        p = words.p_value(found["permutation_p"])
        yield "difference of mean scores, set", words.interval(found["difference"]), p
    found = audit["images"]
    if found:
        value = f"{found['flagged']:,} of {found['tested']:,}"
        yield f"images flagged at {words.per_cent(found['fdr'])} FDR", value, ""
    found = audit["patients"]
    if found:
        yield "AUC of patients", words.interval(found["auc"]), words.p_value(found["p"])
    found = audit["siblings"]
    if found:
        yield "AUC of siblings", words.interval(found["auc"]), words.p_value(found["p"])
    found = audit["share"]
    if found:
        yield "share of suspects used, from below", words.interval(found, True), ""
    found = audit["epsilon"]
    if found:
        yield "epsilon, at least", words.number(found["low"]), ""
    found = audit["power"]
    if found:
        yield (
            f"minimum detectable AUC, power {words.per_cent(found['power'])}",
            words.number(found["detectable_auc"]),
            "",
        )


def _controls(controls):
    if not controls:
        return words.MISSING["controls"]
    rows = [
        (
            control["title"],
            control["kind"],
            " ".join(reversed(words.PASSED[control["passed"]])),
            words.interval(control["auc"]),
        )
        for control in controls
    ]
    return _table(["control", "kind", "result", "AUC"], rows)


def _data(audit):
    data = audit["data"]
    digests = dict(map(tuple, data["digests"]))
    yield _table(
        ["images", "number", "patients", "SHA-256 of the sorted digests"],
        [
            (
                what,
                f"{images:,}",
                "" if patients is None else f"{patients:,}",
                digests.get(what, ""),
            )
            for what, images, patients in data["counts"]
        ],
    )
    apart = [row for row in data["digests"] if row[0] not in {row[0] for row in data["counts"]}]
    if apart:
        yield _table(["images", "SHA-256 of the sorted digests"], apart)
    sentences = [*data["duplicates"], *data["warnings"]]
    if data["unreadable"]:
        files = words.amount(len(data["unreadable"]), "file")
        sentences.append(f"{files} could not be read; audit.json lists them.")
    if sentences:
        yield _list(sentences)


def _made(audit):
    yield (
        f"ganfp {escaped(audit['ganfp'])}, {escaped(words.moment(audit['created']))}, "
        f"{words.duration(audit['seconds'])}. What differs from the defaults:"
    )
    # In a block of code nothing is read as Markdown, and one line cannot end it.
    yield f"```\n{command(audit['settings'])}\n```"
    yield "A higher score speaks for use. Details: report.html; all figures: audit.json."


def command(settings: Mapping[str, Any]) -> str:
    """The command line whose settings differ from the defaults of `Config`, on one line."""
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    differing = [
        f"--{name}={_value(value)}"
        for name, value in settings.items()
        if name != "mode" and (name not in defaults or value != defaults[name])
    ]
    quoted = (shlex.quote(printable(part)) for part in differing)
    return " ".join(["python main.py --mode=audit", *quoted])


def _value(value):
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value
