"""The riskiest suspects: six pictures an entry, what is written beside them, and odd images."""

import io

import matplotlib
import numpy as np
import pytest

from ganfp_tf.audit.riskiest import Entry
from ganfp_tf.reports.audit import gallery
from ganfp_tf.reports.render import canvas

RNG = np.random.default_rng(0)
NASTY = "folder/$a$ <script>alert(1)</script>\nof a long name_0123.png"


def image(height=8, width=8):
    return RNG.integers(0, 256, (height, width), dtype=np.uint8)


def entry(**change):
    fields = {
        "name": "a.png",
        "patient": "P1",
        "score": 2.34567,
        "p": 0.0004,
        "q": 0.012,
        "flagged": True,
        "real": image(),
        "generated": [(f"g{n}.png", 0.1 * (n + 1), image(8 + n, 9)) for n in range(3)],
        "neighbour": ("b.png", "P2", 0.125, image()),
    }
    return Entry(**fields | change)


def texts(figure):
    found = figure.findobj(matplotlib.text.Text)
    return " | ".join(text.get_text() for text in found if text.get_text())


def test_an_entry_is_a_row_of_real_three_generated_difference_and_neighbour():
    one = entry()
    (figure,) = gallery.riskiest([one], title="Riskiest image")
    assert figure.get_figwidth() == pytest.approx(10, abs=0.1)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.images[0].get_array().shape for axes in shown] == [
        (8, 8),
        (8, 9),
        (9, 9),
        (10, 9),
        (8, 8),
        (8, 8),
    ]
    lefts = [axes.get_position(original=True).x0 for axes in shown]
    assert lefts == sorted(lefts)
    np.testing.assert_array_equal(shown[0].images[0].get_array(), one.real)
    assert shown[0].images[0].get_clim() == (0, 255)
    colors = [axes.spines["left"].get_edgecolor() for axes in shown]
    orange, blue = map(matplotlib.colors.to_rgba, (canvas.USED, canvas.UNUSED))
    assert colors[:4] == [orange, blue, blue, blue]
    assert colors[5] == orange
    written = texts(figure)
    for text in (
        "Riskiest image 1 of 1: a.png, score 2.346, p <.001, q = .012, flagged",
        "real | a.png\npatient P1",
        "nearest generated | g0.png\ndistance 0.100",
        "generated 3 | g2.png\ndistance 0.300",
        "real, other patient | b.png\npatient P2\ndistance 0.125",
        "grey levels, real less\nnearest generated",
    ):
        assert text in written


def test_difference_is_signed_and_its_scale_symmetric():
    real, other = np.full((2, 2), 10, np.uint8), np.array([[10, 40], [5, 10]], np.uint8)
    np.testing.assert_array_equal(gallery.difference_map(real, other), [[0, -30], [5, 0]])
    (figure,) = gallery.riskiest([entry(real=real, generated=[("g", 0.1, other)])], title="T")
    shown = next(
        axes.images[0]
        for axes in figure.axes
        if axes.images and "real less" in axes.images[0].get_cmap().name
    )
    assert shown.get_clim() == (-30, 30)
    bar = next(axes for axes in figure.axes if len(axes.get_xticks()) == 3)
    assert list(bar.get_xticks()) == [-30, 0, 30]
    assert gallery.DIVERGING(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.01)


def test_difference_of_unequal_sizes_has_the_shape_of_the_real_image():
    assert gallery.difference_map(image(8, 6), image(30, 20)).shape == (8, 6)
    same = np.full((4, 4), 7, np.uint8)
    assert not gallery.difference_map(same, np.full((9, 5), 7, np.uint8)).any()


def test_two_rows_of_three_for_a_phone():
    (figure,) = gallery.riskiest([entry()], title="T", columns=3)
    assert figure.get_figwidth() < 5.2
    tops = [axes.get_position(original=True).y0 for axes in figure.axes if axes.images]
    assert tops[0] == tops[2] > tops[3] == tops[5]


@pytest.mark.parametrize("columns", [3, 6])
def test_texts_stay_within_the_picture_and_apart(columns):
    names = [("m" + "generated_image_" * 3, 12.3456, image()) for _ in range(3)]
    one = entry(
        name=NASTY * 3,
        patient="patient " * 9,
        generated=names,
        neighbour=("n" * 50, "q" * 50, 123.4, image()),
    )
    (figure,) = gallery.riskiest([one], title="Riskiest image", columns=columns)
    canvas.to_rgb(figure)
    renderer = figure.canvas.get_renderer()
    shown = [t for t in figure.findobj(matplotlib.text.Text) if t.get_text() and t.get_visible()]
    boxes = [text.get_window_extent(renderer) for text in shown]
    for text, box in zip(shown, boxes, strict=True):
        assert box.x0 >= 0, text.get_text()
        assert box.x1 <= figure.bbox.x1, text.get_text()
        assert box.y0 >= 0, text.get_text()
        assert box.y1 <= figure.bbox.y1, text.get_text()
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_odd_entries_are_drawn():
    black = np.zeros((1, 1), np.uint8)
    odd = [
        entry(name=NASTY, generated=[], neighbour=None, p=None, q=float("nan"), flagged=False),
        entry(real=black, generated=[("g", 0.0, black)], neighbour=("n", "", 0.0, image(1, 99))),
    ]
    for figure in gallery.riskiest(odd, title=NASTY):
        assert canvas.to_rgb(figure).std() > 0
    first = texts(gallery.riskiest(odd, title="T")[0])
    assert first.count("none") == 5
    assert "score 2.346, not flagged" in first
    assert gallery.riskiest([], title="T") == []


@pytest.mark.parametrize("wrong", [np.zeros((2, 2)), np.zeros((2, 2, 3), np.uint8)])
def test_other_images_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must be \(H, W\) uint8. Received: shape=\(2, 2"):
        gallery.riskiest([entry(real=wrong)], title="T")


def test_long_names_lose_their_middle():
    assert gallery.shortened("abcdefghij", 10) == "abcdefghij"
    assert gallery.shortened("abcdefghijk", 10) == "abcde…hijk"
    assert gallery.shortened("a\nb", 10) == "a b"


def test_alt_text_says_what_can_be_seen():
    assert gallery.alt_text(entry(flagged=False)) == (
        "Real image a.png of patient P1, score 2.346, p <.001, q = .012, not flagged. Nearest "
        "generated images: g0.png at distance 0.100, g1.png at distance 0.200, g2.png at distance "
        "0.300. Real image of another patient: b.png of patient P2, at distance 0.125; the nearest "
        "generated image is nearer than that."
    )
    far = gallery.alt_text(entry(neighbour=("b", "P2", 0.05, image())))
    assert far.endswith("the nearest generated image is farther than that.")
    none = gallery.alt_text(entry(name=NASTY, generated=[], neighbour=None))
    assert "No generated image. No real image of another patient" in none
    assert "\n" not in none


def test_the_same_picture_has_the_same_bytes():
    one, pictures = entry(), []
    for _ in range(2):
        stream = io.BytesIO()
        canvas.write_png(gallery.riskiest([one], title="T")[0], stream)
        pictures.append(stream.getvalue())
    assert pictures[0] == pictures[1]
