"""Controls of an audit: what must not be found, and what must be.

Random halves are scored by the very detector that the verdict rests on, cross-fitted in the same
way; if other generated images are needed, by the plain mean of its signals.
"""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from ganfp_tf.audit.case import Case
from ganfp_tf.audit.control import Control, half_of, run_control
from ganfp_tf.audit.detector_set import BLIND
from ganfp_tf.audit.field_types import Kind
from ganfp_tf.audit.synthetic_controls import planted_control, stand_in_controls
from ganfp_tf.data.suspects import REFERENCE, SUSPECT, open_generated
from ganfp_tf.statistics.evaluation import ALPHA
from ganfp_tf.statistics.multiple_testing import holm

REMARK = " More than chance, but too little to explain the finding."
PLANTED = (1.0, 5.0, 20.0)  # percent of the generated images


def run_controls(
    case: Case,
    stored: Callable[[str, Callable[[], list[dict]]], list[dict]],
    unrelated: pd.DataFrame | None = None,
) -> list[Control]:
    """Runs every control that this kind of audit can have.

    Args:
        case: the `Case`.
        stored: function (name, make) that returns the stored result of a control, or make().
        unrelated: what `unrelated_images` returned.
    """
    planned: list[tuple[str, Callable[[], list[Control]]]] = [
        ("members", lambda: _halves(case, SUSPECT, "members"))
    ]
    if case.kind != "suspects":
        planned += [
            ("non_members", lambda: _halves(case, REFERENCE, "non_members")),
            *((name, functools.partial(_blind, case, name)) for name in BLIND),
            ("unrelated", lambda: _unrelated(case, unrelated)),
        ]
    planned += [
        (f"planted_{share:g}", functools.partial(planted_control, case, share)) for share in PLANTED
    ]
    found = []
    for name, run in planned:
        rows = stored(name, functools.partial(_timed, run))
        found += [Control(**fields) for fields in rows]
    return found


def _timed(run):
    started = time.monotonic()
    found = run()
    seconds = (time.monotonic() - started) / len(found)
    return [dataclasses.asdict(each) | {"seconds": seconds} for each in found]


def judge_controls(
    controls: list[Control], kind: Kind, lowest: float | None = None
) -> list[tuple[Control, float | None, bool | None]]:
    """Which controls passed: list of (control, p adjusted over its kind or None, passed or None).

    A negative one fails if its AUC lies above 0.5 by p < .05 (a blind one: on either side);
    together they raise a false alarm in at most 5 % of audits (Holm 1979). The unrelated generator
    is measured in the units of the finding itself, so it fails only if it could explain it: if the
    interval of its AUC reaches that of the finding. Otherwise what it found is reported, and the
    finding stands for what is beyond it.

    A positive one passes where its AUC is above 0.5 by p < .05. What could not be run is neither;
    nor is a copy that is not found among suspects alone (kind "suspects"), for those may all have
    been used.

    Args:
        controls: list of `Control`.
        kind: of the case.
        lowest: lower end of the interval of the primary detector's AUC; None if there is none.
    """
    tested = [c for c in controls if c.kind == "negative" and c.p is not None]
    adjusted = dict(
        zip(
            (c.name for c in tested),
            holm(np.array([c.p for c in tested], dtype=float)),
            strict=True,
        )
    )
    rows = []
    for control in controls:
        p, passed = control.p, None
        if p is not None and control.kind == "negative":
            p = float(adjusted[control.name])
            passed = p >= ALPHA
            explains = control.high is None or control.high >= (lowest or 0.0)
            if not passed and control.name == "unrelated" and not explains:
                control, passed = dataclasses.replace(control, found=control.found + REMARK), True
        elif p is not None:
            found = p < ALPHA
            passed = True if found else (None if kind == "suspects" else False)
        rows.append((control, p, passed))
    return rows


def remarks(results: list[tuple[Control, float | None, bool | None]]) -> list[str]:
    """What controls that passed found all the same, as sentences; of `judge_controls`."""
    return [
        f'In the control "{control.title}" suspects look used for another reason than use, with '
        f"an AUC of {control.auc:.2f}. That is a part of the finding, not the whole: the interval "
        "of the finding lies above it."
        for control, _, _ in results
        if control.found.endswith(REMARK)
    ]


def _halves(case, group, name):
    """One random half of the patients of a group, called used, against the other."""
    who, title = {
        "members": ("suspects", "Suspects against suspects"),
        "non_members": ("images not used", "Not used against not used"),
    }[name]
    expected = f"One random half of the {who} must not look more used than the other: AUC 0.5"
    if case.detector(case.detectors.primary).uses_labels:
        expected += ", or somewhat below, because weights are fitted to labels that mean nothing"
    frame = case.group(group)
    first = half_of(frame, np.random.default_rng([case.config.seed, 1, len(name)]))
    question = Control(name, title, "negative", expected + ".")
    return [run_control(case, question, frame.assign(label=first.astype(int)))]


def _blind(case, name):
    """A detector that sees no generated image must not tell suspects from reference."""
    key, title = {
        "blind_pixels": ("blind_distance", "Blind: distance to other real images"),
        "blind_classifier": ("blind_classifier", "Blind: classifier of the real images"),
    }[name]
    expected = (
        "What never sees a generated image must not tell suspects from images not used: AUC 0.5. "
        "If it does, the two differ of themselves, and any detector may find that instead."
    )
    question = Control(key, title, "negative", expected)
    return [run_control(case, question, case.tested, detector=name, two_sided=True)]


def unrelated_images(case: Case) -> pd.DataFrame | None:
    """The images of an unrelated generator, as rows of a Catalog; None if there are none.

    They are those of --unrelated_generated, else what a simulation has left beside its victim.
    """
    if case.kind == "suspects":
        return None
    folder = case.config.unrelated_generated
    if not folder:
        data = pathlib.Path(case.config.data)
        beside = (data.parent if data.is_file() else data) / "unrelated"
        folder = str(beside) if (beside / "manifest.csv").is_file() else ""
    return (
        open_generated(folder, case.config, "--unrelated_generated", case.store.add)
        if folder
        else None
    )


def _unrelated(case, made):
    """Generated images that owe nothing to the images that are scored."""
    if made is None:
        return stand_in_controls(case)
    expected = (
        "Against the images of a generator that saw none of them, suspects must not look used: "
        "AUC 0.5."
    )
    question = Control("unrelated", "Unrelated generator", "negative", expected)
    return [run_control(case, question, case.tested, made)]
