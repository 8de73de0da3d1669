"""A patient's chest as functions of place, and its slices in HU.

Axes: x to the image's right (the patient's left), y to the back, both from the middle of the chest;
z is the axial position, 0 above the apices and 1 in the upper abdomen. Lengths are millimetres;
a fraction z stands for z * anatomy.height mm. Every organ is a function of (x, y, z), so slices of
one patient cut the same organs, and nothing depends on the size of the image.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ganfp_tf.simulation.phantoms import organs, shapes, torso, vessels
from ganfp_tf.simulation.phantoms.shapes import Noise, ellipsoid, superellipse, union

AIR = -1000.0


@dataclass(frozen=True, eq=False, repr=False)
class Anatomy:
    """What makes a patient: see `draw_anatomy` for what each figure means."""

    body: dict  # floats by name
    wobble: np.ndarray  # (2, 4, 2): body and cavity, harmonics 2 to 5, amplitude and phase
    noise: Noise
    pulmonary: tuple  # of vessels.Tree: arteries and veins of both lungs
    airways: vessels.Tree
    great: dict  # name -> vessels.Tree

    def __getattr__(self, name: str) -> float:
        try:
            return self.__dict__["body"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def field(self) -> float:
        """Side of the image in mm."""
        return self.body["field"]

    # -- the chest's contours, as radii at an angle (0 = front, a quarter turn = image's right) --

    def cavity_radius(self, angle: float | np.ndarray, z: float | np.ndarray) -> float | np.ndarray:
        """Radius of the inner chest wall."""
        rise = np.sqrt(np.maximum(1 - (1 - np.minimum(z / 0.6, 1)) ** 2, 0.0))
        side = self.half_width * np.maximum(rise, 0.05)
        front = self.half_depth * (0.45 + 0.55 * rise)
        back = self.half_depth * (0.8 + 0.2 * rise)
        depth = back + (front - back) * shapes.step(np.cos(angle), -1, 1)
        return superellipse(angle, side, depth, self.squareness) * self._wave(angle, 1)

    def body_radius(self, angle: float | np.ndarray, z: float | np.ndarray) -> float | np.ndarray:
        """Radius of the skin."""
        cos, off = np.cos(angle), np.abs(angle)
        rise = np.sqrt(np.maximum(1 - (1 - np.minimum((z + 0.08) / 0.6, 1)) ** 2, 0.0))
        front = self.half_depth * (0.5 + 0.5 * rise) + 15 + 0.9 * self.fat
        back = self.half_depth * (0.85 + 0.15 * rise) + 27 + self.fat
        side = self.half_width * (0.72 + 0.28 * rise) + self.muscle + 10 + self.fat
        depth = back + (front - back) * shapes.step(cos, -1, 1)
        radius = superellipse(angle, side, depth, 2.45) * self._wave(angle, 0)
        # Shoulder blades and their muscles, chest muscles, breasts, the furrow over the spine.
        high = 1 - shapes.step(z, 0.28, 0.5)
        radius += (14 + 0.6 * self.muscle) * high * np.exp(-(((off - 2.15) / 0.42) ** 2))
        radius += 0.5 * self.muscle * high * np.exp(-(((off - 0.75) / 0.4) ** 2))
        level = np.exp(-(((z - 0.56) / 0.14) ** 2))
        radius += self.breast * level * np.exp(-(((off - 0.72) / 0.36) ** 2))
        radius -= 6 * np.exp(-(((np.pi - off) / 0.12) ** 2))
        return radius

    def _wave(self, angle, which):
        orders = np.arange(2, 6)
        return 1 + sum(
            amplitude * np.cos(order * angle + phase)
            for order, (amplitude, phase) in zip(orders, self.wobble[which], strict=True)
        )

    # -- lungs --

    def spine_place(self, z: float | np.ndarray) -> tuple[float | np.ndarray, float | np.ndarray]:
        """Centre of the vertebral body."""
        return self.tilt * (z - 0.5), 0.78 * self.cavity_radius(np.pi, z)

    def mediastinum_distance(
        self, x: np.ndarray, y: np.ndarray, z: float | np.ndarray
    ) -> np.ndarray:
        """Distance to what lies between the lungs: heart, vessels, their fat, the spine."""
        height = self.height * z
        scale = self.half_width / 125
        spine_x, spine_y = self.spine_place(z)
        spine = ellipsoid(x, y, 0.0, (spine_x, spine_y + 8, 0), (23, 25, 1e3))
        width = scale * (22 + 19 * (1 - shapes.step(z, 0.2, 0.46)) + 8 * shapes.step(z, 0.7, 0.9))
        waist = 1 - 0.62 * np.exp(-(((z - 0.46) / 0.12) ** 2)) * shapes.step(-y, 20, 60)
        depth = 0.98 * self.cavity_radius(0.0, z)
        middle = ellipsoid(x, y, 0.0, (self.shift, -0.12 * depth, 0), (width * waist, depth, 1e3))
        aorta = self.aorta_place(z)
        descending = np.hypot(x - aorta[0], y - aorta[1]) - self.aorta - 2
        descending = np.where(np.asarray(z) > 0.3, descending, descending + 200 * (0.3 - z))
        parts = [middle, spine, descending]
        for side in (-1, 1):  # hila
            centre = (side * 33 * scale, 6, (0.46 - 0.02 * side) * self.height)
            parts.append(ellipsoid(x, y, height, centre, (16, 13, 26)))
        parts += [
            ellipsoid(x, y, height, centre, [r + 3 for r in radii], turn)
            for centre, radii, turn in self.chambers()
        ]
        return union(*parts, soft=9.0)

    def aorta_place(self, z: float | np.ndarray) -> tuple[float | np.ndarray, float | np.ndarray]:
        """Centre of the descending aorta: beside the spine, nearer to the middle further down."""
        spine_x, spine_y = self.spine_place(z)
        return spine_x + 27 - 14 * shapes.step(z, 0.45, 1.0), spine_y - 14

    def chambers(self) -> tuple:
        """Heart as ellipsoids: (centre, radii, turn) of ventricles, right and left atrium."""
        size, level = self.heart, self.height * self.heart_level
        x, y = 26 * size + self.shift, -0.27 * self.half_depth
        return (
            ((x, y, level), (60 * size, 42 * size, 50 * size), -self.heart_turn),
            ((-26 * size + self.shift, y + 10, level - 6), (27 * size, 31 * size, 42 * size), 0.0),
            ((2 + self.shift, y + 42 * size, level - 24), (36 * size, 19 * size, 26 * size), 0.0),
        )

    def dome_distance(self, x: np.ndarray, y: np.ndarray, z: float | np.ndarray) -> np.ndarray:
        """Distance to the abdomen under the diaphragm: two domes and the heart's seat between."""
        seat = max(self.dome, self.heart_level + 40 * self.heart / self.height)
        domes = ((-0.5, 0, self.dome), (0.5, 0, self.dome + self.dome_step), (0.1, -0.3, seat))
        parts = []
        for across, back, top in domes:
            u = (x - across * self.half_width) / (0.66 * self.half_width)
            v = (y + 6 - back * self.half_depth) / (0.92 * self.half_depth)
            out = u**2 + v**2
            slope = 2 * self.dome_drop * np.sqrt(out) / (0.7 * self.half_depth)
            parts.append(
                (top * self.height + self.dome_drop * out - z * self.height) / np.sqrt(1 + slope**2)
            )
        return union(*parts, soft=12.0)

    def lung_distance(self, x: np.ndarray, y: np.ndarray, z: float | np.ndarray) -> np.ndarray:
        """Distance to the lungs, negative inside; x < 0 is the right lung."""
        wall = np.hypot(x, y) - self.cavity_radius(np.arctan2(x, -y), z)
        others = union(self.mediastinum_distance(x, y, z), self.dome_distance(x, y, z), soft=8.0)
        return -union(-wall, others, soft=8.0)


