"""What an audit found, as one value."""

import dataclasses
from typing import Annotated, Literal

from ganfp_tf.audit.field_types import Constraint, Count, NonNegative, Probability, Sentences
from ganfp_tf.audit.parts import (
    ControlResult,
    DataResult,
    DetectorResult,
    EpsilonResult,
    Gate,
    ImageResult,
    Part,
    PatientResult,
    PowerResult,
    Question,
    RiskyImage,
    SetResult,
    ShareResult,
    SiblingResult,
)
from ganfp_tf.audit.verdict import Verdict

SCHEMA_ID: Literal["urn:ganfp:audit:1"] = "urn:ganfp:audit:1"


@dataclasses.dataclass(frozen=True)
class AuditResult(Part):
    """What --mode=audit found. A higher score speaks for use in training.

    `to_dict` gives the content of audit.json, in which numbers that are not known are null.

    Attributes:
        ganfp: version
        primary: name of the detector that the verdict rests on
        detectors: the primary one first.
        images: None, like every other part that is missing, for suspects without a reference.
        method: how it was done.
        limits: what it cannot say.
        settings: of the run.
        seconds: of the whole audit.
    """

    schema: Literal["urn:ganfp:audit:1"]
    ganfp: str
    created: Annotated[str, Constraint(format="date-time")]
    question: Question
    verdict: Verdict
    gate: Gate
    primary: str
    confidence: Probability
    alpha: Probability
    fdr: Probability
    resamples: Count
    permutations: Count
    folds: Count
    seed: int
    detectors: tuple[DetectorResult, ...]
    images: ImageResult | None
    set: SetResult | None
    power: PowerResult | None
    share: ShareResult | None
    patients: PatientResult | None
    siblings: SiblingResult | None
    epsilon: EpsilonResult | None
    controls: tuple[ControlResult, ...]
    data: DataResult
    riskiest: Annotated[tuple[RiskyImage, ...], Constraint(max_items=8)]
    method: Sentences
    limits: Sentences
    environment: dict
    settings: dict
    seconds: NonNegative
    peak_bytes: Count | None
