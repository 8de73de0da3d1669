"""--mode=simulate: a victim with known members, and the data set that it leaves behind."""

import dataclasses
import json
import pathlib
import shlex

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.data.images import ImageReader
from ganfp_tf.errors import UserError
from ganfp_tf.models.runtime import prepare_runtime
from ganfp_tf.reports.render import canvas, mosaic
from ganfp_tf.reports.tensorboard.gan_samples import Samples
from ganfp_tf.reports.tensorboard.log import open_log
from ganfp_tf.runs import run_folder
from ganfp_tf.simulation import dataset, membership, planted_copies, shadows
from ganfp_tf.simulation.gan import sampling, training
from ganfp_tf.simulation.gan.fidelity import Fidelity
from ganfp_tf.simulation.real_images import open_pool, read_squares

SHOWN = 24  # members and generated images in the picture, each
PLANTED = 3  # stream of random numbers


@dataclasses.dataclass(frozen=True)
class Patients:
    """The real images of a simulation: `table` has a row, `images` a square for each."""

    table: pd.DataFrame
    images: np.ndarray

    def of(self, group: str) -> np.ndarray:
        """The squares of a group, in the order of the table."""
        return self.images[(self.table.group == group).to_numpy()]

    def in_order(self, group: str) -> np.ndarray:
        """The squares of a group, in natural order of their places."""
        rows = self.table[self.table.group == group].sort_values("target", key=dataset.natural)
        return self.images[rows.index]


