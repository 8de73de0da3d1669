"""Progress bars: lively on a terminal, a line now and then in a log file."""

import sys

from tqdm import tqdm


def bar(total: int, title: str, unit: str, show: bool = True) -> tqdm:
    """A tqdm bar on stderr with rate and time left."""
    interval = 0.2 if sys.stderr.isatty() else 15.0
    return tqdm(
        total=total,
        desc=title,
        unit=unit,
        disable=not show,
        mininterval=interval,
        maxinterval=max(interval, 10.0),
        dynamic_ncols=True,
    )
