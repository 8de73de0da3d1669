"""Shapes as signed distances (negative inside), their soft edges, and noise that has a place.

All lengths are millimetres, so a shape does not know the pixel size it is drawn at.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import map_coordinates


def ellipsoid(
    x: np.ndarray,
    y: np.ndarray,
    z: float | np.ndarray,
    centre: Sequence[float | np.ndarray] | np.ndarray,
    radii: Sequence[float | np.ndarray] | np.ndarray,
    turn: float = 0.0,
) -> np.ndarray:
    """About the distance to an ellipsoid turned by `turn` radians in the axial plane.

    Exact on the surface and for a sphere; elsewhere the usual first-order estimate.
    """
    u, v = x - centre[0], y - centre[1]
    if turn:
        cos, sin = np.cos(turn), np.sin(turn)
        u, v = cos * u + sin * v, cos * v - sin * u
    w = (z - centre[2]) / radii[2]
    u, v = u / radii[0], v / radii[1]
    near = np.sqrt(u**2 + v**2 + w**2)
    slope = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2)
    return near * (near - 1) / np.maximum(slope, 1e-6)


def capsule(
    x: np.ndarray,
    y: np.ndarray,
    start: Sequence[float] | np.ndarray,
    end: Sequence[float] | np.ndarray,
    radius: float,
) -> np.ndarray:
    """Distance to a stick with round ends in the plane."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / max(dx * dx + dy * dy, 1e-9)
    along = np.clip(along, 0, 1)
    return np.hypot(x - start[0] - along * dx, y - start[1] - along * dy) - radius


def superellipse(
    angle: float | np.ndarray, a: float | np.ndarray, b: float | np.ndarray, power: float
) -> float | np.ndarray:
    """Radius at `angle` from anterior (0; a quarter turn is the image's right)."""
    return (np.abs(np.sin(angle) / a) ** power + np.abs(np.cos(angle) / b) ** power) ** (-1 / power)


def union(*distances: np.ndarray, soft: float = 6.0) -> np.ndarray:
    """Smooth union: the corners are filled over about `soft` mm (polynomial smooth minimum)."""
    joined = distances[0]
    for other in distances[1:]:
        blend = np.clip(0.5 + 0.5 * (other - joined) / soft, 0, 1)
        joined = other + (joined - other) * blend - soft * blend * (1 - blend)
    return joined


def cover(distance: np.ndarray, edge: float) -> np.ndarray:
    """Share of a pixel inside the shape: a ramp of width `edge` mm over its border."""
    return np.clip(0.5 - distance / edge, 0, 1)


def blend(hu: np.ndarray, value: float | np.ndarray, share: np.ndarray) -> None:
    """Paints `value` over `hu` in place with opacity `share`."""
    hu += (value - hu) * share


def step(value: float | np.ndarray, low: float, high: float) -> float | np.ndarray:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class Noise:
    """Smooth noise over space: the same place gives the same value at every pixel size."""

    def __init__(self, rng: np.random.Generator, side: int = 24) -> None:
        self.lattice = rng.standard_normal((side, side, side)).astype(np.float32)

    def __call__(
        self, x: np.ndarray, y: np.ndarray, z: float | np.ndarray, scale: float, octaves: int = 3
    ) -> np.ndarray:
        """Noise of about unit variance with features of `scale` mm and finer, (H, W) float32."""
        total, power = np.zeros(np.shape(x), np.float32), 0.0
        for octave in range(octaves):
            size = scale / 2**octave
            shift = 7.3 * octave
            places = np.stack(
                [np.broadcast_to(z / size + shift, np.shape(x)), y / size + shift, x / size - shift]
            )
            weight = 0.6**octave
            total += weight * map_coordinates(self.lattice, places, order=1, mode="grid-wrap")
            power += weight**2
        # Linear interpolation in three dimensions leaves 8/27 of the lattice's variance on average.
        return total / np.sqrt(power * 8 / 27)
