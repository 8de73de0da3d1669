"""What the charts of several systems hold."""

import numpy as np

from ganfp_tf.reports.render import bars
from ganfp_tf.reports.render.canvas import UNUSED, to_rgb


def lines_of(axes):
    return [line for line in axes.lines if len(line.get_xdata()) == 2]


def test_auc_chart_has_a_point_and_an_interval_a_system():
    rows = [("A", 0.7, 0.6, 0.8, False), ("B", 0.4, 0.3, 0.5, True), ("C", None, None, None, True)]
    figure = bars.auc_chart(rows, title="T", note="n")
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["A", "B", "C"]
    # From the top: the first system has the highest place.
    assert list(axes.get_yticks()) == [2, 1, 0]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(p.get_xdata()[0], p.get_ydata()[0]) for p in points] == [(0.7, 2), (0.4, 1)]
    assert points[0].get_color() == UNUSED != points[1].get_color()
    intervals = [tuple(map(float, line.get_xdata())) for line in lines_of(axes)]
    assert (0.6, 0.8) in intervals
    assert (0.3, 0.5) in intervals
    assert "not defined" in [text.get_text() for text in axes.texts]
    assert to_rgb(figure).std() > 0


def test_pair_chart_has_bars_intervals_and_the_papers_marks():
    ours = {key: (0.1 * (i + 1), 0.05, 0.6) for i, key in enumerate(bars.PAIR_FIGURES)}
    paper = {"f1": 0.5902, "precision": 0.5, "recall": 0.72, "accuracy": 0.9}
    rows = [("ResNet50 + CA", ours, paper), ("other", ours | {"f1": (0.2, None, None)}, None)]
    rows += [("EfficientNet-Lite0 + CA", ours, None), ("EfficientNetB2", ours, None)]
    (axes,) = bars.pair_chart(rows, title="T").axes
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    assert names == ["ResNet50\n+ CA", "other", "EfficientNet-\nLite0\n+ CA", "EfficientNetB2"]
    heights = [[bar.get_height() for bar in container] for container in axes.containers]
    np.testing.assert_allclose(heights, [[0.1, 0.2, 0.1, 0.1], [0.2] * 4, [0.3] * 4, [0.4] * 4])
    marks = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert marks == [0.5902, 0.5, 0.72, 0.9]
    assert len(lines_of(axes)) == 15
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(labels) == ["F1", "accuracy", "precision", "recall", "the paper's"]


def test_auc_chart_with_names_above_keeps_its_width_for_long_names():
    rows = [("a\nname " * 20, 0.7, 0.6, 0.8, False), ("B", None, None, None, True)]
    figure = bars.auc_chart(rows, title="T", note="n", above=True)
    (axes,) = figure.axes
    assert to_rgb(figure).std() > 0
    assert figure.get_figwidth() == 6.4
    assert axes.get_position().width > 0.8
    written = [text.get_text() for text in axes.texts]
    assert "B" in written
    assert any(t.startswith("a name a name") and t.endswith("…") for t in written)
    assert not list(axes.get_yticks())
