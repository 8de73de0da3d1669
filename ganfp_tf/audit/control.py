"""A control, scored by the detector that the verdict rests on or by the mean of its signals."""

import dataclasses
import math
from typing import Literal

import numpy as np
import pandas as pd

from ganfp_tf.audit.case import Case
from ganfp_tf.audit.patient_scores import permuted_p
from ganfp_tf.statistics.evaluation import evaluate_frame
from ganfp_tf.statistics.sample import Resampling

FEWEST = 4  # patients a side, below which no p could be below .05
TOO_FEW = f"Not run: it needs {FEWEST} patients on either side, and there are fewer."
FALSE_ALARMS = 0.05  # share of the other images that may score as high as a copy that is found


@dataclasses.dataclass(frozen=True)
class Control:
    """What a control found.

    Attributes:
        name: its key in audit.json.
        title: for people.
        kind: "negative" (nothing must be found) or "positive" (something must).
        expected, found: sentences.
        auc, low, high: of the control's own question; None if it could not be run.
        p: of an AUC above 0.5, labels being exchanged between patients; two-sided for the blind
            ones.
        share: planted copies among the generated images, else None.
        recovered: of the images whose copies were planted, the share that scores above all but 5 %
            of the others; else None.
        seconds: it took.
    """

    name: str
    title: str
    kind: Literal["negative", "positive"]
    expected: str
    found: str = ""
    auc: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    share: float | None = None
    recovered: float | None = None
    seconds: float = 0.0


def run_control(
    case: Case,
    question: Control,
    frame: pd.DataFrame,
    generated: pd.DataFrame | None = None,
    *,
    detector: str | None = None,
    two_sided: bool = False,
) -> Control:
    """The control with its result on the images `frame`, which it has labelled.

    Args:
        case: the `Case`.
        question: the control, not run.
        frame: real images; labels are the control's.
        generated: generated images; None: those of the case.
        detector: its name; None: the primary one, or the mean of its signals.
        two_sided: whether an AUC below 0.5 counts as well.
    """
    if too_few(frame):
        return dataclasses.replace(question, found=TOO_FEW)
    name = detector or _detector_for(case, frame, generated)
    scores = case.scores(name, frame, generated, decide=False)
    return evaluate_control(case, question, scores, two_sided)


def evaluate_control(
    case: Case, question: Control, scores: pd.DataFrame, two_sided: bool = False
) -> Control:
    """The control with the result that these scores give; labels are the control's."""
    resampling = Resampling.of(case.config)
    evaluation = evaluate_frame(scores, resampling, strata="split_id")
    interval, p = evaluation.intervals["auc_within"], permuted_p(scores, resampling)
    auc = evaluation.auc_within
    if auc is None or math.isnan(auc) or math.isnan(p):
        return dataclasses.replace(question, found="Not run: no fold had images of both sides.")
    if two_sided:
        below = permuted_p(scores.assign(score=-scores["score"]), resampling)
        p = min(1.0, 2.0 * min(p, below))
    found = f"AUC {auc:.2f} [{interval.low:.2f}, {interval.high:.2f}] over {len(scores)} images."
    recovered = None
    if question.share is not None:
        recovered = _recovered(scores)
        found += f" {recovered:.0%} of the copied images score above all but 5% of the others."
    return dataclasses.replace(
        question,
        found=found,
        auc=auc,
        low=interval.low,
        high=interval.high,
        p=float(p),
        recovered=recovered,
    )


def _detector_for(case, frame, generated):
    """The name of the primary detector, or of the mean of its signals.

    If labels that mean nothing are fitted, held-out images come out a little below chance,
    because what the other folds have more of a held-out fold has less of. Against other generated
    images the mean is asked, which fits no label: its AUC is 0.5 where there is nothing, and a
    failure is not hidden. So is it where the folds would be too small to fit anything.
    """
    patients = frame.groupby("label")["patient"].nunique()
    if generated is not None or patients.min() < max(2 * case.folds, 10):
        return case.detectors.mean_of(case.detectors.primary)
    return case.detectors.primary


def too_few(frame: pd.DataFrame) -> bool:
    """Whether one side has fewer than `FEWEST` patients."""
    patients = frame.groupby("label")["patient"].nunique().reindex([0, 1], fill_value=0)
    return bool(patients.min() < FEWEST)


def _recovered(scores):
    """Share of label 1 that scores above all but FALSE_ALARMS of label 0."""
    values, labels = scores["score"].to_numpy(), scores["label"].to_numpy()
    limit = np.quantile(values[labels == 0], 1.0 - FALSE_ALARMS, method="higher")
    return float((values[labels == 1] > limit).mean())


def half_of(frame: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Whether each image is of a random half of the patients: (len(frame),) bool."""
    codes, names = pd.factorize(frame["patient"])
    return np.isin(codes, rng.permutation(len(names))[: len(names) // 2])
