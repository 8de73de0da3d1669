"""Which settings do nothing in a run, by the modes and conditions of their fields."""

import dataclasses

from ganfp_tf.config.config import Config
from ganfp_tf.config.field import Condition
from ganfp_tf.errors import UserError


def check_rules(config: Config) -> None:
    """Raises `UserError` for settings that differ from their defaults and would do nothing.

    The message names all settings that break the same rule. See `field.setting` for the rules.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    given = [field for field in fields.values() if getattr(config, field.name) != field.default]
    checks = {
        "modes": lambda modes: not any(_is_mode(config, mode) for mode in modes),
        "needs": lambda needed: _applies(config, needed) and not _holds(config, needed.flag),
        "without": lambda other: _applies(config, other) and _holds(config, other.flag),
    }
    for key, is_broken in checks.items():
        broken = [f for f in given if f.metadata[key] and is_broken(f.metadata[key])]
        if not broken:
            continue
        rule = broken[0].metadata[key]
        same = [field for field in broken if field.metadata[key] == rule]
        flags = " and ".join(_flag(field, getattr(config, field.name), key) for field in same)
        verb = "go" if len(same) > 1 else "goes"
        if key == "modes":
            raise UserError(f"{flags} {verb} with {_either(f'--mode={mode}' for mode in rule)}.")
        if key == "without":
            raise UserError(f"{flags} {rule.reason}")
        partner = fields[rule.flag.partition("=")[0]]
        if partner.metadata["needs"] == Condition(same[0].name):
            first, second = (name for name in fields if name in (same[0].name, partner.name))
            raise UserError(f"--{first} and --{second} go together.")
        raise UserError(f"{flags} {verb} with --{rule.flag}.")


def _is_mode(config, entry):
    mode, _, flag = entry.partition(" --")
    return config.mode == mode and (not flag or _holds(config, flag))


def _applies(config, condition):
    return not condition.modes or config.mode in condition.modes


def _holds(config, flag):
    name, _, value = flag.partition("=")
    if value:
        return str(getattr(config, name)) == value
    return getattr(config, name) != config.__dataclass_fields__[name].default


def _flag(field, value, key):
    if value is False:
        return f"--no{field.name}"
    if key == "needs" and field.metadata["choices"]:
        return f"--{field.name}={value}"
    return f"--{field.name}"


def _either(names):
    *rest, last = names
    if len(rest) < 2:
        return " or ".join([*rest, last])
    return f"{', '.join(rest)}, or {last}"
