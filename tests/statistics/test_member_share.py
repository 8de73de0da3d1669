"""The share that was used: by hand, from repeated rows, in simulations, at its ends."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.errors import UserError
from ganfp_tf.statistics import member_share as module
from ganfp_tf.statistics.conformal import conformal_p
from ganfp_tf.statistics.intervals import wilson
from ganfp_tf.statistics.member_share import share_used
from ganfp_tf.statistics.sample import Resampling, Sample

SETTINGS = {"resamples": 200, "confidence": 0.95, "seed": 0}


def used(suspects, reference, *, suspect_patients=None, reference_patients=None, **changes):
    sizes = [len(suspects), len(reference)]
    patients = [suspect_patients, reference_patients]
    names = [range(n) if own is None else own for n, own in zip(sizes, patients, strict=True)]
    sample = Sample(
        np.repeat([1, 0], sizes),
        [*suspects, *reference],
        [str(name) for own in names for name in own],
    )
    return share_used(sample, Resampling(permutations=1, **SETTINGS | changes))


def test_by_hand():
    # The median is 2.5: one of five suspects below, twice 20 % may be unused.
    assert used([1, 3, 4, 5, 6], [1, 2, 3, 4]).value == pytest.approx(0.6)
    # One at the median counts half.
    assert used([2.5, 3, 4, 5, 6], [1, 2, 3, 4]).value == pytest.approx(0.8)
    assert used([1, 1, 1, 3], [1, 2, 3, 4]).value == 0.0
    assert used([5, 6], [1, 2, 3, 4]).value == 1.0
    assert used([1, 2], [1, 2]).method == "Storey, lambda 1/2"


def test_is_storeys_estimate_from_conformal_p_values():
    rng = np.random.default_rng(0)
    suspects, reference = rng.normal(0.8, 1, 300), rng.normal(size=1000)
    storey = 1 - np.mean(conformal_p(suspects, reference) > 0.5) / 0.5
    assert used(suspects, reference).value == pytest.approx(storey, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_weights_do_what_repeated_rows_do(data):
    numbers = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=8)
    s, r = (np.sort(data.draw(numbers)) for _ in range(2))
    weights = [
        np.array([data.draw(st.lists(st.integers(0, 3), min_size=len(v), max_size=len(v)))], float)
        for v in (s, r)
    ]
    if not all(w.sum() for w in weights):
        return
    repeated = [np.repeat(v, w[0].astype(int)) for v, w in zip((s, r), weights, strict=True)]
    middle = module._medians(r, weights[1])
    assert middle[0] == np.median(repeated[1])
    expected = np.mean(repeated[0] < middle) + np.mean(repeated[0] == middle) / 2
    assert module._below(s, weights[0], middle)[0] == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_lies_in_its_scale_and_rises_with_the_suspects(data):
    numbers = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=8)
    s, r = data.draw(numbers), data.draw(numbers)
    found = used(s, r, resamples=20)
    assert 0 <= found.low <= found.high <= 1
    assert 0 <= found.value <= 1
    assert used([v + 1 for v in s], r, resamples=1).value >= found.value
    assert used(s, [v + 1 for v in r], resamples=1).value <= found.value


def test_estimates_from_below():
    rng = np.random.default_rng(1)
    reference, seen = rng.normal(size=4000), rng.normal(size=4000)
    strong, weak = seen.copy(), seen.copy()
    strong[:1600] += 6  # 40 % used, all seen
    weak[:1600] += 0.7
    assert used(strong, reference).value == pytest.approx(0.4, abs=0.05)
    found = used(weak, reference)
    # P(N(0.7, 1) < 0) is 0.242, so 0.4 * (1 - 2 * 0.242) is left.
    assert found.value == pytest.approx(0.206, abs=0.05)
    assert found.high < 0.4


def test_intervals_cover_the_share():
    rng = np.random.default_rng(2)
    covered = []
    for seed in range(200):
        suspects, reference = rng.normal(size=80), rng.normal(size=80)
        suspects[:40] += 6
        found = used(suspects, reference, seed=seed, confidence=0.9)
        covered.append(found.low <= 0.5 <= found.high)
    assert 0.82 <= np.mean(covered) <= 0.98


def test_a_faultless_set_is_not_certain():
    found = used(np.arange(20) + 100.0, np.arange(20.0))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - 2 * wilson(0, 20).high)
    # Four images of each of five patients are five patients.
    few = used(np.arange(20) + 100.0, np.arange(20.0), suspect_patients=np.arange(20) // 4)
    assert few.low == pytest.approx(1 - 2 * wilson(0, 5).high)


def test_patients_are_drawn_whole():
    rng = np.random.default_rng(3)
    s, r = rng.normal(0.7, 1, 40), rng.normal(size=40)
    naive = used(np.repeat(s, 5), np.repeat(r, 5))
    patients = {"suspect_patients": np.repeat(range(40), 5)}
    patients["reference_patients"] = patients["suspect_patients"]
    honest, once = used(np.repeat(s, 5), np.repeat(r, 5), **patients), used(s, r)
    assert honest == once
    assert naive.high - naive.low < 0.7 * (honest.high - honest.low)


def test_one_patient_has_no_interval():
    found = used([1.0, 2.0], [0.0, 3.0], suspect_patients=["a", "a"])
    assert found.value == 0.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="suspects must have at least one"):
        used([], [1.0])
    with pytest.raises(ValueError, match="patients"):
        used([1.0], [1.0], reference_patients=[1, 2])
    with pytest.raises(ValueError, match="resamples"):
        used([1.0], [1.0], resamples=0)
    with pytest.raises(ValueError, match="confidence"):
        used([1.0], [1.0], confidence=2)
    with pytest.raises(UserError, match="finite"):
        used([math.inf], [1.0])
