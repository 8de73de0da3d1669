"""Pictures: what is drawn, what is written on them, and inputs too small to draw."""

import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from ganfp_tf.reports.render import plots

LABELS = np.array([1, 1, 0, 1, 0, 0, 1, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.7, 0.4, 0.3, 0.2, 0.1])


def texts(figure):
    """Everything that is written on a figure."""
    found = figure.findobj(matplotlib.text.Text)
    return " | ".join(text.get_text() for text in found if text.get_text())


def line(figure, points):
    """The drawn line with that many points."""
    return next(x for x in figure.axes[0].lines if len(x.get_xdata()) == points)


def test_roc_goes_through_the_points_of_scikit_learn():
    figure = plots.roc(LABELS, SCORES, title="t", auc_interval=(0.3, 0.95))
    false, true, _ = roc_curve(LABELS, SCORES, drop_intermediate=False)
    curve = line(figure, len(false))
    np.testing.assert_allclose(curve.get_xdata(), false)
    np.testing.assert_allclose(curve.get_ydata(), true)
    assert f"AUC {roc_auc_score(LABELS, SCORES):.2f}  [0.30, 0.95]" in texts(figure)
    assert "n = 8: 4 used, 4 not used" in texts(figure)


def test_roc_band_covers_the_middle_of_the_curves():
    curves = [([0, 0, 1], [0, height, 1]) for height in np.linspace(0, 1, 101)]
    figure = plots.roc(LABELS, SCORES, title="t", curves=curves, confidence=0.9)
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    at_zero = band[band[:, 0] == 0, 1]
    # np.interp takes the last of equal abscissae: the curves start at 0, .01, ..., 1.
    assert at_zero.min() == pytest.approx(0.05)
    assert at_zero.max() == pytest.approx(0.95)
    assert "90% of resamples" in texts(figure)


def test_precision_recall_states_average_precision_and_the_constant_answer():
    labels, scores = LABELS[[0, 1, 2, 4, 5, 7]], SCORES[[0, 1, 2, 4, 5, 7]]
    scores = scores[::-1]
    figure = plots.precision_recall(labels, scores, title="t")
    wanted = average_precision_score(labels, scores)
    assert f"average precision {wanted:.2f}" in texts(figure)
    assert "call every image used: 33%" in texts(figure)


def test_histogram_shows_shares_of_each_class_in_the_same_bins():
    labels = np.r_[np.ones(10), np.zeros(2)]
    figure = plots.score_histogram(labels, np.arange(12.0), threshold=5.0, title="t")
    used, unused = (
        patch for patch in figure.axes[0].patches if isinstance(patch, matplotlib.patches.StepPatch)
    )
    np.testing.assert_array_equal(used.get_data().edges, unused.get_data().edges)
    assert used.get_data().values.sum() == pytest.approx(1)
    assert unused.get_data().values.sum() == pytest.approx(-1)
    written = texts(figure)
    assert "used (n = 10)\n50% at or above" in written
    assert "not used (n = 2)\n100% at or above" in written
    assert "threshold 5.00" in written


def test_confusion_counts_and_row_shares():
    figure = plots.confusion([1, 1, 1, 0, 0], [1, 1, 0, 1, 0], title="t")
    cells = [t.get_text() for t in figure.axes[0].texts]
    assert cells == ["2", "67%", "1", "33%", "1", "50%", "1", "50%"]
    assert "3 of 5 right" in texts(figure)


