"""Files of TensorBoard's embedding projector: points, their names, their thumbnails.

`projector_config.pbtxt` lies in the log folder, where TensorBoard looks for it; the three files it
points to lie in `projector/` beside it. TensorBoard refuses paths outside of the log folder.
"""

import os
import pathlib

import numpy as np
import pandas as pd
from PIL import Image

from ganfp_tf.errors import UserError
from ganfp_tf.files import atomic_path, write_text
from ganfp_tf.reports.render.tables import printable

LARGEST_SPRITE = 8192  # pixels a side: the largest texture the projector loads


def write(
    logdir: str | os.PathLike,
    vectors: np.ndarray,
    metadata: pd.DataFrame,
    thumbnails: np.ndarray,
    name: str = "embedding",
) -> pathlib.Path:
    """Writes the projector's files, the config last, and returns the config's path.

    Args:
        logdir: TensorBoard's log folder.
        vectors: (N, D) floats, finite.
        metadata: DataFrame of N rows; its columns can be searched and coloured by.
        thumbnails: (N, h, w, 3) uint8, shrunk where the sprite would pass 8192 pixels a side.
        name: the name under which the projector lists the points.

    Raises:
        UserError: where there is no point, a vector is not finite, or the lengths differ.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or not vectors.size:
        raise UserError(
            f"The projector needs at least one vector, (N, D). Received: shape {vectors.shape}"
        )
    if not np.isfinite(vectors).all():
        bad = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise UserError(f"The projector needs finite vectors. Received: {bad} that are not.")
    if not len(vectors) == len(metadata) == len(thumbnails):
        raise UserError(
            "The projector needs one row of metadata and one thumbnail a vector. Received: "
            f"{len(vectors)} vectors, {len(metadata)} rows, {len(thumbnails)} thumbnails"
        )
    from tensorboard.plugins import projector

    logdir = pathlib.Path(logdir)
    folder = logdir / "projector"
    with atomic_path(folder / "vectors.tsv") as temporary:
        np.savetxt(temporary, vectors, fmt="%.6g", delimiter="\t")
    write_text(folder / "metadata.tsv", metadata_tsv(metadata))
    picture, (height, width) = sprite(thumbnails)
    with atomic_path(folder / "sprite.png") as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")

    config = projector.ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = name
    embedding.tensor_shape.extend(vectors.shape)
    embedding.tensor_path = "projector/vectors.tsv"
    embedding.metadata_path = "projector/metadata.tsv"
    embedding.sprite.image_path = "projector/sprite.png"
    embedding.sprite.single_image_dim.extend([width, height])
    path = logdir / "projector_config.pbtxt"
    write_text(path, str(config))
    return path


def metadata_tsv(frame: pd.DataFrame) -> str:
    """`frame` as the projector reads it: tabs between cells, one line a point.

    A single column must have no header line there. An empty cell keeps a column of numbers
    numeric, but a line of blanks alone would be skipped and shift all that follow: it gets a dash.
    """
    columns = [[_cell(value) for value in frame.iloc[:, k]] for k in range(frame.shape[1])]
    lines = ["\t".join(cells) for cells in zip(*columns, strict=True)]
    lines = [line if line.strip() else "-" + line for line in lines] or ["-"] * len(frame)
    if len(columns) > 1:
        names = []
        for k, name in enumerate(frame.columns):
            name = _cell(name).strip() or f"column {k + 1}"
            while name in names:
                name += "'"
            names.append(name)
        lines.insert(0, "\t".join(names))
    return "".join(line + "\n" for line in lines)


def sprite(thumbnails: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """(N, h, w, 3) uint8 -> one picture, row by row, and the (h, w) of a thumbnail in it.

    The grid has ceil(sqrt(N)) columns; cells past the last thumbnail are white.
    """
    thumbnails = np.asarray(thumbnails)
    if thumbnails.ndim != 4 or thumbnails.shape[-1] != 3 or thumbnails.dtype != np.uint8:
        raise UserError(
            "The projector needs thumbnails (N, h, w, 3) of uint8. Received: "
            f"shape {thumbnails.shape}, {thumbnails.dtype}"
        )
    count, height, width, _ = thumbnails.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    shrink = min(1.0, LARGEST_SPRITE / (columns * width), LARGEST_SPRITE / (rows * height))
    if shrink < 1.0:
        height, width = max(1, int(height * shrink)), max(1, int(width * shrink))
        thumbnails = [
            np.asarray(Image.fromarray(image).resize((width, height))) for image in thumbnails
        ]
    picture = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for index, image in enumerate(thumbnails):
        y, x = index // columns * height, index % columns * width
        picture[y : y + height, x : x + width] = image
    return picture, (height, width)


def _cell(value):
    """Text of one cell: no tab, no line break, nothing for a missing value."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    return printable(value)
