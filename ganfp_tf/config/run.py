"""The settings of every run, and of a comparison of several."""

import dataclasses

from ganfp_tf.config.field import setting

MODES = ("train", "evaluate", "predict", "audit", "export", "compare", "simulate", "benchmark")
NEW_RUN = ("train", "audit", "compare", "simulate", "benchmark")  # modes that make a run folder


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What is done, where, and with which seeds."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    mode: str = setting(
        "train", "What to do: train (and evaluate and export), evaluate, predict, export, audit "
        "(every detector, every control, one report), compare several systems on the same splits, "
        "simulate a victim whose members are known, or benchmark detectors.", group="Run",
        choices=MODES, role="place")
    data: str = setting(
        "", "A folder in the ImageCLEF 2023 or 2025 layout, a folder with a manifest.csv, or a "
        "CSV with the columns path, role, label, patient. Left out: the demo data of the package.",
        group="Run", role="place")
    run_dir: str = setting(
        "", "Where results go. Empty: runs/<backbone>-<digest of the settings>, so that the same "
        "command finds the same folder.", group="Run", role="place")
    overwrite: bool = setting(
        False, "Start anew in a run folder that has results already.", group="Run", role="place",
        modes=NEW_RUN)
    seed: int = setting(
        0, "Seed of splits, sampling, weights and resampling.", group="Run", low=0,
        high=2 ** 31 - 1)
    training_seed: int = setting(
        -1, "Seed of what training draws (new layers' weights, pairs, dropout), with the splits"
        " and a random backbone left as they are; -1 is --seed.", group="Run", low=-1,
        high=2 ** 31 - 1)
    saved_model: bool = setting(
        True, "Export the SavedModel after training and evaluating.", group="Run", role="place",
        modes=("train",))
    # fmt: on

    @property
    def drawing_seed(self) -> int:
        """The seed of everything that training draws."""
        return self.seed if self.training_seed < 0 else self.training_seed


@dataclasses.dataclass(frozen=True)
class ComparisonSettings:
    """What --mode=compare compares."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    systems: str = setting(
        "resnet50,efficientnetb2,densenet161,vit_b16,resnet50_ca,densenet161_ca", "With "
        "--mode=compare: the systems, backbones with _ca where cross-attention is added; the "
        "others are set against the first.", group="Comparison", role="report", modes=("compare",))
    ablate: bool = setting(
        False, "With --mode=compare: also the first system with cross-attention without each of "
        "its parts, with the other pairing, and with five training seeds.", group="Comparison",
        role="report", modes=("compare",))
    # fmt: on
