"""Every detector of an audit on the same images, each measured once."""

import dataclasses
import hashlib
import json
import time

import pandas as pd

from ganfp_tf import __version__, files, progress
from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors import registry
from ganfp_tf.runs import child_process, run_folder
from ganfp_tf.timing import peak_bytes

# What decides a detector's scores beside the images.
DECIDING = (
    "data",
    "suspects",
    "reference",
    "shadow",
    "patient_regex",
    "window",
    "nifti_slice",
    "seed",
    "folds",
    "training_seed",
    "copy_steps",
    "copy_block",
    "copy_blocks",
    "copy_mix",
    "copy_warp",
    "copy_learning_rate",
)
OF_RUNS = ("backbone", "weights", "image_size", "cross_attention", "epochs", "steps_per_epoch")


@dataclasses.dataclass(frozen=True)
class Measured:
    """A detector and its scores.

    Attributes:
        name, title: of the detector.
        control, network, uses_labels: as in its registry entry.
        scores: DataFrame of crossfit.COLUMNS, suspects and reference in the case's order.
        seconds: it took.
        peak_bytes: most memory the process had held when it was done.
    """

    name: str
    title: str
    control: bool
    network: bool
    uses_labels: bool
    scores: pd.DataFrame
    seconds: float
    peak_bytes: int


class Kept:
    """Results on disk: what is there under the same settings and images is not done again.

    Args:
        case: the `Case`.
    """

    def __init__(self, case):
        config = case.config
        decides = {name: getattr(config, name) for name in (*DECIDING, *OF_RUNS)}
        # In their order and with their names, for scores are kept in this order.
        listed = case.real[["name", "digest", "patient", "group"]].to_csv(index=False)
        decides |= {"ganfp": __version__, "real": listed, "generated": contents(case.generated)}
        text = json.dumps(decides, sort_keys=True)
        self.folder, self.key = case.folder, hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, place, asked, make):
        """The JSON-ready value under `place`, from `make()` where it is not there.

        Args:
            place: file below the run folder, without its ending.
            asked: what else decides the value: a JSON-ready dict.
            make: function () -> value.
        """
        path = self.folder / f"{place}.json"
        settings = {"key": self.key, **asked}
        if path.exists():
            stored = files.read_json(path)
            if stored.get("settings") == settings:
                return stored["value"]
        value = make()
        files.write_json(path, {"settings": settings, "value": value})
        return value


def measure(case, kept):
    """Scores every detector of the case, the primary one among them.

    Args:
        case: the `Case`.
        kept: a `Kept`.

    Returns:
        list of `Measured`, the primary detector first.
    """
    if any(registry.DETECTORS[name].network for name in case.names):
        # TensorFlow waits until a network is needed; what it draws must be the same every time.
        from ganfp_tf.models.runtime import prepare_runtime

        prepare_runtime(case.config)
    primary = case.detectors.primary
    names = [primary, *(name for name in case.names if name != primary)]
    found = []
    with progress.bar(len(names), "detectors", "detector") as bar:
        for name in names:
            value = kept(f"detectors/{name}", {}, lambda name=name: _scored(case, name))
            scores = pd.DataFrame(value.pop("scores"))
            scores = scores.astype({"score": float, "decision": int, "label": int})
            found.append(Measured(scores=scores, **value))
            bar.update()
    return found


def _scored(case, name):
    started = time.monotonic()
    entry = registry.DETECTORS.get(name)
    if entry and entry.run:
        scores, peak = _of_run(case, name, entry)
        title, uses_labels = entry.run_title, True
    else:
        detector = case.detector(name)
        scores, peak = case.scores(name, decide=case.labelled), peak_bytes()
        title, uses_labels = detector.title, detector.uses_labels
    return {
        "name": name,
        "title": title,
        "control": bool(entry and entry.control),
        "network": bool(entry and entry.network),
        "uses_labels": uses_labels,
        "scores": scores.to_dict("list"),
        "seconds": time.monotonic() - started,
        "peak_bytes": peak,
    }


def _of_run(case, name, entry):
    """Cross-fitted scores of a Siamese network that is a run of its own, in the case's order."""
    config = dataclasses.replace(
        case.config.without_detectors(),
        mode="train",
        folds=case.folds,
        saved_model=False,
        overwrite=False,
        **entry.run,
    )
    place = case.folder / "detectors" / name
    cost, _ = child_process.once(config, place, "evaluation.json", entry.run_title)
    scores = run_folder.read_scores(place).set_index(["name", "patient"])
    order = pd.MultiIndex.from_frame(case.tested[["name", "patient"]])
    return scores.loc[order].reset_index().assign(split="test"), cost["peak_bytes"] or 0
