"""The riskiest suspects of an audit, each beside what the score rests on.

A row an image: the real image, its nearest generated images, the difference from the nearest one,
and a real image of another patient at about the same distance, which shows how alike two images
are that have nothing to do with each other.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from PIL import Image

from ganfp_tf.audit.riskiest import Entry
from ganfp_tf.reports.render.canvas import LINE, QUIET, UNUSED, USED, headline, styled
from ganfp_tf.reports.render.tables import format_p, printable

NEAREST = 3  # generated images an entry
SIDE, GAP = 1.5, 0.14  # inches
LETTERS = 20  # of a caption line, at 9.5 points under SIDE inches
# The colours of the frames: orange where the real image is brighter, blue where the generated is.
DIVERGING = LinearSegmentedColormap.from_list("real less generated", [UNUSED, "#FFFFFF", USED])


@styled
def riskiest(entries: Sequence[Entry], *, title: str, columns: int = 6) -> list[Figure]:
    """A list of Figures, one for each of `entries`: at 6 columns one row, 10 inches wide.

    With `columns=3` the same six pictures stand in two rows, 5.1 inches wide, which can be read
    at the width of a phone.

    Raises:
        ValueError: if an image is not (H, W) uint8.
    """
    figures = []
    for number, entry in enumerate(entries, start=1):
        text = (
            f"{title} {number} of {len(entries)}: {shortened(entry.name, 40)}, {_evidence(entry)}"
        )
        figures.append(_row(entry, text, columns))
    return figures


def alt_text(entry: Entry) -> str:
    """What the picture of `entry` shows, in sentences, for who cannot see it."""
    text = f"Real image {entry.name} of patient {entry.patient}, {_evidence(entry)}. "
    near = [f"{name} at distance {_distance(d)}" for name, d, _ in entry.generated[:NEAREST]]
    text += f"Nearest generated images: {', '.join(near)}. " if near else "No generated image. "
    if entry.neighbour is None:
        return printable(text + "No real image of another patient to compare with.")
    name, patient, distance, _ = entry.neighbour
    text += f"Real image of another patient: {name} of patient {patient}, at distance "
    text += _distance(distance)
    if entry.generated:
        nearest = entry.generated[0][1]
        order = "nearer than" if nearest < distance else "as near as"
        order = "farther than" if nearest > distance else order
        text += f"; the nearest generated image is {order} that"
    return printable(text + ".")


def difference_map(real: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """(H, W) int16 of `real` less `generated`, which is resized to the shape of `real` if needed.

    real, generated: (H, W) uint8. Raises ValueError for other images.
    """
    real, generated = _gray(real), _gray(generated)
    if generated.shape != real.shape:
        size = real.shape[::-1]
        resized = Image.fromarray(generated).resize(size, Image.Resampling.BILINEAR)
        generated = np.asarray(resized)
    return real.astype(np.int16) - generated


def shortened(text: str, length: int) -> str:
    """Printable `text` of at most `length` letters: where it is longer its middle is left out."""
    text = printable(text)
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def _row(entry, title, columns):
    panels = [("real", USED, entry.real, [entry.name, f"patient {entry.patient}"])]
    for number in range(NEAREST):
        name = "nearest generated" if number == 0 else f"generated {number + 1}"
        if number < len(entry.generated):
            file, distance, image = entry.generated[number]
            panels.append((name, UNUSED, image, [file, f"distance {_distance(distance)}"]))
        else:
            panels.append((name, UNUSED, None, []))
    panels.append(("difference", None, None, []))
    if entry.neighbour:
        file, patient, distance, image = entry.neighbour
        captions = [file, f"patient {patient}", f"distance {_distance(distance)}"]
        panels.append(("real, other patient", USED, image, captions))
    else:
        panels.append(("real, other patient", USED, None, []))

    width = columns * (SIDE + GAP) + GAP
    figure = Figure(figsize=(width, 1.0))
    heading = headline(figure, title, x=GAP / width, va="top", fontsize=11.5)
    top = 0.2 + 0.19 * (heading.get_text().count("\n") + 1)
    cell = 0.24 + SIDE + 0.68  # words, image, captions
    height = top + -(-len(panels) // columns) * cell
    figure.set_figheight(height)
    heading.set_y(1 - 0.1 / height)
    for index, (name, color, image, captions) in enumerate(panels):
        row, column = divmod(index, columns)
        x, y = GAP + column * (SIDE + GAP), height - top - row * cell - 0.24 - SIDE
        axes = figure.add_axes((x / width, y / height, SIDE / width, SIDE / height), anchor="S")
        figure.text(
            (x + SIDE / 2) / width,
            (y + SIDE + 0.05) / height,
            name,
            color=color or QUIET,
            ha="center",
            weight="bold",
            fontsize=9.5,
        )
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color=color or LINE, linewidth=1.6)
        if color is None:
            _difference(figure, axes, entry, (x, y, width, height))
        elif image is None:
            axes.text(0.5, 0.5, "none", color=QUIET, ha="center", transform=axes.transAxes)
        else:
            axes.imshow(_gray(image), cmap="gray", vmin=0, vmax=255)
        figure.text(
            (x + SIDE / 2) / width,
            (y - 0.06) / height,
            "\n".join(shortened(caption, LETTERS) for caption in captions),
            ha="center",
            va="top",
            fontsize=9.5,
            linespacing=1.1,
        )
    return figure


def _difference(figure, axes, entry, place):
    """The difference map, its scale below and in words what the colours mean."""
    x, y, width, height = place
    if not entry.generated:
        axes.text(0.5, 0.5, "none", color=QUIET, ha="center", transform=axes.transAxes)
        return
    difference = difference_map(entry.real, entry.generated[0][2])
    limit = max(int(np.abs(difference).max()), 1)
    shown = axes.imshow(difference, cmap=DIVERGING, vmin=-limit, vmax=limit)
    bar = figure.add_axes(
        ((x + 0.2) / width, (y - 0.15) / height, (SIDE - 0.4) / width, 0.08 / height)
    )
    figure.colorbar(shown, cax=bar, orientation="horizontal")
    bar.xaxis.set_major_locator(FixedLocator([-limit, 0, limit]))
    bar.tick_params(labelsize=8.5, length=2, pad=1)
    bar.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}".replace("-", "\u2212"))
    figure.text(
        (x + SIDE / 2) / width,
        (y - 0.36) / height,
        "grey levels, real less\nnearest generated",
        ha="center",
        va="top",
        fontsize=8.5,
        linespacing=1.05,
    )


def _gray(image):
    image = np.asarray(image)
    if image.ndim != 2 or not image.size or image.dtype != np.uint8:
        raise ValueError(
            f"images must be (H, W) uint8. Received: shape={image.shape}, dtype={image.dtype}"
        )
    return image


def _evidence(entry):
    parts = [f"score {entry.score:.3f}"]
    for letter, value in (("p", entry.p), ("q", entry.q)):
        if value is not None and np.isfinite(value):
            text = format_p(value)
            parts.append(f"{letter} {text}" if text.startswith("<") else f"{letter} = {text}")
    return ", ".join([*parts, "flagged" if entry.flagged else "not flagged"])


def _distance(value):
    return f"{value:.3f}"
