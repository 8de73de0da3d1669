"""Every setting, once: type, default, unit, help and check. `flags.py` makes the flags from it.

Nothing here imports TensorFlow, so that `--help` and usage errors answer at once.
"""

import dataclasses
import difflib
import hashlib
import json
import pathlib
from typing import TypeVar

from ganfp_tf.config.audit import AuditSettings
from ganfp_tf.config.copy_supervision import CopySettings
from ganfp_tf.config.data import DataSettings
from ganfp_tf.config.detectors import DetectorSettings
from ganfp_tf.config.evaluation import EvaluationSettings
from ganfp_tf.config.field import check_value, parse_window
from ganfp_tf.config.model import ModelSettings
from ganfp_tf.config.run import ComparisonSettings, RunSettings
from ganfp_tf.config.scale import ScaleSettings
from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.config.training import PairSettings, StoreSettings, TrainingSettings
from ganfp_tf.errors import UserError

# Further settings that decide a simulated victim.
OF_VICTIMS = ("seed", "test_fraction", "mixed_precision", "jit_compile")

S = TypeVar("S")


@dataclasses.dataclass(frozen=True)
class Config(
    ComparisonSettings,
    EvaluationSettings,
    StoreSettings,
    TrainingSettings,
    PairSettings,
    ModelSettings,
    DataSettings,
    RunSettings,
    VictimSettings,
    CopySettings,
    DetectorSettings,
    AuditSettings,
    ScaleSettings,
):
    """All settings of a run. Raises `UserError` if a value is not allowed."""

    def __post_init__(self) -> None:
        """Raises `UserError` if values are not allowed, alone or together."""
        for field in dataclasses.fields(self):
            check_value(field, getattr(self, field.name))
        self._check_model()
        self._check_supervision()
        for name in ("store_dir", "phantom_dir", "real"):
            if not getattr(self, name):
                raise UserError(f"--{name} must name a folder. Received: ''")
        self.check_victim()

    def _check_model(self) -> None:
        if self.width % self.heads:
            raise UserError(
                f"--width must be a multiple of --heads. Received: --width={self.width} "
                f"--heads={self.heads}"
            )
        if self.folds == 1:
            raise UserError(
                "--folds must be 0 (no cross-fitting) or at least 2: one fold leaves nothing to "
                "train on. Received: --folds=1"
            )
        if self.window:
            parse_window(self.window)

    def _check_supervision(self) -> None:
        if self.supervision == "attribution" and self.pairing != "random":
            raise UserError(
                "--supervision=attribution sets a generated image against many real ones, which "
                f"only --pairing=random does. Received: --pairing={self.pairing}"
            )
        if self.supervision != "copy":
            return
        if self.domain_norm:
            raise UserError(
                "--supervision=copy learns what both kinds of images look like by itself: leave "
                "--domain_norm out."
            )
        if self.distribute != "none":
            raise UserError("--supervision=copy runs on one device: leave --distribute out.")
        if self.backbone in ("compact", "tiny") and self.finetune == "none":
            raise UserError(
                f"--backbone={self.backbone} has no pretrained weights; with --supervision=copy "
                "say --finetune=all as well, or it would stay as it was drawn."
            )

    def section(self, kind: type[S]) -> S:
        """The settings of one section, such as `config.section(EvaluationSettings)`."""
        return kind(**{f.name: getattr(self, f.name) for f in dataclasses.fields(kind)})

    def settings(self, *roles: str) -> dict:
        """The settings of these roles (see `setting`), as a dict."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.metadata["role"] in roles
        }

    def bound_settings(self) -> dict:
        """The settings that a run folder is bound to, as a dict: what is learned or simulated."""
        if self.mode == "simulate":
            shared = {name: getattr(self, name) for name in OF_VICTIMS}
            return self.settings("victim", "data") | shared
        return self.settings("model", "data")

    def as_flags(self) -> list[str]:
        """The bound settings that differ from the defaults, as flags that make the same again."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = {k: v for k, v in self.bound_settings().items() if v != defaults[k]}
        return [f"--mode={self.mode}", *(f"--{name}={value}" for name, value in given.items())]

    @property
    def trains_on_tokens(self) -> bool:
        """Whether training reads stored tokens: not if the backbone learns or images change."""
        return self.section(SiameseSettings).trains_on_tokens

    def default_run_dir(self) -> str:
        """runs/<backbone>[-ca]-<digest>: the same settings and data give the same folder."""
        source = dict(self.bound_settings(), data=str(pathlib.Path(self.data).absolute()))
        if not self.candidates:  # Folders from before there was a choice keep their names.
            source.pop("candidates", None)
        if self.mode == "audit":
            given = {name: getattr(self, name) for name in ("suspects", "reference")}
            source |= {k: str(pathlib.Path(v).absolute()) for k, v in given.items() if v}
        digest = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:8]
        return str(pathlib.Path("runs") / f"{self._run_name()}-{digest}")

    def _run_name(self) -> str:
        if self.mode == "benchmark" and self.measure == "speed":
            return "speed"
        if self.mode == "simulate" and self.grid:
            return "benchmark"
        if self.mode in ("audit", "compare", "simulate", "benchmark"):
            return self.mode
        return self.backbone + ("-ca" if self.cross_attention else "")

    def without_detectors(self) -> "Config":
        """A copy with the defaults of the settings that only benchmarks and audits read."""
        unused = (DetectorSettings, AuditSettings)
        defaults = {f.name: f.default for group in unused for f in dataclasses.fields(group)}
        return dataclasses.replace(self, **defaults)

    def to_dict(self) -> dict:
        """All settings as a JSON-ready dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict, source: str = "the settings") -> "Config":
        """Makes a Config. Raises `UserError` for an unknown name or a wrong type."""
        fields = {f.name: f for f in dataclasses.fields(cls)}
        if not isinstance(values, dict):
            raise UserError(f"{source}: expected a JSON object of settings.")
        kept = {}
        for name, value in values.items():
            if name not in fields:
                near = difflib.get_close_matches(name, fields, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise UserError(f"{source}: there is no setting {name!r}.{hint}")
            if isinstance(fields[name].default, float) and type(value) is int:
                value = float(value)
            kept[name] = value
        return cls(**kept)

    @classmethod
    def from_json(cls, path: str | pathlib.Path) -> "Config":
        """Reads a config.json. Raises `UserError` if it is not one."""
        try:
            values = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"--config_json: cannot read {path}: {error.strerror}.") from error
        except ValueError as error:
            raise UserError(f"--config_json: {path} is not JSON: {error}.") from error
        return cls.from_dict(values, source=str(path))