class Grid:
    """Pixel centres of an image in the patient's coordinates.

    x, y: (side, side) in mm; pixel: mm a pixel.
    """

    def __init__(self, anatomy: Anatomy, side: int) -> None:
        self.side, self.pixel = side, anatomy.field / side
        self.cos, self.sin = np.cos(anatomy.rotation), np.sin(anatomy.rotation)
        self.offset = anatomy.offset_x, anatomy.offset_y
        line = (np.arange(side) + 0.5) * self.pixel - anatomy.field / 2
        self.image_x, self.image_y = np.meshgrid(line, line)
        u, v = self.image_x - self.offset[0], self.image_y - self.offset[1]
        self.x, self.y = self.cos * u + self.sin * v, self.cos * v - self.sin * u

    def index(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Fractional (column, row) of a place, (2, ...)."""
        u = self.cos * x - self.sin * y + self.offset[0]
        v = self.sin * x + self.cos * y + self.offset[1]
        return np.stack([u, v]) / self.pixel + self.side / 2 - 0.5


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draws a patient from a numpy Generator."""
    half_width = rng.uniform(108, 140)
    fat = float(np.clip(rng.lognormal(np.log(13), 0.5), 4, 34))
    muscle = rng.uniform(9, 20)
    half_depth = half_width * rng.uniform(0.6, 0.92)
    woman = rng.random() < 0.45
    body = {
        "half_width": half_width,
        "half_depth": half_depth,
        "squareness": rng.uniform(2.1, 2.6),
        "height": rng.uniform(235, 285),  # of the stretch from z = 0 to 1
        "fat": fat,
        "muscle": muscle,
        "breast": rng.uniform(8, 30) if woman else rng.uniform(0, 5),
        "gland": rng.uniform(0.2, 0.9) if woman else 0.0,
        "rotation": rng.normal(0, 0.07),
        "tilt": rng.normal(0, 12),  # of the spine, mm
        "shift": rng.normal(0, 4),  # of the mediastinum
        "heart": rng.uniform(0.76, 1.18) * (half_width / 125) ** 0.5,
        "heart_level": rng.uniform(0.64, 0.71),
        "heart_turn": rng.uniform(-0.1, 0.6),
        "aorta": rng.uniform(9.5, 14),
        "dome": rng.uniform(0.71, 0.82),
        "dome_step": rng.uniform(0.0, 0.06),
        "dome_drop": rng.uniform(45, 85),
        "density": rng.uniform(-895, -795),  # of lung tissue in its middle, HU
        "gradient": rng.uniform(40, 130),  # HU from front to back
        "texture": rng.uniform(8, 22),
        "blood": rng.uniform(130, 260) if rng.random() < 0.35 else rng.uniform(38, 52),
        "calcium": rng.uniform(0, 1),  # of rib cartilage and aorta
        "rib_first": rng.uniform(-30, -8),
        "rib_gap": rng.uniform(22, 27),
        "rib_drop": rng.uniform(80, 118),
        "vertebra": rng.uniform(0, 1),
        "table": rng.uniform(2, 12),  # gap to the couch
        "fissure": rng.uniform(0.18, 0.32),
        "stomach": rng.uniform(0, 1),  # 0 full, 1 empty
        "meal": rng.uniform(-0.6, 0.1),  # level of what is in it
    }
    wobble = np.stack(
        [rng.uniform(0, [[0.012], [0.028]], (2, 4)), rng.uniform(0, 2 * np.pi, (2, 4))], axis=2
    )
    noise = Noise(rng)
    plain = Anatomy(body, wobble, noise, (), None, {})
    body |= _framed(plain, rng)
    great = organs.great_vessels(plain, rng)
    pulmonary, airways = organs.lung_trees(plain, rng)
    return Anatomy(body, wobble, noise, pulmonary, airways, great)


def _framed(anatomy, rng):
    """The field of view, which holds the whole body, and where in it the body lies."""
    levels, angles = np.linspace(0.2, 0.95, 8)[:, None], np.linspace(-np.pi, np.pi, 73)
    radius = anatomy.body_radius(angles, levels)
    half = 1.03 * radius.max() * (1 + 0.2 * rng.beta(1.2, 2.5))
    spare = half - radius.max()  # the scanner sees a circle
    x = float(np.clip(rng.normal(0, 10), -0.9 * spare, 0.9 * spare))
    above = half - np.abs(radius * np.cos(angles)).max()
    return {"field": 2 * half, "offset_x": x, "offset_y": rng.uniform(-0.4, 0.1) * above}


def slice_hu(
    anatomy: Anatomy,
    z: float,
    side: int,
    paint: Callable[[np.ndarray, Grid, float], None] | None = None,
    thickness: float = 4.0,
) -> np.ndarray:
    """The slice at the axial position z.

    Args:
        anatomy: of the patient.
        z: axial position, mm.
        side: pixels of the square slice.
        paint: function (lung tissue (side, side) in HU, grid, z) that paints findings over the
            tissue in place, before it is cut to the lungs.
        thickness: of the slice, mm.

    Returns:
        (side, side) float64 in HU.
    """
    grid = Grid(anatomy, side)
    hu = np.full((side, side), AIR)
    torso.draw_table(hu, anatomy, grid)
    torso.draw_wall(hu, anatomy, grid, z)
    organs.draw_mediastinum(hu, anatomy, grid, z, thickness)
    organs.draw_abdomen(hu, anatomy, grid, z)
    tissue = organs.lung_tissue(anatomy, grid, z, thickness)
    if paint is not None:
        paint(tissue, grid, z)
    lungs = shapes.cover(anatomy.lung_distance(grid.x, grid.y, z), max(1.2, grid.pixel))
    shapes.blend(hu, tissue, lungs)
    organs.draw_roots(hu, anatomy, grid, z, thickness)
    torso.draw_bones(hu, anatomy, grid, z)
    return hu
