"""Fits of cost, exact on costs that are made up."""

import numpy as np
import pytest

from ganfp_tf.speed import fits


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_log_slope_is_the_power(power):
    sizes = [500, 2000, 8000, 100_000]
    assert fits.log_slope(sizes, [3e-4 * n**power for n in sizes]) == pytest.approx(power)
    assert fits.log_slope([10], [1.0]) is None
    assert fits.log_slope([10, 10], [1.0, 2.0]) is None


def test_unit_costs_are_found_again():
    images = np.array([60, 120, 240, 0, 0])
    pairs = np.array([500, 2000, 8000, 500, 100_000])
    found = fits.unit_costs(images, pairs, 0.06 * images + 2e-4 * pairs)
    assert found == pytest.approx((0.06, 2e-4))
    # Cost of images alone: no pair is paid for, and none is negative.
    assert fits.unit_costs(images[:3], pairs[:3], 0.1 * images[:3]) == pytest.approx((0.1, 0.0))


def test_pair_flops_by_hand():
    # 2 tokens of 3 channels: scores 2x2 of 3 products, sums 2x3 of 2, projection 2x3 of 3.
    one_way = 2 * (2 * 2 * 3) + 2 * (2 * 3 * 2) + 2 * (2 * 3 * 3)
    assert fits.pair_flops(2, 3) == 2 * one_way
