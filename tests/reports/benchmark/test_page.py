"""What the page of the benchmark says, and what it does not claim."""

import re

import pandas as pd

from ganfp_tf.reports.benchmark import page
from ganfp_tf.reports.render.page import as_html, as_markdown

NAN = float("nan")
TITLES = {"pixels": "Nearest distance", "siamese": "Siamese network", "blind": "Blind | statistics"}


def row(members=50, seed=0, detector="pixels", auc=0.7, **changes):
    architecture = changes.get("architecture", "dcgan")
    line = {
        "victim": f"phantom-{architecture}-n{members}-s{seed}",
        "real": "phantom",
        "architecture": architecture,
        "members": members,
        "non_members": 200,
        "generated": 1000,
        "size": 64,
        "steps": 4000,
        "seed": seed,
        "set": "victim",
        "detector": detector,
        "title": TITLES[detector],
        "control": detector == "blind",
        "auc": auc,
        "auc_low": auc - 0.08,
        "auc_high": auc + 0.08,
        "auc_p": 0.0001 if auc > 0.58 else 0.3,
        "images": members + 200,
        "patients": 60,
        "seconds": 12.3,
    }
    for name, value in (("tpr_1", 0.2), ("tpr_10", 0.4), ("kappa", 0.1)):
        line |= {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}
    return line | changes


def plan_of(rows, extra=()):
    """The victims of `rows` as done, and `extra` ones as not done."""
    keys = ["victim", "real", "architecture", "members", "seed"]
    return [
        {key: line[key] for key in keys} | {"done": done}
        for lines, done in ((rows, True), (extra, False))
        for line in {line["victim"]: line for line in lines}.values()
    ]


def page_of(rows, planned=None):
    planned = plan_of(rows) if planned is None else planned
    return page.sections(pd.DataFrame(rows), confidence=0.95, planned=planned)


def section(parts, start):
    (found,) = [part for part in parts if part.title.startswith(start)]
    return found


def said(part):
    return " ".join([*part.text, *part.notes])


def test_the_result_names_what_it_was_measured_on_and_its_intervals():
    rows = [
        row(50, auc=0.81),
        row(400, auc=0.53),
        row(50, detector="siamese", auc=0.6),
        row(400, detector="siamese", auc=0.5),
    ]
    text = said(page_of(rows)[0])
    assert "Measured on 2 victims" in text
    assert "N = 50, 400 members beside 200 non-members, 64 pixels wide, 4,000 training" in text
    # 0.81 and 0.60 have a low p; all four are tested.
    assert "Of 4 pairs of a victim and a detector, 2 can be told from chance" in text
    assert "highest of 2 detectors" in text
    assert (
        "At N = 50 (a victim: 200 non-members, 250 images of 60 patients scored): Nearest "
        "distance, 0.81 [0.73, 0.89]; its interval lies above 0.5."
    ) in text
    assert "Nearest distance, 0.53 [0.45, 0.61]; its interval holds 0.5." in text
    assert "falls, intervals apart, for 1 of 2 detectors and rises for 0; for 1 the inter" in text
    assert "No blind baseline was run" in text
    assert "No finding is not evidence" in text


def test_a_data_set_that_says_nothing_of_its_gan():
    text = said(page_of([row(size=0, steps=0)])[0])
    assert "an unknown number of pixels wide, an unknown number of training steps, 1,000" in text
    # What nobody here has seen is not claimed.
    assert "as the labels of phantom-dcgan-n50-s0 say" in text
    assert "trained on its" not in text


def test_holm_counts_the_tests():
    rows = [row(auc_p=0.03), row(100, auc_p=0.4)]
    text = said(page_of(rows)[0])
    assert "Of 2 pairs of a victim and a detector, 0 can be told from chance" in text
    assert "for 2 tests); 1 before correction" in text


def test_several_seeds_give_each_victim_and_the_spread():
    rows = [row(50, 0, auc=0.8), row(50, 1, auc=0.56), row(100, 0, auc=0.6)]
    parts = page_of(rows)
    assert (
        "Nearest distance, 0.80 [0.72, 0.88] and 0.56 [0.48, 0.64] (mean 0.68, from 0.56 to 0.80 "
        "over 2 victims); intervals: 1 above 0.5, 1 holding 0.5."
    ) in said(parts[0])
    spread = section(parts, "Spread")
    assert "range of the AUC over them is 0.24 at the median and 0.24 at most, in 1 group" in (
        said(spread)
    )
    (cells,) = spread.rows
    assert cells[3:] == (
        "50",
        "0.68, from 0.56 to 0.80 over 2 victims",
        "20%, from 20% to 20% over 2 victims",
    )
    assert "over patients of this victim" in said(section(parts, "AUC: each"))
    assert "not how another GAN" in said(section(parts, "Method"))
    alone = section(page_of(rows[1:]), "Spread")
    assert "how far victims of a kind differ is not known" in said(alone)
    assert not alone.rows


