"""--mode=benchmark: every detector on one data set; with --grid, on each victim of a grid."""

import dataclasses
import functools
import json
import pathlib
import time

import pandas as pd

from ganfp_tf import files, grids, jobs, runs
from ganfp_tf.config import Config
from ganfp_tf.data.catalog import open_catalog
from ganfp_tf.detectors import registry
from ganfp_tf.detectors.crossfit import cross_fitted_scores
from ganfp_tf.detectors.spaces import PixelStore
from ganfp_tf.reports import benchmark as report
from ganfp_tf.reports import canvas, page, tables
from ganfp_tf.simulation import recipe
from ganfp_tf.statistics.frames import evaluate_frame
from ganfp_tf.victim_settings import VictimSettings

TITLE = "Detectors on victims with known members"
FOLDS = 5  # where --folds says nothing
# Non-members below which one image is more than 1 % of them.
RESOLVES_1_PERCENT = 100


def run(config):
    """Measures what is not measured yet, then writes benchmark.csv, .md and .html."""
    names = registry.parse_detectors(config.detectors)
    catalog = None if config.grid else open_catalog(config, "train")
    folder = runs.start(config, None if catalog is None else catalog.frame)
    print(f"run folder: {json.dumps(str(folder), ensure_ascii=False)}")
    if config.grid:
        words = _run_grid(config, folder, names)
    else:
        rows = measure(pathlib.Path(config.data), folder / "detectors", names, config, "data")
        facts = _facts_of(config.data, catalog)
        words = write([facts | row for row in rows], [facts | {"done": True}], folder, config)
    print("", *words, f"written: {folder}/benchmark.html, .md and .csv", sep="\n")


def measure(data, place, names, config, title):
    """Runs detectors on a data set and, where there is one, on its unrelated control.

    Args:
        data: the data set's path.
        place: where the results of each detector go; what is there is not done again.
        names: detectors.
        config: says folds, seed, resamples, and the Siamese networks' settings.
        title: of the data set, for people.

    Returns:
        list of dicts: set, detector, title, control, seconds and the figures with their intervals.
    """
    sets = {"victim": data}
    if (data / "unrelated" / "manifest.csv").is_file():
        sets["unrelated"] = data / "unrelated"
    rows = []
    for name, source in sets.items():
        own = dataclasses.replace(
            config, mode="train", data=str(source), folds=config.folds or FOLDS,
            saved_model=False, overwrite=False, detectors=Config.detectors, **_no_victim(),
        )  # fmt: skip
        images = _Images(own)
        for detector in names:
            entry = registry.DETECTORS[detector]
            label = f"{title}, {entry.title} on {name}"
            if entry.run:
                changed = dataclasses.replace(own, **entry.run)
                result, earlier = _siamese(changed, place / name / detector, label)
            else:
                result, earlier = _classical(detector, images, place / name)
            row = {
                "set": name, "detector": detector, "title": entry.title, "control": entry.control,
                "seconds": result["seconds"], **_figures(result["evaluation"]),
            }  # fmt: skip
            told = "done earlier; " if earlier else ""
            shown = tables.format_interval(row["auc"], row["auc_low"], row["auc_high"])
            print(f"{label}: {told}AUC {shown}, {row['seconds']:.0f} s", flush=True)
            rows.append(row)
    return rows


class _Images:
    """A data set's images, listed when the first detector that is not done asks for them."""

    def __init__(self, config):
        self.config = config
        self.store = PixelStore(window=config.window_range, nifti_slice=config.nifti_slice)

    @functools.cached_property
    def frame(self):
        return open_catalog(self.config, "train").frame


def write(rows, planned, folder, config):
    """Writes the benchmark's files; returns what the page says in words."""
    frame = pd.DataFrame(rows)
    parts = report.sections(frame, confidence=config.confidence, planned=planned)
    for section in parts:
        if section.picture:
            canvas.save(section.picture.figure, folder / section.picture.path)
    files.write_csv(folder / "benchmark.csv", frame)
    files.write_text(folder / "benchmark.md", page.as_markdown(TITLE, parts))
    files.write_text(folder / "benchmark.html", page.as_html(TITLE, parts))
    return parts[0].text


