"""Findings change lung tissue in the direction that a radiologist expects."""

import numpy as np
import pytest

from ganfp_tf.simulation.phantoms import findings
from ganfp_tf.simulation.phantoms.anatomy import Grid, draw_anatomy, slice_hu

SIDE = 128


@pytest.fixture(scope="module")
def anatomy():
    return draw_anatomy(np.random.default_rng(5))


def one_of(kind, anatomy):
    return findings.MAKERS[kind](anatomy, np.random.default_rng(3))[:1]


def change(anatomy, found, z):
    """(HU before, HU after, lung mask, grid) of the slice at z."""
    before = slice_hu(anatomy, z, SIDE)
    after = slice_hu(
        anatomy, z, SIDE, lambda tissue, grid, z: findings.paint(found, anatomy, tissue, grid, z)
    )
    grid = Grid(anatomy, SIDE)
    return before, after, anatomy.lung_distance(grid.x, grid.y, z) < -2, grid


@pytest.mark.parametrize("kind", [kind for kind in findings.SHARES if kind != "cavity"])
def test_tissue_gets_denser_inside_the_lungs_only(kind, anatomy):
    found = one_of(kind, anatomy)
    z = 0.8 if kind == "effusion" else found[0].centre[2] / anatomy.height
    before, after, lung, grid = change(anatomy, found, z)
    difference = after - before
    assert difference[lung].max() > 150
    assert difference[lung].mean() > 0
    outside = anatomy.lung_distance(grid.x, grid.y, z) > 2 * grid.pixel
    assert np.all(difference[outside] == 0)


def test_a_cavity_is_air_within_a_thick_wall(anatomy):
    (cavity,) = one_of("cavity", anatomy)
    z = cavity.centre[2] / anatomy.height
    _, after, _, grid = change(anatomy, [cavity], z)
    distance = np.hypot(grid.x - cavity.centre[0], grid.y - cavity.centre[1])
    inner = cavity.radii[:2].min() - cavity.wall
    assert after[distance < 0.5 * inner].mean() < -900
    ring = (distance > inner) & (distance < cavity.radii[:2].max())
    assert after[ring].max() > -50


def test_a_granuloma_is_calcified_and_a_nodule_is_not(anatomy):
    for kind, low, high in (("granuloma", 300, 1000), ("nodules", -400, 80)):
        (found,) = one_of(kind, anatomy)
        _, after, _, grid = change(anatomy, [found], found.centre[2] / anatomy.height)
        distance = np.hypot(grid.x - found.centre[0], grid.y - found.centre[1])
        assert low < after[distance < 1.5 * grid.pixel].max() < high


def test_effusion_lies_at_the_back_and_grows_downward(anatomy):
    found = one_of("effusion", anatomy)
    volumes = []
    for z in (0.3, 0.75, 0.85):
        before, after, _, grid = change(anatomy, found, z)
        fluid = (after - before) > 400
        volumes.append(fluid.sum())
        if fluid.any():
            assert grid.y[fluid].mean() > 0
            assert np.all(np.sign(grid.x[fluid & (np.abs(grid.x) > 5)]) == found[0].detail)
    assert volumes[0] <= volumes[1] < volumes[2]


def test_a_finding_stays_at_its_level(anatomy):
    (found,) = one_of("cavity", anatomy)
    level = found.centre[2] / anatomy.height
    before, after, _, _ = change(anatomy, [found], level + 0.35)
    np.testing.assert_array_equal(before, after)
    assert findings.seen([found], anatomy, level) == ("cavity",)
    assert findings.seen([found], anatomy, level + 0.35) == ()


def test_cavities_prefer_the_upper_lobes(anatomy):
    levels = [
        one.centre[2] / anatomy.height
        for seed in range(15)
        for one in findings.MAKERS["cavity"](anatomy, np.random.default_rng(seed))
    ]
    assert max(levels) < 0.5


def test_some_patients_are_healthy(anatomy):
    drawn = [findings.draw_findings(anatomy, np.random.default_rng(seed)) for seed in range(60)]
    kinds = {one.kind for found in drawn for one in found}
    assert kinds == set(findings.SHARES)
    assert 1 <= sum(not found for found in drawn) <= 20
