"""Numbers in sentences."""

from collections.abc import Collection, Iterable


def counted(number: int, noun: str) -> str:
    """Such as "1 victim", "2 victims"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def listed(numbers: Iterable[int]) -> str:
    """Such as "50, 1,000": each once, in order."""
    return ", ".join(f"{number:,}" for number in sorted(set(numbers)))


def span(numbers: Collection[int]) -> str:
    """Such as "50" or "50 to 1,000"; zeros alone are nothing known."""
    low, high = min(numbers), max(numbers)
    known = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return known if high else "an unknown number of"
