"""Pictures of an audit: what is drawn, what is written, and inputs too small to draw."""

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties, findfont, get_font

from ganfp_tf.reports.audit import score_plots
from ganfp_tf.reports.audit.charts import MARKS
from ganfp_tf.reports.render import canvas

NASTY = "a_$x$ <script>alert(1)</script>\nb\ud800"
NAMES = {"suspect": "suspects", "reference": "reference", "sibling": "siblings"}


def texts(figure):
    """Everything that is written on a figure."""
    found = figure.findobj(matplotlib.text.Text)
    return " | ".join(text.get_text() for text in found if text.get_text())


def drawn(figure):
    """The figure is drawn, without a warning about its layout."""
    return canvas.to_rgb(figure).std() > 0


def dots(figure):
    """(points, face, height) of each dot of `scores_by_image`."""
    found = []
    for group in figure.axes[0].collections:
        if isinstance(group, matplotlib.collections.PathCollection):
            faces = np.broadcast_to(group.get_facecolors(), (len(group.get_offsets()), 4))
            found += zip(*np.asarray(group.get_offsets()).T, map(tuple, faces), strict=True)
    return found


def visible(figure):
    """Texts that are seen: matplotlib also keeps labels of ticks beyond the ends of an axis."""
    beyond = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            beyond |= {t.label1 for t in ticks if not low <= t.get_loc() <= high}
    found = figure.findobj(matplotlib.text.Text)
    return [t for t in found if t.get_text() and t.get_visible() and t not in beyond]


def overlaps(figure, renderer):
    """Pairs of texts whose boxes overlap."""
    shown = visible(figure)
    boxes = [t.get_window_extent(renderer) for t in shown]
    return [
        (shown[i].get_text(), shown[j].get_text())
        for i in range(len(shown))
        for j in range(i)
        if boxes[i].overlaps(boxes[j])
    ]


def test_log_roc_has_log_axes_zero_at_the_floor_and_a_band():
    grid = np.array([0.0, 0.1, 0.5, 1.0])
    tpr, low, high = np.array([[0.0, 0.3, 0.6, 1.0], [0, 0.2, 0.5, 1], [0.1, 0.4, 0.7, 1]])
    figure = score_plots.log_roc(
        [("primary", grid, tpr, low, high, False), ("blind", grid, grid, None, None, True)],
        title="T",
        note="N",
        floor=(0.05, 0.02),
    )
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlim() == (0.05, 1)
    assert axes.get_ylim() == (0.02, 1)
    curves = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    np.testing.assert_allclose(curves[0].get_xdata(), [0.05, 0.1, 0.5, 1])
    np.testing.assert_allclose(curves[0].get_ydata(), [0.02, 0.3, 0.6, 1])
    assert curves[0].get_linestyle() != curves[1].get_linestyle()
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.02)
    assert [0.1, 0.4] in band.tolist()
    shade = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (shade.x0, shade.x1) == pytest.approx((0.05, 0.1))
    written = texts(figure)
    for text in ("not resolvable", "chance", "drawn at half of one image", "primary", "blind"):
        assert text in written
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert ticks == ["100%", "50%", "20%", "10%", "5%"]


@pytest.mark.parametrize("negatives", [1, 3, 5000])
def test_log_roc_of_many_and_of_few(negatives):
    grid = score_plots.rate_grid(negatives)
    nothing = np.full(len(grid), np.nan)
    curves = [(NASTY, grid, grid, None, None, False), ("_b", *[grid, *[nothing] * 3], False)]
    figure = score_plots.log_roc(curves, title=NASTY, floor=0.5 / negatives)
    assert drawn(figure)
    assert "a_$x$ <script>" in texts(figure)
    assert "_b (not defined)" in texts(figure)
    assert drawn(score_plots.log_roc([], title="", floor=0.5 / negatives))


def test_log_roc_refuses_a_floor_of_zero():
    with pytest.raises(ValueError, match=r"floor must lie between 0 and 1. Received: floor=0"):
        score_plots.log_roc([], title="", floor=0)


