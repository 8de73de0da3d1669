"""The detectors: name -> how to make it, and what a classical one can do. No TensorFlow.

Frames have the columns of a Catalog's: path, name, role, label, patient, part, digest.
"""

import dataclasses
import difflib
import functools
from collections.abc import Callable

from ganfp_tf.config import Config
from ganfp_tf.config.copy_supervision import CopySettings
from ganfp_tf.detectors.attacks.clusters import ClusterRelations
from ganfp_tf.detectors.attacks.correlation import CopyThreshold
from ganfp_tf.detectors.attacks.density import DensityRatio, MonteCarlo
from ganfp_tf.detectors.attacks.distance import CalibratedDistance, NearestDistance
from ganfp_tf.detectors.attacks.fingerprint import ResidualFingerprint
from ganfp_tf.detectors.attacks.generative_models import GeneratedClassifier, Reconstruction
from ganfp_tf.detectors.attacks.hits import HitCount
from ganfp_tf.detectors.attacks.keypoints import KeypointMatches
from ganfp_tf.detectors.attacks.patches import CalibratedPatches, TwoSided
from ganfp_tf.detectors.attacks.soft_hits import InvertedAuthenticity, SoftHits
from ganfp_tf.detectors.controls.blind_classifier import BlindClassifier
from ganfp_tf.detectors.controls.blind_distance import BlindDistance
from ganfp_tf.detectors.copies.comparator import CopyComparator
from ganfp_tf.detectors.copies.space import CopySpace
from ganfp_tf.detectors.ensemble import Mean, Stack
from ganfp_tf.detectors.protocol import Detector
from ganfp_tf.detectors.shadows.calibration import ShadowCalibrated
from ganfp_tf.detectors.shadows.folders import Shadow, open_shadows
from ganfp_tf.detectors.spaces.base import PIXELS, GeneratedComponents, Pixels
from ganfp_tf.detectors.spaces.encoder import EncoderStage
from ganfp_tf.detectors.spaces.hashes import HashSpace
from ganfp_tf.detectors.spaces.spectra import FrequencySpace, NoiseResidualSpace
from ganfp_tf.detectors.spaces.texture import TextureSpace
from ganfp_tf.errors import UserError

GROUPS = ("fast", "classical", "all")
OF_SHADOWS = ("shadow", "patient_regex", "window", "nifti_slice", "skip_unreadable")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One detector of the registry: what is fitted and scores, or a network trained as a run."""

    make: Callable[[Config], Detector] | None = None
    """Config -> the detector, not fitted; None for a Siamese network that is a run of its own."""
    run: dict | None = None
    """Settings of the run that trains a Siamese network, beside those of the command."""
    run_title: str = ""
    control: bool = False
    """Whether it is no attack: a control's AUC should be 0.5."""
    network: bool = False
    """Whether it trains a network, which takes minutes."""
    shadow: bool = False
    """Whether it needs shadow generators (--shadow)."""
    slow: bool = False
    """Whether it takes more than some seconds on 5000 images without training a network."""
    uses_labels: bool = False
    """Whether it learns from labels, as the made detector says too."""

    def title(self, settings: Config) -> str:
        """For people, in lower case."""
        return self.run_title or self.make(settings).title


def _copies(settings):
    return CopySpace(recipe=tuple(settings.copy_recipe(settings.drawing_seed).items()))


def _in_copies(make):
    return Entry(lambda settings: make(_copies(settings)), network=True)


def _in(make, space, slow=False):
    return Entry(lambda settings: make(space), slow=slow)


