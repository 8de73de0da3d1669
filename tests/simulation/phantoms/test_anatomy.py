"""Patients' chests: what is where, in HU, before the scanner."""

import numpy as np
import pytest

from ganfp_tf.simulation.phantoms.anatomy import Grid, draw_anatomy, slice_hu

SIDE = 96


@pytest.fixture(scope="module")
def patients():
    return [draw_anatomy(np.random.default_rng([7, number])) for number in range(6)]


def lungs(anatomy, z, side=SIDE, depth=0.0):
    grid = Grid(anatomy, side)
    return grid, anatomy.lung_distance(grid.x, grid.y, z) < -depth


def test_tissues_have_their_density(patients):
    for anatomy in patients:
        hu = slice_hu(anatomy, 0.55, SIDE)
        grid, lung = lungs(anatomy, 0.55, depth=3.0)
        assert -930 < np.median(hu[lung]) < -700
        angle, radius = np.arctan2(grid.x, -grid.y), np.hypot(grid.x, grid.y)
        skin = radius - anatomy.body_radius(angle, 0.55)
        wall = (skin < -4) & (radius > anatomy.cavity_radius(angle, 0.55) + 2)
        assert -120 < np.median(hu[wall]) < 80
        front = (skin > 5) & (grid.y < 0)
        assert front.sum() > 20
        assert np.all(hu[front] == -1000)


def test_the_heart_lies_to_the_image_right(patients):
    for anatomy in patients:
        grid, lung = lungs(anatomy, anatomy.heart_level)
        right_lung, left_lung = (lung & (grid.x < 0)).sum(), (lung & (grid.x > 0)).sum()
        assert left_lung < right_lung
        hu = slice_hu(anatomy, anatomy.heart_level, SIDE)
        soft = (hu > -20) & (np.hypot(grid.x, grid.y + 20) < 70)
        assert grid.x[soft].mean() > 3


def test_descending_aorta_beside_the_spine_at_the_patients_left(patients):
    for anatomy in patients:
        for z in (0.45, 0.6):
            assert anatomy.aorta_place(z)[0] > anatomy.spine_place(z)[0] + 8


def test_vertebra_is_bright_and_its_canal_is_not(patients):
    for anatomy in patients:
        grid = Grid(anatomy, SIDE)
        spine_x, spine_y = anatomy.spine_place(0.5)
        hu = slice_hu(anatomy, 0.5, SIDE)
        body = np.hypot(grid.x - spine_x, grid.y - spine_y) < 17
        canal = np.hypot(grid.x - spine_x, grid.y - spine_y - 23.5) < 4
        assert hu[body].mean() > 90
        assert hu[canal].mean() < 120
        assert hu.max() > 400  # cortex of the bones


def test_trachea_above_and_liver_below(patients):
    for anatomy in patients:
        grid = Grid(anatomy, SIDE)
        windpipe = np.hypot(grid.x - anatomy.shift, grid.y - 5) < 5
        assert slice_hu(anatomy, 0.25, SIDE)[windpipe].min() < -700
        right = np.hypot(grid.x + 0.5 * anatomy.half_width, grid.y + 6) < 12
        assert 0 < slice_hu(anatomy, 0.95, SIDE)[right].mean() < 160
        assert slice_hu(anatomy, 0.55, SIDE)[right].mean() < -500


def test_lungs_are_denser_at_the_back(patients):
    for anatomy in patients:
        grid, lung = lungs(anatomy, 0.5, depth=5)
        hu = slice_hu(anatomy, 0.5, SIDE)
        back, front = grid.y > 0.3 * anatomy.half_depth, grid.y < -0.3 * anatomy.half_depth
        assert np.median(hu[lung & back]) > np.median(hu[lung & front]) + 10


def test_the_same_patient_at_two_sizes(patients):
    for anatomy in patients[:3]:
        small, large = slice_hu(anatomy, 0.5, 64), slice_hu(anatomy, 0.5, 256)
        large = large.reshape(64, 4, 64, 4).mean(axis=(1, 3))
        assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.97


def test_vessels_fill_the_lungs_and_taper(patients):
    anatomy = patients[0]
    for tree in anatomy.pulmonary:
        ends = tree.end[tree.supplied == 1]
        inside = anatomy.lung_distance(*ends[:, :2].T, ends[:, 2] / anatomy.height) < 0
        assert len(ends) > 300
        assert inside.mean() > 0.9
        assert tree.radius[0] == tree.radius.max() > 5 * tree.radius.min()
        assert np.all(tree.radius[tree.supplied == 1] < 0.6)


def test_the_grid_finds_its_own_pixels(patients):
    grid = Grid(patients[0], SIDE)
    columns, rows = grid.index(grid.x, grid.y)
    np.testing.assert_allclose(columns, np.broadcast_to(np.arange(SIDE), (SIDE, SIDE)), atol=1e-6)
    np.testing.assert_allclose(rows.T, np.broadcast_to(np.arange(SIDE), (SIDE, SIDE)), atol=1e-6)
