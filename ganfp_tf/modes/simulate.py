"""--mode=simulate: a victim with known members, and the data set that it leaves behind."""

import dataclasses
import json
import shlex

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf import files
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

    def of(self, group):
        """The squares of a group, in the order of the table."""
        return self.images[(self.table.group == group).to_numpy()]

    def in_order(self, group):
        """The squares of a group, in natural order of their places."""
        rows = self.table[self.table.group == group].sort_values("target", key=dataset.natural)
        return self.images[rows.index]


def run(config):
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
    _prepare(config)
    table = dataset.place_real(membership.divide(open_pool(config), config), config.seed)
    people = Patients(table, read_squares(table.path.tolist(), config.size, config))
    inside = (table.group != membership.UNRELATED).to_numpy()
    dataset.write_images(folder, table.target[inside], people.images[inside])

    facts = {"victim": _make(people, folder, config)}
    if config.unrelated:
        facts["unrelated"] = _make_unrelated(people, folder, config)
    record = _record(people, facts, config)
    files.write_json(folder / "victim.json", record)
    print(_summary(record, folder))


def _prepare(config):
    prepare_runtime(config)
    # The slopes of R1 are taken inside a condition, where this rewriting fails and says so.
    tf.config.optimizer.set_experimental_options({"remapping": False})


def _make(people, folder, config):
    """Trains the victim and writes its images and the tables; returns what is known of it."""
    members = people.of(membership.MEMBER)
    others = people.of(membership.NON_MEMBER)
    trained, reference = _train(members, others, folder / "victim", config, config.seed, "victim")
    generated = sampling.generate(trained.generator, config.generated, config.seed)
    rng = np.random.default_rng([config.seed, PLANTED])
    generated, sources = planted_copies.plant(generated, members, config.plant_copies, rng)
    tested = membership.held_out(config.generated, config.test_fraction, "generated")
    targets = dataset.generated_targets(config.generated, tested)
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
    facts = _facts(trained, reference, config.seed)
    return facts | {
        "generated": config.generated,
        "generated_test": tested,
        "planted": len(copied),
        "generated_digest": dataset.digest_of_images(generated),
    }


def _make_unrelated(people, folder, config):
    """Trains a victim on other patients; its images know nothing of ours."""
    members, seed = people.of(membership.UNRELATED), config.seed + 1
    others, place = people.of(membership.NON_MEMBER), folder / "unrelated"
    trained, reference = _train(members, others, place / "victim", config, seed, "unrelated victim")
    tested = membership.held_out(config.generated, config.test_fraction, "generated")
    count = config.generated - tested
    generated = sampling.generate(trained.generator, count, seed)
    dataset.write_images(place, dataset.unrelated_targets(count), generated)
    dataset.write_unrelated(folder, people.table, count)
    facts = _facts(trained, reference, seed)
    return facts | {
        "generated": count,
        "generated_digest": dataset.digest_of_images(generated),
        "members_digest": dataset.digest_of_images(members),
    }


def _make_shadows(folder, config):
    """Trains the shadows that are not done yet, one after the other."""
    table = shadows.list_contents(open_pool(config, labels=config.shadow_on == "not_used"))
    squares = None
    for number, seen in enumerate(shadows.who_sees_what(table, config)):
        place, title = folder / f"shadow_{number}", f"shadow {number + 1} of {config.shadows}"
        division = shadows.digest_of_division(table, seen)
        if (place / "shadow.json").exists():
            record, told = files.read_json(place / "shadow.json"), "trained earlier"
            if record["division_digest"] != division:
                raise UserError(
                    f"{place} was trained on other images than --real gives now. Bring them back, "
                    "or start anew with --overwrite."
                )
        else:
            if squares is None:
                _prepare(config)
                squares = read_squares(table.path.tolist(), config.size, config)
            told = "trained"
            record = _make_shadow(number, table, seen, squares, place, config)
            record["division_digest"] = division
            # Last: a folder with a shadow.json is a whole shadow.
            files.write_json(place / "shadow.json", record)
        print(
            f"{title}: {told} on {record['seen']} of {record['images']} images, "
            f"{record['seconds']:.0f} s",
            flush=True,
        )
    shown = json.dumps(str(folder), ensure_ascii=False)
    print(f"These are shadows for --mode=benchmark --shadow={shown}")


def _make_shadow(number, table, seen, squares, place, config):
    """Trains one shadow and writes its images; returns what shadow.json says of it."""
    seed, title = shadows.seed_of(config, number), f"shadow {number + 1} of {config.shadows}"
    # What earlier shadows built would be kept for the whole run.
    keras.backend.clear_session()
    once = ~table.digest.duplicated().to_numpy()
    members, others = squares[seen & once], squares[~seen & once]
    trained, reference = _train(members, others, place / "victim", config, seed, title)
    generated = sampling.generate(trained.generator, config.generated, seed)
    dataset.write_images(place, shadows.targets(config.generated), generated)
    shadows.write_seen(place, table, seen)
    return {
        "command": "python main.py " + shlex.join(config.as_flags()),
        "number": number,
        "settings": config.bound_settings(),
        "images": int(once.sum()),
        "seen": len(members),
        **_facts(trained, reference, seed),
        "generated": config.generated,
        "generated_digest": dataset.digest_of_images(generated),
        "members_digest": dataset.digest_of_images(members),
        "environment": run_folder.environment(),
    }


def _train(members, others, folder, config, seed, title):
    # The distance of two images to themselves would say nothing.
    watch = Fidelity(members, others) if len(others) >= shadows.LEAST else None
    with open_log(folder / "tensorboard", config.tensorboard) as log:
        trained = training.train(
            members,
            folder,
            config,
            seed=seed,
            title=title,
            make_callbacks=lambda latents: [Samples(log, folder, watch, latents)],
        )
    return trained, watch.reference if watch else None


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


def _record(people, facts, config):
    """What victim.json says: how to make the same victim again, and how to see that it is."""
    groups = people.table.groupby(["group", "part"]).size()
    return {
        "command": "python main.py " + shlex.join(config.as_flags()),
        "settings": config.bound_settings(),
        "images": {" ".join(key).strip(): int(count) for key, count in groups.items()},
        "digests": {
            group: dataset.digest_of_images(people.in_order(group))
            for group in (membership.MEMBER, membership.NON_MEMBER, membership.SIBLING)
        },
        **facts,
        "environment": run_folder.environment(),
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
