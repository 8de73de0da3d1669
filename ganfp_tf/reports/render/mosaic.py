"""A grid of gray images without gaps in meaning: samples of a victim, members beside them."""

import numpy as np
from matplotlib.figure import Figure

from ganfp_tf.reports.render import canvas


@canvas.styled
def grid(images: np.ndarray, *, columns: int, title: str) -> Figure:
    """A Figure of images in rows.

    Args:
        images: `(N, height, width)` uint8.
        columns: images a row.
        title: over the grid.
    """
    images = np.asarray(images)
    rows = -(-len(images) // columns)
    height, width = images.shape[1:]
    page = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), 255, "uint8")
    for number, image in enumerate(images):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        page[top : top + height, left : left + width] = image
    figure = Figure(figsize=(1.05 * columns, 1.05 * rows * height / width + 0.4))
    axes = figure.add_axes((0.01, 0.01, 0.98, 1.0 - 0.42 / figure.get_figheight()))
    axes.imshow(page, vmin=0, vmax=255)
    axes.set_axis_off()
    axes.set_title(title)
    return figure