MEMBERSHIP = {"supervision": "membership"} | {
    field.name: field.default
    for field in dataclasses.fields(CopySettings)
    if field.name.startswith("copy_")
}
BLUR1, BLUR2 = Pixels(blur=1.0), Pixels(blur=2.0)
COMPONENTS = GeneratedComponents(60)
STACK_SIGNALS = (
    "calibrated_pixels",
    "hits_pixels",
    "density_components",
    "calibrated_reconstruction",
    "nearest_copies",
    "calibrated_copies",
    "hits_copies",
    "comparator_calibrated",
)
# One of each kind that needs no network: distance by patches, hits, density, reconstruction.
FAST_SIGNALS = ("patches_pixels", "hits_hash16", "density_components", "calibrated_reconstruction")
SHADOW_SIGNALS = (
    "shadow_nearest_pixels",
    "shadow_nearest_blur1",
    "shadow_hits_pixels",
    "shadow_nearest_copies",
    "shadow_hits_copies",
)


def _shadowed(name):
    def make(settings):
        return ShadowCalibrated(DETECTORS[name].make(settings), opened(settings))

    return Entry(make, network=DETECTORS[name].network, shadow=True)


def _stack(name, title, signals, kind, shadow=False):
    def make(settings):
        return kind(name, title, tuple(DETECTORS[signal].make(settings) for signal in signals))

    network = any(DETECTORS[signal].network for signal in signals)
    return Entry(make, network=network, shadow=shadow, uses_labels=kind is Stack)


def opened(settings: Config) -> tuple[Shadow, ...]:
    """The shadow generators of --shadow, listed once however many detectors ask."""
    return _opened(tuple((name, getattr(settings, name)) for name in OF_SHADOWS))


@functools.lru_cache(maxsize=4)
def _opened(settings):
    config = Config(**dict(settings))
    return tuple(open_shadows(config.shadow, config))


DETECTORS: dict[str, Entry] = {
    "nearest_pixels": _in(NearestDistance, PIXELS),
    "calibrated_pixels": _in(CalibratedDistance, PIXELS),
    "hits_pixels": _in(HitCount, PIXELS),
    "softhits_pixels": _in(SoftHits, PIXELS),
    "nearest_blur1": _in(NearestDistance, BLUR1),
    "calibrated_blur1": _in(CalibratedDistance, BLUR1),
    "calibrated_blur2": _in(CalibratedDistance, BLUR2),
    "hits_blur2": _in(HitCount, BLUR2),
    "nearest_components": _in(NearestDistance, COMPONENTS),
    "calibrated_components": _in(CalibratedDistance, COMPONENTS),
    "hits_components": _in(HitCount, COMPONENTS),
    "patches_pixels": Entry(lambda settings: CalibratedPatches()),
    "two_sided_pixels": Entry(lambda settings: TwoSided()),
    "montecarlo_pixels": _in(MonteCarlo, PIXELS),
    "montecarlo_components": _in(MonteCarlo, COMPONENTS),
    "density_components": Entry(lambda settings: DensityRatio()),
    "authenticity_pixels": _in(InvertedAuthenticity, PIXELS),
    "copies_pixels": _in(CopyThreshold, PIXELS),
    "classifier": Entry(lambda settings: GeneratedClassifier(), slow=True, uses_labels=True),
    "reconstruction": Entry(lambda settings: Reconstruction()),
    "calibrated_reconstruction": Entry(lambda settings: Reconstruction(calibrated=True)),
    "clusters": Entry(lambda settings: ClusterRelations()),
    "calibrated_texture": _in(CalibratedDistance, TextureSpace()),
    "hits_hash": _in(HitCount, HashSpace()),
    "hits_hash16": _in(HitCount, HashSpace(bits=16)),
    "keypoints": Entry(lambda settings: KeypointMatches(), slow=True),
    "calibrated_frequency": _in(CalibratedDistance, FrequencySpace()),
    "calibrated_residual": _in(CalibratedDistance, NoiseResidualSpace()),
    "residual_fingerprint": Entry(lambda settings: ResidualFingerprint()),
    "nearest_encoder": _in(NearestDistance, EncoderStage(), slow=True),
    "hits_encoder": _in(HitCount, EncoderStage(), slow=True),
    "siamese_random": Entry(
        run=MEMBERSHIP | {"pairing": "random"},
        run_title="Siamese, random pairs",
        network=True,
        uses_labels=True,
    ),
    "siamese_nearest": Entry(
        run=MEMBERSHIP | {"pairing": "nearest"},
        run_title="Siamese, nearest pairs",
        network=True,
        uses_labels=True,
    ),
    "nearest_copies": _in_copies(NearestDistance),
    "calibrated_copies": _in_copies(CalibratedDistance),
    "hits_copies": _in_copies(HitCount),
    "comparator": _in_copies(functools.partial(CopyComparator, calibrated=False)),
    "comparator_calibrated": _in_copies(CopyComparator),
}
DETECTORS |= {
    f"shadow_{name}": _shadowed(name)
    for name in (
        "nearest_pixels",
        "nearest_blur1",
        "nearest_components",
        "hits_pixels",
        "nearest_copies",
        "hits_copies",
        "comparator",
    )
}
DETECTORS |= {
    "fast_mean": _stack("fast_mean", "plain mean of four fast detectors", FAST_SIGNALS, Mean),
    "fast_stack": _stack("fast_stack", "stack of four fast detectors", FAST_SIGNALS, Stack),
    "mean": _stack("mean", "plain mean of eight detectors", STACK_SIGNALS, Mean),
    "stack": _stack("stack", "stack of eight detectors", STACK_SIGNALS, Stack),
    "shadow_mean": _stack(
        "shadow_mean",
        "plain mean of five detectors calibrated by shadows",
        SHADOW_SIGNALS,
        Mean,
        shadow=True,
    ),
    "shadow_stack": _stack(
        "shadow_stack",
        "stack of five detectors calibrated by shadows",
        SHADOW_SIGNALS,
        Stack,
        shadow=True,
    ),
    "blind_pixels": Entry(lambda settings: BlindDistance(PIXELS), control=True),
    "blind_classifier": Entry(lambda settings: BlindClassifier(), control=True, uses_labels=True),
}


