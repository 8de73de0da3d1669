"""What the page of the benchmark says of differences, seeds, halves and memory."""

import pandas as pd
import pytest

from ganfp_tf.reports.benchmark import page
from ganfp_tf.reports.render.page import as_html, as_markdown

NAN = float("nan")
TITLES = {
    "calibrated_pixels": "Calibrated distance",
    "copies": "Siamese | copies",
    "stack": "Stack",
    "blind": "Blind statistics",
}


def triple(name, value, width=0.05):
    return {name: value, f"{name}_low": value - width, f"{name}_high": value + width}


def row(detector, members=50, **changes):
    line = {
        "victim": f"phantom-n{members}",
        "real": "phantom",
        "architecture": "dcgan",
        "members": members,
        "non_members": 200,
        "generated": 1000,
        "size": 64,
        "steps": 4000,
        "seed": 0,
        "set": "victim",
        "detector": detector,
        "title": TITLES[detector],
        "control": detector == "blind",
        "auc_p": 0.001,
        "images": members + 200,
        "patients": 60,
        "seconds": 12.3,
        "peak_bytes": 2.0e9,
        "auc_seeds": None,
        **triple("auc", 0.7),
        **triple("tpr_1", 0.2),
        **triple("tpr_10", 0.4),
        **triple("kappa", 0.1),
        **triple("members_auc", 0.5),
        **triple("non_members_auc", 0.49),
    }
    if detector != "calibrated_pixels":
        line |= triple("less", 0.02)
    return line | changes


def page_of(*rows):
    planned = [
        {key: line[key] for key in ("victim", "real", "architecture", "members", "seed")}
        | {"done": True}
        for line in {line["victim"]: line for line in rows}.values()
    ]
    return page.sections(pd.DataFrame(list(rows)), confidence=0.95, planned=planned)


def section(parts, start):
    (found,) = [part for part in parts if part.title.startswith(start)]
    return found


NEW = ("AUC less that", "Spread over draws", "Negative control: halves", "Memory and time")


def test_a_frame_without_the_columns_has_none_of_the_parts():
    columns = ("less", "members_auc", "non_members_auc")
    gone = ["auc_seeds", "peak_bytes"]
    gone += [f"{name}{end}" for name in columns for end in ("", "_low", "_high")]
    whole = page_of(row("calibrated_pixels"), row("stack", auc_seeds=[0.6, 0.7]))
    assert [sum(part.title.startswith(start) for part in whole) for start in NEW] == [1, 1, 1, 1]
    frame = pd.DataFrame([row("calibrated_pixels"), row("stack")])
    for old in (frame.drop(columns=gone), frame.assign(**dict.fromkeys(gone))):
        parts = page.sections(old, confidence=0.95, planned=[])
        assert not [part for part in parts if part.title.startswith(NEW)]


def test_the_difference_to_the_plainest_strong_one():
    part = section(
        page_of(
            row("calibrated_pixels"),
            row("copies", **triple("less", 0.1)),
            row("copies", 100, **triple("less", -0.2)),
            row("stack"),
            row("blind", **triple("less", -0.3)),
            row("copies", set="unrelated", **triple("less", 0.4)),
        ),
        "AUC less that",
    )
    assert part.title == "AUC less that of Calibrated distance"
    # Blind baselines are no attack, and the unrelated set is another question.
    assert "1 of 3 intervals lie above 0, 1 below it, and 1 hold it" in part.text[0]
    assert "0.2 are expected to leave 0 out" in part.text[0]  # 3 x 0.05, rounded
    headers = (
        "detector",
        "real images",
        "architecture",
        "blind",
        "N = 50",
        "N = 100",
        "mean",
        "above 0",
        "holding 0",
        "below 0",
    )
    assert part.headers == headers
    assert part.rows == (
        (
            "Siamese | copies",
            "phantom",
            "dcgan",
            "no",
            "0.10 [0.05, 0.15]",
            "-0.20 [-0.25, -0.15]",
            "-0.05",
            "1",
            "0",
            "1",
        ),
        ("Stack", "phantom", "dcgan", "no", "0.02 [-0.03, 0.07]", "not run", "0.02", "0", "1", "0"),
        (
            "Blind statistics",
            "phantom",
            "dcgan",
            "yes",
            "-0.30 [-0.35, -0.25]",
            "not run",
            "-0.30",
            "0",
            "0",
            "1",
        ),
    )


def test_without_a_title_the_other_one_has_its_name():
    assert section(page_of(row("stack")), "AUC less").title == "AUC less that of calibrated_pixels"


def test_spread_over_the_draws_of_the_folds():
    part = section(
        page_of(
            row("calibrated_pixels", auc_seeds=[0.7]),
            row("stack", auc_seeds=[0.6, 0.7, 0.8]),
            row("stack", 100, auc_seeds=[0.5, 0.5]),
        ),
        "Spread over draws",
    )
    # Standard deviations 0.1 (of 3, by n - 1) and 0.
    assert "is 0.050 at the median and 0.100 at most" in part.text[0]
    assert part.rows == (
        ("phantom-n50", "Stack", "3", "0.70", "0.100", "0.60", "0.80"),
        ("phantom-n100", "Stack", "2", "0.50", "0.000", "0.50", "0.50"),
    )


def test_halves_of_one_kind_are_counted():
    undefined = dict.fromkeys(("members_auc", "members_auc_low", "members_auc_high"), NAN)
    part = section(
        page_of(
            row("calibrated_pixels"),
            row("copies", **triple("members_auc", 0.6)),
            row("stack", **undefined, **triple("non_members_auc", 0.4)),
        ),
        "Negative control: halves",
    )
    assert "3 of 5 AUC intervals hold 0.5, 1 lie above it and 1 below; 0.3 are" in part.text[0]
    assert part.headers == (
        "victim",
        "detector",
        "AUC among members",
        "holds 0.5",
        "AUC among non-members",
        "holds 0.5",
    )
    assert part.rows == (
        (
            "phantom-n50",
            "Calibrated distance",
            "0.50 [0.45, 0.55]",
            "yes",
            "0.49 [0.44, 0.54]",
            "yes",
        ),
        (
            "phantom-n50",
            "Siamese | copies",
            "0.60 [0.55, 0.65]",
            "no, above",
            "0.49 [0.44, 0.54]",
            "yes",
        ),
        ("phantom-n50", "Stack", "-", "not defined", "0.40 [0.35, 0.45]", "no, below"),
    )


def test_memory_and_time_of_each_detector():
    part = section(
        page_of(
            row("stack", peak_bytes=1.0e9, seconds=10.0),
            row("stack", 100, peak_bytes=4.0e9),
            row("stack", 100, set="unrelated", peak_bytes=1.5e9),
            row("copies", peak_bytes=NAN),
        ),
        "Memory and time",
    )
    assert part.rows == (("Stack", "3", "1.5", "4.0", "12", "12"),)
    assert "charged with those that ran before" in part.text[0]


@pytest.mark.parametrize("write", [as_html, as_markdown])
def test_the_page_is_written_and_its_tables_are_whole(write):
    rows = [row(name, n, auc_seeds=[0.5, 0.6]) for name in TITLES for n in (50, 100)]
    parts = page_of(*rows)
    for part in parts:
        assert all(len(cells) == len(part.headers) for cells in part.rows)
        assert all(isinstance(cell, str) for cells in part.rows for cell in cells)
    text = write("Benchmark", parts)
    assert all(start in text for start in NEW)
    assert "nan" not in text.lower().split()
