"""--mode=train: images in, a trained detector in the run folder out."""

import dataclasses
import functools
import json
import sys

import numpy as np

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.data.catalog import open_catalog
from ganfp_tf.data.split import make_splits, split_of
from ganfp_tf.detectors.copies import run as copy_run
from ganfp_tf.models.runtime import prepare_runtime
from ganfp_tf.reports.tensorboard import examples
from ganfp_tf.reports.tensorboard.callbacks import Logging
from ganfp_tf.reports.tensorboard.log import open_log
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese import distribution, training
from ganfp_tf.siamese import networks as siamese
from ganfp_tf.siamese.encoded_images import check_weights, make_backbone, open_images
from ganfp_tf.timing import Clock


def run(config: Config, clock: Clock | None = None) -> None:
    """Trains on the main split and on every fold; what is done already is not done again.

    Args:
        config: the run's Config.
        clock: a `Clock` that is told how long reading, encoding and training took.
    """
    clock = clock or Clock()
    with distribution.report_lost_workers(config.distribute):
        team = distribution.of(config.distribute, config.step_blocks)
        _run(config, clock, team)
        team.part()
    if not team.chief:
        print(f"worker {team.cluster.index}: trained; worker 0 has the results and goes on alone")


def _run(config, clock, team):
    with clock.lap("reading"):
        catalog = open_catalog(config.data, config, "train")
    splits = make_splits(
        catalog.frame,
        test_fraction=config.test_fraction,
        validation_fraction=config.validation_fraction,
        folds=config.folds,
        seed=config.seed,
    )
    folder = run_folder.folder_of(config)
    learned = config.settings("model", "data", "report")
    team.agree("the settings", json.dumps(learned, sort_keys=True))
    team.agree("the images", catalog.frame[run_folder.IMAGE_COLUMNS].to_csv())

    def begin():
        place = run_folder.start(config, catalog.frame)
        files.write_csv(place / "splits.csv", splits)
        if len(catalog.unreadable):
            files.write_csv(place / "unreadable.csv", catalog.unreadable)

    team.call(begin)
    team.check_folder(folder)
    _describe(catalog, folder)

    prepare_runtime(config)
    backbone, report = make_backbone(config, config.seed)
    if report.warning:
        print(f"\n{report.warning}\n", file=sys.stderr)
    team.agree("the backbone's weights", report.digest)
    team.call(_note_weights, report, folder)
    with clock.lap("encoding"):
        material, computed = _encode(
            catalog.frame, backbone, report, config.section(SiameseSettings), team
        )
    team.call(_note_embedding, folder, computed, clock.laps["encoding"])
    print(f"embeddings: {computed} computed, {len(material.frame) - computed} from the store")

    if config.supervision == "copy":
        _train_copies(config, material, splits, folder, backbone, clock)
        return
    for split_id in splits["split_id"].unique():
        rows = training.Rows.of(material, split_of(splits, split_id))
        with clock.lap("training"):
            _train_split(config, material, rows, folder, split_id, backbone, team)


def _note_weights(report, folder):
    if (folder / "weights.json").exists():
        check_weights(report, folder)
    files.write_json(folder / "weights.json", dataclasses.asdict(report))


def _encode(frame, backbone, report, settings, team):
    computed = 0
    if team.cluster:
        # First each its share; then the others' is in the store, or this worker has its own store.
        computed = open_images(team.mine(frame), backbone, report, settings)[1]
        team.wait()
    material, rest = open_images(frame, backbone, report, settings)
    return material, computed + rest


def _train_copies(config, material, splits, folder, backbone, clock):
    """One network for all splits: no label is looked at; then each split's own decision."""
    with clock.lap("training"):
        networks, history = copy_run.fit(backbone, material, folder / "copies")
        siamese.save_networks(networks, folder / "copies")
        with files.atomic_path(folder / "model.keras") as temporary:
            networks.siamese().save(temporary)
        files.write_json(folder / "model.json", _parameters(networks))
    with open_log(folder / "tensorboard" / "copies", config.tensorboard) as log:
        log.text("config", examples.settings_table(config.to_dict()))
        for row in history.to_dict("records"):
            step = int(row.pop("step"))
            log.scalars(step, {f"copies/{name}": value for name, value in row.items()})
    network = copy_run.Network(networks)
    generated = np.flatnonzero((material.frame["role"] == "generated").to_numpy())
    for split_id in splits["split_id"].unique():
        rows = training.Rows.of(material, split_of(splits, split_id))
        place = folder / "splits" / split_id
        known = np.sort(np.concatenate([rows.train_real, rows.validation_real]))
        copy_run.CopyScorer.fit(network, material, known, generated).save(place)
        files.write_csv(place / "history.csv", history)


def _train_split(config, material, rows, folder, split_id, backbone, team):
    # A frozen backbone is the same for every split; a trained one starts anew from its weights.
    if config.finetune == "none":
        make_networks = functools.partial(
            siamese.build_networks, config, backbone, config.trains_on_tokens
        )
    else:

        def make_networks():
            return siamese.build_networks(
                config, make_backbone(config, config.seed)[0], config.trains_on_tokens
            )

    place = folder / "splits" / split_id
    with open_log(folder / "tensorboard" / split_id, config.tensorboard and team.chief) as log:
        log.text("config", examples.settings_table(config.to_dict()))
        networks, history = training.fit(
            make_networks, material, rows, place, lambda watch: [Logging(log, watch)]
        )
        if split_id == "main":
            team.call(_write_main, networks, folder)
            if config.tensorboard and team.chief:
                examples.write(log, networks, material, rows, config.bound_settings(), history)


def _write_main(networks, folder):
    with files.atomic_path(folder / "model.keras") as temporary:
        networks.siamese().save(temporary)
    files.write_json(folder / "model.json", _parameters(networks))


def _parameters(networks):
    """How many numbers the Siamese network holds, and how many of them are trained."""
    siamese_network = networks.siamese()
    trained = networks.entry.trainable_weights + networks.comparator.trainable_weights
    return {
        "parameters": siamese_network.count_params(),
        "trained_parameters": int(sum(np.prod(weight.shape) for weight in trained)),
    }


def _note_embedding(folder, images, seconds):
    """Adds to embedding.json what the backbone has cost this run; nothing where all was stored."""
    path = folder / "embedding.json"
    before = files.read_json(path) if path.exists() else {"images": 0, "seconds": 0.0}
    if images:
        before = {"images": before["images"] + images, "seconds": before["seconds"] + seconds}
    files.write_json(path, before)


def _describe(catalog, folder):
    real, generated = catalog.labelled, catalog.generated
    used = int(np.sum(real["label"] == 1))
    print(
        f"images: {used} used, {len(real) - used} not used, {len(generated)} generated; "
        f"{real['patient'].nunique()} patients"
    )
    print(f"run folder: {json.dumps(str(folder), ensure_ascii=False)}")
