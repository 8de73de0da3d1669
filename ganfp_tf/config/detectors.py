"""Which detectors are measured, and what calibrates them."""

import dataclasses

from ganfp_tf.config.field import setting


@dataclasses.dataclass(frozen=True)
class DetectorSettings:
    """The settings that benchmarks and audits share."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    # Detectors
    detectors: str = setting(
        "fast", "With --mode=audit, --mode=benchmark or --grid: detectors, separated by commas; "
        "or fast (those that take seconds), classical (all without a network) or all.",
        group="Detectors", role="report", modes=("audit", "benchmark", "simulate --grid"))
    shadow: str = setting(
        "", "With --mode=audit or --mode=benchmark: folders of shadow generators that calibrate "
        "detectors, separated by commas.", group="Detectors", role="report",
        modes=("audit", "benchmark"))
    fold_seeds: int = setting(
        1, "With --mode=benchmark: detectors that use labels are cross-fitted over this many seeds "
        "of the folds; the figures are those of the first, the others show the spread.",
        group="Detectors", unit="seeds", low=1, high=100, role="report", modes=("benchmark",))
    # fmt: on
