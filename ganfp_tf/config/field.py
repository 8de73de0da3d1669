"""What a setting is: a dataclass field that carries its help, unit and range, and its check."""

import dataclasses

from ganfp_tf.errors import UserError


def setting(default, help, *, group, unit="", choices=(), low=None, high=None, role="model"):
    """A dataclass field that carries what a flag and a check need.

    Args:
        default: value when nothing is said; its type is the setting's type.
        help: one sentence for `--help`.
        group: the heading in `--help`.
        unit: what the number counts.
        choices: allowed values of a text.
        low, high: allowed range of a number, both ends included.
        role: "model" where the setting decides what is learned (a run folder is bound to it),
            "data" where it decides how files are read (bound as well, but other data may be
            handed in with another value), "victim" where it decides a simulated victim, "report"
            where it decides how a trained model is asked, "place" where it decides only where
            things are or how they are shown.
    """
    metadata = dict(
        help=help, group=group, unit=unit, choices=tuple(choices), low=low, high=high, role=role
    )
    return dataclasses.field(default=default, metadata=metadata)


def check_value(field, value):
    """Raises `UserError` where `value` is not of the field's type, choices or range."""
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


def parse_window(text):
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
