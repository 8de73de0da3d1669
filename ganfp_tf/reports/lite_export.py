"""What is said of a detector's LiteRT models: model.json for a client, a table for people."""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganfp_tf.config.siamese import SiameseSettings
    from ganfp_tf.siamese.networks import Decision

SCORE = {
    "siamese": "log of the mean of exp(logit) over the image's generated partners",
    "copy": (
        "logits alone do not make the run's score: it weighs four signals, two of them distances "
        "of the tokens (docs/detection.md). What agreement.json ranks is one of the four, the mean "
        "of an image's five highest logits"
    ),
}
INPUT = (
    "RGB pixels in [0, 255], a gray image three times, resized to this size (bilinear, antialias); "
    "no other scaling, the network has its own"
)


def description(
    settings: "SiameseSettings",
    encoder: Any,
    comparator: Any,
    made: Mapping[str, bytes],
    arithmetic: Mapping[str, str],
    calibration: Mapping[str, Any],
    decision: "Decision",
) -> dict[str, Any]:
    """A dict for model.json: what a client has to know to score an image.

    Args:
        settings: `SiameseSettings` of the run.
        encoder: the Keras model that was converted.
        comparator: likewise.
        made: dict "encoder" and "comparator" -> bytes of the file.
        arithmetic: dict of the same keys -> what they compute in.
        calibration: facts of the 8-bit ranges, or {}.
        decision: the main split's `siamese.Decision`.
    """
    tokens = [1, *encoder.output.shape[1:]]
    pixels = [1, *encoder.input.shape[1:]]
    shapes = {
        "encoder": ({"pixels": pixels}, {"tokens": tokens}),
        "comparator": ({"real": tokens, "generated": tokens}, {"logit": [1, 1]}),
    }
    parts = {}
    for name, (inputs, outputs) in shapes.items():
        parts[name] = {
            "file": f"{name}.tflite",
            "sha256": hashlib.sha256(made[name]).hexdigest(),
            "signature": "serving_default",
            "inputs": inputs,
            "outputs": outputs,
            "dtype": "float32",
            "arithmetic": arithmetic[name],
        }
    score = {"of_an_image": SCORE["copy" if settings.supervision == "copy" else "siamese"]}
    if settings.supervision != "copy":
        score |= {
            "higher": "used",
            "pairing": settings.pairing,
            "partners": settings.partners,
            "threshold": decision.threshold,
            "used": "score >= threshold",
            "slope": decision.slope,
            "intercept": decision.intercept,
            "probability": "1 / (1 + exp(-(slope * score + intercept)))",
        }
    return {
        "format": settings.export_format,
        "backbone": settings.backbone,
        "cross_attention": settings.cross_attention,
        "pixels": INPUT,
        **parts,
        "score": score,
        "calibration": calibration or None,
    }


def megabytes(folder: pathlib.Path, made: Mapping[str, bytes]) -> dict[str, float]:
    """Sizes in MB (a million bytes) of the LiteRT files and of what else the run has written."""
    sizes = {f"{name}.tflite": len(content) for name, content in made.items()}
    sizes["model.keras"] = (folder / "model.keras").stat().st_size
    saved = [path for path in (folder / "saved_model").rglob("*") if path.is_file()]
    if saved:
        sizes["saved_model"] = sum(path.stat().st_size for path in saved)
    return {name: size / 1e6 for name, size in sizes.items()}


def summary(found: dict[str, Any], calibration: Mapping[str, Any]) -> str:
    """The text that the command prints.

    Args:
        found: of `detectors.edge.agreement`, with format, arithmetic and megabytes.
        calibration: facts of the 8-bit ranges, or {}.
    """
    sample, ranks, most = found["sample"], found["rank_correlation"], found["largest_difference"]
    lines = [
        f"{name}: {found['arithmetic'][name]}; operations {_counts(found['operations'][name])}"
        for name in ("encoder", "comparator")
    ]
    lines += _kept(found, calibration)
    lines += [
        f"LiteRT against TensorFlow on {sample['real']} real test images ({sample['used']} used) x "
        f"{sample['generated']} generated:",
        f"  rank correlation: scores {_rank(ranks['images'])}, pairs {_rank(ranks['pairs'])}",
        f"  largest difference: score {most['score']:.2g}, logit {most['logit']:.2g} (standard "
        f"deviations {found['spread']['score']:.2g}, {found['spread']['logit']:.2g})",
        f"  AUC: TensorFlow {_interval(found['auc']['keras'])}, LiteRT "
        f"{_interval(found['auc']['litert'])}, difference {_interval(found['auc_difference'])}",
    ]
    if "same_call" in found:
        lines.append(f"  same call (used or not): {found['same_call']} of {sample['real']} images")
    for name, unit in (("encoder", "image"), ("comparator", "pair")):
        took = found["latency_ms"][name]
        lines.append(
            f"  {name}, ms a single {unit}: LiteRT {took['litert']:.3g}, TensorFlow "
            f"{took['tensorflow']:.3g} (median, {found['threads']} threads)"
        )
    sizes = ", ".join(f"{name} {size:.3g}" for name, size in found["megabytes"].items())
    return "\n".join([*lines, f"  MB: {sizes}"])


def _kept(found, calibration):
    """Why an encoder that was to be in 8 bits is so or is not."""
    if "pairs_rank_correlation_int8" not in calibration:
        return []
    rank, least = calibration["pairs_rank_correlation_int8"], calibration["kept_from"]
    says = f"on pairs of training images an encoder in int8 has rank correlation {_rank(rank)}"
    if found["arithmetic"]["encoder"] == "int8":
        return [f"{says} (kept from {least} on)"]
    return [f"{says}, below {least}: only its weights are stored in int8"]


def _counts(operations):
    return ", ".join(f"{count} {kind}" for kind, count in operations.items() if count)


def _interval(value):
    return f"{value['value']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def _rank(value):
    return f"{value:.4f}"
