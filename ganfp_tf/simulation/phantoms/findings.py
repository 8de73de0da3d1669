"""Findings of lung tuberculosis, painted over lung tissue in HU.

What is drawn follows the usual radiological descriptions: post-primary disease prefers the upper
lobes and the backs of the lungs; cavities have thick walls; spread along the airways shows as
clusters of small nodules joined by short twigs (tree in bud); healed nodules calcify.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganfp_tf.simulation.phantoms.shapes import blend, cover, ellipsoid, step
from ganfp_tf.simulation.phantoms.vessels import Tree, draw, in_slice

if TYPE_CHECKING:
    from ganfp_tf.simulation.phantoms.anatomy import Anatomy, Grid

# Share of patients that get each finding; one in eight has none.
SHARES = {
    "nodules": 0.55,
    "tree_in_bud": 0.45,
    "granuloma": 0.4,
    "cavity": 0.4,
    "infiltrate": 0.5,
    "consolidation": 0.25,
    "effusion": 0.15,
}
HEALTHY = 0.125


@dataclass(frozen=True, eq=False)
class Finding:
    """One finding.

    kind: a name in SHARES.
    centre: (3,) in mm (z as well); radii: (3,) in mm; turn: radians in the axial plane.
    detail: what else the kind needs: buds and twigs as a Tree, an effusion's side (-1 is right).
    """

    kind: str
    centre: np.ndarray
    radii: np.ndarray
    turn: float = 0.0
    density: float = 40.0
    wall: float = 0.0
    detail: object = None


def draw_findings(anatomy: "Anatomy", rng: np.random.Generator) -> tuple[Finding, ...]:
    """Draws a patient's findings.

    Args:
        anatomy: the patient, for places in the lungs.
        rng: numpy Generator.

    Returns:
        tuple of Finding.
    """
    healthy = rng.random() < HEALTHY
    chosen = [kind for kind, share in SHARES.items() if rng.random() < share]
    if healthy:
        return ()
    if not chosen:
        chosen = [str(rng.choice(["nodules", "cavity", "infiltrate"]))]
    return tuple(finding for kind in chosen for finding in MAKERS[kind](anatomy, rng))


def place(
    anatomy: "Anatomy", rng: np.random.Generator, *, levels: tuple[float, float], depth: float = 6.0
) -> np.ndarray:
    """A place (3,) in the lungs at least `depth` mm under their surface, rather at the back."""
    for _ in range(20):
        x = rng.uniform(-1, 1, 60) * anatomy.half_width
        y = rng.uniform(-0.8, 1, 60) * anatomy.half_depth
        z = rng.uniform(*levels, 60)
        good = np.flatnonzero(anatomy.lung_distance(x, y, z) < -depth)
        if len(good):
            k = good[0]
            return np.array([x[k], y[k], z[k] * anatomy.height])
        depth *= 0.8
    raise RuntimeError(f"found no place in the lungs between the levels {levels}")


def _nodules(anatomy, rng):
    made = []
    for _ in range(rng.integers(8, 28)):
        size = np.clip(rng.lognormal(np.log(4.5), 0.45), 2.5, 13)
        centre = place(anatomy, rng, levels=(0.15, 0.85), depth=3)
        radii = size * rng.uniform(0.8, 1.25, 3)
        made.append(Finding("nodules", centre, radii, rng.uniform(0, 3), rng.uniform(10, 60)))
    return made


def _granulomas(anatomy, rng):
    made = []
    for _ in range(rng.integers(3, 11)):
        centre = place(anatomy, rng, levels=(0.15, 0.85), depth=3)
        radii = rng.uniform(2.0, 4.5) * rng.uniform(0.85, 1.15, 3)
        made.append(Finding("granuloma", centre, radii, 0.0, rng.uniform(400, 900)))
    return made


def _cavities(anatomy, rng):
    made = []
    for _ in range(rng.choice([1, 1, 2])):
        centre = place(anatomy, rng, levels=(0.18, 0.5), depth=14)
        size = rng.uniform(11, 27)
        radii = size * rng.uniform([0.8, 0.8, 1.0], [1.2, 1.2, 1.7])
        wall = rng.uniform(3.0, 7.5)
        made.append(Finding("cavity", centre, radii, rng.uniform(0, 3), rng.uniform(20, 55), wall))
    return made


def _infiltrates(anatomy, rng):
    made = []
    for _ in range(rng.integers(1, 4)):
        centre = place(anatomy, rng, levels=(0.15, 0.75), depth=8)
        radii = rng.uniform(16, 42, 3) * (1, 1, 1.2)
        density = rng.uniform(-600, -250)
        made.append(Finding("infiltrate", centre, radii, rng.uniform(0, 3), density))
    return made


def _consolidation(anatomy, rng):
    centre = place(anatomy, rng, levels=(0.2, 0.8), depth=4)
    radii = rng.uniform(18, 42, 3) * (1, 1, 1.3)
    return [Finding("consolidation", centre, radii, rng.uniform(0, 3), rng.uniform(-20, 45))]


def _tree_in_bud(anatomy, rng):
    """Clusters of twigs that end in buds."""
    made = []
    for _ in range(rng.integers(3, 9)):
        centre = place(anatomy, rng, levels=(0.15, 0.8), depth=6)
        number = int(rng.integers(12, 36))
        radii = rng.uniform(9, 20, 3)
        ends = centre + rng.normal(size=(number, 3)) * radii * 0.55
        starts = ends + (centre - ends) * 0.3 + rng.normal(size=(number, 3)) * 2.5
        bud = rng.uniform(1.0, 2.1, number)
        detail = Tree(
            np.concatenate([starts, ends]),
            np.concatenate([ends, ends + rng.normal(size=(number, 3)) * 0.8]),
            np.concatenate([0.5 * bud, bud]),
            np.ones(2 * number, int),
        )
        made.append(Finding("tree_in_bud", centre, radii, density=20.0, detail=detail))
    return made


def _effusion(anatomy, rng):
    side = float(rng.choice([-1, 1]))
    depth = rng.uniform(20, 60)
    bottom = np.array([side * 0.5 * anatomy.half_width, 0.9 * anatomy.half_depth, anatomy.height])
    radii = np.array([0.0, depth, rng.uniform(0.35, 0.7) * anatomy.height])
    return [Finding("effusion", bottom, radii, density=rng.uniform(2, 22), detail=side)]


MAKERS = {
    "nodules": _nodules,
    "tree_in_bud": _tree_in_bud,
    "granuloma": _granulomas,
    "cavity": _cavities,
    "infiltrate": _infiltrates,
    "consolidation": _consolidation,
    "effusion": _effusion,
}


def paint(
    findings: tuple[Finding, ...],
    anatomy: "Anatomy",
    tissue: np.ndarray,
    grid: "Grid",
    z: float,
    thickness: float = 4.0,
) -> None:
    """Paints findings over lung `tissue` (H, W) in HU, in place, at the axial position z."""
    height = z * anatomy.height
    # Large and soft ones first, so that cavities and nodules stay visible in them.
    order = (
        "infiltrate",
        "consolidation",
        "effusion",
        "cavity",
        "tree_in_bud",
        "nodules",
        "granuloma",
    )
    for finding in sorted(findings, key=lambda one: order.index(one.kind)):
        far = abs(height - finding.centre[2])
        if finding.kind == "effusion" or far < 1.6 * finding.radii[2] + 10:
            _PAINT[finding.kind](finding, anatomy, tissue, grid, z, thickness)


def seen(findings: tuple[Finding, ...], anatomy: "Anatomy", z: float) -> tuple[str, ...]:
    """Sorted names of the findings that a slice at z cuts."""
    names = set()
    for finding in findings:
        # Fluid is too thin to be seen where it ends.
        part = 0.55 if finding.kind == "effusion" else 0.9
        if abs(z * anatomy.height - finding.centre[2]) < part * finding.radii[2]:
            names.add(finding.kind)
    return tuple(sorted(names))


def _body(finding, anatomy, grid, z, rough, scale):
    """Distance to the finding's ellipsoid, its border made uneven by `rough` mm of noise."""
    height = z * anatomy.height
    shape = ellipsoid(grid.x, grid.y, height, finding.centre, finding.radii, finding.turn)
    return shape + rough * anatomy.noise(grid.x + 31, grid.y, height, scale)


