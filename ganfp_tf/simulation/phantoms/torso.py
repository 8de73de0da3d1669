"""The chest wall: table, skin, fat, muscles, and the bones of the chest."""

from typing import TYPE_CHECKING

import numpy as np

from ganfp_tf.simulation.phantoms.shapes import blend, capsule, cover, ellipsoid, step

if TYPE_CHECKING:
    from ganfp_tf.simulation.phantoms.anatomy import Anatomy, Grid

FAT, MUSCLE, SKIN, CORTEX, MARROW, CARTILAGE = -100.0, 55.0, 20.0, 620.0, 230.0, 110.0


def draw_table(hu: np.ndarray, anatomy: "Anatomy", grid: "Grid") -> None:
    """The couch: a shallow trough of carbon fibre under the patient."""
    bottom = anatomy.body_radius(np.pi, 0.5) + anatomy.offset_y + anatomy.table
    radius = 420.0
    shell = np.hypot(grid.image_x, grid.image_y - bottom + radius) - radius
    wide = cover(np.abs(grid.image_x) - 205, grid.pixel)
    for depth, value in ((2.0, -250.0), (26.0, -350.0)):
        blend(hu, value, wide * cover(np.abs(shell - depth) - 1.3, grid.pixel))
    blend(hu, -940.0, wide * cover(np.abs(shell - 14) - 10.5, grid.pixel))


def draw_wall(hu: np.ndarray, anatomy: "Anatomy", grid: "Grid", z: float) -> None:
    """Skin, subcutaneous fat, muscle layers with fat between them; fills the cavity with fat."""
    x, y, pixel = grid.x, grid.y, grid.pixel
    angle, radius = np.arctan2(x, -y), np.hypot(x, y)
    off = np.abs(angle)
    skin = radius - anatomy.body_radius(angle, z)
    wall = radius - anatomy.cavity_radius(angle, z)
    rough = anatomy.noise(x, y, z * anatomy.height, 28.0)
    blend(hu, FAT + 9 * rough, cover(skin, pixel))
    if anatomy.gland:
        level = np.exp(-(((z - 0.56) / 0.12) ** 2)) * np.exp(-(((off - 0.72) / 0.3) ** 2))
        gland = step(rough + 3 * level - 2.2, 0, 1) * cover(skin + 7, 4) * cover(18 - wall, 6)
        blend(hu, 25.0, anatomy.gland * gland)
    # Fat is thinnest at the sides of the back, thickest at flanks and breast.
    thick = anatomy.fat * (0.75 + 0.35 * np.sin(off) + 0.12 * rough)
    thick = thick + 0.85 * anatomy.breast * np.exp(
        -(((z - 0.56) / 0.14) ** 2) - (((off - 0.72) / 0.36) ** 2)
    )
    muscle = cover(np.maximum(skin + thick + 3, 1.5 - wall), max(2.0, pixel))
    fibres = anatomy.noise(x, y, z * anatomy.height * 0.4, 11.0)
    seams = np.zeros_like(hu)
    # Layers: under the ribs' muscles, between the sheets of the flank, round the blade's muscles.
    for place, width in ((13.0, 0.5), (25.0, 0.9), (41.0, 1.6)):
        bend = place + 3.0 * rough + 2.0 * np.sin(3 * off + place)
        seams = np.maximum(seams, cover(np.abs(wall - bend) - width - 0.9 * fibres, 2.0))
    back = _back_muscles(anatomy, x, y, z)
    deep = cover(np.abs(back) - 1.0, 2.0)
    tissue = MUSCLE + 8 * fibres
    tissue += (FAT - tissue) * np.clip(0.85 * np.where(back < 0, 0, seams) + 0.6 * deep, 0, 1)
    blend(hu, tissue, muscle)
    # The cavity's lining, then fat that organs are drawn over.
    blend(hu, FAT + 8 * rough, cover(wall, max(1.5, pixel)))
    blend(hu, SKIN, cover(np.abs(skin + 1.0) - 1.0, pixel))


def _back_muscles(anatomy, x, y, z):
    spine_x, spine_y = anatomy.spine_place(z)
    centre = spine_x, spine_y + 42, 0.0
    return ellipsoid(np.abs(x - spine_x), y, 0.0, (21.0, centre[1], 0), (19, 17, 1e3), 0.3)


def _bone(hu, distance, pixel, *, cortex=CORTEX, marrow=MARROW, wall=1.1, rough=0.0):
    """A bone as a bright shell round its marrow."""
    edge = max(1.2, pixel)
    blend(hu, cortex, cover(distance, edge))
    blend(hu, marrow + 60 * rough, cover(distance + wall, edge))


def draw_bones(hu: np.ndarray, anatomy: "Anatomy", grid: "Grid", z: float) -> None:
    """Ribs, shoulder blades, breastbone and spine."""
    grain = anatomy.noise(grid.x, grid.y, z * anatomy.height, 5.0, octaves=2)
    angle, radius = np.arctan2(grid.x, -grid.y), np.hypot(grid.x, grid.y)
    wall = radius - anatomy.cavity_radius(angle, z)
    _ribs(hu, anatomy, grid, z, angle, wall, grain)
    if z < 0.5:
        _blades(hu, anatomy, grid, z, grain)
    _breastbone(hu, anatomy, grid, z, grain)
    _spine(hu, anatomy, grid, z, grain)


