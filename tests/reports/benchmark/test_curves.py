"""What the curves against the number of members hold."""

import types

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.reports.benchmark import curves
from ganfp_tf.reports.render.canvas import QUIET, to_rgb

NAN = float("nan")


def row(members=50, seed=0, detector="pixels", auc=0.7, **changes):
    line = {
        "victim": f"phantom-dcgan-n{members}-s{seed}",
        "real": "phantom",
        "architecture": "dcgan",
        "members": members,
        "non_members": 200,
        "seed": seed,
        "detector": detector,
        "title": detector.title(),
        "control": detector.startswith("blind"),
        "auc": auc,
        "auc_low": auc - 0.1,
        "auc_high": auc + 0.1,
    }
    for name in ("tpr_1", "tpr_10"):
        line |= {name: 0.2, f"{name}_low": 0.1, f"{name}_high": 0.3}
    return line | changes


def draw(rows, metric="auc"):
    return curves.against_members(pd.DataFrame(rows), metric, title="T", note="n")


def line_of(axes, detector):
    (line,) = [line for line in axes.lines if line.get_label() == detector]
    return line


def points_of(axes, detector):
    lines = [line for line in axes.lines if line.get_label() == f"_{detector}"]
    return [(x, y) for line in lines for x, y in zip(*line.get_data(), strict=True)]


def bars_of(axes, detector):
    (bars,) = [bar for bar in axes.collections if bar.get_label() == f"_{detector}"]
    return [(part[0, 1], part[1, 1]) for part in bars.get_segments()]


def said_in(axes):
    return [text.get_text() for text in axes.texts]


def test_a_panel_for_each_kind_a_line_for_each_detector_a_point_for_each_victim():
    rows = [
        row(members, seed, detector, 0.5 + seed / 10 + members / 1000, real=real, architecture=kind)
        for members in (50, 100, 400)
        for seed in (0, 1)
        for detector in ("pixels", "blind")
        for real in ("phantom", "ct")
        for kind in ("dcgan", "residual")
    ]
    figure = draw(rows)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "ct, dcgan",
        "ct, residual",
        "phantom, dcgan",
        "phantom, residual",
    ]
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        assert list(axes.get_xticks()) == [50, 100, 400]
        for detector in ("pixels", "blind"):
            line = line_of(axes, detector)
            np.testing.assert_allclose(line.get_ydata(), [0.6, 0.65, 0.95])  # means of two seeds
            points = points_of(axes, detector)
            np.testing.assert_allclose([y for _, y in points], [0.55, 0.65, 0.6, 0.7, 0.9, 1.0])
            np.testing.assert_allclose(
                bars_of(axes, detector), [(y - 0.1, y + 0.1) for _, y in points]
            )
            # The line runs between its two victims.
            assert points[0][0] < line.get_xdata()[0] < points[1][0]
    (blind,) = [line for line in figure.axes[0].lines if line.get_label() == "blind"]
    assert blind.get_color() == QUIET
    assert blind.is_dashed()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Pixels", "Blind", "chance (0.5)"]
    assert figure.legends[0].legend_handles[1].get_linestyle() == "--"
    assert figure.axes[2].xaxis.get_major_formatter()(400, 0) == "400"
    assert to_rgb(figure).std() > 0


def test_no_point_hides_another_and_none_leaves_the_place_of_its_n():
    rows = [row(n, seed, f"d{k}") for n in (50, 60, 400) for seed in (0, 1) for k in range(6)]
    (axes,) = draw(rows).axes
    places = sorted(x for k in range(6) for x, _ in points_of(axes, f"d{k}"))
    assert len(set(np.round(places, 6))) == 36
    # Nearer to its own N than to the next one, on the log axis.
    assert all(x < np.sqrt(50 * 60) for x in places[:12])
    assert all(np.sqrt(50 * 60) < x < np.sqrt(60 * 400) for x in places[12:24])
    styles = {
        (line.get_color(), line.get_marker())
        for line in axes.lines
        if line.get_marker() not in ("None", None, "")
    }
    assert len(styles) == 6


def test_the_line_of_chance():
    for metric, chance in (("auc", 0.5), ("tpr_1", 0.01), ("tpr_10", 0.1)):
        (axes,) = draw([row(50), row(100)], metric).axes
        level = [line for line in axes.lines if set(line.get_ydata()) == {chance}]
        assert len(level) == 1


def test_what_is_missing_leaves_a_gap():
    rows = [row(50), row(200), row(50, detector="b"), row(100, detector="b", auc=NAN)]
    rows += [row(200, detector="b"), row(100, architecture="residual")]
    left, right = draw(rows).axes
    np.testing.assert_array_equal(np.isnan(line_of(left, "pixels").get_ydata()), [0, 1, 0])
    np.testing.assert_array_equal(np.isnan(line_of(left, "b").get_ydata()), [0, 1, 0])
    assert len(points_of(left, "b")) == 2
    assert said_in(left) == ["not defined"]
    assert said_in(right) == ["not run", "not run"]
    assert points_of(right, "b") == []


