"""Controls whose generated images the audit makes itself: planted copies and a stand-in generator.

Their files show patients' images; they lie in the run folder while they are needed, no longer.
"""

import contextlib
import dataclasses
import pathlib
import tempfile

import numpy as np
import pandas as pd

from ganfp_tf.audit.asking import Control, answered, answered_in_parts, half_of, too_few
from ganfp_tf.audit.case import REFERENCE, SUSPECT
from ganfp_tf.simulation import copies
from ganfp_tf.simulation.stand_in import stand_in, write_images

FEWEST_PLANTED = 8  # images with copies, below which their being found or not says too little
MOST_PLANTED = 50  # real images that are copied
MOST_MADE = 2000  # images of a stand-in generator
TEXTURES = 200  # generated images whose fine structure the stand-in's images borrow


def stand_in_controls(case):
    """Images made from one half of the suspects; the other half must not look used in them."""
    suspects, reference = case.group(SUSPECT), case.group(REFERENCE)
    rng = np.random.default_rng([case.config.seed, 2])
    of_suspects, of_reference = half_of(suspects, rng), half_of(reference, rng)
    count = min(MOST_MADE, len(case.generated))
    texture = _squares(case, case.generated.iloc[rng.permutation(len(case.generated))[:TEXTURES]])
    other = Control(
        "unrelated", "Stand-in generator, the other half", "negative",
        "Images made from one half of the suspects stand in for an unrelated generator. The other "
        "half, to which they owe nothing, must not look more used than images not used: AUC 0.5. "
        "If it does, suspects look used for what they are, not for having been used.",
    )  # fmt: skip
    own = Control(
        "stand_in_sees", "Stand-in generator, its own half", "positive",
        "The half of the suspects that the stand-in's images are made from must look used, or the "
        "control above could see nothing.",
    )  # fmt: skip
    with _folder(case) as folder:
        halves = []
        for side in (False, True):
            squares = _squares(case, suspects[of_suspects == side])
            made = write_images(
                folder / str(int(side)), stand_in(squares, count, texture=texture, rng=rng), "made"
            )
            # Half of the images not used with each, so that every image is asked for once.
            unused = reference[of_reference == side].assign(label=0)
            halves.append((side, unused, made))

        def asked(own):
            """(frame, generated) of both halves; own: those that the images are made from."""
            return [
                (pd.concat([suspects[of_suspects == (side == own)].assign(label=1), unused]), made)
                for side, unused, made in halves
            ]

        return [answered_in_parts(case, other, asked(False)),
                answered_in_parts(case, own, asked(True))]  # fmt: skip


def planted_control(case, percent):
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
        f"planted_{percent:g}", f"Planted copies, {percent:g} %", "positive",
        f"{count} slightly changed copies of {len(chosen)} of the {who} take the place of "
        f"{percent:g} % of the generated images: those {len(chosen)} must look used.",
        share=percent / 100.0,
    )  # fmt: skip
    if too_few(frame):
        return [answered(case, question, frame)]
    if len(chosen) < FEWEST_PLANTED:
        found = f"Not run: only {len(chosen)} images can be copied at this share, too few to judge."
        return [dataclasses.replace(question, found=found)]
    squares = _squares(case, copied)
    with _folder(case) as folder:
        changed = [copies.change(squares[turn % len(squares)], rng) for turn in range(count)]
        made = write_images(folder, np.stack(changed), "copy")
        kept = np.sort(rng.permutation(len(case.generated))[count:])
        generated = pd.concat([case.generated.iloc[kept], made], ignore_index=True)
        return [answered(case, question, frame, generated)]


def _squares(case, frame):
    """Gray images (len(frame), side, side) uint8."""
    side = case.store.side
    return np.rint(255.0 * case.store.pixels(frame)).astype("uint8").reshape(-1, side, side)


@contextlib.contextmanager
def _folder(case):
    case.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="control-", dir=case.folder) as name:
        yield pathlib.Path(name)
