"""Every detector of an audit on the same images, each measured once."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from ganfp_tf import __version__, files, progress
from ganfp_tf.audit.case import Case
from ganfp_tf.data.pixels import contents
from ganfp_tf.detectors import measure as shared
from ganfp_tf.detectors import registry
from ganfp_tf.detectors.measure import prepare_networks, train_as_run
from ganfp_tf.runs import run_folder

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


class StoredResults:
    """Results on disk: what is there under the same settings and images is not computed again.

    Args:
        case: the `Case`.
    """

    def __init__(self, case: Case):
        config = case.config
        decides = {name: getattr(config, name) for name in (*DECIDING, *OF_RUNS)}
        # In their order and with their names, for scores are kept in this order.
        listed = case.real[["name", "digest", "patient", "group"]].to_csv(index=False)
        decides |= {"ganfp": __version__, "real": listed, "generated": contents(case.generated)}
        text = json.dumps(decides, sort_keys=True)
        self.folder, self.key = case.folder, hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, place: str, settings: dict, make: Callable[[], Any]) -> Any:
        """The JSON-ready value under `place`, from `make()` if it is not there.

        Args:
            place: file below the run folder, without its ending.
            settings: what else decides the value: a JSON-ready dict.
            make: computes the value.
        """
        path = self.folder / f"{place}.json"
        settings = {"key": self.key, **settings}
        if path.exists():
            stored = files.read_json(path)
            if stored.get("settings") == settings:
                return stored["value"]
        value = make()
        files.write_json(path, {"settings": settings, "value": value})
        return value


def measure(case: Case, stored: StoredResults) -> list[Measured]:
    """Scores every detector of the case, the primary one among them.

    Args:
        case: the `Case`.
        stored: where results are read from and written to.

    Returns:
        The detectors, the primary one first.
    """
    prepare_networks(case.names, case.config)
    primary = case.detectors.primary
    names = [primary, *(name for name in case.names if name != primary)]
    found = []
    with progress.bar(len(names), "detectors", "detector") as bar:
        for name in names:
            value = stored(f"detectors/{name}", {}, functools.partial(_scored, case, name))
            scores = pd.DataFrame(value.pop("scores"))
            scores = scores.astype({"score": float, "decision": int, "label": int})
            found.append(Measured(scores=scores, **value))
            bar.update()
    return found


def _scored(case, name):
    entry = registry.DETECTORS.get(name)
    if entry and entry.run:
        measured = shared.measure(lambda: _of_run(case, name, entry.run_title))
        scores, peak = measured.value
        title, uses_labels = entry.run_title, True
    else:
        measured = shared.measure(lambda: case.scores(name, decide=case.labelled))
        scores, peak = measured.value, measured.peak_bytes
        title, uses_labels = case.detector(name).title, case.detector(name).uses_labels
    return {
        "name": name,
        "title": title,
        "control": bool(entry and entry.control),
        "network": bool(entry and entry.network),
        "uses_labels": uses_labels,
        "scores": scores.to_dict("list"),
        "seconds": measured.seconds,
        "peak_bytes": peak,
    }


def _of_run(case, name, title):
    """Scores of a Siamese network in the case's order, and the peak memory of its process."""
    place = case.folder / "detectors" / name
    cost, _ = train_as_run(name, case.config, place, title)
    scores = run_folder.read_scores(place).set_index(["name", "patient"])
    order = pd.MultiIndex.from_frame(case.tested[["name", "patient"]])
    return scores.loc[order].reset_index().assign(split="test"), cost["peak_bytes"] or 0
