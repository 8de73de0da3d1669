"""Text tables, compared with exactly what they must be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganfp_tf.reports.render import tables

FIGURES = {
    "n": {"value": 40, "low": None, "high": None},
    "positives": {"value": 20, "low": None, "high": None},
    "share": {"value": 0.5, "low": None, "high": None},
    "f1": {"value": 0.6486, "low": 0.4663, "high": 0.8005},
    "precision": {"value": 0.7059, "low": 0.5552, "high": 0.8753},
    "recall": {"value": 0.6, "low": 0.35, "high": 0.8},
    "accuracy": {"value": 0.675, "low": 0.54, "high": 0.8},
    "kappa": {"value": -0.001, "low": -0.3, "high": 0.65},
    "auc": {"value": 0.7575, "low": 0.6199, "high": 0.9102},
    "tpr_at_1_fpr": {"value": 0.2, "low": 0.05, "high": 0.55},
}
CONSTANTS = {
    "all used": {"f1": 2 / 3, "precision": 0.5, "recall": 1.0, "accuracy": 0.5},
    "none used": {"f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": 0.5},
    "coin": {"f1": 0.4968, "precision": 0.5, "recall": 0.5, "accuracy": 0.5},
}
TEST = {
    "metrics": FIGURES,
    "permutation": {"auc_p": 0.0049, "kappa_p": 0.0005, "level": "patient"},
    "constants": CONSTANTS,
    "n_patients": 30,
    "used_patients": 14,
    "significant_auc": 0.652,
    "detectable_auc": None,
    "confidence": 0.95,
    "resamples": 2000,
}
PAIRS = {"metrics": {"n": 1000, "positives": 100, "auc": 0.5, "f1": math.nan, "accuracy": 0.871}}

EXPECTED = """\
                               pairs            images, test
------------------------------------------------------------------
images or pairs (used)         1000 (100, 10%)  40 (20, 50%)
patients (used)                -                30 (14)
AUC (chance 0.50)              0.50             0.76 [0.62, 0.91]
  permutation p of AUC         -                .005
TPR at 1% FPR                  -                20% [5, 55]
kappa (chance 0.00)            -                0.00 [-0.30, 0.65]
  permutation p of kappa       -                <.001
accuracy                       87%              68% [54, 80]
  all used / none used / coin  -                50% / 50% / 50%
precision                      -                71% [56, 88]
  all used / none used / coin  -                50% / 0% / 50%
recall                         -                60% [35, 80]
  all used / none used / coin  -                100% / 0% / 50%
F1                             -                0.65 [0.47, 0.80]
  all used / none used / coin  -                0.67 / 0.00 / 0.50
AUC needed for p < .05         -                0.65
[low, high]: 95% interval, 2000 resamples of patients."""


def test_evaluation_table():
    assert tables.evaluation_table([("pairs", PAIRS), ("images, test", TEST)]) == EXPECTED


def test_p_stands_below_the_auc_it_belongs_to():
    within = {"value": 0.6, "low": 0.5, "high": 0.7}
    folds = dict(TEST, metrics=dict(FIGURES, auc_within=within))
    rows = tables.evaluation_table([("folds", folds)]).splitlines()
    labels = [row[:29].strip() for row in rows]
    place = labels.index("permutation p of AUC")
    assert labels[place - 2 : place] == ["AUC (chance 0.50)", "AUC within folds"]
    assert labels.count("permutation p of AUC") == 1


def test_an_empty_evaluation_is_dashes():
    assert tables.evaluation_table([("x", {})]).splitlines()[-1] == "images or pairs (used)  -"


def test_evaluation_table_takes_what_an_evaluation_gives():
    from ganfp_tf.statistics.evaluation import evaluate
    from ganfp_tf.statistics.sample import Resampling, Sample

    scores = [0.9, 0.2, 0.4, 0.1] * 3
    sample = Sample([1, 1, 0, 0] * 3, scores, list("abcdefghijkl"), [1, 0, 0, 0] * 3)
    evaluation = evaluate(sample, Resampling(100, 100, confidence=0.9, seed=0))
    text = tables.evaluation_table([("images", evaluation.to_dict())])
    # used .9 beats both unused, used .2 one of two: AUC 3/4, accuracy 3/4, kappa 1/2.
    assert "AUC (chance 0.50)              0.75 [" in text
    assert "accuracy                       75% [" in text
    assert "kappa (chance 0.00)            0.50 [" in text
    assert "90% interval, 100 resamples" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0.52, 0.3, 0.73), "0.52 [0.30, 0.73]"),
        ((0.52, 0.3, 0.73, True), "52% [30, 73]"),
        ((-0.004, -0.2, 0.1), "0.00 [-0.20, 0.10]"),
        ((0.5, None, None), "0.50"),
        ((0.5, math.nan, 0.7), "0.50"),
        ((None, 0.1, 0.2), "-"),
        ((math.nan, None, None), "-"),
        ((-0.001, None, None, True), "0%"),
    ],
)
def test_format_interval(arguments, expected):
    assert tables.format_interval(*arguments) == expected


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.0, "<.001"),
        (0.00099, "<.001"),
        (0.001, ".001"),
        (0.0341, ".034"),
        (0.0496, ".050"),
        (0.48, ".48"),
        (1.0, "1.00"),
        (None, "-"),
        (math.nan, "-"),
    ],
)
def test_format_p(p, expected):
    assert tables.format_p(p) == expected


def test_text_table_aligns_wide_and_combining_characters():
    text = tables.text_table(["名", "x"], [["e\u0301", "1"], ["a\nb", "2"]])
    assert text == "名   x\n------\ne\u0301    1\na b  2"


def test_markdown_table():
    text = tables.markdown_table(["a|b", "value"], [["x_y", "<b> & *c*"], ["p\\q\nr", None]])
    assert text == (
        "| a\\|b | value |\n| --- | --- |\n| x_y | &lt;b> &amp; \\*c\\* |\n| p\\\\q r | None |\n"
    )


def test_underscores_are_escaped_only_where_they_would_emphasise():
    assert tables.escape_markdown("learning_rate _x_ __init__") == (
        r"learning_rate \_x\_ \_\_init\_\_"
    )


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_cell_stays_one_cell_of_one_row(cells):
    row = tables.markdown_table(["h"] * len(cells), [cells]).split("\n")[2]
    # GFM: a row is cut at every | that no backslash escapes.
    unescaped = row.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == len(cells) + 1
    assert tables.text_table(["h"] * len(cells), [cells]).count("\n") == 2
    row.encode("utf-8")
