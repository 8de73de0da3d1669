"""The settings of speed, memory and machines: none of them changes what is learned."""

import dataclasses

from ganfp_tf.config.field import Condition, setting
from ganfp_tf.config.model import ModelSettings
from ganfp_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class ScaleSettings:
    """How much is held, searched and shared out. Raises `UserError` where settings do not fit."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    # Scale
    memory_limit: float = setting(
        2.0, "Most memory for what scoring holds at once (tokens, pairs, vectors of the search), "
        "whatever the number of images; TensorFlow and the list of images come on top.",
        group="Scale", unit="GB", low=0.1, high=100000.0, role="place")
    candidates: int = setting(
        0, "Score each real image against this many of its nearest generated images, found by an "
        "approximate search where there are many; its recall is measured and reported (with "
        "--beam the search is exact). 0: the "
        "partners that --pairing and --partners say. The threshold is learned with the same.",
        group="Scale", unit="images", low=0, high=100000)
    measure: str = setting(
        "detectors", "With --mode=benchmark: detectors, or the speed of each part on this machine.",
        group="Scale", choices=("detectors", "speed"), role="place",
        modes=("benchmark",))
    speed_backbones: str = setting(
        "", "With --measure=speed: further backbones whose encoder is measured, with random "
        "weights, separated by commas.", group="Scale", role="place",
        needs=Condition("measure=speed"))
    beam: bool = setting(
        False, "With --mode=predict: encode and score as an Apache Beam pipeline, on this machine "
        "or a cluster (pip install -r requirements-beam.txt).", group="Scale", role="place",
        modes=("predict",))
    runner: str = setting(
        "DirectRunner", "With --beam: the Beam runner.", group="Scale", role="place",
        needs=Condition("beam"))
    runner_options: str = setting(
        "", "With --beam: options of the runner, as on a Beam command line, in one text.",
        group="Scale", role="place", needs=Condition("beam"))
    export_format: str = setting(
        "savedmodel", "With --mode=export: a SavedModel, or LiteRT (TFLite) models of encoder and "
        "comparator, in float or in 8-bit integers calibrated on the run's images.",
        group="Scale", choices=("savedmodel", "tflite", "tflite_int8"), role="place",
        modes=("export",))
    # fmt: on

    @property
    def memory_bytes(self) -> int:
        """--memory_limit in bytes."""
        return int(self.memory_limit * 1e9)

    @property
    def more_backbones(self) -> tuple[str, ...]:
        """--speed_backbones as a tuple."""
        return tuple(filter(None, (name.strip() for name in self.speed_backbones.split(","))))

    def check_scale(self) -> None:
        """Raises `UserError` for a backbone that does not exist."""
        known = ModelSettings.__dataclass_fields__["backbone"].metadata["choices"]
        for name in self.more_backbones:
            if name not in known:
                raise UserError(
                    f"--speed_backbones: there is no backbone {name!r}. Expected some of "
                    f"{', '.join(known)}."
                )
