"""A page of phantoms, for the reader who wants to see what they are."""

import io
import os
import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image

from ganfp_tf.files import atomic_path
from ganfp_tf.reports.render import canvas
from ganfp_tf.simulation.phantoms.phantom import findings_in, phantom

NAMES = {"tree_in_bud": "tree in bud", "granuloma": "calcified granuloma"}


def write(
    path: str | os.PathLike,
    *,
    patients: Sequence[int] = (26, 48, 40, 29, 24),
    slices: int = 3,
    size: int = 256,
    seed: int = 0,
) -> None:
    """Writes a page with a column a patient and a row a level; findings are named below.

    The page of the README:
    python -c "from ganfp_tf.simulation import sample_page; sample_page.write('docs/phantoms.png')"
    """
    stream = io.BytesIO()
    canvas.write_png(page(patients, slices=slices, size=size, seed=seed), stream)
    with atomic_path(path) as temporary:  # grey, for a smaller file
        Image.open(stream).convert("L").save(temporary, format="PNG", optimize=True)


@canvas.styled
def page(patients: Sequence[int], *, slices: int, size: int, seed: int) -> Figure:
    """The page as a Figure: images of `size` pixels, 1.6 inches wide."""
    side, below, gap, top = 1.6, 0.36, 0.05, 0.5
    width, height = len(patients) * (side + gap) + gap, top + slices * (side + below)
    figure = Figure(figsize=(width, height))
    title = f"Phantoms: {len(patients)} patients (columns) at {slices} levels (rows)"
    canvas.headline(figure, title, x=gap / width, y=1 - 0.1 / height, va="top")
    for column, patient in enumerate(patients):
        for row in range(slices):
            x, y = gap + column * (side + gap), height - top - row * (side + below) - side
            axes = figure.add_axes((x / width, y / height, side / width, side / height))
            image = phantom(patient, row, slices=slices, size=size, seed=seed)
            axes.imshow(image, vmin=0, vmax=255)
            axes.set_axis_off()
            names = findings_in(patient, row, slices=slices, seed=seed)
            text = ", ".join(NAMES.get(name, name) for name in names) or "no finding"
            lines = textwrap.wrap(text, 28, max_lines=2, placeholder=" …")
            figure.text(
                x / width,
                (y - 0.04) / height,
                "\n".join(lines),
                va="top",
                fontsize=7.5,
                color=canvas.QUIET,
            )
    return figure
