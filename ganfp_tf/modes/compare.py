"""--mode=compare: several systems and ablations on the same splits, in one table."""

import dataclasses
import json
import pathlib

import pandas as pd

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.data.catalog import open_catalog
from ganfp_tf.errors import UserError
from ganfp_tf.reports.comparison import page as comparison
from ganfp_tf.reports.comparison.rows import CROSSED, Row, as_frame
from ganfp_tf.reports.render import canvas, page, tables
from ganfp_tf.runs import child_process, run_folder
from ganfp_tf.runs.systems import System, full_system, plan
from ganfp_tf.statistics.evaluation import evaluate_frame
from ganfp_tf.statistics.paired import paired_bootstrap
from ganfp_tf.statistics.sample import Resampling, Sample

TITLE = "Systems compared"


def run(config: Config) -> None:
    """Trains and evaluates what is not done yet, then writes comparison.csv, .md and .html."""
    systems = plan(config)
    catalog = open_catalog(config.data, config, "train")
    folder = run_folder.start(config, catalog.frame)
    print(f"run folder: {json.dumps(str(folder), ensure_ascii=False)}")
    own = [system for system in systems if not system.same_as]
    for number, system in enumerate(own, start=1):
        run_system(system, folder, f"[{number}/{len(own)}] {system.title}")
    rows = [read_row(system, folder) for system in systems]
    scores = {system.name: read_scores(system, folder) for system in systems}
    resampling = Resampling.of(config)
    if config.ablate:
        rows.append(_mean_of_seeds(systems, rows, scores, resampling))
    _add_differences(rows, scores, resampling)
    write(rows, folder, _describe(catalog, config.data, config.image_size), config)


def run_system(system: System, folder: pathlib.Path, title: str) -> None:
    """Runs one system in a process of its own, unless it is done already.

    Raises:
        UserError: it did not end well; the same command goes on with it.
    """
    place = folder / "systems" / system.name
    _, earlier = child_process.once(system.config, place, "evaluation.json", title)
    told = "done earlier; " if earlier else ""
    print(f"{title}: {told}{_summary(read_row(system, folder))}", flush=True)


def read_row(system: System, folder: pathlib.Path) -> Row:
    """What a finished system was measured to be, as a `Row`."""
    place = folder / "systems" / system.folder
    evaluation = files.read_json(place / "evaluation.json")
    model = files.read_json(place / "model.json")
    embedding = files.read_json(place / "embedding.json")
    cost = files.read_json(place.with_name(f"{system.folder}.cost.json"))
    return Row(
        name=system.name,
        title=system.title,
        ablates=system.ablates,
        settings={
            "backbone": system.config.backbone,
            "cross_attention": system.config.cross_attention,
            "similarity": system.config.similarity,
            "pairing": system.config.pairing,
            "training_seed": system.config.drawing_seed,
        },
        weights=evaluation["weights"],
        levels=evaluation["levels"],
        cost={}
        if system.same_as
        else {
            "parameters": model["parameters"],
            "trained_parameters": model["trained_parameters"],
            "seconds": cost["seconds"],
            "embedding_seconds": embedding["seconds"],
            "embedded_images": embedding["images"],
            "peak_bytes": cost["peak_bytes"],
        },
    )


def read_scores(system: System, folder: pathlib.Path) -> pd.DataFrame:
    """`runs.read_scores` of a system."""
    return run_folder.read_scores(folder / "systems" / system.folder)


def _mean_of_seeds(systems, rows, scores, resampling):
    """The row of the mean score over the training seeds, decided by the majority of them."""
    full = next(row for row in rows if row.name == full_system(systems).name)
    members = [row for row in rows if row.is_seed_of(full)]
    frames = [scores[row.name] for row in members]
    name = f"{full.name}-mean_of_seeds"
    scores[name] = frames[0].assign(
        score=sum(frame["score"] for frame in frames) / len(frames),
        decision=(2 * sum(frame["decision"] for frame in frames) > len(frames)).astype(int),
    )
    strata = "split_id" if full.level == CROSSED else None
    evaluation = evaluate_frame(scores[name], resampling, strata=strata)
    return Row(
        name=name,
        title=f"{full.title} mean score of {len(members)} training seeds",
        ablates=full.name,
        settings=full.settings | {"training_seed": "mean"},
        weights=full.weights,
        levels={full.level: evaluation.to_dict()},
    )


def _add_differences(rows, scores, resampling):
    """Gives each system its difference to the first, each ablation its to what it was taken from.

    Raises:
        UserError: the systems were not scored on the same images.
    """
    by_name = {row.name: row for row in rows}
    same = ["split_id", "name", "patient", "label"]
    for number, row in enumerate(rows):
        reference = by_name[row.ablates] if row.ablates else rows[0]
        if reference is row:
            continue
        ours, theirs = scores[row.name], scores[reference.name]
        if not ours[same].equals(theirs[same]):
            raise UserError(
                f"{row.title} and {reference.title} were not scored on the same images. Compare "
                "anew with --overwrite."
            )
        sample = Sample.from_frame(ours, strata="split_id" if row.level == CROSSED else None)
        difference = paired_bootstrap(sample, theirs["score"].to_numpy(), resampling)
        rows[number] = dataclasses.replace(row, reference=reference.title, difference=difference)


def write(rows: list[Row], folder: pathlib.Path, data: str, config: Config) -> None:
    """Writes the comparison's files and prints its table."""
    parts = comparison.sections(rows, data=data, folds=config.folds, confidence=config.confidence)
    for section in parts:
        if section.picture:
            canvas.save(section.picture.figure, folder / section.picture.path)
    files.write_csv(folder / "comparison.csv", as_frame(rows))
    files.write_text(folder / "comparison.md", page.as_markdown(TITLE, parts))
    files.write_text(folder / "comparison.html", page.as_html(TITLE, parts))
    shown = [
        (
            row.title,
            row.weights.get("source", "-"),
            tables.format_interval(*row.auc[:3]),
            tables.format_p(row.auc[3]),
            *comparison.difference_cells(row),
        )
        for row in rows
    ]
    print()
    print(
        tables.text_table(
            ["system", "backbone weights", "AUC", "p", "AUC less its reference's", "p of that"],
            shown,
        )
    )
    print()
    for paragraph in parts[0].text:
        print(paragraph)
    print(f"written: {folder}/comparison.html, .md and .csv")


def _summary(row):
    value, low, high, p = row.auc
    metrics = row.levels[row.level]["metrics"]
    text = (
        f"AUC {tables.format_interval(value, low, high)}, p {tables.format_p(p)} "
        f"({metrics['n']['value']} images), {row.cost['seconds']:.0f} s"
    )
    peak = row.cost["peak_bytes"]
    return text + (f", {peak / 1e9:.1f} GB" if peak else "")


def _describe(catalog, data, image_size):
    real, generated = catalog.labelled, catalog.generated
    used = int((real["label"] == 1).sum())
    return (
        f"Measured on {data}: {len(real)} real images of {real['patient'].nunique()} "
        f"patients ({used} used, {len(real) - used} not used) and {len(generated)} generated ones, "
        f"resized to {image_size} x {image_size} pixels."
    )