def _ribs(hu, anatomy, grid, z, angle, wall, grain):
    """Ribs leave the spine, run round the chest and sink: a slice cuts four to six of each side."""
    height = z * anatomy.height
    for rib in range(12):
        top = anatomy.rib_first + rib * anatomy.rib_gap
        drop = anatomy.rib_drop * min(1.0, 0.55 + 0.09 * rib)
        way = (height - top) / drop  # 0 at the spine, 1 at the breastbone
        if not -0.06 < way < 1.05:
            continue
        # Flat at the spine, steeper on the flank.
        way = np.sign(way) * np.abs(way) ** 0.85
        for side in (-1, 1):
            at = side * (np.pi - 0.3 - way * 2.45)
            at_radius = anatomy.cavity_radius(at, z)
            along = np.abs((np.angle(np.exp(1j * (angle - at)))) * at_radius)
            half = np.clip(6.0 * 2.6 * at_radius / drop, 9, 17) * (1.25 if way < 0.15 else 1.0)
            tilt = 0.06 * (np.angle(np.exp(1j * (angle - at)))) * at_radius * side
            distance = np.hypot(np.maximum(along - half, 0), wall - 6.0 + tilt) - 4.2
            if way > 0.86:
                shell = 150 + 500 * anatomy.calcium**2
                _bone(hu, distance, grid.pixel, cortex=shell, marrow=CARTILAGE, rough=0.2 * grain)
            else:
                _bone(hu, distance, grid.pixel, rough=grain)


def _blades(hu, anatomy, grid, z, grain):
    """Shoulder blades: a thin plate behind the ribs, thick at its outer edge, with its ridge."""
    size = 1 - step(z, 0.3, 0.5)
    if size < 0.08:
        return
    for side in (-1, 1):

        def place(angle, out, side=side):
            radius = anatomy.cavity_radius(angle, z) + out
            return side * radius * np.sin(angle), -radius * np.cos(angle)

        outer_angle = 2.5 - 0.75 * size
        inner, outer = place(2.58, 17.0), place(outer_angle, 22.0 + 10 * size)
        _bone(hu, capsule(grid.x, grid.y, inner, outer, 1.7), grid.pixel, wall=1.0, rough=grain)
        edge = place(outer_angle + 0.06, 22.0 + 10 * size)
        _bone(hu, capsule(grid.x, grid.y, edge, outer, 2.0 + 3 * size), grid.pixel, rough=grain)
        if z < 0.3:
            root = [0.4 * a + 0.6 * b for a, b in zip(inner, outer, strict=True)]
            tip = place(2.3, 24.0 + 90 * (0.34 - z))
            _bone(hu, capsule(grid.x, grid.y, root, tip, 1.7), grid.pixel, rough=grain)


def _breastbone(hu, anatomy, grid, z, grain):
    if not 0.12 < z < 0.72:
        return
    wide = 27 - 12 * step(z, 0.24, 0.36) - 5 * step(z, 0.6, 0.72)
    front = -anatomy.cavity_radius(0.0, z) - 7
    shape = ellipsoid(grid.x - 0.4 * anatomy.shift, grid.y, 0.0, (0, front, 0), (wide, 6.2, 1e3))
    _bone(hu, shape, grid.pixel, cortex=600, marrow=140, rough=grain)


def _spine(hu, anatomy, grid, z, grain):
    spine_x, spine_y = anatomy.spine_place(z)
    x, y = grid.x - spine_x, grid.y - spine_y
    phase = (z * anatomy.height / anatomy.rib_gap + anatomy.vertebra) % 1.0
    disc = step(np.abs(phase - 0.5), 0.36, 0.44)  # 1 in the disc between two vertebrae
    arch = 1 - disc
    size = 0.9 + 0.25 * z
    # Arch, transverse and spinous processes first: the canal is cut out of them.
    for side in (-1, 1):
        reach = 12 + 24 * step(0.3 - np.abs(phase - 0.35), 0, 0.2)
        process = capsule(x, y, (side * 11, 17), (side * reach, 26 + 0.25 * reach), 4.4)
        _bone(hu, process, grid.pixel, cortex=700, rough=grain)
        lamina = capsule(x, y, (side * 13, 20), (0, 35), 3.8)
        _bone(hu, lamina, grid.pixel, cortex=700, rough=grain)
    spinous = capsule(x, y, (0, 34), (0, 38 + 16 * step(np.abs(phase - 0.85), 0.35, 0.1)), 3.2)
    _bone(hu, spinous, grid.pixel, cortex=700, rough=grain)
    canal = ellipsoid(x, y, 0.0, (0, 23.5, 0), (10.5, 8.5, 1e3))
    blend(hu, -20.0, cover(canal, grid.pixel))
    blend(hu, 35.0, cover(canal + 2.5, grid.pixel))
    round_front = ellipsoid(x, y, 0.0, (0, 0, 0), (17.5 * size, 15.5, 1e3))
    body = np.maximum(round_front, np.abs(x) * 0.12 + y - 14)
    cortex = 620 * arch + 120 * disc
    _bone(hu, body, grid.pixel, cortex=cortex, marrow=190 * arch + 95 * disc, rough=arch * grain)
