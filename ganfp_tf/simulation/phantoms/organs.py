"""Organs inside the chest: heart, great vessels, airways, lungs, and what lies under them."""

from typing import TYPE_CHECKING

import numpy as np

from ganfp_tf.simulation.phantoms import vessels
from ganfp_tf.simulation.phantoms.shapes import blend, cover, ellipsoid, step
from ganfp_tf.simulation.phantoms.vessels import Tree

if TYPE_CHECKING:
    from ganfp_tf.simulation.phantoms.anatomy import Anatomy, Grid

SOFT, LUMEN = 40.0, -985.0


def _path(points, radii, height):
    """A vessel through points (x, y, z as a fraction) with a radius at each."""
    points = np.asarray(points, float) * (1, 1, height)
    radii = np.broadcast_to(radii, len(points)).astype(float)
    # Short pieces, so that the radius changes gently.
    place = np.linspace(0, len(points) - 1, 6 * (len(points) - 1) + 1)
    known = np.arange(len(points))
    fine = np.stack([np.interp(place, known, points[:, axis]) for axis in range(3)], 1)
    radius = np.interp(place, known, radii)
    return Tree(fine[:-1], fine[1:], (radius[:-1] + radius[1:]) / 2, np.full(len(fine) - 1, 999))


def _join(*trees):
    return Tree(*(np.concatenate(field) for field in zip(*trees, strict=True)))


def great_vessels(anatomy: "Anatomy", rng: np.random.Generator) -> dict[str, Tree]:
    """Arteries, veins, gullet and main airways as paths; names -> Tree."""
    height, size = anatomy.height, anatomy.half_width / 125
    aorta = anatomy.aorta * 1.2

    def path(points, radii):
        jitter = rng.normal(0, 1.5, (len(points), 3)) * (1, 1, 0.002)
        scaled = np.asarray(points, float) * (size, size, 1) + (anatomy.shift, 0, 0)
        return _path(scaled + jitter, radii, height)

    below = [(*anatomy.aorta_place(z), z) for z in (0.36, 0.5, 0.7, 0.9, 1.1)]
    descending = _path(below, anatomy.aorta, height)
    end = np.array(below[0]) - (anatomy.shift, 0, 0)
    arch_end = (end[0] / size, end[1] / size, 0.345)
    arteries = _join(
        path(
            [
                (4, -14, 0.6),
                (-12, -24, 0.5),
                (-15, -24, 0.42),
                (-10, -20, 0.345),
                (2, -6, 0.315),
                (16, 12, 0.315),
                arch_end,
            ],
            aorta,
        ),
        descending,
        path([(-4, -14, 0.32), (-9, -14, 0.22), (-24, -8, 0.1)], 6.5),
        path([(5, -4, 0.31), (8, -4, 0.2), (14, 0, 0.1)], 4.0),
        path([(14, 10, 0.31), (20, 8, 0.22), (30, 2, 0.1)], 5.0),
    )
    lungs = _join(
        path([(18, -34, 0.58), (15, -32, 0.5), (14, -20, 0.445)], 14.0),
        path([(14, -20, 0.445), (-4, -2, 0.452), (-26, 2, 0.458), (-38, 6, 0.47)], [12, 10, 9, 7]),
        path([(14, -20, 0.445), (24, -4, 0.43), (34, 8, 0.435), (37, 12, 0.47)], [12, 10, 9, 7]),
    )
    veins = _join(
        path([(-24, -20, 0.12), (-25, -19, 0.25), (-26, -18, 0.4), (-25, -12, 0.55)], 8.5),
        path([(-25, -22, 0.24), (0, -34, 0.24), (22, -26, 0.19), (30, -14, 0.1)], 6.0),
        path([(-20, 4, 0.7), (-21, 6, 0.85), (-19, 12, 1.1)], 11.0),
        path([(-10, anatomy.spine_place(0.5)[1] / size - 17, z) for z in (0.35, 0.6, 0.9)], 3.5),
    )
    gullet = path([(4, 16, 0.0), (5, 22, 0.3), (5, 30, 0.5), (9, 34, 0.75), (14, 20, 0.95)], 6.0)
    airway = _join(
        path([(0, -2, -0.05), (-1, 4, 0.2), (0, 8, 0.36), (0, 10, 0.4)], 8.3),
        path([(0, 10, 0.4), (-20, 11, 0.435), (-36, 10, 0.47), (-38, 12, 0.52)], [8, 7, 6, 5]),
        path([(0, 10, 0.4), (22, 13, 0.45), (40, 15, 0.49), (42, 20, 0.53)], [8, 6.5, 5.5, 4.5]),
    )
    return {
        "arteries": arteries,
        "lungs": lungs,
        "veins": veins,
        "gullet": gullet,
        "airway": airway,
    }


