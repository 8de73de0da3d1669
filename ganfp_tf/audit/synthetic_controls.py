"""Controls whose generated images the audit makes itself: planted copies and a stand-in generator.

Their files show patients' images; they lie in the run folder while they are needed, no longer.
"""

import contextlib
import dataclasses
import pathlib
import tempfile

import numpy as np
import pandas as pd

from ganfp_tf.audit.case import Case
from ganfp_tf.audit.control import FEWEST, Control, evaluate_control, half_of, run_control, too_few
from ganfp_tf.data.suspects import REFERENCE, SUSPECT
from ganfp_tf.simulation import planted_copies
from ganfp_tf.simulation.memorising_stand_in import stand_in, write_images

FEWEST_PLANTED = 5  # images with copies, below which their being found or not says too little
MOST_PLANTED = 50  # real images that are copied
MOST_MADE = 1000  # images of a stand-in generator
DRAWS = 3  # of the halves that stand-in generators are made from


def stand_in_controls(case: Case) -> list[Control]:
    """Images made from one half of the suspects; the other half must not look used in them.

    Run on `DRAWS` draws of the halves, so that the result does not depend on one of them: every
    image is scored once a draw, against images to which it owes nothing, and its scores are
    averaged. The same for the half that the images are made from.
    """
    other = Control(
        "unrelated",
        "Stand-in generator, the other half",
        "negative",
        "Images made from one half of the suspects stand in for an unrelated generator. The other "
        "half, to which they owe nothing, must not look more used than images not used: AUC 0.5. "
        "If it does, suspects look used for what they are, not for having been used.",
    )
    own = Control(
        "stand_in_sees",
        "Stand-in generator, its own half",
        "positive",
        "The half of the suspects that the stand-in's images are made from must look used, or the "
        "control above could see nothing.",
    )
    suspects, reference = case.group(SUSPECT), case.group(REFERENCE)
    if min(suspects["patient"].nunique(), reference["patient"].nunique()) < 2 * FEWEST:
        few = f"Not run: it needs {2 * FEWEST} patients on either side, and there are fewer."
        return [dataclasses.replace(question, found=few) for question in (other, own)]
    rng = np.random.default_rng([case.config.seed, 2])
    parts: dict[str, list[pd.DataFrame]] = {"other": [], "own": []}
    with _folder(case) as folder:
        for draw in range(DRAWS):
            halves = half_of(suspects, rng), half_of(reference, rng)
            for side in (False, True):
                squares = _squares(case, suspects[halves[0] == side])
                images = stand_in(squares, min(MOST_MADE, len(case.generated)), rng=rng)
                made = write_images(folder / f"{draw}_{int(side)}", images, "made")
                # Half of the images not used with each, so that they are scored once as well.
                unused = reference[halves[1] == side].assign(label=0)
                for which, mine in (("other", halves[0] != side), ("own", halves[0] == side)):
                    frame = pd.concat([suspects[mine].assign(label=1), unused], ignore_index=True)
                    parts[which].append(_standardised(case, frame, made))
        return [
            evaluate_control(case, other, _averaged(parts["other"])),
            evaluate_control(case, own, _averaged(parts["own"])),
        ]


def _standardised(case, frame, made):
    """Scores in units of those of the images not used: two parts have scales of their own."""
    scores = case.scores(case.detectors.mean_of(case.detectors.primary), frame, made, decide=False)
    unused = scores["score"][scores["label"] == 0]
    spread = max(float(unused.std(ddof=0)), 1e-9)
    return scores.assign(score=(scores["score"] - unused.mean()) / spread)


def _averaged(parts):
    """The mean score of each image over the draws, with label, patient, decision and split_id."""
    scores = pd.concat(parts, ignore_index=True)
    keys = ["name", "patient", "label", "decision", "split_id"]
    return scores.groupby(keys, sort=False, as_index=False)["score"].mean()


def planted_control(case: Case, percent: float) -> list[Control]:
    """Copies of some images not used among the generated: those images must look used."""
    base = case.group(SUSPECT if case.kind == "suspects" else REFERENCE)
    who = "suspects" if case.kind == "suspects" else "images not used"
    rng = np.random.default_rng([case.config.seed, 3, int(percent)])
    count = max(1, round(len(case.generated) * percent / 100.0))
    half = half_of(base, rng)
    chosen = rng.permutation(np.flatnonzero(half))[: min(MOST_PLANTED, count)]
    copied, others = base.iloc[chosen], base[~half]
    frame = pd.concat([copied.assign(label=1), others.assign(label=0)], ignore_index=True)
    question = Control(
        f"planted_{percent:g}",
        f"Planted copies, {percent:g}%",
        "positive",
        f"{count} slightly changed copies of {len(chosen)} of the {who} take the place of "
        f"{percent:g}% of the generated images: those {len(chosen)} must look used.",
        share=percent / 100.0,
    )
    if too_few(frame):
        return [run_control(case, question, frame)]
    if len(chosen) < FEWEST_PLANTED:
        found = f"Not run: only {len(chosen)} images can be copied at this share, too few to judge."
        return [dataclasses.replace(question, found=found)]
    squares = _squares(case, copied)
    with _folder(case) as folder:
        changed = [
            planted_copies.change(squares[turn % len(squares)], rng) for turn in range(count)
        ]
        made = write_images(folder, np.stack(changed), "copy")
        kept = np.sort(rng.permutation(len(case.generated))[count:])
        generated = pd.concat([case.generated.iloc[kept], made], ignore_index=True)
        return [run_control(case, question, frame, generated)]


def _squares(case, frame):
    """Gray images (len(frame), side, side) uint8."""
    side = case.store.side
    return np.rint(255.0 * case.store.pixels(frame)).astype("uint8").reshape(-1, side, side)


@contextlib.contextmanager
def _folder(case):
    case.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="control-", dir=case.folder) as name:
        yield pathlib.Path(name)
