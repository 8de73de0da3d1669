"""An image that looks used, with what looks like it."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Entry:
    """One suspect.

    Attributes:
        name, patient: of the real image.
        score: of the primary detector; higher means "used".
        p, q: p-value, and with the false discovery rate controlled; None where there is none.
        flagged: was it flagged?
        real: (H, W) uint8.
        generated: (name, distance, (H, W) uint8) each, the nearest first; at most three are shown.
        neighbour: (name, patient, distance, (H, W) uint8) of a real image of another patient, or
            None.
    """

    name: str
    patient: str
    score: float
    p: float | None
    q: float | None
    flagged: bool
    real: np.ndarray
    generated: list[tuple]
    neighbour: tuple | None = None