def _run_grid(config, folder, names):
    victims = grids.plan(config)
    facts = [_facts_of_victim(victim) for victim in victims]
    rows, words = [], ()
    for number, victim in enumerate(victims, start=1):
        place = folder / "victims" / victim.name
        title = f"[{number}/{len(victims)}] {victim.name}"
        cost, earlier = jobs.once(victim.config, place, "victim.json", title)
        told, memory = "trained earlier" if earlier else "trained", cost["peak_bytes"] or 0
        print(f"{title}: {told}, {cost['seconds']:.0f} s, {memory / 1e9:.1f} GB", flush=True)
        found = measure(place, folder / "detectors" / victim.name, names, config, title)
        rows += [facts[number - 1] | row for row in found]
        # A grid may take days: what is known so far can be read.
        planned = [fact | {"done": row < number} for row, fact in enumerate(facts)]
        words = write(rows, planned, folder, config)
    return words


def _classical(name, images, folder):
    """The result of a classical detector, and whether it was there; scores lie beside it."""
    config, path = images.config, folder / f"{name}.json"
    settings = config.settings("report") | {
        key: getattr(config, key) for key in ("data", "seed", "folds")
    }
    if path.exists() and files.read_json(path)["settings"] == settings:
        return files.read_json(path), True
    frame = images.frame
    started = time.monotonic()
    scores = cross_fitted_scores(
        registry.make_detector(name), frame, images.store, folds=config.folds, seed=config.seed
    )
    strata = "split_id" if scores["split_id"].nunique() > 1 else None
    evaluation = evaluate_frame(scores, config, strata=strata).to_dict()
    seconds = time.monotonic() - started
    files.write_csv(folder / f"{name}.csv", scores)
    result = {"seconds": seconds, "evaluation": evaluation, "settings": settings}
    files.write_json(path, result)
    return result, False


def _siamese(config, place, title):
    cost, earlier = jobs.once(config, place, "evaluation.json", title)
    levels = files.read_json(place / "evaluation.json")["levels"]
    return {"seconds": cost["seconds"], "evaluation": levels["images_cross_fitted"]}, earlier


def _figures(evaluation):
    """The figures of a row: AUC within folds where there are folds, each with its interval."""
    metrics = evaluation["metrics"]
    sources = {
        "auc": "auc_within" if "auc_within" in metrics else "auc",
        "tpr_1": "tpr_at_1_fpr", "tpr_10": "tpr_at_10_fpr", "kappa": "kappa",
    }  # fmt: skip
    row = {
        "images": metrics["n"]["value"], "patients": evaluation["n_patients"],
        "auc_p": evaluation["permutation"]["auc_p"],
    }  # fmt: skip
    for name, source in sources.items():
        figure = metrics[source]
        row |= {name: figure["value"], f"{name}_low": figure["low"], f"{name}_high": figure["high"]}
    if metrics["n"]["value"] - metrics["positives"]["value"] < RESOLVES_1_PERCENT:
        row |= dict.fromkeys(("tpr_1", "tpr_1_low", "tpr_1_high"))
    return row


def _facts_of_victim(victim):
    config = victim.config
    return {
        "victim": victim.name, "real": grids.real_of(config), "architecture": config.architecture,
        "members": config.members, "non_members": config.non_members,
        "generated": config.generated - recipe.held_out(
            config.generated, config.test_fraction, "generated"
        ),
        "size": config.size, "steps": config.steps,
        "seed": config.seed,
    }  # fmt: skip


def _facts_of(data, catalog):
    """The same of a data set; what a simulation's victim.json says of it, where there is one."""
    path = pathlib.Path(data) / "victim.json"
    if path.is_file():
        simulated = Config.from_dict(
            {"mode": "simulate", **files.read_json(path)["settings"]}, str(path)
        )
        return _facts_of_victim(grids.Victim(pathlib.Path(data).name, simulated))
    real = catalog.labelled
    used = int((real["label"] == 1).sum())
    return {
        "victim": pathlib.Path(data).name, "real": "data", "architecture": "unknown",
        "members": used, "non_members": len(real) - used, "generated": len(catalog.generated),
        "size": int(catalog.frame["height"].iloc[0]) if "height" in catalog.frame else 0,
        "steps": 0, "seed": 0,
    }  # fmt: skip


def _no_victim():
    """Settings of simulations at their defaults: a detector has none of its own."""
    return {field.name: field.default for field in dataclasses.fields(VictimSettings)}
