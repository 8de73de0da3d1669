"""The parts of an audit's result: what `audit.json` holds, as frozen dataclasses.

Fields have the order of the keys of audit.json. Its JSON schema is made from the types, their
constraints (`Annotated`) and the docstrings.
"""

import dataclasses
from typing import Literal

from ganfp_tf import files
from ganfp_tf.audit.field_types import Count, Digest, Kind, NonNegative, Probability, Sentences


class Part:
    """A part of audit.json."""

    def to_dict(self) -> dict:
        """JSON-ready: keys in the order of the fields; None for numbers that are not finite."""
        return files.json_ready(dataclasses.asdict(self))  # type: ignore[call-overload]


@dataclasses.dataclass(frozen=True)
class Estimate(Part):
    """A value with the ends of its confidence interval."""

    value: float | None
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class Side(Part):
    """Suspects or reference."""

    images: Count
    patients: Count
    name: str


@dataclasses.dataclass(frozen=True)
class Question(Part):
    """What was asked.

    Attributes:
        generated: number of generated images.
        lost: What cannot be said without labels or a reference.
    """

    kind: Kind
    data: str
    suspects: Side
    reference: Side | None
    generated: Count
    lost: Sentences


@dataclasses.dataclass(frozen=True)
class Gate(Part):
    """Exit code for pipelines: 0 passed or no gate, 3 tripped, 4 not to be judged."""

    fail_above_auc: Probability | None
    fail_on_evidence: bool
    exit_code: Count
    why: str


@dataclasses.dataclass(frozen=True)
class LowRate(Part):
    """True positive rate at a false positive rate; null if not resolvable.

    Attributes:
        low: interval over resampled patients.
        exact_low: Clopper-Pearson interval.
    """

    fpr: Probability
    value: Probability | None
    low: Probability | None
    high: Probability | None
    exact_low: Probability | None
    exact_high: Probability | None
    resolvable: bool
    false_positives: Count
    negatives: Count


@dataclasses.dataclass(frozen=True)
class Difference(Part):
    """AUC minus that of the best classical attack."""

    other: str
    difference: float
    low: float
    high: float
    p: Probability | None
    method: str


@dataclasses.dataclass(frozen=True)
class DetectorResult(Part):
    """One detector; its AUC is within folds.

    Attributes:
        p: permutation over patients, one-sided
        kappa: of decisions, as are accuracy, f1, precision and recall: null without labels.
    """

    name: str
    title: str
    primary: bool
    control: bool
    network: bool
    uses_labels: bool
    seconds: NonNegative
    peak_bytes: Count | None
    auc: Estimate | None = None
    p: Probability | None = None
    tpr: tuple[LowRate, ...] | None = None
    less_best: Difference | None = None
    kappa: Estimate | None = None
    accuracy: Estimate | None = None
    f1: Estimate | None = None
    precision: Estimate | None = None
    recall: Estimate | None = None


@dataclasses.dataclass(frozen=True)
class ImageResult(Part):
    """Suspects flagged by Benjamini and Hochberg."""

    tested: Count
    flagged: Count
    fdr: Probability
    smallest_p: Probability | None
    resolvable: bool
    note: str


@dataclasses.dataclass(frozen=True)
class SetResult(Part):
    """Mean scores of both sides; suspects and reference count units."""

    welch_t: float | None
    welch_df: float | None
    welch_p: Probability | None
    permutation_p: Probability | None
    permutations: Count
    suspects: Count
    reference: Count
    difference: Estimate | None
    unit: str


@dataclasses.dataclass(frozen=True)
class PowerResult(Part):
    """What this number of patients could have shown.

    Attributes:
        curve: [AUC, power] each
    """

    significant_auc: Probability | None
    detectable_auc: Probability | None
    alpha: Probability
    power: Probability
    suspects: Count
    reference: Count
    curve: tuple[tuple[Probability, Probability], ...]
    found: str


@dataclasses.dataclass(frozen=True)
class ShareResult(Part):
    """Share of suspects that were used, estimated from below."""

    value: Probability | None
    low: Probability | None
    high: Probability | None
    method: str
    note: str


@dataclasses.dataclass(frozen=True)
class PatientResult(Part):
    """Patients, each scored by the mean of its images."""

    n: Count
    auc: Estimate | None
    p: Probability | None
    pooling: str
    kappa: Estimate | None
    tpr: tuple[LowRate, ...] | None


@dataclasses.dataclass(frozen=True)
class SiblingResult(Part):
    """Images that were not used, of patients of whom others were."""

    images: Count
    patients: Count
    auc: Estimate | None
    p: Probability | None
    note: str


@dataclasses.dataclass(frozen=True)
class EpsilonResult(Part):
    """Lower bound on the epsilon of differential privacy."""

    low: NonNegative | None
    confidence: Probability
    delta: Probability
    true_positives: Count
    used: Count
    false_positives: Count
    unused: Count
    note: str


@dataclasses.dataclass(frozen=True)
class ControlResult(Part):
    """A control and whether it passed.

    Attributes:
        passed: null: it could not be run.
        share: planted_*: share of the generated images
        recovered: planted_*: share of the planted copies found at 5 % false positives
    """

    name: str
    title: str
    kind: Literal["negative", "positive"]
    auc: Estimate | None
    p: Probability | None
    adjusted_p: Probability | None
    passed: bool | None
    expected: str
    found: str
    seconds: NonNegative
    share: Probability | None
    recovered: Probability | None


@dataclasses.dataclass(frozen=True)
class DataResult(Part):
    """The images of the audit.

    Attributes:
        counts: [what, images, patients] each
        sizes: [size, images] each
        unreadable: [path, reason] each
        digests: [what, SHA-256 of the sorted digests] each
    """

    counts: tuple[tuple[str, Count, Count | None], ...]
    sizes: tuple[tuple[str, Count], ...]
    duplicates: Sentences
    warnings: Sentences
    unreadable: tuple[tuple[str, str], ...]
    digests: tuple[tuple[str, Digest], ...]


@dataclasses.dataclass(frozen=True)
class NearImage(Part):
    """A generated image and its distance."""

    name: str
    distance: float | None


@dataclasses.dataclass(frozen=True)
class Neighbour(Part):
    """A real image of another patient and its distance."""

    name: str
    patient: str
    distance: float | None


@dataclasses.dataclass(frozen=True)
class RiskyImage(Part):
    """A suspect with one of the highest scores."""

    name: str
    patient: str
    group: str
    score: float | None
    p: Probability | None
    q: Probability | None
    flagged: bool
    generated: tuple[NearImage, ...]
    neighbour: Neighbour | None