def _paint_solid(finding, anatomy, tissue, grid, z, thickness):
    size = finding.radii.mean()
    shape = _body(finding, anatomy, grid, z, 0.14 * size, 1.3 * size)
    # A nodule smaller than the slice is thick fills a part of it.
    offset = z * anatomy.height - finding.centre[2]
    radius = finding.radii[2]
    high = min(offset + thickness / 2, radius) - max(offset - thickness / 2, -radius)
    share = np.clip(high / thickness, 0, 1) if radius < thickness else 1.0
    blend(tissue, finding.density, share * cover(shape, max(1.5, grid.pixel)))


def _paint_cavity(finding, anatomy, tissue, grid, z, thickness):
    shape = _body(finding, anatomy, grid, z, 1.6, 14.0)
    haze = 0.45 * (1 - step(shape, -2, 14))  # inflamed tissue round it
    blend(tissue, -350.0, haze)
    edge = max(2.0, grid.pixel)
    blend(tissue, finding.density, cover(shape, edge))
    inner = _body(finding, anatomy, grid, z, 0.8, 20.0) + finding.wall
    blend(tissue, -960.0, cover(inner, edge))


def _paint_soft(finding, anatomy, tissue, grid, z, thickness):
    """Ground glass and patches with lobular texture and no clear border."""
    shape = _body(finding, anatomy, grid, z, 7.0, 24.0)
    patches = anatomy.noise(grid.x, grid.y + 57, z * anatomy.height, 13.0)
    share = (1 - step(shape, -14, 8)) * np.clip(0.62 + 0.3 * patches, 0, 1)
    # Vessels, which are denser than the infiltrate, keep their density.
    blend(tissue, np.maximum(tissue, finding.density), share)


