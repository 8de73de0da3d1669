"""Every setting, once: type, default, unit, help and check. `flags.py` makes the flags from it.

Nothing here imports TensorFlow, so that `--help` and usage errors answer at once.
"""

import dataclasses
import difflib
import hashlib
import json
import pathlib

from ganfp_tf.config.audit import AuditSettings
from ganfp_tf.config.copy_supervision import CopySettings
from ganfp_tf.config.detectors import DetectorSettings
from ganfp_tf.config.field import check_value, parse_window, setting
from ganfp_tf.config.scale import ScaleSettings
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.errors import UserError

MODES = ("train", "evaluate", "predict", "audit", "export", "compare", "simulate", "benchmark")
# What decides a simulated victim beside its own settings and how files are read.
OF_VICTIMS = ("seed", "test_fraction", "mixed_precision", "jit_compile")


@dataclasses.dataclass(frozen=True)
class Config(VictimSettings, CopySettings, DetectorSettings, AuditSettings, ScaleSettings):
    """All settings of a run. Raises `UserError` where a value is not allowed."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    # Run
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
        False, "Start anew in a run folder that has results already.", group="Run", role="place")
    seed: int = setting(
        0, "Seed of splits, sampling, weights and resampling.", group="Run", low=0,
        high=2 ** 31 - 1)
    training_seed: int = setting(
        -1, "Seed of what training draws (new layers' weights, pairs, dropout), with the splits"
        " and a random backbone left as they are; -1 is --seed.", group="Run", low=-1,
        high=2 ** 31 - 1)
    saved_model: bool = setting(
        True, "Export the SavedModel after training and evaluating.", group="Run", role="place")

    # Data
    patient_regex: str = setting(
        "", "Regular expression whose first group, searched in a file's path, is the patient. A "
        "manifest's patient column comes first.", group="Data", role="data")
    skip_unreadable: bool = setting(
        False, "Go on without the files that cannot be read and list them in the report.",
        group="Data", role="data")
    window: str = setting(
        "", "Intensity window CENTER,WIDTH of DICOM and NIfTI files. Empty: the file's own.",
        group="Data", unit="HU", role="data")
    nifti_slice: int = setting(
        -1, "Axial slice of a NIfTI volume; -1 is the middle one.", group="Data", unit="index",
        low=-1, role="data")
    test_fraction: float = setting(
        0.2, "Share of patients (and of generated images) kept for the test.", group="Data",
        low=0.05, high=0.5)
    validation_fraction: float = setting(
        0.2, "Share of the remaining patients that early stopping and the threshold use.",
        group="Data", low=0.05, high=0.5)
    folds: int = setting(
        0, "Beside the one split, cross-fit over this many patient-disjoint folds; 0 leaves it "
        "out.", group="Data", unit="folds", low=0, high=20)

    # Model
    backbone: str = setting(
        "resnet50", "Encoder: the paper's resnet50, efficientnetb2, densenet161 and vit_b16 (whose "
        "image_size is a multiple of 16); efficientnetlite0, densenet121, efficientnetv2b0; "
        "compact (small, for --supervision=copy); tiny for tests.", group="Model", choices=(
            "resnet50", "efficientnetb2", "densenet161", "vit_b16", "efficientnetlite0",
            "densenet121", "efficientnetv2b0", "compact", "tiny"))
    weights: str = setting(
        "auto", "auto (ImageNet where it can be had, else random with a warning), imagenet, "
        "none, or the path of a Keras .h5, .weights.h5 or .keras file, for densenet161 and vit_b16 "
        "also of a timm .safetensors file.", group="Model")
    normalization: str = setting(
        "backbone", "Pixel scaling: the backbone's own, or the paper's ImageNet mean and "
        "deviation.", group="Model", choices=("backbone", "imagenet"))
    image_size: int = setting(
        224, "Side to which images are resized.", group="Model", unit="pixels", low=32, high=1024)
    finetune: str = setting(
        "none", "What of the backbone is trained: none, last_stage or all. "
        "BatchNormalization always stays frozen.", group="Model",
        choices=("none", "last_stage", "all"))
    features: str = setting(
        "last", "Tokens of the backbone: its last features (the paper), or multi: three depths "
        "together at the positions of the middle one, compared place by place with "
        "--cross_attention or without. Its store takes up to 7 times the space (resnet50: 1.4 MB "
        "an image of 224 pixels).", group="Model", choices=("last", "multi"))
    domain_norm: bool = setting(
        False, "Standardise features of real and of generated images apart, at each place, so "
        "that neither the generator's look nor what all images share rules the comparison.",
        group="Model")
    cross_attention: bool = setting(
        False, "Align the tokens of both images by cross-attention (paper, section 3.2).",
        group="Model")
    width: int = setting(
        128, "Channels of the tokens that cross-attention compares.", group="Model",
        unit="channels", low=8, high=2048)
    heads: int = setting(
        4, "Attention heads.", group="Model", unit="heads", low=1, high=32)
    similarity: str = setting(
        "both", "Signals of the adaptive similarity layer.", group="Model",
        choices=("both", "difference", "dot"))
    hidden: int = setting(
        64, "Units of the hidden layer after the similarity.", group="Model", unit="units", low=1,
        high=4096)
    dropout: float = setting(
        0.1, "Dropout before and after the hidden layer.", group="Model", low=0.0, high=0.9)

    # Pairs
    pairing: str = setting(
        "random", "Generated partners of a real image: random (the paper), its nearest ones, or "
        "half of each.", group="Pairs", choices=("random", "nearest", "mixed"))
    neighbours: int = setting(
        8, "How many nearest generated images a real image may be paired with.", group="Pairs",
        unit="images", low=1, high=4096)
    real_per_batch: int = setting(
        8, "Real images a block; a block scores all its real x generated pairs.", group="Pairs",
        unit="images", low=1, high=512)
    generated_per_batch: int = setting(
        8, "Generated images a block.", group="Pairs", unit="images", low=1, high=512)
    blocks: int = setting(
        1, "Blocks a step; with --distribute a multiple of the devices.", group="Pairs",
        unit="blocks", low=1, high=256)
    class_weighted: bool = setting(
        True, "Draw real images with weights inverse to their label's frequency.", group="Pairs")

    # Training
    epochs: int = setting(
        20, "Most epochs.", group="Training", unit="epochs", low=1, high=10000)
    steps_per_epoch: int = setting(
        40, "Optimiser steps an epoch.", group="Training", unit="steps", low=1, high=100000)
    patience: int = setting(
        8, "Epochs without a better validation AUC of images before training stops.",
        group="Training", unit="epochs", low=1, high=10000)
    learning_rate: float = setting(
        3e-4, "Highest learning rate of AdamW.", group="Training", low=1e-08, high=10.0)
    weight_decay: float = setting(
        1e-4, "Decoupled weight decay of AdamW.", group="Training", low=0.0, high=1.0)
    warmup: float = setting(
        0.05, "Share of all steps in which the learning rate rises; a cosine to zero follows.",
        group="Training", low=0.0, high=0.9)
    mixed_precision: bool = setting(
        False, "Compute in float16 on a GPU and in bfloat16 elsewhere.", group="Training")
    jit_compile: bool = setting(
        False, "Compile the training step with XLA; the last digits may then differ between runs.",
        group="Training")
    distribute: str = setting(
        "none", "none, mirrored over all visible devices, or multiworker: one process on each "
        "machine, told of the others by TF_CONFIG.", group="Training",
        choices=("none", "mirrored", "multiworker"))
    tensorboard: bool = setting(
        True, "Write TensorBoard logs into the run folder.", group="Training", role="place")

    # Embedding store
    store_dir: str = setting(
        "runs/store", "Folder of the embedding store. It holds features of the images: guard it as "
        "you guard them.", group="Embedding store", role="place")
    store_dtype: str = setting(
        "float16", "Number format of stored features.", group="Embedding store",
        choices=("float16", "float32"))
    embed_batch: int = setting(
        32, "Images the backbone takes at once.", group="Embedding store", unit="images", low=1,
        high=4096, role="place")

    # Evaluation
    partners: int = setting(
        64, "Generated partners whose logits make a real image's score; with pairing nearest at "
        "most --neighbours.", group="Evaluation", unit="images", low=1, high=100000, role="report")
    bootstrap: int = setting(
        2000, "Bootstrap resamples of patients.", group="Evaluation", unit="resamples", low=100,
        high=1000000, role="report")
    permutations: int = setting(
        2000, "Label permutations.", group="Evaluation", unit="permutations", low=100,
        high=1000000, role="report")
    confidence: float = setting(
        0.95, "Coverage of the intervals.", group="Evaluation", low=0.5, high=0.999, role="report")
    submission: str = setting(
        "", "With --mode=predict: also a run file in the form of this year's task.",
        group="Evaluation", choices=("", "2023", "2025"), role="place")
    predictions: str = setting(
        "", "With --mode=evaluate and --truth: a predictions.csv or a run file to be scored.",
        group="Evaluation", role="place")
    truth: str = setting(
        "", "With --predictions: a CSV with the columns name, label and optionally patient.",
        group="Evaluation", role="place")
    systems: str = setting(
        "resnet50,efficientnetb2,densenet161,vit_b16,resnet50_ca,densenet161_ca", "With "
        "--mode=compare: the systems, backbones with _ca where cross-attention is added; the "
        "others are set against the first.", group="Comparison", role="report")
    ablate: bool = setting(
        False, "With --mode=compare: also the first system with cross-attention without each of "
        "its parts, with the other pairing, and with five training seeds.", group="Comparison",
        role="report")
    # fmt: on

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check_value(field, getattr(self, field.name))
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
        self.check_supervision()
        for name in ("store_dir", "phantom_dir", "real"):
            if not getattr(self, name):
                raise UserError(f"--{name} must name a folder. Received: ''")
        self.check_victim()

    def settings(self, *roles):
        """The settings of these roles (see `setting`), as a dict."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.metadata["role"] in roles
        }

    def bound_settings(self):
        """The settings that a run folder is bound to, as a dict: what is learned or simulated."""
        if self.mode == "simulate":
            shared = {name: getattr(self, name) for name in OF_VICTIMS}
            return self.settings("victim", "data") | shared
        return self.settings("model", "data")

    def as_flags(self):
        """The bound settings that differ from the defaults, as flags that make the same again."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = {k: v for k, v in self.bound_settings().items() if v != defaults[k]}
        return [f"--mode={self.mode}", *(f"--{name}={value}" for name, value in given.items())]

    @property
    def window_range(self):
        """The intensity window as (center, width), or None."""
        return parse_window(self.window) if self.window else None

    @property
    def drawing_seed(self):
        """The seed of what training draws."""
        return self.seed if self.training_seed < 0 else self.training_seed

    def default_run_dir(self):
        """runs/<backbone>[-ca]-<digest>: the same settings and data give the same folder."""
        source = dict(self.bound_settings(), data=str(pathlib.Path(self.data).absolute()))
        if not self.candidates:  # Folders of before there was a choice keep their names.
            source.pop("candidates", None)
        if self.mode == "audit":
            given = {name: getattr(self, name) for name in ("suspects", "reference")}
            source |= {k: str(pathlib.Path(v).absolute()) for k, v in given.items() if v}
        digest = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:8]
        name = self.backbone + ("-ca" if self.cross_attention else "")
        if self.mode in ("audit", "compare", "simulate", "benchmark"):
            name = "benchmark" if self.mode == "simulate" and self.grid else self.mode
            name = "speed" if self.mode == "benchmark" and self.measure == "speed" else name
        return str(pathlib.Path("runs") / f"{name}-{digest}")

    def without_detectors(self):
        """The same without what only benchmarks and audits read."""
        unused = (DetectorSettings, AuditSettings)
        defaults = {f.name: f.default for group in unused for f in dataclasses.fields(group)}
        return dataclasses.replace(self, **defaults)

    def to_dict(self):
        """All settings as a JSON-ready dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values, source="the settings"):
        """Makes a Config; an unknown name or a wrong type is refused by name."""
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
    def from_json(cls, path):
        """Reads a config.json."""
        try:
            values = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"--config_json: cannot read {path}: {error.strerror}.") from error
        except ValueError as error:
            raise UserError(f"--config_json: {path} is not JSON: {error}.") from error
        return cls.from_dict(values, source=str(path))
