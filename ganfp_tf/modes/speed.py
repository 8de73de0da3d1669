"""--mode=benchmark --measure=speed: how fast every part is on this machine."""

import dataclasses
import json
import tempfile

from ganfp_tf import files, progress
from ganfp_tf.config import Config
from ganfp_tf.data.catalog import open_catalog
from ganfp_tf.models.runtime import prepare_runtime
from ganfp_tf.reports import speed as report
from ganfp_tf.reports.render import canvas, page
from ganfp_tf.runs import run_folder
from ganfp_tf.speed import encoders, machine, pairs, scoring, training
from ganfp_tf.speed.subject import make_subject
from ganfp_tf.speed.timing import Extent, Ledger
from ganfp_tf.timing import peak_bytes

EXTENT = Extent()


def run(config: Config) -> None:
    """Measures anew at each call; writes speed.json, .csv, .md and figures/speed.png.

    Args:
        config: the run's Config.
    """
    catalog = open_catalog(config.data, config, "train")
    folder = run_folder.start(config, catalog.frame)
    print(f"run folder: {json.dumps(str(folder), ensure_ascii=False)}", flush=True)
    prepare_runtime(config)
    ledger, found = Ledger(EXTENT), machine.describe()
    with tempfile.TemporaryDirectory(prefix=".speed-", dir=folder) as place:
        store = f"{place}/sample"
        subject = make_subject(config, catalog, EXTENT, store)
        ledger.notes.append(
            f"{subject.config.backbone}, weights {subject.source}, {config.image_size} pixels; "
            f"{len(subject.real)} real and {len(subject.generated)} generated images of the data."
        )
        names = tuple(dict.fromkeys((config.backbone, *config.more_backbones)))
        tasks = {
            "the machine's limit": lambda: machine.matrix_products(ledger),
            "images read": lambda: encoders.inputs(ledger, subject, store),
            "encoders": lambda: encoders.encoders(ledger, subject, names),
            "pair scores": lambda: pairs.run_pairs(ledger, subject),
            "pair scores at 49 tokens": lambda: pairs.reference_pairs(ledger, config.seed),
            "training": lambda: training.training(ledger, subject),
        }
        with progress.bar(len(tasks) + 1, "speed", "part") as bar, machine.many_networks():
            for title, task in tasks.items():
                _say(bar, title)
                task()
                bar.update()
            _say(bar, "scoring")
            curve = scoring.scoring(ledger, subject, place)
            bar.update()
    ledger.add("memory", "most memory held", peak_bytes() / 1e9, "GB")
    if machine.on_gpu():
        ledger.add("memory", "most GPU memory held", machine.memory_on_gpu() / 1e9, "GB")
    _write(folder, config, ledger, curve, found)
    print(report.as_text(ledger.figures()))
    print(f"written: {folder}/speed.md, .csv, .json and {report.PICTURE}")


def _say(bar, title):
    bar.set_description(f"speed: {title}")  # shown at once, also in a log file


def _write(folder, config, ledger, curve, found):
    figures = ledger.figures()
    parts = report.sections(figures, curve, ledger.notes, found)
    for section in parts:
        if section.picture:
            canvas.save(section.picture.figure, folder / section.picture.path)
    files.write_csv(folder / "speed.csv", report.as_frame(figures))
    files.write_text(folder / "speed.md", page.as_markdown(report.TITLE, parts))
    files.write_json(
        folder / "speed.json",
        {
            "settings": config.to_dict(),
            "environment": run_folder.environment(),
            "machine": found,
            "extent": dataclasses.asdict(ledger.extent),
            "notes": ledger.notes,
            "figures": [dataclasses.asdict(figure) for figure in figures],
            "curve": curve,
        },
    )
