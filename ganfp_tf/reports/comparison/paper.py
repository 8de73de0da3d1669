"""The paper's Table 1 as data, and what its figures say about each other."""

import dataclasses
import math

# Half of the last of the four printed decimals: how far a printed figure may be from its value.
ROUNDING = 0.5e-4


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """One row of Table 1, as printed."""

    system: str
    f1: float
    precision: float
    recall: float
    accuracy: float


TABLE_1 = (
    PaperRow("ResNet50", 0.5627, 0.4256, 0.8300, 0.8710),
    PaperRow("EfficientNetB2", 0.4106, 0.2707, 0.8500, 0.7560),
    PaperRow("DenseNet161", 0.5714, 0.9700, 0.4000, 0.7000),
    PaperRow("ViT", 0.4299, 0.9104, 0.7625, 0.7500),
    PaperRow("ResNet50 + CA", 0.5902, 0.5000, 0.7200, 0.9000),
    PaperRow("DenseNet161 + CA", 0.5196, 0.4033, 0.7300, 0.8650),
)
FIGURES = ("f1", "precision", "recall", "accuracy")
# System of this project -> the paper's name for it; CA is cross-attention.
SYSTEMS = {
    "resnet50": "ResNet50",
    "efficientnetb2": "EfficientNetB2",
    "densenet161": "DenseNet161",
    "vit_b16": "ViT",
    "resnet50_ca": "ResNet50 + CA",
    "densenet161_ca": "DenseNet161 + CA",
}
# Where the paper's running text (section 4) has another precision than its table.
PRECISION_IN_TEXT = {"ResNet50 + CA": 0.9000}


@dataclasses.dataclass(frozen=True)
class RowCheck:
    """What a row's printed figures imply.

    Attributes:
        system: as in the row.
        share: share of positives in the test set, nan where none fits.
        never_used_accuracy: accuracy of answering "not used" throughout at that share, or nan.
        f1: F1 of the printed precision and recall.
        f1_follows: whether the printed F1 is that F1 within the rounding of all three.
        remarks: sentences for the reader, possibly none.
    """

    system: str
    share: float
    never_used_accuracy: float
    f1: float
    f1_follows: bool
    remarks: tuple[str, ...]


def row_of(system: str) -> PaperRow | None:
    """The `PaperRow` of one of this project's systems, or None."""
    names = {row.system: row for row in TABLE_1}
    return names.get(SYSTEMS.get(system))


def implied_share(precision: float, recall: float, accuracy: float) -> float:
    """Share of positives s in a test set on which a detector has these three figures.

    As shares of the test set, the true positives are s R, the misses s (1 - R), and the false
    alarms s R (1/P - 1), because P = TP / (TP + FP). Misses and false alarms are all the errors:

        1 - accuracy = s (R (1/P - 1) + 1 - R),

    which is solved for s. nan where precision or recall is 0 (the false alarms are not told), where
    both are 1 (any share fits), and where the result is no share.

    Raises:
        ValueError: a figure outside [0, 1].
    """
    _check(precision=precision, recall=recall, accuracy=accuracy)
    if not (precision and recall) or precision == recall == 1 or math.isnan(accuracy):
        return math.nan
    share = (1 - accuracy) / (recall * (1 / precision - 1) + 1 - recall)
    return share if 0 <= share <= 1 else math.nan


def implied_f1(precision: float, recall: float) -> float:
    """2 P R / (P + R), the harmonic mean; 0 where both are 0.

    Raises:
        ValueError: a figure outside [0, 1].
    """
    _check(precision=precision, recall=recall)
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def check(row: PaperRow) -> RowCheck:
    """Compares the figures of a `PaperRow` with each other, as `RowCheck`."""
    share = implied_share(row.precision, row.recall, row.accuracy)
    f1 = implied_f1(row.precision, row.recall)
    # F1 grows with precision and with recall: its ends are at theirs.
    low, high = (
        implied_f1(*(min(1.0, max(0.0, figure + shift)) for figure in (row.precision, row.recall)))
        for shift in (-ROUNDING, ROUNDING)
    )
    # 1e-12 for binary fractions: 0.00005 is not exactly one.
    follows = low - ROUNDING - 1e-12 <= row.f1 <= high + ROUNDING + 1e-12
    remarks = [*_about_f1(row, f1, follows), *_about_constants(row, share), *_about_text(row)]
    return RowCheck(row.system, share, 1 - share, f1, follows, tuple(remarks))


def paper_rows_table() -> tuple[list[str], list[list[str]]]:
    """Table 1 with what it implies: (headers, rows) of strings, for Markdown or HTML."""
    headers = [
        "the paper's system",
        "F1",
        "precision",
        "recall",
        "accuracy",
        "implied share of positives",
        'accuracy of "never used"',
        "F1 of precision and recall",
        "does F1 follow?",
        "remarks",
    ]
    rows = []
    for row in TABLE_1:
        found = check(row)
        printed = (row.f1, row.precision, row.recall, row.accuracy)
        rows.append(
            [
                row.system,
                *(f"{figure:.4f}" for figure in printed),
                _or_dash(found.share, ".1%"),
                _or_dash(found.never_used_accuracy, ".3f"),
                f"{found.f1:.3f}",
                "yes" if found.f1_follows else "no",
                " ".join(found.remarks),
            ]
        )
    return headers, rows


def _about_f1(row, f1, follows):
    if not follows:
        yield f"F1 is printed as {row.f1:.4f}; its precision and recall give {f1:.4f}."


def _about_constants(row, share):
    if math.isnan(share):
        yield "No share of positives gives these three figures together."
        return
    for answer, accuracy in (("never", 1 - share), ("always", share)):
        if accuracy >= row.accuracy - ROUNDING:
            yield (
                f'With {share:.1%} positives, "{answer} used" has an accuracy of {accuracy:.3f}, '
                f"no less than the row's {row.accuracy:.3f}."
            )


def _about_text(row):
    other = PRECISION_IN_TEXT.get(row.system)
    if other is not None:
        yield (
            f"The text gives a precision of {other:.4f}, the table {row.precision:.4f}; with the "
            f"text's, F1 would be {implied_f1(other, row.recall):.4f}."
        )


def _or_dash(value, form):
    return "-" if math.isnan(value) else format(value, form)


def _check(**figures):
    for name, value in figures.items():
        if value < 0 or value > 1:
            raise ValueError(f"{name} must lie in [0, 1]. Received: {name}={value}")