def _paint_consolidation(finding, anatomy, tissue, grid, z, thickness):
    """Airless tissue; airways that carry air stay visible in it (air bronchograms)."""
    shape = _body(finding, anatomy, grid, z, 5.0, 22.0)
    air = step(-tissue, 925, 960)
    patches = anatomy.noise(grid.x, grid.y + 57, z * anatomy.height, 11.0)
    share = (1 - step(shape, -7, 4)) * np.clip(0.92 + 0.12 * patches, 0, 1) * (1 - 0.9 * air)
    blend(tissue, finding.density, share)


def _paint_buds(finding, anatomy, tissue, grid, z, thickness):
    shares = np.zeros_like(tissue)
    draw(shares, grid, *in_slice(finding.detail, z * anatomy.height, thickness))
    shape = _body(finding, anatomy, grid, z, 3.0, 15.0)
    blend(tissue, -650.0, 0.4 * (1 - step(shape, -8, 5)))
    blend(tissue, finding.density, shares)


def _paint_effusion(finding, anatomy, tissue, grid, z, thickness):
    """Fluid at the back of one side, deeper further down, its edge drawn up along the wall."""
    depth = finding.radii[1] * step(
        z * anatomy.height, finding.centre[2] - finding.radii[2], finding.centre[2]
    )
    if depth <= 0.5:
        return
    angle, radius = np.arctan2(grid.x, -grid.y), np.hypot(grid.x, grid.y)
    wall = radius - anatomy.cavity_radius(angle, z)
    back = step(grid.y, -0.45 * anatomy.half_depth, 0.75 * anatomy.half_depth)
    shape = -depth * back - wall
    side = cover(-finding.detail * grid.x, max(1.5, grid.pixel))
    fluid = side * cover(shape, max(2.0, grid.pixel)) * (back > 0)
    # Tissue that the fluid presses on loses its air.
    blend(tissue, -450.0, 0.5 * side * (1 - step(shape, 0, 9)) * back)
    blend(tissue, finding.density, fluid)


_PAINT = {
    "nodules": _paint_solid,
    "granuloma": _paint_solid,
    "cavity": _paint_cavity,
    "infiltrate": _paint_soft,
    "consolidation": _paint_consolidation,
    "tree_in_bud": _paint_buds,
    "effusion": _paint_effusion,
}
