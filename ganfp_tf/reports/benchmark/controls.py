"""Parts of the benchmark's page: detectors beside the plainest strong one, controls, and cost."""

import numpy as np
import pandas as pd

from ganfp_tf.reports.benchmark import curves
from ganfp_tf.reports.benchmark.curves import PANEL
from ganfp_tf.reports.render.bars import auc_chart
from ganfp_tf.reports.render.page import Picture, Section
from ganfp_tf.reports.render.tables import format_interval, format_number
from ganfp_tf.reports.render.words import counted

AGAINST = "calibrated_pixels"  # the plainest of the strong attacks, which others are set against
HALVES = {"members_auc": "members", "non_members_auc": "non-members"}
LIES = {"above": "no, above", "below": "no, below", "holds": "yes", "none": "not defined"}


def sections(frame: pd.DataFrame, own: pd.DataFrame, confidence: float) -> list[Section]:
    """The parts whose columns are there; frames of earlier versions have none of them.

    Args:
        frame: all rows, as `benchmark.sections` takes them, sorted. Further columns may be there:
            less (AUC less that of AGAINST), members_auc and non_members_auc (AUC of random halves),
            each with `_low` and `_high`; auc_seeds (list of AUC, one a seed of the folds);
            peak_bytes.
        own: the rows whose generated images are the victim's own.
        confidence: coverage of the intervals.

    Returns:
        list of `Section`.
    """
    parts = [_less(own, confidence), _seeds(own), _halves(own, confidence), _memory(frame)]
    return [part for part in parts if part]


def _known(frame, column):
    """The rows that have a value in a column that may be missing."""
    return frame[frame[column].notna()] if column in frame else frame[:0]


def _sides(frame, column, middle):
    """Where each row's interval lies: "above" `middle`, "below" it, "holds" it, or "none"."""
    low, high = (frame[f"{column}{end}"].astype(float) for end in ("_low", "_high"))
    cases = [low > middle, high < middle, low.notna() & high.notna()]
    return pd.Series(np.select(cases, ["above", "below", "holds"], "none"), frame.index)


def _less(own, confidence):
    rows = _known(own, "less")
    if rows.empty:
        return None
    named = own.loc[own["detector"] == AGAINST, "title"]
    other = named.iloc[0] if len(named) else AGAINST
    rows = rows.assign(side=_sides(rows, "less", 0.0))
    attacks = rows[~rows["control"]]
    count = attacks["side"].value_counts()
    text = (
        f"Each detector's AUC less that of {other} on the same images, with the same patients "
        f"resampled for both. Blind baselines apart, {count.get('above', 0)} of "
        f"{counted(len(attacks), 'interval')} lie above 0, {count.get('below', 0)} below it, and "
        f"{count.get('holds', 0)} hold it. Of intervals of {confidence:.0%} around no difference, "
        f"{len(attacks) * (1 - confidence):.1f} are expected to leave 0 out by chance."
    )
    counts, table = sorted(set(rows["members"])), []
    for (*panel, control, title, _), at in rows.groupby([*PANEL, "control", "title", "detector"]):
        cells = [curves.intervals(at[at["members"] == n], "less") or "not run" for n in counts]
        told = [f"{(at['side'] == side).sum()}" for side in ("above", "holds", "below")]
        blind = "yes" if control else "no"
        table.append((title, *panel, blind, *cells, format_number(at["less"].mean()), *told))
    return Section(
        f"AUC less that of {other}",
        text=(text,),
        rows=tuple(table),
        headers=(
            "detector",
            "real images",
            "architecture",
            "blind",
            *(f"N = {n:,}" for n in counts),
            "mean",
            "above 0",
            "holding 0",
            "below 0",
        ),
        notes=(
            f"difference [{confidence:.0%} interval over patients of this victim]; victims of one "
            "N in the order of their seeds. Beside a detector that uses labels, both are ranked "
            "within its folds.",
        ),
    )


