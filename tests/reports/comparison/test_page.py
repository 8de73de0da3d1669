"""What the comparison page says: its verdict, its tables, the figures beside the paper's."""

import dataclasses
import types

import pandas as pd
import pytest

from ganfp_tf.reports.comparison import page
from ganfp_tf.reports.comparison.rows import Row, as_frame
from ganfp_tf.reports.render.page import as_html, as_markdown

FIGURES = (
    "auc",
    "auc_within",
    "tpr_at_10_fpr",
    "tpr_at_5_fpr",
    "tpr_at_1_fpr",
    "kappa",
    "accuracy",
    "precision",
    "recall",
    "f1",
)


def level(auc, p, n=100, positives=50):
    metrics = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in FIGURES}
    metrics["auc_within"] = {"value": auc, "low": auc - 0.1, "high": auc + 0.1}
    for name, value in (("n", n), ("positives", positives), ("share", positives / n)):
        metrics[name] = {"value": value, "low": None, "high": None}
    constants = {"none used": {"accuracy": 1 - positives / n}}
    return {"metrics": metrics, "permutation": {"auc_p": p}, "constants": constants}


def make_row(name="resnet50", p=0.4, auc=0.55, pretrained=True, **changes):
    settings = {
        "backbone": name.split("_")[0],
        "cross_attention": name.endswith("_ca"),
        "similarity": "both",
        "pairing": "random",
        "training_seed": 0,
    }
    cost = {
        "parameters": 23_587_712,
        "trained_parameters": 1000,
        "seconds": 61.4,
        "embedding_seconds": 40.0,
        "embedded_images": 4140,
        "peak_bytes": 2_500_000_000,
    }
    levels = {
        "pairs_test": level(auc, p, 640, 64),
        "images_test": level(auc, p, 10, 5),
        "images_cross_fitted": level(auc, p),
        "images_train": level(0.9, 0.01),
    }
    row = Row(
        name=name,
        title=name.replace("_ca", " + CA"),
        ablates="",
        settings=settings,
        weights={
            "source": "imagenet (x)" if pretrained else "random (seed 0)",
            "pretrained": pretrained,
        },
        levels=levels,
        cost=cost,
    )
    return dataclasses.replace(row, **changes)


def page_of(rows, folds=5):
    return page.sections(rows, data="Measured on X.", folds=folds, confidence=0.95)


@pytest.mark.parametrize(
    ("ps", "expected"),
    [
        # Two tests: .02 becomes .04 and holds; .03 alone would become .06.
        ((0.02, 0.4), "Of 2 systems, resnet50 can be told from chance"),
        ((0.03, 0.4), "Inconclusive: of 2 systems, resnet50 has p < .05"),
        ((0.3, 0.4), "None of 2 systems can be told from chance"),
        ((None, 0.4), "None of 2 systems can be told from chance"),
        # .03 holds for both: Holm multiplies the smaller one by 2 and the other by 1.
        ((0.02, 0.03), "Of 2 systems, resnet50 and densenet161 can be told from chance"),
    ],
)
def test_the_verdict_counts_the_tests(ps, expected):
    rows = [make_row(p=ps[0]), make_row("densenet161", p=ps[1])]
    text = page_of(rows)[0].text
    assert text[0] == "Measured on X."
    assert text[1].startswith(expected)


def test_nothing_found_is_not_called_safe():
    text = " ".join(page_of([make_row()])[0].text)
    assert "None of 1 system can be told" in text
    assert "not evidence that the images were not used" in text


def test_random_weights_are_said_first():
    rows = [make_row(), make_row("densenet161", pretrained=False)]
    assert page_of(rows)[0].text[2].startswith("RANDOM WEIGHTS: the backbone of densenet161 has")
    assert len(page_of([make_row()])[0].text) == 2


def test_pairs_stand_beside_the_papers_figures_and_its_share():
    pairs = page_of([make_row("resnet50_ca"), make_row("tiny")])[2]
    ours, other = pairs.rows
    assert ours[1] == "640 (10%)"
    assert ours[6] == "0.90"  # "never used" at 10 % used pairs
    # Table 1; 10 % follow from its precision, recall and accuracy (facts of the field).
    assert ours[7:] == ("0.5902", "0.5000", "0.7200", "0.9000", "10%")
    assert other[7:] == ("-",) * 5


def test_a_difference_is_shown_with_its_interval():
    difference = types.SimpleNamespace(difference=0.04, low=-0.05, high=0.131, p=0.34)
    rows = [make_row(), make_row("densenet161", difference=difference, reference="ResNet50")]
    images = page_of(rows)[1]
    assert images.rows[0][5:7] == ("-", "-")
    assert images.rows[1][5:7] == ("0.04 [-0.05, 0.13]", ".34")
    frame = as_frame(rows)
    compared = frame[frame["auc_difference"].notna()]
    assert compared["level"].tolist() == ["images_cross_fitted"]
    assert compared["auc_difference_high"].tolist() == [0.131]


def test_without_folds_the_test_images_are_compared():
    row = make_row()
    row = dataclasses.replace(
        row, levels={k: v for k, v in row.levels.items() if k != "images_cross_fitted"}
    )
    parts = page_of([row], folds=0)
    assert parts[1].rows[0][2:4] == ("10 (5)", "0.50 [0.40, 0.60]")
    assert "few as they are; --folds=5" in " ".join(parts[-1].text)


def test_ablations_are_set_against_the_full_system_and_the_spread_of_seeds():
    full = make_row("resnet50_ca", auc=0.5)
    seeds = [
        make_row(
            "resnet50_ca",
            auc=0.5 + 0.02 * seed,
            ablates="resnet50_ca",
            settings=full.settings | {"training_seed": seed},
        )
        for seed in (1, 2)
    ]
    other = make_row(
        "resnet50_ca", ablates="resnet50_ca", settings=full.settings | {"pairing": "nearest"}
    )
    mean = make_row(
        "resnet50_ca",
        ablates="resnet50_ca",
        cost={},
        settings=full.settings | {"training_seed": "mean"},
    )
    parts = page_of([full, *seeds, other, mean])
    ablations = next(part for part in parts if part.title.startswith("Ablations"))
    assert len(ablations.rows) == 5
    # 0.50, 0.52 and 0.54.
    (note,) = ablations.notes
    assert "3 training seeds" in note
    assert "AUC 0.520 on average, standard deviation 0.020, from 0.500 to 0.540" in note
    cost = next(part for part in parts if part.title == "Cost")
    assert len(cost.rows) == 4  # the mean costs nothing of its own
    assert cost.rows[0][1:] == ("23,587,712", "1,000", "61", "40", "4,140", "2.5 GB")


def test_the_frame_has_a_line_for_each_system_and_level():
    frame = as_frame([make_row(), make_row("resnet50_ca")])
    assert len(frame) == 8
    pairs = frame[frame["level"] == "pairs_test"].set_index("system")
    assert pairs.loc["resnet50_ca", "paper_f1"] == 0.5902
    assert pairs.loc["resnet50_ca", "paper_implied_share"] == pytest.approx(0.1, abs=1e-3)
    assert pairs.loc["resnet50_ca", ["auc_within_low", "auc_within_high"]].tolist() == (
        pytest.approx([0.45, 0.65])
    )
    assert isinstance(frame, pd.DataFrame)


def test_a_title_that_is_html_stays_text():
    parts = page_of([make_row(title="<b>x</b>")])
    assert "<b>" not in as_html("t", parts)
    assert "<b>" not in as_markdown("t", parts)
