"""--mode=benchmark: every detector on one data set; with --grid, on each victim of a grid."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.data.catalog import open_catalog
from ganfp_tf.data.images import ImageReader
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.detectors import measure as shared
from ganfp_tf.detectors import registry
from ganfp_tf.detectors.cross_fitting import FOLDS, cross_fitted_scores
from ganfp_tf.detectors.measure import prepare_networks, train_as_run
from ganfp_tf.reports.benchmark import page as report
from ganfp_tf.reports.benchmark.controls import AGAINST
from ganfp_tf.reports.render import canvas, page, tables
from ganfp_tf.runs import child_process, grid, run_folder
from ganfp_tf.simulation import membership
from ganfp_tf.statistics.evaluation import evaluate_frame
from ganfp_tf.statistics.metrics import auc_within
from ganfp_tf.statistics.paired import paired_bootstrap
from ganfp_tf.statistics.sample import Resampling, Sample

TITLE = "Detectors on victims with known members"
OF_DETECTORS = (
    "data",
    "seed",
    "folds",
    "training_seed",
    "copy_steps",
    "copy_block",
    "copy_blocks",
    "copy_mix",
    "copy_warp",
    "copy_learning_rate",
    "fold_seeds",
)
# Non-members below which one image is more than 1 % of them.
RESOLVES_1_PERCENT = 100


def run(config: Config) -> None:
    """Measures what is not measured yet, then writes benchmark.csv, .md and .html."""
    names = registry.parse_detectors(config.detectors, config.shadow)
    catalog = None if config.grid else open_catalog(config.data, config, "train")
    folder = run_folder.start(config, None if catalog is None else catalog.frame)
    print(f"run folder: {json.dumps(str(folder), ensure_ascii=False)}")
    if config.grid:
        words = _run_grid(config, folder, names)
    else:
        rows = measure(pathlib.Path(config.data), folder / "detectors", names, config, "data")
        facts = _facts_of(config.data, catalog)
        words = write(
            [facts | row for row in rows], [facts | {"done": True}], folder, config.confidence
        )
    print("", *words, f"written: {folder}/benchmark.html, .md and .csv", sep="\n")


def measure(
    data: pathlib.Path, place: pathlib.Path, names: Sequence[str], config: Config, title: str
) -> list[dict[str, Any]]:
    """Runs detectors on a data set and, where there is one, on its unrelated control.

    Args:
        data: the data set's path.
        place: where the results of each detector go; what is there is not done again.
        names: detectors.
        config: says folds, seed, resamples, and the Siamese networks' settings.
        title: of the data set, for people.

    Returns:
        list of dicts: set, detector, title, control, seconds, peak_bytes, auc_seeds, the figures
        with their intervals and what `_beside` says.
    """
    sets = {"victim": data}
    if (data / "unrelated" / "manifest.csv").is_file():
        sets["unrelated"] = data / "unrelated"
    rows = []
    for name, source in sets.items():
        scores = {}
        own = dataclasses.replace(
            config,
            mode="train",
            data=str(source),
            folds=config.folds or FOLDS,
            saved_model=False,
            overwrite=False,
            **_no_victim(),
        )
        images = _Images(own, place / name / "networks")
        for detector in names:
            entry = registry.DETECTORS[detector]
            shown = entry.title(own)
            label = f"{title}, {shown} on {name}"
            if entry.run:
                result, earlier = _siamese(detector, own, place / name / detector, label)
            else:
                result, earlier = _classical(detector, images, place / name)
                scores[detector] = pd.read_csv(place / name / f"{detector}.csv")
            row = {
                "set": name,
                "detector": detector,
                "title": shown,
                "control": entry.control,
                "seconds": result["seconds"],
                "peak_bytes": result["peak_bytes"],
                "auc_seeds": result.get("auc_seeds"),
                **_figures(result["evaluation"]),
            }
            row |= _beside(scores, detector, Resampling.of(own))
            told = "done earlier; " if earlier else ""
            shown = tables.format_interval(row["auc"], row["auc_low"], row["auc_high"])
            print(f"{label}: {told}AUC {shown}, {row['seconds']:.0f} s", flush=True)
            rows.append(row)
    return rows


class _Images:
    """A data set's images, listed when the first detector that is not done asks for them."""

    def __init__(self, settings, networks):
        self.settings = settings
        self.store = PixelStore(reader=ImageReader.of(settings), folder=str(networks))

    @functools.cached_property
    def frame(self):
        return open_catalog(self.settings.data, self.settings, "train", self.store.add).frame


