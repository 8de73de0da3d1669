"""What a setting is: a dataclass field with its help, unit, range, modes and conditions."""

import dataclasses
from typing import Any

from ganfp_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Condition:
    """Another setting that a setting depends on.

    Attributes:
        flag: name of the other setting ("suspects": it differs from its default), or its name and
            value ("measure=speed").
        modes: the modes in which the condition is checked; empty for all.
        reason: end of the error message for a setting that the other one makes useless.
    """

    flag: str
    modes: tuple[str, ...] = ()
    reason: str = ""


def setting(
    default: bool | int | float | str,
    help: str,
    *,
    group: str,
    unit: str = "",
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    role: str = "model",
    modes: tuple[str, ...] = (),
    needs: Condition | None = None,
    without: Condition | None = None,
) -> Any:
    """A dataclass field that carries what a flag and a check need.

    Args:
        default: value if the flag is left out; its type is the setting's type.
        help: one sentence for `--help`.
        group: the heading in `--help`.
        unit: what the number counts.
        choices: allowed values of a text.
        low: smallest allowed number.
        high: largest allowed number.
        role: "model" if the setting decides what is learned (a run folder is bound to it),
            "data" if it decides how files are read (bound as well, but other data may be
            passed with another value), "victim" if it decides a simulated victim, "report"
            if it decides how a trained model is evaluated, "place" if it decides only where
            things are or how they are shown.
        modes: the values of --mode that read the setting; empty for all. An entry such as
            "simulate --grid" is a mode together with another flag.
        needs: the setting does nothing unless this condition holds.
        without: the setting does nothing if this condition holds.
    """
    metadata = dict(
        help=help,
        group=group,
        unit=unit,
        choices=choices,
        low=low,
        high=high,
        role=role,
        modes=modes,
        needs=needs,
        without=without,
    )
    return dataclasses.field(default=default, metadata=metadata)


def check_value(field: dataclasses.Field, value: object) -> None:
    """Raises `UserError` if `value` does not have the field's type, choices or range."""
    meta, expected = field.metadata, type(field.default)
    if type(value) is not expected:
        raise UserError(f"--{field.name} must be {expected.__name__}. Received: {value!r}")
    if expected is str and not _is_text(value):
        raise UserError(f"--{field.name} must be valid UTF-8 text. Received: {value!r}")
    if meta["choices"] and value not in meta["choices"]:
        names = ", ".join(choice for choice in meta["choices"] if choice)
        raise UserError(f"--{field.name} must be one of {names}. Received: {value!r}")
    if expected in (int, float):
        low, high = meta["low"], meta["high"]
        # Written so that NaN, which compares false with everything, is refused.
        if not ((low is None or value >= low) and (high is None or value <= high)):
            upper = "" if high is None else f" and at most {high}"
            raise UserError(f"--{field.name} must be at least {low}{upper}. Received: {value}")


def parse_window(text: str) -> tuple[float, float]:
    """'CENTER,WIDTH' -> (center, width) in the units of the file; width must be positive."""
    try:
        center, width = (float(part) for part in text.split(","))
        if not width > 0 or center - center != 0 or width - width != 0:
            raise ValueError
    except ValueError:
        raise UserError(
            f"--window must be CENTER,WIDTH with a positive width, such as -600,1500. "
            f"Received: {text!r}"
        ) from None
    return center, width


def _is_text(value):
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in value