def test_one_of_two_seeds_without_a_value_leaves_the_other():
    (axes,) = draw([row(50, 0, auc=0.8), row(50, 1, auc=NAN)]).axes
    assert list(line_of(axes, "pixels").get_ydata()) == [0.8]
    assert len(points_of(axes, "pixels")) == 1
    assert list(axes.get_xticks()) == [50]
    assert said_in(axes) == []


def test_a_value_without_an_interval_is_drawn_without_a_bar():
    figure = draw([row(auc_low=NAN, auc_high=NAN)])
    assert len(points_of(figure.axes[0], "pixels")) == 1
    (bars,) = [bar for bar in figure.axes[0].collections if bar.get_label() == "_pixels"]
    assert not any(len(part) for part in bars.get_segments())
    assert to_rgb(figure).std() > 0


def test_a_title_that_begins_with_an_underscore_is_in_the_legend():
    figure = draw([row(title="_x $y"), row(detector="b")])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == 3
    assert any(label.endswith("_x $y") for label in labels)
    to_rgb(figure)


def test_one_per_cent_of_fewer_than_a_hundred_is_not_drawn():
    rows = [row(50, non_members=99), row(100, non_members=100)]
    (axes,) = draw(rows, "tpr_1").axes
    assert [y for _, y in points_of(axes, "pixels")] == [0.2]
    assert said_in(axes) == ["not resolvable"]
    (axes,) = draw(rows, "tpr_10").axes
    assert len(points_of(axes, "pixels")) == 2


def test_resolved_leaves_its_argument_alone():
    frame = pd.DataFrame([row(non_members=9), row(non_members=10)])
    found = curves.resolved(frame)
    assert found["tpr_1"].isna().all()
    assert found["tpr_1_high"].isna().all()
    assert found["tpr_10"].isna().tolist() == [True, False]
    assert found["auc"].notna().all()
    assert frame["tpr_1"].notna().all()


def test_the_order_of_the_rows_does_not_matter():
    rows = [row(n, s, d) for n in (50, 100) for s in (0, 1) for d in ("a", "b", "blind")]
    np.testing.assert_array_equal(to_rgb(draw(rows)), to_rgb(draw(rows[::-1])))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ((0.8, 0.85), (0.5, 0.55), "falls"),
        ((0.5,), (0.8,), "rises"),
        ((0.8, 0.6), (0.5,), "overlap"),  # one of the two victims reaches down to 0.5
        ((0.7,), (0.5,), "overlap"),  # they touch at 0.6
        ((0.7,), (NAN,), "one N"),
    ],
)
def test_a_trend_is_told_only_where_intervals_lie_apart(first, last, expected):
    # Rounded, so that intervals which should touch do.
    rows = [
        row(n, seed, auc=value, auc_low=round(value - 0.1, 9), auc_high=round(value + 0.1, 9))
        for n, values in ((50, first), (400, last))
        for seed, value in enumerate(values)
    ]
    rows.append(row(100, auc=0.99))
    if expected == "one N":
        rows.pop()
    verdict, *ends = curves.trend(pd.DataFrame(rows), "auc")
    assert verdict == expected
    assert ends == ([None, None] if expected == "one N" else [50, 400])


def test_where_intervals_lie():
    ends = [(0.51, 0.6), (0.5, 0.6), (0.3, 0.5), (0.3, 0.49), (NAN, NAN)]
    rows = pd.DataFrame([row(auc_low=low, auc_high=high) for low, high in ends])
    assert curves.sides(rows, "auc").tolist() == ["above", "holds", "holds", "below", "none"]
    assert curves.against_chance(rows, "auc") == (
        "intervals: 1 above 0.5, 2 holding 0.5, 1 below 0.5, 1 not defined"
    )
    assert curves.against_chance(rows[1:2], "auc") == "its interval holds 0.5"


def test_values_as_text():
    found = types.SimpleNamespace(auc=0.7, tpr_1=0.2, tpr_1_low=0.1, tpr_1_high=0.3)
    assert curves.interval(found, "tpr_1") == "20% [10, 30]"
    found.tpr_1 = None
    assert curves.interval(found, "tpr_1") == "not resolvable"
    found.auc = NAN
    assert curves.interval(found, "tpr_1") == "-"
    rows = pd.DataFrame([row(seed=0, auc=0.7), row(seed=1, auc=0.8), row(seed=2, auc=NAN)])
    assert curves.intervals(rows, "auc") == "0.70 [0.60, 0.80]; 0.80 [0.70, 0.90]; -"
    assert curves.mean(rows, "auc") == "0.75, from 0.70 to 0.80 over 2 victims"
    assert curves.mean(rows[2:], "auc") == "not defined"