def test_pairs_stand_side_by_side_in_rows_with_their_captions():
    real = [np.full((8, 8), value, np.uint8) for value in (0, 1, 2)]
    generated = [np.full((6, 9, 3), value, np.uint8) for value in (100, 101, 102)]
    captions = ["used $x$, p = 0.9", "", "a\tb"]
    figure = plots.pairs(real, generated, captions, title="t", columns=2)
    images = [axes.images[0] for axes in figure.axes]
    assert [int(image.get_array().flat[0]) for image in images] == [0, 100, 1, 101, 2, 102]
    boxes = [axes.get_position(original=True) for axes in figure.axes]
    assert boxes[0].y0 == pytest.approx(boxes[3].y0)
    assert boxes[4].y1 < boxes[0].y0
    assert boxes[0].x1 <= boxes[1].x0 < boxes[2].x0
    # uint8 is shown as it is, however small its range.
    assert images[0].get_clim() == (0, 255)
    assert "used $x$, p = 0.9" in texts(figure)
    assert "a b" in texts(figure)
    plots.to_rgb(figure)


def test_pairs_refuse_unequal_lengths():
    with pytest.raises(ValueError, match=r"lengths must agree. Received: 1, 0, 1"):
        plots.pairs([np.zeros((2, 2), np.uint8)], [], ["x"], title="t")


def test_training_curves_draw_a_panel_a_kind_and_mark_the_best_epoch():
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "loss": [0.7, 0.6, np.nan],
            "auc_images_validation": [0.5, 0.61, 0.55],
            "learning_rate": [1e-3, 5e-4, 0],
            "seconds": [1, 1, 1],
        }
    )
    figure = plots.training_curves(history)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "AUC", "learning rate"]
    assert "best 0.61 at epoch 2" in texts(figure)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [1, 2])


def test_labels_at_line_ends_do_not_overlap():
    history = pd.DataFrame({"loss": [0.5, 0.5], "validation_loss": [0.5, 0.5001]})
    figure = plots.training_curves(history)
    places = sorted(text.get_position()[1] for text in figure.axes[0].texts)
    assert places[1] - places[0] > 0.1


@pytest.mark.parametrize("labels", [[], [0], [1], [1, 1], [0, 1]])
def test_tiny_inputs_are_drawn(labels):
    scores = np.zeros(len(labels))
    for figure in (
        plots.roc(labels, scores, title=""),
        plots.precision_recall(labels, scores, title="t"),
        plots.score_histogram(labels, scores, threshold=None, title="t"),
        plots.confusion(labels, labels, title="t"),
    ):
        assert plots.to_rgb(figure).std() > 0
    if len(set(labels)) < 2:
        assert "not defined" in texts(plots.roc(labels, scores, title="t"))


def test_no_history_and_no_pair_are_drawn():
    assert plots.to_rgb(plots.training_curves(pd.DataFrame())).ndim == 3
    assert plots.to_rgb(plots.pairs([], [], [], title="t")).ndim == 3


def test_scores_that_are_not_finite_are_left_out_and_counted():
    figure = plots.roc([1, 0, 1], [0.9, 0.1, np.nan], title="t")
    assert "n = 2: 1 used, 1 not used (1 without a finite score left out)" in texts(figure)


def test_save_writes_the_same_png_each_time_and_leaves_nothing_else(tmp_path):
    figure = plots.roc(LABELS, SCORES, title="a $ and a \ud800")
    plots.save(figure, tmp_path / "new" / "a.png")
    plots.save(figure, tmp_path / "new" / "b.png")
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.format == "PNG"
        assert image.size == (750, 750)
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]


def test_to_rgb_is_the_picture_at_100_dpi():
    image = plots.to_rgb(plots.roc(LABELS, SCORES, title="t"))
    assert image.shape == (500, 500, 3)
    assert image.dtype == np.uint8
    assert (image[0, 0] == 255).all()
    assert image.min() < 60


def test_the_callers_settings_stay():
    before = dict(matplotlib.rcParams)
    plots.to_rgb(plots.roc(LABELS, SCORES, title="t"))
    assert dict(matplotlib.rcParams) == before


def test_neither_pyplot_nor_tensorflow_is_imported():
    code = (
        "import sys, ganfp_tf.reports.render.plots, ganfp_tf.reports.render.tables;"
        "print([name for name in ('matplotlib.pyplot', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
