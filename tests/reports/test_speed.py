"""Tables and the curve of cost."""

import numpy as np
import pytest

from ganfp_tf.reports import speed
from ganfp_tf.reports.render import page
from ganfp_tf.reports.render.canvas import to_rgb
from ganfp_tf.speed.timing import Figure

FIGURES = [
    Figure("encoder", "plain", 16.7, "images/s", 16.0, 17.25, 9),
    Figure("encoder", "XLA", 18.6, "images/s", 18.0, 19.0, 5, 18.6 / 16.7, "plain"),
    Figure("scoring", "naive way, a pair", 0.1254, "s"),
]
MACHINE = {"processor": "A processor", "cores": 2, "gpus": [], "load_at_start": 0.1}


def curve(**changes):
    points = [
        {"real": 10, "generated": 50, "seconds_pairs": 0.1, "seconds_total": 3.7},
        {"real": 20, "generated": 100, "seconds_pairs": 0.4, "seconds_total": 7.6},
        {"real": 100, "generated": 1000, "seconds_pairs": None, "seconds_total": None},
    ]
    return {
        "points": points,
        "seconds_image": 0.06,
        "seconds_pair": 2e-4,
        "seconds_naive_pair": 0.12,
        "slope_pairs": 1.0,
        "slope_total": 0.5,
    } | changes


def test_the_table_has_quartiles_and_what_a_ratio_is_of():
    lines = speed.as_text(FIGURES).splitlines()
    assert lines[2].split() == ["plain", "16.7", "images/s", "16", "to", "17.2", "9", "-"]
    assert lines[3].endswith("1.11 of plain")
    assert lines[4].split()[-4:] == ["s", "-", "-", "-"]
    frame = speed.as_frame(FIGURES)
    assert list(frame.columns) == [
        "part",
        "name",
        "value",
        "unit",
        "low",
        "high",
        "repeats",
        "ratio",
        "ratio_to",
    ]
    assert frame.ratio[1] == pytest.approx(18.6 / 16.7)
    assert np.isnan(frame.ratio[0])


def test_the_report_says_where_and_how():
    parts = speed.sections(FIGURES, curve(), ["A note."], MACHINE)
    text = page.as_markdown(speed.TITLE, parts)
    assert "A processor, 2 cores" in text
    assert "A note." in text
    assert "figures/speed.png" in text
    assert [section.title for section in parts[1:]] == [
        speed.PARTS["encoder"],
        speed.PARTS["scoring"],
    ]


def test_the_curve_shows_what_was_measured_on_what_was_fitted():
    (axes,) = speed.cost_curve(curve()).axes
    measured = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert sorted(list(line.get_ydata()) for line in measured) == [[0.1, 0.4], [3.7, 7.6]]
    fitted = {tuple(np.round(line.get_ydata(), 6)) for line in axes.lines} - {
        tuple(line.get_ydata()) for line in measured
    }
    sizes, images = np.array([500, 2000, 100_000]), np.array([60, 120, 1100])
    for wanted in (0.12 * sizes, 2e-4 * sizes, 0.06 * images + 2e-4 * sizes):
        assert tuple(np.round(wanted, 6)) in fitted
    assert any("power 0.50" in text.get_text() for text in axes.texts)


def test_a_curve_of_one_point_is_drawn_too():
    figure = speed.cost_curve(
        curve(points=curve()["points"][:1], slope_pairs=None, slope_total=None, seconds_pair=0.0)
    )
    assert to_rgb(figure).std() > 0


def test_numbers_have_three_digits():
    assert [speed.number(x) for x in (0.000123, 1.5, 47.23, 12345.6, None)] == [
        "0.000123",
        "1.5",
        "47.2",
        "12,346",
        "-",
    ]
