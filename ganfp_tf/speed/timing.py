"""How long a call takes: burn-in, repeats, median and quartiles. No TensorFlow."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much a measurement does.

    Attributes:
        repeats: of a call, behind its burn-in.
        seconds: after which a call is not repeated again; what takes longer is measured once.
        shortest: seconds of one repeat; what is faster is called several times in each.
        real, generated: images of the data that are looked at.
        matrix: side of the large matrix product; 0: 4096 on a GPU, else 2048.
        reference: images a side at 49 tokens of 256 channels; all their pairs are scored.
        curve: numbers of real and of generated images on the curve of cost.
        curve_seconds: what a point of the curve may take; a point expected to take longer is left
            out.
    """

    repeats: int = 9
    seconds: float = 8.0
    shortest: float = 0.05
    real: int = 24
    generated: int = 40
    matrix: int = 0
    reference: int = 32
    curve: tuple = ((10, 50), (20, 100), (40, 200), (60, 500), (100, 1000))
    curve_seconds: float = 30.0


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of the report.

    Attributes:
        part: where it belongs.
        name: what was measured, once in the report.
        value: the median of the repeats, in `unit`.
        low, high: their quartiles; None for what is no median.
        repeats: how many there were; 0: computed from other figures.
        ratio: `value` divided by that of the figure `ratio_to`, or None.
    """

    part: str
    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    repeats: int = 0
    ratio: float | None = None
    ratio_to: str = ""


def seconds_of(
    call: Callable[[], object], extent: Extent, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Seconds that `call` takes, once a repeat.

    Args:
        call: function () that returns when its result has been computed.
        extent: number of repeats.
        clock: function () -> seconds.

    Returns:
        list of at least one number.
    """
    call()  # traces and compiles
    started = clock()
    call()  # fills caches, and says how many calls a repeat needs
    once = clock() - started
    if once >= extent.seconds:
        return [once]
    calls = max(1, math.ceil(extent.shortest / max(once, 1e-7)))
    found, begun = [], clock()
    while len(found) < extent.repeats and (not found or clock() - begun < extent.seconds):
        started = clock()
        for _ in range(calls):
            call()
        found.append((clock() - started) / calls)
    return found


class Ledger:
    """The figures, in the order in which they were found, and what else is to be said.

    Args:
        extent: how much each measurement does.
    """

    def __init__(self, extent: Extent) -> None:
        self.extent = extent
        self.notes: list[str] = []
        self._figures: dict[str, Figure] = {}

    def rate(
        self,
        part: str,
        name: str,
        unit: str,
        count: float,
        call: Callable[[], object],
        ratio_to: str = "",
    ) -> Figure:
        """Times `call`, which does `count` things; keeps and returns things a second."""
        return self.keep_rate(part, name, unit, count, seconds_of(call, self.extent), ratio_to)

    def keep_rate(
        self,
        part: str,
        name: str,
        unit: str,
        count: float,
        seconds: Sequence[float],
        ratio_to: str = "",
    ) -> Figure:
        """The same of `seconds` that were measured already, one number a repeat."""
        low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75])
        figure = Figure(
            part,
            name,
            float(count / middle),
            unit,
            float(count / high),
            float(count / low),
            len(seconds),
            None,
            ratio_to,
        )
        return self.keep(figure)

    def add(self, part: str, name: str, value: float, unit: str, ratio_to: str = "") -> Figure:
        """Keeps a figure that is no median of repeats; returns it."""
        return self.keep(Figure(part, name, float(value), unit, ratio_to=ratio_to))

    def keep(self, figure: Figure) -> Figure:
        """Keeps a `Figure`; returns it."""
        if figure.name in self._figures:
            raise ValueError(f"a figure's name must be its own. Received: {figure.name!r} twice")
        self._figures[figure.name] = figure
        return figure

    def value(self, name: str) -> float | None:
        """The value of a figure that was kept, or None."""
        return self._figures[name].value if name in self._figures else None

    def figures(self) -> list[Figure]:
        """All figures, those that name another one with their ratio to it."""
        return [self._with_ratio(figure) for figure in self._figures.values()]

    def _with_ratio(self, figure):
        other = self.value(figure.ratio_to)
        if not other:
            return dataclasses.replace(figure, ratio_to="")
        return dataclasses.replace(figure, ratio=figure.value / other)