def test_blind_baselines_are_counted_and_never_the_best():
    rows = [row(), row(detector="blind", auc=0.9), row(100), row(100, detector="blind", auc=0.5)]
    text = said(page_of(rows)[0])
    assert "the one detector" in text
    assert "1 of their 2 AUC intervals (by chance 0.1) leave 0.5 out (Blind | statistics on" in text
    assert "may be that difference" in text
    rows[1]["auc_low"] = 0.4
    assert "0 of their 2 AUC intervals (by chance 0.1) leave 0.5 out." in said(page_of(rows)[0])


def test_what_was_run_and_what_was_not():
    rows = [row(50), row(100), row(50, detector="siamese")]
    others = [row(100, 1), row(200), row(50, architecture="residual")]
    parts = page_of(rows, plan_of(rows, others))
    coverage = section(parts, "What was run")
    assert coverage.text[0] == "Done: 2 of 5 planned victims."
    assert coverage.text[1] == (
        "Done, but without a row of a detector: phantom-dcgan-n100-s0 (siamese)."
    )
    assert coverage.rows == (
        ("phantom", "dcgan", "50", "1 of 1", "0", "-"),
        ("phantom", "dcgan", "100", "1 of 2", "0", "1"),
        ("phantom", "dcgan", "200", "0 of 1", "-", "0"),
        ("phantom", "residual", "50", "0 of 1", "-", "0"),
    )
    stray = section(page_of(rows, plan_of(rows[:1], others)), "What was run")
    assert stray.text[-1].endswith("not done or not planned: phantom-dcgan-n100-s0.")
    whole = section(page_of(rows[:2], pd.DataFrame(plan_of(rows))), "What was run")
    assert whole.text[1] == "All of 1 detector ran on each of them."


def test_nothing_measured_yet():
    for frame in (pd.DataFrame(), pd.DataFrame(columns=list(row()))):
        parts = page.sections(frame, confidence=0.95, planned=plan_of([], [row()]))
        assert parts[0].text == ("No victim has been measured yet.",)
        assert parts[1].text == ("Done: 0 of 1 planned victim.",)
        as_html("t", parts)
    parts = page.sections(pd.DataFrame(), confidence=0.95, planned=[])
    assert parts[1].text == ("No victim is planned.",)


def test_small_samples_have_no_tpr_at_one_per_cent():
    rows = [row(50, non_members=60, images=110), row(100, non_members=250)]
    parts = page_of(rows)
    part = section(parts, "TPR at 1% FPR against")
    assert (
        "SMALL SAMPLES: 1 of 2 victims have fewer than 100 non-members scored (phantom-dcgan-n50-"
    ) in said(part)
    assert "60 non-members, 110 images of 60 patients scored): not resolvable." in said(part)
    assert "Of 250 non-members at most the rate allows 2 above" in said(part)
    assert section(parts, "TPR at 1% FPR: each").rows[0][4:] == (
        "not resolvable",
        "20% [10, 30]",
        "no two N to compare",
    )
    table = section(parts, "All rows")
    column = table.headers.index("TPR at 1% FPR")
    assert [cells[column] for cells in table.rows] == ["not resolvable", "20% [10, 30]"]
    none = section(page_of(rows[:1]), "TPR at 1% FPR against")
    assert none.picture is None


def test_a_tpr_that_was_left_out_beside_a_known_auc_is_not_resolvable():
    # 150 non-members, 60 of them in the test part, so 90 are scored: the row comes with None.
    left_out = dict.fromkeys(("tpr_1", "tpr_1_low", "tpr_1_high"))
    parts = page_of([row(50, non_members=150) | left_out, row(100)])
    part = section(parts, "TPR at 1% FPR against")
    assert "SMALL SAMPLES: 1 of 2 victims" in said(part)
    assert "patients scored): not resolvable." in said(part)
    assert "No TPR" not in said(part)
    assert section(parts, "TPR at 1% FPR: each").rows[0][4] == "not resolvable"


def test_an_undefined_figure_is_named_and_leaves_the_rest():
    undefined = dict.fromkeys(("auc", "auc_low", "auc_high", "auc_p"), NAN)
    rows = [row(50) | undefined, row(100), row(100, detector="siamese", auc=0.6)]
    parts = page_of(rows)
    assert "patients scored): not defined." in said(parts[0])
    assert "Of 2 pairs" in said(parts[0])
    curve = section(parts, "AUC against")
    assert said(curve) == (
        "No AUC is defined, and no point drawn, for Nearest distance on phantom-dcgan-n50-s0."
    )
    assert section(parts, "AUC: each").rows[0][4:6] == ("-", "0.70 [0.62, 0.78]")
    assert section(parts, "AUC: each").rows[1][4:6] == ("not run", "0.60 [0.52, 0.68]")