def write(
    rows: list[dict[str, Any]],
    planned: list[dict[str, Any]],
    folder: pathlib.Path,
    confidence: float,
) -> tuple[str, ...]:
    """Writes the benchmark's files; returns what the page says in words."""
    frame = pd.DataFrame(rows)
    parts = report.sections(frame, confidence=confidence, planned=planned)
    for section in parts:
        if section.picture:
            canvas.save(section.picture.figure, folder / section.picture.path)
    files.write_csv(folder / "benchmark.csv", frame)
    files.write_text(folder / "benchmark.md", page.as_markdown(TITLE, parts))
    files.write_text(folder / "benchmark.html", page.as_html(TITLE, parts))
    return parts[0].text


def _run_grid(config, folder, names):
    victims = grid.plan(config)
    facts = [_facts_of_victim(victim) for victim in victims]
    rows, words = [], ()
    for number, victim in enumerate(victims, start=1):
        place = folder / "victims" / victim.name
        title = f"[{number}/{len(victims)}] {victim.name}"
        cost, earlier = child_process.once(victim.config, place, "victim.json", title)
        told, memory = "trained earlier" if earlier else "trained", cost["peak_bytes"] or 0
        print(f"{title}: {told}, {cost['seconds']:.0f} s, {memory / 1e9:.1f} GB", flush=True)
        found = measure(place, folder / "detectors" / victim.name, names, config, title)
        rows += [facts[number - 1] | row for row in found]
        # A grid may take days: what is known so far can be read.
        planned = [fact | {"done": row < number} for row, fact in enumerate(facts)]
        words = write(rows, planned, folder, config.confidence)
    return words


def _classical(name, images, folder):
    """The result of a detector that is no run, and whether it was there; scores lie beside it."""
    config, path = images.settings, folder / f"{name}.json"
    settings = (
        config.settings("report")
        | {"detectors": name}
        | {key: getattr(config, key) for key in OF_DETECTORS}
    )
    if path.exists() and files.read_json(path)["settings"] == settings:
        return files.read_json(path), True
    frame = images.frame
    prepare_networks([name], config)
    measured = shared.measure(lambda: _scored(name, frame, images.store, config))
    scores, evaluation = measured.value
    result = {
        "seconds": measured.seconds,
        "peak_bytes": measured.peak_bytes,
        "evaluation": evaluation,
        "auc_seeds": [_auc_within(each) for each in scores],
        "settings": settings,
    }
    files.write_csv(folder / f"{name}.csv", scores[0])
    files.write_json(path, result)
    return result, False


def _scored(name, frame, store, settings):
    """Cross-fitted scores for each seed of the folds, and the evaluation of the first."""
    detector = registry.make_detector(name, settings)
    count = settings.fold_seeds if detector.uses_labels else 1
    found = [
        cross_fitted_scores(detector, frame, store, folds=settings.folds, seed=seed)
        for seed in range(settings.seed, settings.seed + count)
    ]
    strata = "split_id" if detector.uses_labels else None
    return found, evaluate_frame(found[0], Resampling.of(settings), strata=strata).to_dict()


def _auc_within(scores):
    return auc_within(*(scores[column].to_numpy() for column in ("label", "score", "split_id")))


def _siamese(name, settings, place, title):
    cost, earlier = train_as_run(name, settings, place, title)
    levels = files.read_json(place / "evaluation.json")["levels"]
    result = {"evaluation": levels["images_cross_fitted"]}
    return result | {key: cost[key] for key in ("seconds", "peak_bytes")}, earlier


