"""What spaces of hand-made features share. No TensorFlow."""

from collections.abc import Callable, Hashable

import numpy as np
import pandas as pd

from ganfp_tf.data.cache import DigestCache
from ganfp_tf.detectors.protocol import ImageStore
from ganfp_tf.detectors.spaces.base import Vectors
from ganfp_tf.errors import UserError

BLOCK = 256  # images whose features are computed at once, so that memory stays bounded


def per_image(
    frame: pd.DataFrame,
    store: ImageStore,
    key: Hashable,
    compute: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Features of the images of `frame`, each content computed once for a store and key.

    Args:
        frame: DataFrame with path and digest.
        store: gives pixels and keeps what was made, as `spaces.PixelStore` does.
        key: names everything but the image that the features depend on.
        compute: (n, side, side) float32 gray values in [0, 1] -> (n, ...) array, each image's row
            whatever images stand beside it.

    Returns:
        (len(frame), ...) array of the type that `compute` returned.
    """
    known = store.keep(key, DigestCache)
    return known.get(frame, lambda part: compute(squares(store.pixels(part))), block=BLOCK)


def squares(rows: np.ndarray) -> np.ndarray:
    """(n, side * side) pixels -> (n, side, side), a view."""
    side = round(rows.shape[1] ** 0.5)
    return rows.reshape(len(rows), side, side)


def per_content(
    candidates: pd.DataFrame, score: Callable[[pd.DataFrame], np.ndarray]
) -> np.ndarray:
    """Scores each content once, in the order of the digests.

    So sums round the same way however the files were listed, and equal files score equally.

    Args:
        candidates: DataFrame with digest.
        score: frame of unique rows, sorted by digest -> (len,) scores.

    Returns:
        (len(candidates),) float64.
    """
    unique = candidates.drop_duplicates("digest").sort_values("digest")
    found = pd.Series(np.asarray(score(unique), "float64"), unique["digest"].to_numpy())
    return found.reindex(candidates["digest"]).to_numpy()


def standardised(
    features: Callable[[pd.DataFrame], np.ndarray],
    real: pd.DataFrame,
    generated: pd.DataFrame,
    space: str,
) -> Vectors:
    """Vectors whose numbers have mean 0 and deviation 1 in each domain.

    A generator's own look moves and stretches features of all its images alike; standardised apart,
    what is left is how an image differs from others of its kind. A number that does not move in a
    domain becomes 0 there.

    Args:
        features: frame -> (len, d) array.
        real: frame of fit(), whose statistics real images are standardised by.
        generated: the same for generated images.
        space: name for the message.

    Returns:
        `Vectors`. Those of a domain without images in fit() raise UserError when asked for.
    """
    return Vectors(
        _standardised(features, real, "real", space),
        _standardised(features, generated, "generated", space),
    )


def _standardised(features, reference, domain, space):
    if not len(reference):

        def refuse(frame):
            raise UserError(
                f"The space {space} standardises {domain} images by those it was fitted on. "
                f"Expected at least 1, found none: add {domain} images to the data."
            )

        return refuse
    rows = features(reference.drop_duplicates("digest").sort_values("digest")).astype("float64")
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    moves = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=moves)

    def vectors(frame):
        return ((features(frame) - mean) * scale).astype("float32")

    return vectors