def test_the_negative_control_is_counted_without_blind_baselines():
    rows = [
        row(auc=0.8),
        row(auc=0.52, set="unrelated"),
        row(detector="siamese", auc=0.65, set="unrelated"),
        row(detector="blind", auc=0.9, set="unrelated"),
        row(100, auc=0.3, set="unrelated"),
        row(200, set="unrelated", auc_low=NAN, auc_high=NAN),
    ]
    part = section(page_of(rows), "Negative control")
    assert "1 of 3 AUC intervals hold 0.5, 1 lie above it and 1 below; of 3 intervals of" in (
        said(part)
    )
    assert "of 95%, 0.2 are expected" in said(part)  # 3 x 0.05, rounded
    assert "1 of 4 rows have no interval" in said(part)
    assert [cells[4] for cells in part.rows] == ["yes", "no, above", "no, below", "not defined"]
    assert [cells[6] for cells in part.rows] == ["0.80 [0.72, 0.88]", "-", "-", "-"]
    assert section(page_of(rows[:1]), "Negative control").text == ("It was not run.",)
    # The unrelated sets are in no curve and no verdict.
    assert "Of 1 pair of" in said(page_of(rows)[0])
    assert len(section(page_of(rows), "AUC: each").rows) == 1


def test_only_a_negative_control():
    parts = page_of([row(set="unrelated")])
    assert not [part for part in parts if part.picture]
    assert "Of 0 pairs" in said(parts[0])


def test_the_order_of_the_rows_does_not_matter():
    rows = [
        row(n, s, d, auc=0.5 + n / 1000 + s / 50, set=which)
        for n in (50, 100)
        for s in (0, 1)
        for d in TITLES
        for which in ("victim", "unrelated")
    ]
    mixed = pd.DataFrame(rows).sample(frac=1, random_state=1).to_dict("records")
    planned = plan_of(rows)
    assert as_markdown("t", page_of(rows, planned)) == (
        as_markdown("t", page_of(mixed, planned[::-1]))
    )


def test_the_page_needs_nothing_else_and_its_tables_are_whole():
    rows = [row(n, s, d) for n in (50, 100) for s in (0, 1) for d in TITLES]
    rows.append(row(400, detector="pixels", title="<b>_x</b>"))
    parts = page_of(rows)
    html = as_html("Benchmark", parts)
    assert not re.search(r"https?://|<script|<b>", html)
    assert html.count("data:image/png;base64,") == 2
    markdown = as_markdown("Benchmark", parts)
    assert "<b>" not in markdown
    assert "(figures/benchmark_auc.png)" in markdown
    assert "(figures/benchmark_tpr_1.png)" in markdown
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1
    for part in parts:
        assert all(len(cells) == len(part.headers) for cells in part.rows)
        assert all(isinstance(cell, str) for cells in part.rows for cell in cells)


def test_every_auc_in_words_has_its_interval():
    rows = [row(n, s, d) for n in (50, 100) for s in (0, 1) for d in TITLES]
    for part in page_of(rows):
        for cells in part.rows:
            for name, cell in zip(part.headers, cells, strict=True):
                if name in ("AUC", "kappa", "TPR at 1% FPR", "TPR at 10% FPR", "N = 50"):
                    assert "[" in cell


def test_many_detectors_on_one_victim_are_ranked_in_a_picture_of_their_own(monkeypatch):
    seen = {}

    def draw(rows, *, title, note):
        seen["rows"], seen["title"] = rows, title
        return "figure"

    monkeypatch.setattr(page.controls, "auc_chart", draw)
    rows = [row(auc=0.5 + 0.04 * n, detector="pixels", title=f"d{n}") for n in range(8)]
    rows = [line | {"detector": f"d{n}"} for n, line in enumerate(rows)]
    rows.append(row(detector="blind", auc=0.49))
    parts = page_of(rows)
    assert section(parts, "AUC against the number").picture.figure == "figure"
    assert section(parts, "TPR at 1% FPR against").picture is None
    names = [name for name, *_ in seen["rows"]]
    assert names == [f"d{n}" for n in reversed(range(8))] + ["blind"]
    assert [quiet for *_, quiet in seen["rows"]] == [False] * 8 + [True]
    # A second victim brings the curves back.
    seen.clear()
    page_of([*rows, row(100, detector="pixels")])
    assert not seen
