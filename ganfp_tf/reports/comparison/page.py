"""The page that sets several systems beside each other and beside the paper's."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from ganfp_tf.reports.comparison import paper
from ganfp_tf.reports.comparison.rows import PAIRS, TRAIN, Row
from ganfp_tf.reports.render import bars
from ganfp_tf.reports.render.page import Picture, Section
from ganfp_tf.reports.render.tables import format_interval, format_number, format_p
from ganfp_tf.statistics.multiple_testing import holm

ALPHA = 0.05


def sections(rows: Sequence[Row], *, data: str, folds: int, confidence: float) -> list[Section]:
    """The parts of the page.

    Args:
        rows: `Row`s, the systems in order and then the ablations.
        data: what was measured on, in words.
        folds: how many; 0 where only test images count.
        confidence: coverage of the intervals.

    Returns:
        list of `Section`.
    """
    systems = [row for row in rows if not row.ablates]
    ablations = [row for row in rows if row.ablates]
    where = f"{folds} patient-disjoint folds" if folds else "test images"
    parts = [
        Section("Result", text=(data, *_verdict(systems, where))),
        _images(systems, where, confidence),
        _pairs(systems, confidence),
        _paper(),
    ]
    if ablations:
        parts.append(_ablations(rows, ablations, where))
    return [*parts, _cost(rows), _method(folds, confidence)]


def _verdict(systems, where):
    p = [row.auc[3] for row in systems]
    known = [(row, value) for row, value in zip(systems, p, strict=True) if value is not None]
    low = [row.title for row, value in known if value < ALPHA]
    adjusted = holm([value for _, value in known])
    holds = [row.title for (row, _), value in zip(known, adjusted, strict=True) if value < ALPHA]
    total = f"{len(systems)} system" + ("" if len(systems) == 1 else "s")
    if holds:
        text = (
            f"Of {total}, {_names(holds)} can be told from chance ({where}, permutation test, p < "
            f".05 after Holm's correction for {len(known)} tests), provided that used and not used "
            "images differ in nothing else."
        )
    elif low:
        text = (
            f"Inconclusive: of {total}, {_names(low)} has p < .05 ({where}), but not after Holm's "
            f"correction for {len(known)} tests: among so many, one so low is no surprise."
        )
    else:
        text = (
            f"None of {total} can be told from chance ({where}, permutation test, p < .05). That "
            "is not evidence that the images were not used, nor that the generator is safe."
        )
    yield text
    random = [row.title for row in systems if not row.weights.get("pretrained")]
    if random:
        yield (
            f"RANDOM WEIGHTS: the backbone of {_names(random)} has learned nothing; its rows say "
            "nothing about the pretrained system of that name."
        )


def _images(systems, where, confidence):
    headers = (
        "system",
        "backbone weights",
        "images (used)",
        "AUC",
        "p",
        "AUC less the first system's",
        "p of that",
        "kappa",
        "TPR at 10% FPR",
        "at 5%",
        "at 1%",
        "accuracy",
        "F1",
        "AUC on train images",
    )
    rows = [_image_cells(row, figures=("kappa",)) for row in systems]
    chart = bars.auc_chart(
        [(row.title, *row.auc[:3], not row.weights.get("pretrained")) for row in systems],
        title=f"AUC of images, {where}",
        note=f"lines: {confidence:.0%} intervals; grey: the backbone has random weights",
    )
    alt = "; ".join(f"{row.title}: AUC {format_interval(*row.auc[:3])}" for row in systems)
    return Section(
        f"Images ({where})",
        headers=headers,
        rows=tuple(rows),
        notes=(
            "Each real image is one sample. Train images were seen in training: their AUC shows "
            "only how much was learned by heart.",
        ),
        picture=Picture(chart, "figures/comparison_auc.png", alt),
    )


def _image_cells(row, figures=()):
    level, (value, low, high, p) = row.levels[row.level], row.auc
    metrics = level["metrics"]
    return (
        row.title,
        row.weights.get("source", "-"),
        f"{metrics['n']['value']} ({metrics['positives']['value']})",
        format_interval(value, low, high),
        format_p(p),
        *difference_cells(row),
        _figure(metrics, "kappa"),
        *(_figure(metrics, f"tpr_at_{rate}_fpr", True) for rate in (10, 5, 1)),
        _figure(metrics, "accuracy", True),
        _figure(metrics, "f1"),
        _figure(row.levels.get(TRAIN, {}).get("metrics", {}), "auc"),
    )


def difference_cells(row: Row) -> tuple[str, str]:
    """The difference to the reference with its interval, and its p, as text."""
    if row.difference is None:
        return "-", "-"
    found = row.difference
    return format_interval(found.difference, found.low, found.high), format_p(found.p)


def _pairs(systems, confidence):
    headers = (
        "system",
        "pairs (share used)",
        "F1",
        "precision",
        "recall",
        "accuracy",
        "accuracy of 'never used'",
        "paper: F1",
        "precision",
        "recall",
        "accuracy",
        "share used it implies",
    )
    rows, charted = [], []
    for row in systems:
        metrics = row.levels[PAIRS]["metrics"]
        constants = row.levels[PAIRS]["constants"]
        printed = paper.row_of(row.name)
        theirs = ("-",) * 5
        if printed:
            check = paper.check(printed)
            theirs = (
                *(f"{getattr(printed, key):.4f}" for key in bars.PAIR_FIGURES),
                format_number(check.share, True),
            )
        rows.append(
            (
                row.title,
                f"{metrics['n']['value']} ({format_number(metrics['share']['value'], True)})",
                *(_figure(metrics, key) for key in bars.PAIR_FIGURES),
                format_number(constants["none used"]["accuracy"]),
                *theirs,
            )
        )
        ours = {key: _three(metrics[key]) for key in bars.PAIR_FIGURES}
        charted.append((row.title, ours, dataclasses.asdict(printed) if printed else None))
    chart = bars.pair_chart(
        charted,
        title="Figures of test pairs, beside the paper's",
        note=f"lines: {confidence:.0%} intervals over patients; the shares of used pairs differ",
    )
    alt = "; ".join(f"{cells[0]}: F1 {cells[2]}, accuracy {cells[5]}" for cells in rows)
    return Section(
        "Pairs, as the paper counts",
        headers=headers,
        rows=tuple(rows),
        text=(
            "Every pair of a test image and a generated partner is one sample with its real "
            "image's label, decided at probability 0.5. Precision, F1 and accuracy depend on the "
            "share of used pairs, so they compare only at the same share.",
        ),
        picture=Picture(chart, "figures/comparison_pairs.png", alt),
    )


def _paper():
    headers, rows = paper.paper_rows_table()
    return Section(
        "The paper's Table 1, checked",
        headers=tuple(headers),
        rows=tuple(map(tuple, rows)),
        text=(
            "The share of used pairs follows from precision, recall and accuracy; F1 follows from "
            "precision and recall. Where a printed figure does not follow, the row says so.",
        ),
    )


def _ablations(rows, ablations, where):
    full = next(row for row in rows if row.name == ablations[0].ablates)
    headers = (
        "variant",
        "backbone weights",
        "images (used)",
        "AUC",
        "p",
        f"AUC less that of {full.title}",
        "p of that",
        "kappa",
        "TPR at 10% FPR",
        "at 5%",
        "at 1%",
        "accuracy",
        "F1",
        "AUC on train images",
    )
    shown = [dataclasses.replace(full, difference=None), *ablations]
    seeds = [row.auc[0] for row in shown if row.is_seed_of(full) and row.auc[0] is not None]
    notes = ()
    if len(seeds) > 1:
        spread = pd.Series(seeds)
        notes = (
            f"{len(seeds)} training seeds on the same splits: AUC {spread.mean():.3f} on average, "
            f"standard deviation {spread.std(ddof=1):.3f}, from {spread.min():.3f} to "
            f"{spread.max():.3f}. A difference between variants that is no larger than this is "
            "no difference.",
        )
    return Section(
        f"Ablations of {full.title} ({where})",
        headers=headers,
        rows=tuple(_image_cells(row) for row in shown),
        notes=notes,
    )


def _cost(rows):
    headers = (
        "system",
        "parameters",
        "of these trained",
        "seconds",
        "of these embedding",
        "images embedded",
        "peak memory",
    )
    cells = [
        (
            row.title,
            f"{row.cost['parameters']:,}",
            f"{row.cost['trained_parameters']:,}",
            f"{row.cost['seconds']:.0f}",
            f"{row.cost['embedding_seconds']:.0f}",
            f"{row.cost['embedded_images']:,}",
            _gigabytes(row.cost["peak_bytes"]),
        )
        for row in rows
        if row.cost
    ]
    return Section(
        "Cost",
        headers=headers,
        rows=tuple(cells),
        notes=(
            "Each system ran in a process of its own; its start is counted. A system whose "
            "backbone another one has run before finds the features in the store and embeds "
            "nothing. Of an interrupted system the time of all its attempts is counted.",
        ),
    )


def _method(folds, confidence):
    scored = (
        "each real image is scored by a network that saw neither it nor its patient; the AUC "
        "compares images of the same fold only"
        if folds
        else "only the images of the test split count, few as they are; --folds=5 gives every "
        "image a score"
    )
    return Section(
        "Method and limits",
        text=(
            f"All systems have the same splits, seeds and settings; {scored}.",
            f"Intervals cover {confidence:.0%}; patients are resampled. The difference to another "
            "system is a paired bootstrap: both systems on the same resampled patients. p of an "
            "AUC is one-sided over permutations of labels, p of a difference two-sided.",
            "A system is not better than another unless the interval of their difference leaves 0 "
            "out, and with many systems one such interval is to be expected by chance.",
        ),
    )


def _three(figure):
    return figure["value"], figure["low"], figure["high"]


def _figure(metrics, name, percent=False):
    return format_interval(*_three(metrics[name]), percent) if name in metrics else "-"


def _gigabytes(size):
    return "-" if size is None else f"{size / 1e9:.1f} GB"


def _names(titles):
    return " and ".join([", ".join(titles[:-1]), titles[-1]]) if titles[1:] else titles[0]