def lung_trees(anatomy: "Anatomy", rng: np.random.Generator) -> tuple[tuple[Tree, ...], Tree]:
    """Arteries, veins and airways that fill the lungs."""
    size = anatomy.half_width / 125
    box = np.array([anatomy.half_width, anatomy.half_depth])
    places = rng.uniform(-1, 1, (15000, 2)) * box
    z = rng.uniform(0.02, 1.1, 15000)
    inside = anatomy.lung_distance(places[:, 0], places[:, 1], z) < -3.0
    places = np.column_stack([places, z * anatomy.height])[inside]
    trees, airways = [], []
    for side in (-1, 1):
        lung = places[np.sign(places[:, 0]) == side]
        half = len(lung) // 2
        x = side * 37 * size + anatomy.shift
        root = np.array([x, 6, 0.47 * anatomy.height])
        leaf = rng.uniform(0.36, 0.5)
        artery = vessels.grow(root, lung[:half], rng, leaf=leaf)
        trees += [
            artery,
            vessels.grow(
                root + np.array([-10 * side, 8, 0.06 * anatomy.height]), lung[half:], rng, leaf=leaf
            ),
        ]
        wide = artery.chosen(artery.supplied > 45)
        wide = wide._replace(radius=0.6 * wide.radius)
        airways.append(vessels.beside(wide, 5.0, rng))
    return tuple(trees), _join(*airways)


def _drawn(anatomy, grid, z, thickness, tree, grown=0.0):
    """Share (H, W) of each pixel that the tree fills in the slice; radii `grown` mm wider."""
    shares = np.zeros_like(grid.x)
    tree = tree._replace(radius=np.maximum(tree.radius + grown, 0.2))
    vessels.draw(shares, grid, *vessels.in_slice(tree, z * anatomy.height, thickness))
    return shares


def lung_tissue(anatomy: "Anatomy", grid: "Grid", z: float, thickness: float) -> np.ndarray:
    """Lung tissue with its vessels, airways and fissures, over the whole grid, in HU."""
    x, y, height = grid.x, grid.y, z * anatomy.height
    noise = anatomy.noise
    tissue = anatomy.density + anatomy.gradient * (step(y / anatomy.half_depth, -1.2, 1.2) - 0.5)
    tissue = tissue + anatomy.texture * (noise(x, y, height, 40.0) + 0.6 * noise(x, y, height, 6.0))
    blend(tissue, SOFT - 300, 0.3 * _fissures(anatomy, x, y, z, grid.pixel))
    blood = 0.6 * anatomy.blood + 10
    for tree in anatomy.pulmonary:
        blend(tissue, blood, _drawn(anatomy, grid, z, thickness, tree))
    wall = 0.4 + 0.18 * anatomy.airways.radius
    blend(tissue, -40.0, 0.85 * _drawn(anatomy, grid, z, thickness, anatomy.airways, wall))
    blend(tissue, LUMEN, _drawn(anatomy, grid, z, thickness, anatomy.airways))
    return tissue


def _fissures(anatomy, x, y, z, pixel):
    """Oblique fissures of both lungs and the flat one of the right lung."""
    share = np.zeros_like(x)
    bow = 9 * np.sin(x / 40 + 6 * anatomy.vertebra)
    for side, top in ((-1, anatomy.fissure), (1, anatomy.fissure - 0.06)):
        slope = 1.9 * anatomy.half_depth / 0.6  # from high at the back to low at the front
        line = 0.85 * anatomy.half_depth - slope * (z - top) + bow - 0.3 * np.abs(x)
        lung = cover(-side * x, pixel)
        share = np.maximum(share, lung * cover(np.abs(y - line) - 1.0, max(2.0, pixel)))
    flat = np.abs(z - 0.47 - 0.0004 * (y + 20)) * anatomy.height
    front = cover(x, pixel) * cover(y - 5, 10.0)
    return np.maximum(share, 0.4 * front * np.clip(1 - flat / 5, 0, 1))


