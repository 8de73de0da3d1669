"""The victims of `--grid`, each a Config of its own."""

import dataclasses
import itertools
import pathlib
import re

from ganfp_tf.config import OF_VICTIMS, Config
from ganfp_tf.errors import UserError

MOST = 1000  # victims; a typing error makes more


@dataclasses.dataclass(frozen=True)
class Victim:
    """One victim of a grid.

    Attributes:
        name: what its folder is called, such as phantom-dcgan-n100-s0.
        config: the settings of its simulation, without run_dir.
    """

    name: str
    config: Config


def parse_grid(text: str) -> dict[str, list]:
    """Parses "members=50,100;seed=0,1" into {"members": [50, 100], "seed": [0, 1]}.

    Raises:
        UserError: a setting that is unknown, does not decide a victim, is named twice or has no
            values or one value twice; or a value of the wrong type.
    """
    fields = {
        field.name: field
        for field in dataclasses.fields(Config)
        if field.metadata["role"] == "victim" or field.name in OF_VICTIMS
    }
    axes = {}
    for axis in filter(None, (part.strip() for part in text.split(";"))):
        name, _, listed = (part.strip() for part in axis.partition("="))
        if name not in fields:
            raise UserError(
                f"--grid: {name!r} is no setting of a victim. Expected settings with their values, "
                f"such as members=50,100;seed=0,1. Received: {text!r}"
            )
        values = [_value(fields[name], value.strip()) for value in listed.split(",")]
        if name in axes or len(set(values)) < len(values):
            raise UserError(f"--grid: {name} or one of its values is named twice in {text!r}.")
        axes[name] = values
    if not axes:
        raise UserError(f"--grid names no setting. Expected such as members=50,100. Got: {text!r}")
    return axes


def plan(config: Config) -> list[Victim]:
    """The victims of `config.grid`, the first axis varying slowest.

    Raises:
        UserError: a wrong grid, a value that a victim cannot have, or too many victims.
    """
    axes = parse_grid(config.grid)
    combinations = list(itertools.product(*axes.values()))
    if len(combinations) > MOST:
        raise UserError(f"--grid makes {len(combinations)} victims; at most {MOST} are made.")
    victims = []
    for values in combinations:
        change = dict(zip(axes, values, strict=True))
        changed = dataclasses.replace(
            config, **change, grid="", overwrite=False, detectors=Config.detectors
        )
        victims.append(Victim(_name(changed, change), changed))
    names = [victim.name for victim in victims]
    if len(set(names)) < len(names):
        raise UserError(f"--grid: two victims would be called the same: {', '.join(names)}.")
    return victims


def real_name(real: str) -> str:
    """A short name of --real, the origin of the real images."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", pathlib.PurePath(real).name).strip("-") or "real"


def _name(victim, change):
    known = ("real", "architecture", "members", "seed")
    rest = [
        f"-{name}-" + re.sub(r"[^A-Za-z0-9_.]+", "-", str(value))
        for name, value in change.items()
        if name not in known
    ]
    head = f"{real_name(victim.real)}-{victim.architecture}-n{victim.members}-s{victim.seed}"
    return head + "".join(rest)


def _value(field, text):
    kind = type(field.default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError):
        raise UserError(
            f"--grid: {field.name} must be {kind.__name__}. Received: {text!r}"
        ) from None