def run(config: Config) -> None:
    """Makes a victim and its data set, or shadows; what is done already is not done again."""
    shadows.check_free(run_folder.folder_of(config))
    if config.overwrite:
        shadows.clear(run_folder.folder_of(config))
    folder = run_folder.start(config)
    print(f"run folder: {json.dumps(str(folder), ensure_ascii=False)}")
    if config.shadows:
        _make_shadows(folder, config)
        return
    if (folder / "victim.json").exists():
        print(_summary(files.read_json(folder / "victim.json"), folder))
        return
    trainer = _prepare(config)
    fraction, seed = config.test_fraction, config.seed
    pool = open_pool(trainer.victim, config.patient_regex)
    groups = membership.divide(pool, trainer.victim, test_fraction=fraction, seed=seed)
    table = dataset.place_real(groups, seed)
    people = Patients(table, read_squares(table.path.tolist(), config.size, ImageReader.of(config)))
    inside = (table.group != membership.UNRELATED).to_numpy()
    dataset.write_images(folder, table.target[inside], people.images[inside])

    tested = membership.held_out(config.generated, fraction, "generated")
    record = {"command": _command(config), "settings": config.bound_settings()}
    record |= _describe(people)
    record["victim"] = _make(people, folder, trainer, tested, seed)
    if config.unrelated:
        record["unrelated"] = _make_unrelated(people, folder, trainer, tested, seed + 1)
    record["environment"] = run_folder.environment()
    files.write_json(folder / "victim.json", record)
    print(_summary(record, folder))


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Trains generators of the same settings on different images.

    Attributes:
        victim: the settings of the generators.
        jit_compile: whether the training step is compiled with XLA.
        tensorboard: whether TensorBoard logs are written.
    """

    victim: VictimSettings
    jit_compile: bool
    tensorboard: bool

    def train(
        self, members: np.ndarray, others: np.ndarray, folder: pathlib.Path, seed: int, title: str
    ) -> tuple[training.Trained, float | None]:
        """Trains on `members`, uint8 (N, size, size).

        Args:
            members: the images to train on.
            others: other real images, uint8 (M, size, size).
            folder: where checkpoint, history, generator and logs go.
            seed: seed of the training.
            title: title of the progress bar.

        Returns:
            The trained generator; the Fréchet distance of members and others, or None if there
            are too few others.
        """
        # The distance of two images to themselves would say nothing.
        watch = Fidelity(members, others) if len(others) >= shadows.LEAST else None
        with open_log(folder / "tensorboard", self.tensorboard) as log:
            trained = training.train(
                members,
                folder,
                self.victim,
                seed=seed,
                title=title,
                jit_compile=self.jit_compile,
                make_callbacks=lambda latents: [Samples(log, folder, watch, latents)],
            )
        return trained, watch.reference if watch else None


def _prepare(config):
    """Sets up TensorFlow; returns the `Trainer` of these settings."""
    prepare_runtime(config)
    # The slopes of R1 are taken inside a condition, where this rewriting fails and says so.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    return Trainer(config.section(VictimSettings), config.jit_compile, config.tensorboard)


def _make(people, folder, trainer, tested, seed):
    """Trains the victim, writes its images and the tables; returns its part of victim.json."""
    count = trainer.victim.generated
    members = people.of(membership.MEMBER)
    others = people.of(membership.NON_MEMBER)
    trained, reference = trainer.train(members, others, folder / "victim", seed, "victim")
    generated = sampling.generate(trained.generator, count, seed)
    rng, percent = np.random.default_rng([seed, PLANTED]), trainer.victim.plant_copies
    generated, sources = planted_copies.plant(generated, members, percent, rng)
    targets = dataset.generated_targets(count, tested)
    dataset.write_images(folder, targets, generated)
    copied = np.flatnonzero(sources >= 0)
    member_targets = people.table.target[people.table.group == membership.MEMBER].to_numpy()
    planted = pd.DataFrame(
        {"path": [targets[row] for row in copied], "source": member_targets[sources[copied]]}
    )
    dataset.write_tables(folder, people.table, targets, planted)
    picture = np.concatenate([members[:SHOWN], generated[:SHOWN]])
    figure = mosaic.grid(picture, columns=8, title="members above, generated images below")
    canvas.save(figure, folder / "images.png")
    return _facts(trained, reference, seed) | {
        "generated": count,
        "generated_test": tested,
        "planted": len(copied),
        "generated_digest": dataset.digest_of_images(generated),
    }


def _make_unrelated(people, folder, trainer, tested, seed):
    """Trains a victim on other patients; its images are independent of the members."""
    members, others = people.of(membership.UNRELATED), people.of(membership.NON_MEMBER)
    place, title = folder / "unrelated", "unrelated victim"
    trained, reference = trainer.train(members, others, place / "victim", seed, title)
    count = trainer.victim.generated - tested
    generated = sampling.generate(trained.generator, count, seed)
    dataset.write_images(place, dataset.unrelated_targets(count), generated)
    dataset.write_unrelated(folder, people.table, count)
    return _facts(trained, reference, seed) | {
        "generated": count,
        "generated_digest": dataset.digest_of_images(generated),
        "members_digest": dataset.digest_of_images(members),
    }


def _make_shadows(folder, config):
    """Trains the shadows that are not done yet, one after the other."""
    victim = config.section(VictimSettings)
    pool = open_pool(victim, config.patient_regex, labels=config.shadow_on == "not_used")
    table = shadows.list_contents(pool)
    trainer, squares = None, None
    for number, seen in enumerate(shadows.who_sees_what(table, victim, config.seed)):
        place, title = folder / f"shadow_{number}", f"shadow {number + 1} of {config.shadows}"
        division = shadows.digest_of_division(table, seen)
        if (place / "shadow.json").exists():
            record, done = files.read_json(place / "shadow.json"), "trained earlier"
            if record["division_digest"] != division:
                raise UserError(
                    f"{place} was trained on other images than --real gives now. Bring them back, "
                    "or start anew with --overwrite."
                )
        else:
            if trainer is None:
                trainer, reader = _prepare(config), ImageReader.of(config)
                squares = read_squares(table.path.tolist(), config.size, reader)
            done = "trained"
            seed = shadows.seed_of(config.seed, number)
            record = {"command": _command(config), "number": number}
            record["settings"] = config.bound_settings()
            record |= _make_shadow(table, seen, squares, place, trainer, seed, title)
            record["division_digest"] = division
            # Last: a folder with a shadow.json is a whole shadow.
            files.write_json(place / "shadow.json", record)
        print(
            f"{title}: {done} on {record['seen']} of {record['images']} images, "
            f"{record['seconds']:.0f} s",
            flush=True,
        )
    shown = json.dumps(str(folder), ensure_ascii=False)
    print(f"These are shadows for --mode=benchmark --shadow={shown}")


def _make_shadow(table, seen, squares, place, trainer, seed, title):
    """Trains one shadow and writes its images; returns its part of shadow.json."""
    count = trainer.victim.generated
    # What earlier shadows built would be kept for the whole run.
    keras.backend.clear_session()
    once = ~table.digest.duplicated().to_numpy()
    members, others = squares[seen & once], squares[~seen & once]
    trained, reference = trainer.train(members, others, place / "victim", seed, title)
    generated = sampling.generate(trained.generator, count, seed)
    dataset.write_images(place, shadows.targets(count), generated)
    shadows.write_seen(place, table, seen)
    return {
        "images": int(once.sum()),
        "seen": len(members),
        **_facts(trained, reference, seed),
        "generated": count,
        "generated_digest": dataset.digest_of_images(generated),
        "members_digest": dataset.digest_of_images(members),
        "environment": run_folder.environment(),
    }


def _facts(trained, reference, seed):
    last = trained.history.iloc[-1].to_dict()
    last["step"] = int(last["step"])
    return {
        "seed": seed,
        "seconds": trained.seconds,
        "parameters": trained.parameters,
        "weights_digest": training.digest(trained.generator),
        "last_epoch": last,
        "frechet": last.get("frechet"),
        "frechet_of_other_real": reference,
    }


def _command(config):
    return "python main.py " + shlex.join(config.as_flags())


def _describe(people):
    """The part of victim.json on the real images: their number in each group, and digests."""
    groups = people.table.groupby(["group", "part"]).size()
    return {
        "images": {" ".join(key).strip(): int(count) for key, count in groups.items()},
        "digests": {
            group: dataset.digest_of_images(people.in_order(group))
            for group in (membership.MEMBER, membership.NON_MEMBER, membership.SIBLING)
        },
    }


def _summary(record, folder):
    made = record["victim"]
    counts = ", ".join(f"{count} {name}" for name, count in record["images"].items())
    return (
        f"victim: {record['settings']['architecture']}, {made['last_epoch']['step']} steps in "
        f"{made['seconds']:.0f} s; Fréchet distance {made['frechet']:.1f} to its members, where "
        f"{made['frechet_of_other_real']:.1f} is that of other real images\n"
        f"images: {counts}; {made['generated']} generated, {made['planted']} of them planted "
        f"copies\nThis is data for --data={json.dumps(str(folder), ensure_ascii=False)}; "
        "truth.csv names the labels of its test part."
    )