def _seeds(own):
    rows = _known(own, "auc_seeds")
    rows = rows[[len(found) > 1 for found in rows["auc_seeds"]]] if len(rows) else rows
    if rows.empty:
        return None
    table, spreads = [], []
    for row in rows.itertuples():
        found = np.asarray(row.auc_seeds, dtype=float)
        spreads.append(found.std(ddof=1))
        table.append(
            (
                row.victim,
                row.title,
                str(len(found)),
                format_number(found.mean()),
                f"{spreads[-1]:.3f}",
                format_number(found.min()),
                format_number(found.max()),
            )
        )
    text = (
        "Detectors that use labels are cross-fitted again over other draws of the folds: the "
        f"standard deviation of the AUC over them is {np.median(spreads):.3f} at the median and "
        f"{max(spreads):.3f} at most. The figures of the other tables are those of the first draw."
    )
    headers = ("victim", "detector", "draws", "mean AUC", "standard deviation", "lowest", "highest")
    return Section("Spread over draws of the folds", (text,), headers, tuple(table))


def _halves(own, confidence):
    kinds = [column for column in HALVES if len(_known(own, column))]
    if not kinds:
        return None
    rows = own[own[kinds].notna().any(axis=1)]
    sides = {column: _sides(rows, column, 0.5) for column in kinds}
    every = pd.concat(list(sides.values()))
    every = every[every != "none"].value_counts()
    known = int(every.sum())
    text = (
        "A detector is asked to tell one random half of the members from the other, and so with "
        "the non-members: both halves are alike, so there is nothing to find. "
        f"{every.get('holds', 0)} of {counted(known, 'AUC interval')} hold 0.5, "
        f"{every.get('above', 0)} lie above it and {every.get('below', 0)} below; "
        f"{known * (1 - confidence):.1f} are expected to miss it by chance, several at once where "
        "detectors agree, since they see the same halves."
    )
    headers = ["victim", "detector"]
    for column in kinds:
        headers += [f"AUC among {HALVES[column]}", "holds 0.5"]
    table = []
    for row in rows.itertuples():
        cells = [row.victim, row.title]
        for column in kinds:
            ends = [getattr(row, f"{column}{end}") for end in ("", "_low", "_high")]
            cells += [format_interval(*ends), LIES[sides[column][row.Index]]]
        table.append(tuple(cells))
    return Section("Negative control: halves of one kind", (text,), tuple(headers), tuple(table))


def _memory(frame):
    rows = _known(frame, "peak_bytes")
    if rows.empty:
        return None
    table = [
        (
            title,
            str(len(at)),
            *(f"{bytes / 1e9:.1f}" for bytes in _ends(at["peak_bytes"])),
            *(f"{seconds:.0f}" for seconds in _ends(at["seconds"])),
        )
        for (_, title, _), at in rows.groupby(["control", "title", "detector"])
    ]
    text = (
        "Most memory the process had held when a detector was done: one is charged with those that "
        "ran before it in the same command. A Siamese network that is a run of its own has its own "
        "process, and its own figure."
    )
    headers = ("detector", "runs", "GB (median)", "GB (most)", "seconds (median)", "seconds (most)")
    return Section("Memory and time", (text,), headers, tuple(table))


def _ends(values):
    return values.median(), values.max()


def ranking(own: pd.DataFrame, confidence: float) -> Picture:
    """A picture of the AUC of every detector on the one victim, the highest first."""
    rows = [
        (row.detector, row.auc, row.auc_low, row.auc_high, row.control)
        for row in own.sort_values("auc", ascending=False, na_position="last").itertuples()
    ]
    note = f"bar: {confidence:.0%} interval over its patients; grey: blind baseline"
    figure = auc_chart(rows, title="AUC of each detector, the highest first", note=note)
    alt = "AUC of each detector with its interval; a table on this page holds every value"
    return Picture(figure, "figures/benchmark_auc.png", alt)
