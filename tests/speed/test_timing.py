"""Repeats, medians, quartiles and ratios, on a clock that the test sets."""

import numpy as np
import pytest

from ganfp_tf.speed.timing import Extent, Ledger, seconds_of


class Clock:
    """A call that takes the next of `costs` seconds, and the clock that it moves."""

    def __init__(self, costs):
        self.now, self.costs, self.calls = 0.0, iter(costs), 0

    def call(self):
        self.calls += 1
        self.now += next(self.costs)

    def __call__(self):
        return self.now


def test_burn_in_is_not_counted_and_repeats_end():
    clock = Clock([100.0, 50.0, 1.0, 2.0, 3.0])
    extent = Extent(repeats=3, seconds=1000.0, shortest=0.5)
    assert seconds_of(clock.call, extent, clock) == [1.0, 2.0, 3.0]
    assert clock.calls == 5


def test_what_is_slow_is_measured_once_and_what_is_fast_many_times_a_repeat():
    slow = Clock([9.0, 7.0])
    assert seconds_of(slow.call, Extent(seconds=5.0), slow) == [7.0]
    # Until the time is up: the second repeat began before it was.
    fair = Clock([0.0, 3.0, 3.0, 3.0])
    assert seconds_of(fair.call, Extent(repeats=9, seconds=5.0), fair) == [3.0, 3.0]
    fast = Clock([0.0] + [0.25] * 100)
    found = seconds_of(fast.call, Extent(repeats=2, seconds=50.0, shortest=1.0), fast)
    assert found == [0.25, 0.25]
    assert fast.calls == 2 + 2 * 4


def test_a_rate_is_of_the_median_and_its_quartiles():
    ledger = Ledger(Extent())
    seconds = [2.0, 1.0, 4.0, 5.0, 3.0]
    figure = ledger.keep_rate("part", "name", "images/s", 12, seconds)
    assert (figure.value, figure.low, figure.high, figure.repeats) == (4.0, 3.0, 6.0, 5)
    low, high = np.quantile([12 / s for s in seconds], [0.25, 0.75])
    assert figure.low == pytest.approx(low, rel=0.1)
    assert figure.high == pytest.approx(high, rel=0.1)


def test_ratios_are_of_the_figures_that_they_name():
    ledger = Ledger(Extent())
    ledger.add("part", "new", 50.0, "pairs/s", "old")  # named before it is known
    ledger.add("part", "old", 4.0, "pairs/s")
    ledger.add("part", "lost", 4.0, "pairs/s", "what could not be measured")
    new, old, lost = ledger.figures()
    assert (new.ratio, new.ratio_to) == (12.5, "old")
    assert old.ratio is None
    assert lost.ratio is None
    assert lost.ratio_to == ""
    with pytest.raises(ValueError, match="twice"):
        ledger.add("part", "old", 1.0, "s")
