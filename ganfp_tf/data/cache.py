"""What was computed of images, by the digests of their files. No TensorFlow."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd


@dataclasses.dataclass(frozen=True)
class DigestCache:
    """Arrays of one shape and type, one an image; each content is computed once.

    Attributes:
        rows: array of each digest (SHA-256 of the file, hex).
    """

    rows: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def get(
        self,
        frame: pd.DataFrame,
        compute: Callable[[pd.DataFrame], np.ndarray],
        *,
        block: int | None = None,
    ) -> np.ndarray:
        """The arrays of the images of `frame`, computed if they are not there.

        Args:
            frame: DataFrame with digest.
            compute: rows of `frame`, each content once -> (rows, ...) array.
            block: compute this many images at a time, in the order of their digests; None: all at
                once, in the order of `frame`.

        Returns:
            (len(frame), ...) array.
        """
        new = frame[~frame["digest"].isin(self.rows.keys())].drop_duplicates("digest")
        if block:
            new = new.sort_values("digest")
        size = block or max(len(new), 1)
        for start in range(0, len(new), size):
            part = new.iloc[start : start + size]
            self.rows.update(zip(part["digest"], compute(part), strict=True))
        if not self.rows:
            return compute(frame)  # of no image; its shape is what it is
        first = next(iter(self.rows.values()))
        found = np.empty((len(frame), *first.shape), first.dtype)
        for place, digest in enumerate(frame["digest"]):
            found[place] = self.rows[digest]
        return found
