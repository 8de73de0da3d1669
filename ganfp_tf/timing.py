"""Where a command's time goes: laps by name, told at its end. And its memory."""

import contextlib
import sys
import time
from collections.abc import Iterator

try:
    import resource
except ImportError:  # Windows
    resource = None


class Clock:
    """Adds up seconds by name, in the order in which the names first came."""

    def __init__(self) -> None:
        self.laps = {}
        self._started = time.monotonic()

    @contextlib.contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Adds the time of the block to `name`, also where it ends in an exception."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.laps[name] = self.laps.get(name, 0.0) + time.monotonic() - started

    def summary(self) -> str:
        """One line such as "seconds: import 8, encoding 40, in all 61"."""
        total = time.monotonic() - self._started
        parts = [f"{name} {seconds:.0f}" for name, seconds in self.laps.items()]
        return f"seconds: {', '.join([*parts, f'in all {total:.0f}'])}"


def peak_bytes() -> int:
    """Most memory this process has held so far; 0 where the system does not say."""
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
