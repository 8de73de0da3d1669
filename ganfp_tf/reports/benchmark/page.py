"""The page of the benchmark: what detectors find on victims with known members."""

from typing import Any

import numpy as np
import pandas as pd

from ganfp_tf.reports.benchmark import controls, curves
from ganfp_tf.reports.benchmark.curves import METRICS, PANEL
from ganfp_tf.reports.render.page import Picture, Section
from ganfp_tf.reports.render.tables import format_p
from ganfp_tf.reports.render.words import counted, listed, span
from ganfp_tf.statistics.multiple_testing import holm

ALPHA = 0.05
SHOWN = ("auc", "tpr_1")
FEW = 8  # detectors that curves can tell apart
PANEL_HEADERS = ("real images", "architecture")
DETECTOR = ["control", "title", "detector"]
ORDER = [*PANEL, "members", "seed", "victim", "set", *DETECTOR]


def sections(frame: pd.DataFrame, *, confidence: float, planned: Any) -> list[Section]:
    """The parts of the page.

    Args:
        frame: a row a victim, generated set and detector: victim, real, architecture, members,
            non_members, generated, size, steps, seed, set ("victim" or "unrelated"), detector,
            title, control, images, patients, seconds, auc_p, and auc, tpr_1, tpr_10 and kappa,
            each with `_low` and `_high`; further columns as in `benchmark_controls.sections`. The
            order of the rows does not matter.
        confidence: coverage of the intervals.
        planned: the victims of the grid, a DataFrame or what makes one: victim, real,
            architecture, members, seed, done.

    Returns:
        list of `Section`.
    """
    planned = pd.DataFrame(planned)
    if not len(frame):
        return [Section("Result", text=("No victim has been measured yet.",)), _coverage(planned)]
    frame = curves.resolved(frame.astype({"control": bool}))
    frame = frame.sort_values(ORDER, kind="stable").reset_index(drop=True)
    own, unrelated = (frame[frame["set"] == name] for name in ("victim", "unrelated"))
    return [
        Section("Result", text=(_measured(frame), *_verdict(own), *_controls(own, confidence))),
        _coverage(planned, own),
        *(_curve(own, metric, confidence) for metric in SHOWN if len(own)),
        _spread(own),
        _unrelated(own, unrelated, confidence),
        *controls.sections(frame, own, confidence),
        *(_by_members(own, metric, confidence) for metric in SHOWN if len(own)),
        _table(frame),
        _method(confidence),
    ]


def _known(victims, kinds):
    if not victims["steps"].any():  # not simulated: nobody here has seen its training
        return f"members and non-members as the labels of {', '.join(victims['victim'])} say"
    return f"each a GAN trained on its members alone: {'; '.join(kinds)}"


def _measured(frame):
    victims, kinds = frame.drop_duplicates("victim"), map(", ".join, curves.panels(frame))
    return (
        f"Measured on {counted(len(victims), 'victim')}, {_known(victims, kinds)}; "
        f"N = {listed(victims['members'])} members beside "
        f"{span(victims['non_members'])} non-members, {span(victims['size'])} pixels wide, "
        f"{span(victims['steps'])} training steps, {span(victims['generated'])} generated images "
        "shown to the detectors. Each real image is one sample."
    )


def _verdict(own):
    p = own.loc[~own["control"], "auc_p"].dropna()
    yield (
        f"Of {counted(len(p), 'pair')} of a victim and a detector, {(holm(p) < ALPHA).sum()} can "
        f"be told from chance (permutation test of the AUC, p < .05 after Holm's correction for "
        f"{counted(len(p), 'test')}); {(p < ALPHA).sum()} before correction. No finding is not "
        "evidence that a generator is safe."
    )
    yield from _best(own, "auc")


def _best(own, metric):
    """Paragraphs, one a panel: the best detector at the smallest and largest N, and the trend."""
    for panel, here in own[~own["control"]].groupby(PANEL):
        yield f"{', '.join(panel)}: {'. '.join(_ends(here, METRICS[metric], metric))}."


def _ends(here, of, metric):
    groups = [at for _, at in here.groupby("detector", sort=False)]
    lead = "the one detector" if len(groups) == 1 else f"the highest of {len(groups)} detectors"
    yield f"{of.title} of {lead}, by mean over victims"
    for members in sorted({here["members"].min(), here["members"].max()}):
        at = here[here["members"] == members]
        where = (
            f"At N = {members:,} (a victim: {span(at['non_members'])} non-members, "
            f"{span(at['images'])} images of {span(at['patients'])} patients scored): "
        )
        means = at.groupby("detector", sort=False)[metric].mean().dropna()
        if means.empty:
            yield where + of.missing(at)
            continue
        best = at[(at["detector"] == means.idxmax()) & at[metric].notna()]
        text = f"{best['title'].iloc[0]}, {curves.intervals(best, metric, ' and ')}"
        mean = f" (mean {curves.mean(best, metric)})" if len(best) > 1 else ""
        yield f"{where}{text}{mean}; {curves.against_chance(best, metric)}"
    trends = [curves.trend(at, metric)[0] for at in groups]
    if known := len(trends) - trends.count("one N"):
        yield (
            f"From the smallest N to the largest it falls, intervals apart, for "
            f"{trends.count('falls')} of {counted(known, 'detector')} and rises for "
            f"{trends.count('rises')}; for {trends.count('overlap')} the intervals overlap and no "
            "change can be told"
        )