def test_scores_by_image_draws_each_image_once_and_fills_the_flagged():
    groups = ["suspect"] * 3 + ["reference"] * 4
    scores = [3.0, 1.0, np.nan, 0.0, 1.0, 2.0, 3.0]
    figure = score_plots.scores_by_image(
        groups, scores, threshold=2.5, flagged=[1, 0, 0, 0, 0, 0, 0], title="T", names=NAMES
    )
    found = dots(figure)
    assert sorted(float(x) for x, _, _ in found) == [0, 1, 1, 2, 3, 3]
    filled = [(x, y) for x, y, face in found if face != to_rgba("white")]
    assert len(filled) == 1
    assert filled[0][0] == 3
    assert filled[0][1] > 1.5
    written = texts(figure)
    assert "suspects: 2 images, 1 flagged (1 without a finite score left out)" in written
    assert "reference: 4 images |" in written
    assert "siblings: 0 images" in written
    assert "threshold 2.5" in written
    box = figure.axes[0].patches[1]  # of the reference: quartiles of 0, 1, 2, 3
    assert (box.get_x(), box.get_width()) == pytest.approx((0.75, 1.5))


def test_dots_of_equal_score_stand_apart_and_in_their_row():
    figure = score_plots.scores_by_image(
        ["suspect"] * 9, np.ones(9), threshold=float("nan"), flagged=None, title="", names=NAMES
    )
    heights = [float(y) for _, y, _ in dots(figure)]
    assert len(set(heights)) == 9
    assert min(heights) > 1.6
    assert max(heights) < 2.35
    assert "threshold" not in texts(figure)


@pytest.mark.parametrize("count", [0, 1, 5000])
@pytest.mark.parametrize("spread", [0.0, 1.0, 1e9])
def test_scores_of_any_number_and_spread_are_drawn(count, spread):
    scores = spread * np.random.default_rng(0).normal(size=2 * count)
    figure = score_plots.scores_by_image(
        np.repeat(["a", "b"], count),
        scores,
        threshold=np.inf,
        flagged=scores > 2,
        title=NASTY,
        names={"a": NASTY, "b": "b"},
    )
    assert drawn(figure)
    assert len(dots(figure)) == 2 * count
    assert all(-0.3 < y % 1 - 0.05 < 0.3 or y % 1 > 0.75 for _, y, _ in dots(figure))


def test_scores_by_image_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"of one length. Received: 1, 2, 2"):
        score_plots.scores_by_image(
            ["a"], [1, 2], threshold=None, flagged=None, title="", names={"a": "a"}
        )
    with pytest.raises(ValueError, match=r"needs a name. Received: \['b'\]"):
        score_plots.scores_by_image(
            ["b"], [1], threshold=None, flagged=None, title="", names={"a": "a"}
        )


def test_power_curve_marks_what_can_be_found_and_what_was_measured():
    figure = score_plots.power_curve(
        [[0.5, 0.05], [0.6, 0.5], [0.7, 0.9]],
        alpha=0.05,
        detectable=0.67,
        measured={"value": 0.42, "low": 0.3, "high": 0.55},
        title="T",
        note="N",
    )
    upper, lower = figure.axes
    np.testing.assert_allclose(upper.lines[1].get_ydata(), [0.05, 0.5, 0.9])
    assert (0.67, 0.8) in [(x.get_xdata()[0], x.get_ydata()[0]) for x in upper.lines]
    assert [0.3, 0.55] in [list(line.get_xdata()) for line in lower.lines]
    assert lower.get_xlim() == upper.get_xlim()
    assert lower.get_xlim()[0] < 0.3
    for text in ("true AUC 0.67", "power 80%", "measured 0.42 [0.30, 0.55]", "5%: false alarms"):
        assert text in texts(figure)
    assert drawn(figure)


@pytest.mark.parametrize("detectable", [None, float("nan"), 0.5, 1.0])
@pytest.mark.parametrize(
    "measured",
    [None, {"value": None, "low": None, "high": None}, {"value": 1.0, "low": None, "high": None}],
)
def test_power_that_is_not_known_is_said(detectable, measured):
    figure = score_plots.power_curve(
        [], alpha=0.05, detectable=detectable, measured=measured, title=NASTY
    )
    assert drawn(figure)
    assert "not known" in texts(figure)
    known = bool(measured) and measured["value"] is not None
    assert ("measured 1.00" if known else "measured: not defined") in texts(figure)
    assert ("no AUC is found" in texts(figure)) == (detectable is None or detectable != detectable)