def _beside(scores, name, resampling):
    """A detector beside the plainest strong attack, and among members and non-members alone.

    Args:
        scores: of the detectors so far, name -> cross-fitted scores.
        name: the detector.
        resampling: numbers of resamples, confidence and seed.

    Returns:
        dict: `less`, the AUC less that of `AGAINST` on the same resampled patients; `members_auc`
        and `non_members_auc`, the AUC of one random half of them against the other, which must be
        0.5; each with `_low` and `_high`.
    """
    row = {}
    if name not in scores:
        return row
    own = scores[name]
    patients = pd.factorize(own["patient"])[0]
    if AGAINST in scores and name != AGAINST:
        # Ranked within the folds of either: scores of two folds are not of one scale.
        sample = Sample.from_frame(own.assign(patient=patients), strata="split_id")
        against = scores[AGAINST]["score"].to_numpy()
        found = paired_bootstrap(sample, against, resampling)
        row |= {"less": found.difference, "less_low": found.low, "less_high": found.high}
    for label, key in ((1, "members_auc"), (0, "non_members_auc")):
        half = own[own["label"] == label].reset_index(drop=True)
        numbers, names = pd.factorize(half["patient"])
        rng = np.random.default_rng([resampling.seed, label])
        chosen = np.isin(numbers, rng.permutation(len(names))[: len(names) // 2]).astype(int)
        if 0 < chosen.sum() < len(chosen):
            half = half.assign(label=chosen, decision=chosen)
            found = evaluate_frame(half, resampling).to_dict()
            auc = found["metrics"]["auc"]
            row |= {key: auc["value"], f"{key}_low": auc["low"], f"{key}_high": auc["high"]}
    return row


def _figures(evaluation):
    """The figures of a row: AUC within folds where there are folds, each with its interval."""
    metrics = evaluation["metrics"]
    sources = {
        "auc": "auc_within" if "auc_within" in metrics else "auc",
        "tpr_1": "tpr_at_1_fpr",
        "tpr_10": "tpr_at_10_fpr",
        "kappa": "kappa",
    }
    row = {
        "images": metrics["n"]["value"],
        "patients": evaluation["n_patients"],
        "auc_p": evaluation["permutation"]["auc_p"],
    }
    for name, source in sources.items():
        figure = metrics[source]
        row |= {name: figure["value"], f"{name}_low": figure["low"], f"{name}_high": figure["high"]}
    if metrics["n"]["value"] - metrics["positives"]["value"] < RESOLVES_1_PERCENT:
        row |= dict.fromkeys(("tpr_1", "tpr_1_low", "tpr_1_high"))
    return row


def _facts_of_victim(victim):
    config = victim.config
    return {
        "victim": victim.name,
        "real": grid.real_name(config.real),
        "architecture": config.architecture,
        "members": config.members,
        "non_members": config.non_members,
        "generated": config.generated
        - membership.held_out(config.generated, config.test_fraction, "generated"),
        "size": config.size,
        "steps": config.steps,
        "seed": config.seed,
    }


def _facts_of(data, catalog):
    """The same of a data set; what a simulation's victim.json says of it, where there is one."""
    path = pathlib.Path(data) / "victim.json"
    if path.is_file():
        simulated = Config.from_dict(
            {"mode": "simulate", **files.read_json(path)["settings"]}, str(path)
        )
        return _facts_of_victim(grid.Victim(pathlib.Path(data).name, simulated))
    real = catalog.labelled
    used = int((real["label"] == 1).sum())
    return {
        "victim": pathlib.Path(data).name,
        "real": "data",
        "architecture": "unknown",
        "members": used,
        "non_members": len(real) - used,
        "generated": len(catalog.generated),
        "size": int(catalog.frame["height"].iloc[0]) if "height" in catalog.frame else 0,
        "steps": 0,
        "seed": 0,
    }


def _no_victim():
    """Settings of simulations at their defaults: a detector has none of its own."""
    return {field.name: field.default for field in dataclasses.fields(VictimSettings)}
