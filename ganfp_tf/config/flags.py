"""absl flags made from the fields of Config, and the text of --help."""

import dataclasses
from typing import Any

from absl import flags

from ganfp_tf.config.audit import AuditSettings
from ganfp_tf.config.config import Config
from ganfp_tf.config.copy_supervision import CopySettings
from ganfp_tf.config.detectors import DetectorSettings
from ganfp_tf.config.scale import ScaleSettings
from ganfp_tf.config.simulation import VictimSettings


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines one absl flag for each field of Config, and --config_json."""
    for field in dataclasses.fields(Config):
        define = {
            bool: flags.DEFINE_boolean,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }[type(field.default)]
        define(field.name, field.default, field.metadata["help"], flag_values=flag_values)
    flags.DEFINE_string(
        "config_json",
        "",
        "Settings of an earlier run; flags beside it override.",
        flag_values=flag_values,
    )


def explicit_settings(flag_values: flags.FlagValues) -> dict[str, Any]:
    """The settings that the command line (or its flagfile) names, as a dict."""
    return {
        field.name: flag_values[field.name].value
        for field in dataclasses.fields(Config)
        if flag_values[field.name].present
    }


def help_text() -> str:
    """The text of --help, grouped as in Config."""
    lines = [
        "ganfp: were these real images used to train the generator of those images?",
        "",
        "usage: python main.py --data=PATH [--flagfile=configs/NAME.cfg] [flags]",
        "",
        "A flag after --flagfile overrides it. --config_json=PATH starts from an earlier run's",
        "config.json. Boolean flags: --name or --noname.",
    ]
    group = None
    # A dataclass lists what it inherits first; a user looks for the run's own settings there.
    inherited = [
        {field.name for field in dataclasses.fields(base)}
        for base in (AuditSettings, DetectorSettings, CopySettings, VictimSettings, ScaleSettings)
    ]
    fields = sorted(
        dataclasses.fields(Config), key=lambda field: [field.name in names for names in inherited]
    )
    for field in fields:
        meta = field.metadata
        if meta["group"] != group:
            group = meta["group"]
            lines += ["", group + ":"]
        default = field.default
        if isinstance(default, bool):
            default = str(default).lower()
        choices = f" [{', '.join(filter(None, meta['choices']))}]" if meta["choices"] else ""
        unit = f" {meta['unit']}" if meta["unit"] else ""
        lines.append(f"  --{field.name}={default}{unit}{choices}")
        lines.append(f"      {meta['help']}")
    return "\n".join(lines) + "\n"