def _controls(own, confidence):
    rows = own[own["control"]]
    if rows.empty:
        yield "No blind baseline was run: members and non-members may differ in more than use."
        return
    off = rows[curves.sides(rows, "auc").isin(["above", "below"])].itertuples()
    named = [f"{row.title} on {row.victim}, {curves.interval(row, 'auc')}" for row in off]
    found = f" ({'; '.join(named)}): what detectors find there may be that difference"
    yield (
        "Blind baselines see no generated image, so they can only find that members and "
        f"non-members differ in something else. {len(named)} of their {len(rows)} AUC intervals "
        f"(by chance {len(rows) * (1 - confidence):.1f}) leave 0.5 out{found if named else ''}."
    )


def _coverage(planned, own=None):
    title = "What was run"
    if planned.empty:
        return Section(title, text=("No victim is planned.",))
    planned = planned.astype({"done": bool})
    done = sorted(planned.loc[planned["done"], "victim"])
    text = [f"Done: {len(done)} of {counted(len(planned), 'planned victim')}."]
    if own is not None:
        pairs = set(zip(own["victim"], own["detector"], strict=True))
        names = [name for name, *_ in curves.detectors(own)]
        gone = {victim: [d for d in names if (victim, d) not in pairs] for victim in done}
        lacking = [f"{victim} ({', '.join(names)})" for victim, names in gone.items() if names]
        if lacking:
            text.append(f"Done, but without a row of a detector: {'; '.join(lacking)}.")
        elif done:
            text.append(f"All of {counted(len(names), 'detector')} ran on each of them.")
        if extra := sorted(set(own["victim"]) - set(done)):
            text.append(f"On this page, but not done or not planned: {', '.join(extra)}.")
    rows = []
    for (*panel, members), at in planned.groupby([*PANEL, "members"]):
        seeds = [listed(at.loc[which, "seed"]) or "-" for which in (at["done"], ~at["done"])]
        rows.append((*panel, f"{members:,}", f"{at['done'].sum()} of {len(at)}", *seeds))
    headers = (*PANEL_HEADERS, "N", "victims done", "seeds done", "seeds not done")
    return Section(title, text=tuple(text), headers=headers, rows=tuple(rows))


def _curve(own, metric, confidence):
    of, text, picture = METRICS[metric], [], None
    title = f"{of.title} against the number of members"
    if of.percent:
        text = [_resolution(own, metric), *_best(own, metric)]
    missing = own[own[metric].isna() & own["auc"].isna()]
    if len(missing):
        named = "; ".join(f"{row.title} on {row.victim}" for row in missing.itertuples())
        text.append(f"No {of.title} is defined, and no point drawn, for {named}.")
    if own["victim"].nunique() == 1 and own["detector"].nunique() > FEW:
        # Curves of so many detectors over a single N would be a thicket.
        picture = None if of.percent else controls.ranking(own, confidence)
    elif own[metric].notna().any():
        note = f"point: victim; bar: {confidence:.0%} interval over its patients; line: seeds' mean"
        note += "; dashed grey: blind baselines" if own["control"].any() else ""
        alt = f"{of.title} against N; a table on this page holds every value"
        figure = curves.against_members(own, metric, title=title, note=note)
        picture = Picture(figure, f"figures/benchmark_{metric}.png", alt)
    return Section(title, text=tuple(text), picture=picture)


def _resolution(own, metric):
    of, text = METRICS[metric], ""
    victims = own[own[metric].notna() | own["auc"].isna()].drop_duplicates("victim")
    few = sorted(set(own["victim"]) - set(victims["victim"]))
    if few:
        text = (
            f"SMALL SAMPLES: {len(few)} of {counted(own['victim'].nunique(), 'victim')} have fewer "
            f"than {of.needed} non-members scored ({', '.join(few)}). There {of.chance_text} is "
            f"less than one image: {of.title} is not resolvable. "
        )
    if len(victims):
        text += (
            f"Of {span(victims['non_members'])} non-members at most the rate allows "
            f"{span(victims['non_members'] // of.needed)} above the threshold: one image more or "
            "less moves the figure."
        )
    return text.strip()


