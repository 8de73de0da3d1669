"""The paper's table: every printed figure, what it implies, and the arithmetic behind that."""

import math

import numpy as np
import pytest

from ganfp_tf.reports.comparison import paper
from ganfp_tf.reports.render import tables
from ganfp_tf.statistics.metrics import binary_metrics
from ganfp_tf.statistics.sample import Sample

PRINTED = """
ResNet50 0.5627 0.4256 0.8300 0.8710
EfficientNetB2 0.4106 0.2707 0.8500 0.7560
DenseNet161 0.5714 0.9700 0.4000 0.7000
ViT 0.4299 0.9104 0.7625 0.7500
ResNet50 + CA 0.5902 0.5000 0.7200 0.9000
DenseNet161 + CA 0.5196 0.4033 0.7300 0.8650
"""
CHECKS = {row.system: paper.check(row) for row in paper.TABLE_1}


def test_the_table_is_as_printed():
    lines = [line.rsplit(maxsplit=4) for line in PRINTED.strip().splitlines()]
    expected = [paper.PaperRow(name, *map(float, figures)) for name, *figures in lines]
    assert list(paper.TABLE_1) == expected
    assert list(paper.SYSTEMS.values()) == [row.system for row in paper.TABLE_1]
    assert list(paper.SYSTEMS) == [
        "resnet50",
        "efficientnetb2",
        "densenet161",
        "vit_b16",
        "resnet50_ca",
        "densenet161_ca",
    ]


def test_four_rows_imply_one_positive_in_ten():
    for name in ("ResNet50", "EfficientNetB2", "ResNet50 + CA", "DenseNet161 + CA"):
        assert CHECKS[name].share == pytest.approx(0.100, abs=5e-5), name
        assert CHECKS[name].never_used_accuracy == pytest.approx(0.900, abs=5e-5), name
    # As much as the table's best accuracy.
    assert max(row.accuracy for row in paper.TABLE_1) == 0.9000


def test_the_other_two_were_tested_on_other_sets():
    assert CHECKS["DenseNet161"].share == pytest.approx(0.490, abs=5e-4)
    assert CHECKS["ViT"].share == pytest.approx(0.800, abs=5e-4)
    assert '"always used" has an accuracy of 0.800' in " ".join(CHECKS["ViT"].remarks)


def test_two_f1_do_not_follow():
    flagged = [name for name, found in CHECKS.items() if not found.f1_follows]
    assert flagged == ["DenseNet161", "ViT"]
    assert CHECKS["ViT"].f1 == pytest.approx(0.830, abs=5e-4)
    assert CHECKS["DenseNet161"].f1 == pytest.approx(0.566, abs=5e-4)
    for name, found in CHECKS.items():
        assert any("F1 is printed as" in remark for remark in found.remarks) == (name in flagged)


def test_remarks_say_what_a_reader_should_know():
    remarks = {name: " ".join(found.remarks) for name, found in CHECKS.items()}
    assert "precision of 0.9000, the table 0.5000" in remarks["ResNet50 + CA"]
    assert [name for name in remarks if '"never used"' in remarks[name]] == [
        "ResNet50",
        "EfficientNetB2",
        "ResNet50 + CA",
        "DenseNet161 + CA",
    ]


@pytest.mark.parametrize("positives", [5, 40, 73])
def test_the_share_is_that_of_real_decisions(positives):
    labels = (np.arange(100) < positives).astype(int)
    decisions = np.random.default_rng(positives).permuted(labels * 0 + (np.arange(100) % 3 == 0))
    decisions[0] = 1
    found = binary_metrics(Sample.independent(labels, decisions * 1.0, decisions))
    share = paper.implied_share(found.precision, found.recall, found.accuracy)
    assert share == pytest.approx(positives / 100)
    assert paper.implied_f1(found.precision, found.recall) == pytest.approx(found.f1)


def test_any_figures_rounded_to_four_decimals_follow():
    # Every table of four counts below 8, in particular those right at a rounding boundary.
    for tp in range(1, 8):
        for fp in range(8):
            for fn in range(8):
                precision, recall = tp / (tp + fp), tp / (tp + fn)
                f1, total = 2 * tp / (2 * tp + fp + fn), tp + fp + fn + 5
                figures = (round(x, 4) for x in (f1, precision, recall, (tp + 5) / total))
                assert paper.check(paper.PaperRow("any", *figures)).f1_follows


def test_an_f1_off_by_two_units_does_not_follow():
    row = paper.TABLE_1[4]
    assert paper.implied_f1(row.precision, row.recall) == pytest.approx(0.59016, abs=5e-6)
    wrong = paper.PaperRow(row.system, 0.5904, row.precision, row.recall, row.accuracy)
    assert not paper.check(wrong).f1_follows


def test_no_share_where_there_is_none():
    assert math.isnan(paper.implied_share(1, 1, 1))
    assert math.isnan(paper.implied_share(0, 0, 0.9))
    # Half of the positives found and no false alarm: the errors cannot be 60 % of the images.
    assert math.isnan(paper.implied_share(1, 0.5, 0.4))
    assert paper.implied_share(1, 0.5, 0.5) == 1
    assert paper.implied_share(0.5, 0.5, 1) == 0
    assert paper.implied_f1(0, 0) == 0
    found = paper.check(paper.PaperRow("any", 0.6667, 1.0, 0.5, 0.4))
    assert math.isnan(found.share)
    assert "No share of positives" in found.remarks[0]
    with pytest.raises(ValueError, match=r"recall must lie in \[0, 1\]. Received: recall=83"):
        paper.implied_share(0.4256, 83, 0.871)


def test_the_table_for_a_page():
    headers, rows = paper.paper_rows_table()
    assert all(isinstance(cell, str) for row in [headers, *rows] for cell in row)
    assert {len(row) for row in rows} == {len(headers)}
    markdown = tables.markdown_table(headers, rows)
    assert (
        "| ResNet50 | 0.5627 | 0.4256 | 0.8300 | 0.8710 | 10.0% | 0.900 | 0.563 | yes |" in markdown
    )
    assert "| ViT | 0.4299 | 0.9104 | 0.7625 | 0.7500 | 80.0% | 0.200 | 0.830 | no |" in markdown
