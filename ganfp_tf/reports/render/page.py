"""A report of sections, as Markdown and as one HTML file that needs nothing else."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jinja2

from ganfp_tf.reports.render.canvas import write_png
from ganfp_tf.reports.render.tables import escape_markdown, markdown_table, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure in a section.

    Attributes:
        figure: a matplotlib Figure.
        path: its file, relative to the report, for Markdown.
        alt: what it shows, for who cannot see it.
    """

    figure: object
    path: str
    alt: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report: a heading, paragraphs, then a table or a picture or both.

    Attributes:
        title: the heading.
        text: paragraphs of plain text.
        headers, rows: the table's; cells are plain text.
        notes: paragraphs under the table.
        picture: a `Picture`, or None.
    """

    title: str
    text: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    rows: tuple[tuple, ...] = ()
    notes: tuple[str, ...] = ()
    picture: Picture | None = None


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """The report as Markdown; whatever Markdown or HTML would read in a text is escaped."""
    parts = [f"# {escape_markdown(title)}\n"]
    for section in sections:
        parts.append(f"## {escape_markdown(section.title)}\n")
        parts += [escape_markdown(paragraph) + "\n" for paragraph in section.text]
        if section.rows:
            parts.append(markdown_table(section.headers, section.rows))
        if section.picture:
            parts.append(f"![{escape_markdown(section.picture.alt)}]({section.picture.path})\n")
        parts += [escape_markdown(paragraph) + "\n" for paragraph in section.notes]
    return "\n".join(parts)


def as_html(title: str, sections: Sequence[Section]) -> str:
    """The report as one HTML file: pictures within, no script, no request, every text escaped."""
    environment = templates()
    environment.filters["data_uri"] = lambda figure: data_uri(png(figure))
    return environment.get_template("page.html").render(title=title, sections=sections)


def templates() -> jinja2.Environment:
    """The Jinja2 environment of all pages: every text is escaped, a name that is missing stops."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ganfp_tf.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    return environment


def png(figure: "Figure") -> bytes:
    """A matplotlib Figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    write_png(figure, stream)
    return stream.getvalue()


def data_uri(data: bytes) -> str:
    """The bytes of a PNG file as the address of a picture that lies within the page."""
    return "data:image/png;base64," + base64.b64encode(data).decode()
