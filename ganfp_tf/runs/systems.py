"""The systems and ablations of `--mode=compare`, each a Config of its own."""

import dataclasses
from pathlib import Path

from ganfp_tf.config import Config
from ganfp_tf.errors import UserError

CROSS_ATTENTION = "_ca"
SEEDS = 5
# What each value of --similarity leaves out.
WITHOUT = {
    "difference": "without the dot product",
    "dot": "without the absolute difference",
    "both": "with both similarity signals",
}
TITLES = {
    "resnet50": "ResNet50",
    "efficientnetb2": "EfficientNetB2",
    "densenet161": "DenseNet161",
    "vit_b16": "ViT",
    "efficientnetlite0": "EfficientNet-Lite0",
    "densenet121": "DenseNet121",
    "efficientnetv2b0": "EfficientNetV2B0",
    "compact": "compact",
}


@dataclasses.dataclass(frozen=True)
class System:
    """One row of the comparison.

    Attributes:
        name: of its folder and its rows.
        title: its name in tables.
        config: the settings of its run, without run_dir.
        ablates: name of the system that it differs from in one thing; empty for a system.
        same_as: name of the system whose run it shares, because they do not differ; else empty.
    """

    name: str
    title: str
    config: Config
    ablates: str = ""
    same_as: str = ""

    @property
    def folder(self) -> str:
        """Its folder under systems/."""
        return self.same_as or self.name


def parse_systems(text: str) -> list[tuple[str, bool]]:
    """Parses "resnet50,resnet50_ca" into [("resnet50", False), ("resnet50", True)].

    Raises:
        UserError: none named, one named twice, or an unknown backbone.
    """
    backbones = Config.__dataclass_fields__["backbone"].metadata["choices"]
    names = [name.strip() for name in text.split(",") if name.strip()]
    systems = []
    for name in names:
        backbone = name.removesuffix(CROSS_ATTENTION)
        if backbone not in backbones:
            raise UserError(
                f"--systems: there is no system {name!r}. Expected backbones, separated by commas, "
                f"with {CROSS_ATTENTION} for cross-attention: {', '.join(backbones)}."
            )
        systems.append((backbone, backbone != name))
    if not systems or len(set(names)) < len(names):
        raise UserError(
            f"--systems must name at least one system, and each once. Received: {text!r}"
        )
    return systems


def plan(config: Config) -> list[System]:
    """The systems of a comparison in order, then the ablations if --ablate is passed.

    Args:
        config: the comparison's Config; all settings but --systems hold for every system.

    Returns:
        list of `System`. An ablation that is one of the systems shares its run.

    Raises:
        UserError: a wrong --systems, weights that some system has no file of, or nothing to ablate.
    """
    systems = []
    for backbone, crossed in parse_systems(config.systems):
        title = TITLES.get(backbone, backbone) + (" + CA" if crossed else "")
        changes = dict(
            mode="train",
            backbone=backbone,
            cross_attention=crossed,
            saved_model=False,
            weights=_weights_of(backbone, config.weights),
            overwrite=False,
            ablate=False,
            systems=Config.systems,
        )
        name = backbone + (CROSS_ATTENTION if crossed else "")
        systems.append(System(name, title, dataclasses.replace(config, **changes)))
    return systems + (_ablations(systems) if config.ablate else [])


def full_system(systems: list[System]) -> System:
    """The system that is ablated: the first with cross-attention.

    Raises:
        UserError: there is none.
    """
    for system in systems:
        if system.config.cross_attention:
            return system
    raise UserError(
        "--ablate takes the first system with cross-attention apart. Expected one in --systems, "
        f"such as {systems[0].name}{CROSS_ATTENTION}."
    )


def _ablations(systems):
    full = full_system(systems)
    changes = [
        (f"similarity_{value}", WITHOUT[value], {"similarity": value})
        for value in ("dot", "difference", "both")
        if value != full.config.similarity
    ]
    changes.append(("no_ca", "without cross-attention", {"cross_attention": False}))
    changes += [
        (f"pairing_{value}", f"pairing {value}", {"pairing": value})
        for value in ("random", "nearest")
        if value != full.config.pairing
    ]
    # The full system has the first of the seeds.
    first = full.config.drawing_seed
    changes += [
        (f"seed_{seed}", f"training seed {seed}", {"training_seed": seed})
        for seed in ((first + number) % 2**31 for number in range(1, SEEDS))
    ]
    known = {system.config: system.name for system in systems}
    ablations = []
    for name, title, change in changes:
        changed = dataclasses.replace(full.config, **change)
        ablations.append(
            System(
                f"{full.name}-{name}",
                f"{full.title} {title}",
                changed,
                ablates=full.name,
                same_as=known.get(changed, ""),
            )
        )
    return ablations


def _weights_of(backbone, weights):
    """The one file of a --weights folder that is called as the backbone, or --weights itself."""
    if weights in ("auto", "imagenet", "none"):
        return weights
    folder = Path(weights)
    if not folder.is_dir():
        raise UserError(
            "--mode=compare takes --weights=auto, imagenet, none, or a folder with one file for "
            f"each backbone, such as resnet50.h5. Received: {weights!r}"
        )
    found = [path for path in sorted(folder.iterdir()) if path.name.split(".")[0] == backbone]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(
            f"--weights: {folder} must hold one file called {backbone} with its suffix, such as "
            f"{backbone}.h5 or {backbone}.safetensors. Found: {names}."
        )
    return str(found[0])