def draw_mediastinum(
    hu: np.ndarray, anatomy: "Anatomy", grid: "Grid", z: float, thickness: float
) -> None:
    """Heart, great vessels and gullet over the fat of the middle."""
    x, y, height, pixel = grid.x, grid.y, z * anatomy.height, grid.pixel
    radius = anatomy.cavity_radius(np.arctan2(x, -y), z)
    inside = cover(np.hypot(x, y) - radius + 1.5, pixel)
    strands = anatomy.noise(x, y, height, 14.0)
    blend(hu, SOFT, 0.55 * inside * step(strands, 0.4, 1.6))
    edge = max(1.5, pixel)
    muscle, blood = SOFT + 0.35 * (anatomy.blood - SOFT), anatomy.blood
    for number, (centre, radii, turn) in enumerate(anatomy.chambers()):
        shape = ellipsoid(x, y, height, centre, radii, turn)
        blend(hu, muscle if number == 0 else blood, inside * cover(shape, edge))
        if number == 0:
            # Two ventricles: blood pools on both sides of the septum.
            cos, sin = np.cos(turn), np.sin(turn)
            across = -sin * (x - centre[0]) + cos * (y - centre[1])
            left = np.maximum(shape + 12, 3 - across - 2)
            right = np.maximum(shape + 4, across + 8)
            blend(hu, blood, inside * np.maximum(cover(left, edge), cover(right, edge)))
    for name, value in (
        ("gullet", 35.0),
        ("veins", 0.85 * blood),
        ("lungs", blood),
        ("arteries", blood),
    ):
        blend(hu, value, inside * _drawn(anatomy, grid, z, thickness, anatomy.great[name]))
    walls = _drawn(anatomy, grid, z, thickness, anatomy.great["arteries"])
    specks = step(anatomy.noise(x, y, height, 9.0, octaves=2), 1.6, 2.2)
    blend(hu, 450.0, anatomy.calcium**2 * specks * walls * (1 - walls) * 2)
    blend(
        hu,
        -800.0,
        0.7 * inside * _drawn(anatomy, grid, z, thickness, anatomy.great["gullet"], -4.2),
    )


def draw_roots(
    hu: np.ndarray, anatomy: "Anatomy", grid: "Grid", z: float, thickness: float
) -> None:
    """Vessels and airways of the hilum, which cross from the middle into the lungs."""
    near = cover(np.abs(grid.x - anatomy.shift) - 46 * anatomy.half_width / 125, 8.0)
    blend(hu, anatomy.blood, near * _drawn(anatomy, grid, z, thickness, anatomy.great["lungs"]))
    airway = anatomy.great["airway"]
    blend(hu, 20.0, _drawn(anatomy, grid, z, thickness, airway, 1.6))
    blend(hu, LUMEN, _drawn(anatomy, grid, z, thickness, airway))


def draw_abdomen(hu: np.ndarray, anatomy: "Anatomy", grid: "Grid", z: float) -> None:
    """Liver under the right dome; spleen and stomach with its air under the left one."""
    x, y, height, pixel = grid.x, grid.y, z * anatomy.height, grid.pixel
    below = anatomy.dome_distance(x, y, z) + 1.5
    if below.min() > 0:
        return
    edge = max(1.5, pixel)
    wall = np.hypot(x, y) - anatomy.cavity_radius(np.arctan2(x, -y), z)
    inside = np.maximum(below, wall + 2.0)
    blend(hu, SOFT, cover(inside - 2.5, edge))  # the diaphragm
    noise = anatomy.noise(x, y, height, 30.0)
    left = cover(-x + 18 + 8 * noise, edge)
    blend(hu, -95.0 + 10 * noise, left * cover(inside, edge))
    liver = 58 + 0.3 * (anatomy.blood - 45) + 5 * noise
    tubes = step(np.abs(anatomy.noise(x, y, height, 34.0, octaves=1)), 0.09, 0.04)
    liver = liver + np.where(anatomy.blood > 100, 45, -14) * tubes
    edge_x = 22 + 30 * step(-y, 0, 60) + 8 * noise  # the left lobe reaches over the middle in front
    blend(hu, liver, cover(np.maximum(inside, x - edge_x), edge))
    wide, deep = anatomy.half_width, anatomy.half_depth
    level = (anatomy.dome + anatomy.dome_step) * anatomy.height
    spleen = ellipsoid(x, y, height, (0.72 * wide, 0.35 * deep, level + 55), (42, 56, 60), 0.5)
    blend(hu, 52 + 0.3 * (anatomy.blood - 45), cover(np.maximum(spleen, inside + 3), edge))
    stomach = (
        ellipsoid(x, y, height, (0.48 * wide, -0.25 * deep, level + 38), (52, 46, 42), -0.3)
        + 14 * anatomy.stomach
    )
    stomach = np.maximum(stomach, inside + 2)
    blend(hu, 40.0, cover(stomach, edge))
    line = anatomy.meal * deep
    air = np.maximum(stomach + 4, y - line)  # air rises: the patient lies on the back
    blend(hu, -950.0, cover(air, edge))
    blend(hu, 15.0, cover(np.maximum(stomach + 4, line - y), edge))