CONTROLS = [
    ("Members split", "negative", 0.52, 0.45, 0.58, True),
    ("Unrelated", "negative", 0.62, 0.55, 0.7, False),
    ("Planted", "positive", 0.8, 0.7, 0.88, True),
    ("Stand-in", "positive", None, None, None, None),
]


def test_controls_are_marked_by_sign_and_word_and_have_their_region():
    figure = score_plots.controls_chart(CONTROLS, title="T")
    written = texts(figure)
    for text in (
        "✓ passed: Members split (negative)",
        "✗ failed: Unrelated (negative)",
        "\u2013 not judged: Stand-in (positive)",
        "no figure",
    ):
        assert text in written
    (axes,) = figure.axes
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    np.testing.assert_allclose(bars, [(0.44, 0.57), (0.42, 0.57), (0.6, 1.0)])
    # A value lies in its region exactly if the interval holds 0.5, or lies above it.
    for (left, right), (_, kind, value, low, high, _) in zip(bars, CONTROLS, strict=False):
        wanted = low > 0.5 if kind == "positive" else low <= 0.5 <= high
        assert (left <= value <= right) == wanted
    assert drawn(figure)


def test_controls_long_nasty_and_none():
    rows = [(NASTY * 4, "positive", 1.0, 1.0, 1.0, True), ("x", "negative", 0.0, None, None, False)]
    figure = score_plots.controls_chart(rows, title=NASTY)
    assert drawn(figure)
    assert "<script>" in texts(figure)
    figure = score_plots.controls_chart([], title="")
    assert drawn(figure)
    assert "no control was run" in texts(figure)
    with pytest.raises(ValueError, match=r"negative, positive. Received: \['neutral'\]"):
        score_plots.controls_chart([("x", "neutral", None, None, None, None)], title="")


def test_the_font_has_the_marks():
    font = get_font(findfont(FontProperties(family="DejaVu Sans")))
    assert all(ord(mark) in font.get_charmap() for mark, _, _ in MARKS.values())


def test_texts_do_not_overlap_and_stay_within_the_picture():
    grid = score_plots.rate_grid(200)
    long = "distance to the nearest generated image in the space of the network, xx"
    note = "200 suspects of 100 patients against 200 reference images of 100 patients, 95% interval"
    rows = [(long, kind, 0.6, 0.5, 0.7, True) for kind in ("negative", "positive") * 4]
    figures = [
        score_plots.log_roc(
            [(long, grid, grid, None, None, False)] * 4, title=long, note=note, floor=0.0025
        ),
        score_plots.controls_chart(rows, title=long, note=note),
        score_plots.power_curve(
            [[0.5, 0.05], [1, 1]],
            alpha=0.05,
            detectable=0.7,
            title=long,
            note=note,
            measured={"value": 0.55, "low": 0.5, "high": 0.6},
        ),
        score_plots.scores_by_image(
            np.repeat(list(NAMES), 200),
            np.random.default_rng(0).normal(size=600),
            title=long,
            threshold=1.0,
            flagged=None,
            note=note,
            names=NAMES,
        ),
    ]
    for figure in figures:
        canvas.to_rgb(figure)
        renderer = figure.canvas.get_renderer()
        assert overlaps(figure, renderer) == []
        for text in visible(figure):
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0, text.get_text()
            assert box.x1 <= figure.bbox.x1, text.get_text()
            assert box.y0 >= 0, text.get_text()
            assert box.y1 <= figure.bbox.y1, text.get_text()
        # At 390 pixels a letter of 9 points is 7.6 pixels high or more.
        assert figure.get_figwidth() <= 6.4


def test_the_same_picture_has_the_same_bytes():
    def png():
        scores = np.random.default_rng(1).normal(size=50)
        figure = score_plots.scores_by_image(
            np.repeat(["suspect", "reference"], 25),
            scores,
            threshold=0.5,
            flagged=scores > 1,
            title="T",
            names=NAMES,
        )
        stream = io.BytesIO()
        canvas.write_png(figure, stream)
        return stream.getvalue()

    assert png() == png()