def _by_members(own, metric, confidence):
    of, counts, rows = METRICS[metric], sorted(set(own["members"])), []
    words = {"overlap": "not told: intervals overlap", "one N": "no two N to compare"}
    for (*panel, control, title, _), at in own.groupby([*PANEL, *DETECTOR]):
        cells = [curves.intervals(at[at["members"] == n], metric) or "not run" for n in counts]
        verdict, *ends = curves.trend(at, metric)
        between = f" ({ends[0]:,} to {ends[1]:,})" if ends[0] else ""
        cells.append(words.get(verdict, verdict) + between)
        rows.append((title, *panel, "yes" if control else "no", *cells))
    return Section(
        f"{of.title}: each detector at each N",
        rows=tuple(rows),
        headers=(
            "detector",
            *PANEL_HEADERS,
            "blind",
            *(f"N = {n:,}" for n in counts),
            "from the smallest N to the largest",
        ),
        notes=(
            f"value [{confidence:.0%} interval over patients of this victim]; victims of one N in "
            "the order of their seeds. 'falls', 'rises': all intervals at one end lie apart from "
            "all at the other; even so N need not be the reason: trainings on one N differ, too.",
        ),
    )


def _spread(own):
    title = "Spread between victims"
    groups = own[own["auc"].notna()].groupby([*PANEL, "members", *DETECTOR])
    groups = [(key, at) for key, at in groups if len(at) > 1]
    if not groups:
        text = "No N has more than one victim: how far victims of a kind differ is not known."
        return Section(title, text=(text,))
    ranges = [at["auc"].max() - at["auc"].min() for _, at in groups]
    text = (
        "Victims of one kind and N, with other seeds: the range of the AUC over them is "
        f"{np.median(ranges):.2f} at the median and {max(ranges):.2f} at most, in "
        f"{counted(len(groups), 'group')} of one detector, kind and N. The intervals on this "
        "page do not count this spread."
    )
    rows = [
        (key[4], key[0], key[1], f"{key[2]:,}", *(curves.mean(at, metric) for metric in SHOWN))
        for key, at in groups
    ]
    headers = ("detector", *PANEL_HEADERS, "N", *(f"mean {METRICS[name].title}" for name in SHOWN))
    return Section(title, text=(text,), headers=headers, rows=tuple(rows))


def _unrelated(own, unrelated, confidence):
    title = "Negative control: generated images of an unrelated GAN"
    rows = unrelated[~unrelated["control"]]
    if rows.empty:
        return Section(title, text=("It was not run.",))
    sides = curves.sides(rows, "auc")
    count = {side: (sides == side).sum() for side in ("holds", "above", "below", "none")}
    known = len(rows) - count["none"]
    text = (
        "The same detectors and real images, but the generated images are those of a GAN trained "
        f"on other patients, so there is nothing to find. {count['holds']} of {known} AUC "
        f"intervals hold 0.5, {count['above']} lie above it and {count['below']} below; of {known} "
        f"intervals of {confidence:.0%}, {known * (1 - confidence):.1f} are expected to miss it by "
        "chance, several at once where detectors agree, since they see the same images."
    )
    if count["none"]:
        text += f" {count['none']} of {len(rows)} rows have no interval."
    theirs = {(row.victim, row.detector): curves.interval(row, "auc") for row in own.itertuples()}
    words = {"holds": "yes", "above": "no, above", "below": "no, below", "none": "not defined"}
    headers = ("victim", "detector", "images (patients)", "AUC", "holds 0.5", "p", "AUC on its own")
    cells = [
        (
            row.victim,
            row.title,
            f"{row.images} ({row.patients})",
            curves.interval(row, "auc"),
            words[sides[row.Index]],
            format_p(row.auc_p),
            theirs.get((row.victim, row.detector), "-"),
        )
        for row in rows.itertuples()
    ]
    note = "'AUC on its own': with the images that the victim itself generated."
    return Section(title, text=(text,), headers=headers, rows=tuple(cells), notes=(note,))


def _table(frame):
    headers = (
        "victim",
        *PANEL_HEADERS,
        "N",
        "non-members",
        "generated",
        "pixels",
        "steps",
        "seed",
        "images of",
        "detector",
        "blind",
        "images (patients)",
        "AUC",
        "p",
        "TPR at 1% FPR",
        "TPR at 10% FPR",
        "kappa",
        "seconds",
    )
    rows = [
        (
            row.victim,
            row.real,
            row.architecture,
            f"{row.members:,}",
            f"{row.non_members:,}",
            f"{row.generated:,}",
            str(row.size),
            f"{row.steps:,}",
            str(row.seed),
            row.set,
            row.title,
            "yes" if row.control else "no",
            f"{row.images} ({row.patients})",
            curves.interval(row, "auc"),
            format_p(row.auc_p),
            curves.interval(row, "tpr_1"),
            curves.interval(row, "tpr_10"),
            curves.interval(row, "kappa"),
            f"{row.seconds:.0f}",
        )
        for row in frame.itertuples()
    ]
    return Section("All rows", headers=headers, rows=tuple(rows))


def _method(confidence):
    return Section(
        "Method and limits",
        text=(
            f"Intervals cover {confidence:.0%} and come from resampling the patients of one "
            "victim: they say how sure the figure of this one GAN is, not how another GAN of its "
            "kind would fare. The spread over seeds is the only guide to that here.",
            "The highest of several detectors was picked after seeing the figures, so its value is "
            "too high. A detector is not better than another because it stands first.",
        ),
    )