def make_detector(name: str, settings: Config | None = None) -> Detector:
    """The detector of this name, not fitted.

    Raises:
        UserError: there is none of this name, it is a Siamese network that is a run of its own, or
            it needs shadow generators and --shadow names none.
    """
    entry = _entry(name)
    if entry.make is None:
        raise UserError(f"{name} is a Siamese network: train it with --mode=train.")
    return entry.make(settings or Config())


def parse_detectors(text: str, shadow: str = "") -> list[str]:
    """Reads a list of names such as "nearest_pixels,hits_pixels".

    Args:
        text: names; or "all", "classical" for those without a network, "fast" for those of them
            that take seconds. All three leave out those that need shadow generators where there
            are none.
        shadow: --shadow.

    Raises:
        UserError: none named, one named twice, an unknown one, one that needs shadow generators
            where there are none, or a group beside others.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(names) == 1 and names[0] in GROUPS:
        return [
            name
            for name, entry in DETECTORS.items()
            if (shadow or not entry.shadow)
            and not (names[0] != "all" and entry.network)
            and not (names[0] == "fast" and entry.slow)
        ]
    for name in names:
        if name not in GROUPS and _entry(name).shadow and not shadow:
            raise UserError(
                f"{name} needs shadow generators: say --shadow=PATH, or leave it out of "
                "--detectors. --mode=simulate --shadows makes some."
            )
    if not names or set(GROUPS) & set(names) or len(set(names)) < len(names):
        raise UserError(
            f"--detectors must be {', '.join(GROUPS[:-1])} or {GROUPS[-1]}, or name at least one "
            f"detector and each once, separated by commas. Received: {text!r}"
        )
    return names


def _entry(name):
    if name not in DETECTORS:
        near = difflib.get_close_matches(name, DETECTORS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(
            f"--detectors: there is no detector {name!r}.{hint} Expected {', '.join(DETECTORS)}."
        )
    return DETECTORS[name]
