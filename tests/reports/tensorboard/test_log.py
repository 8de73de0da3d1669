"""TensorBoard logs, read back with TensorBoard's own reader."""

import io

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.pr_curve import metadata as pr_metadata
from tensorboard.plugins.projector import ProjectorConfig

from ganfp_tf.errors import UserError
from ganfp_tf.reports.render import plots, tables
from ganfp_tf.reports.tensorboard import projector
from ganfp_tf.reports.tensorboard.log import NullLog, TensorBoardLog, open_log, pr_table, safe_tag

LABELS, PROBABILITIES = [1, 0, 1, 0], [0.9, 0.8, 0.4, 0.1]


def read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def scalars(accumulator, tag):
    events = accumulator.Tensors(tag)
    return [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events]


def test_scalars_go_on_after_the_log_is_opened_again(tmp_path):
    with open_log(tmp_path) as log:
        log.scalars(0, {"loss/pairs": 0.75, "auc/images_validation": None})
        log.scalars(1, {"loss/pairs": np.float32(0.5)})
    with open_log(tmp_path) as log:
        log.scalars(2, {"loss/pairs": 0.25, "learning_rate": 1})
    found = read(tmp_path)
    assert scalars(found, "loss/pairs") == [(0, 0.75), (1, 0.5), (2, 0.25)]
    assert scalars(found, "learning_rate") == [(2, 1.0)]
    assert "auc/images_validation" not in found.Tags()["tensors"]


def test_flush_puts_events_on_disk_while_the_log_is_open(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.scalars(3, {"x": 1.0})
    log.flush()
    assert scalars(read(tmp_path), "x") == [(3, 1.0)]
    log.close()
    log.close()


def test_pr_curve_is_of_the_pr_curve_plugin(tmp_path):
    with open_log(tmp_path) as log:
        log.pr_curve(5, LABELS, PROBABILITIES)
    found = read(tmp_path)
    content = found.PluginTagToContent(pr_metadata.PLUGIN_NAME)
    assert list(content) == ["precision_recall"]
    assert pr_metadata.parse_plugin_metadata(content["precision_recall"]).num_thresholds == 201
    (event,) = found.Tensors("precision_recall")
    assert event.step == 5
    assert tf.make_ndarray(event.tensor_proto).shape == (6, 201)


def test_pr_table_counts_by_hand():
    # At 0, .5 and 1: all four are positive; .9 and .8 are; none is.
    np.testing.assert_allclose(
        pr_table(LABELS, PROBABILITIES, thresholds=3),
        [[2, 1, 0], [2, 1, 0], [0, 1, 2], [0, 1, 2], [0.5, 0.5, 0], [1, 0.5, 0]],
    )


def test_pr_table_agrees_with_tensorboards_own_summary():
    from tensorboard.plugins.pr_curve import summary

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    # Halves of a bin away from the thresholds, where float32 rounds the plugin's product.
    probabilities = (rng.integers(0, 200, 200) + 0.5) / 200
    wanted = summary.pb("x", labels.astype(bool), probabilities).value[0].tensor
    np.testing.assert_allclose(pr_table(labels, probabilities), tf.make_ndarray(wanted), rtol=1e-6)


def test_pr_table_takes_one_class_nothing_and_what_is_not_finite():
    assert pr_table([], []).sum() == 0
    table = pr_table([1, 1, 0], [2.0, -1.0, np.nan], thresholds=2)
    np.testing.assert_allclose(table, [[2, 1], [0, 0], [0, 0], [0, 1], [1, 1], [1, 0.5]])
    with pytest.raises(ValueError, match="Received: 1, 2"):
        pr_table([1], [0.1, 0.2])


def test_figures_become_images(tmp_path):
    figure = plots.confusion([1, 0], [1, 1], title="t")
    with open_log(tmp_path) as log:
        log.figures(2, {"confusion": figure})
    (event,) = read(tmp_path).Tensors("confusion")
    width, height, png = tf.make_ndarray(event.tensor_proto)
    assert (int(width), int(height)) == (460, 420)
    with Image.open(io.BytesIO(png)) as image:
        np.testing.assert_array_equal(np.asarray(image), plots.to_rgb(figure))


def test_text_shows_settings_as_a_table_with_awkward_values(tmp_path):
    with open_log(tmp_path) as log:
        log.text("configuration", {"data": "C:\\a|b <b> *x* \ud800", "cross_attention": True})
    (event,) = read(tmp_path).Tensors("configuration")
    html = markdown_to_safe_html(tf.make_ndarray(event.tensor_proto).item())
    assert "<td>C:\\a|b &lt;b&gt; *x*</td>" in html
    assert "<td>cross_attention</td>" in html


def test_markdown_table_survives_tensorboards_renderer():
    html = markdown_to_safe_html(tables.markdown_table(["a", "b"], [["x|y", "_z_ `c` [d](e)"]]))
    assert "<td>x|y</td>" in html
    assert "<td>_z_ `c` [d](e)</td>" in html


def test_hparams_list_the_run_with_its_figures(tmp_path):
    settings = {"width": np.int64(8), "rate": 0.5, "on": True, "none": None, "bad": np.inf}
    with open_log(tmp_path) as log:
        log.hparams({"width": 1}, {"old": 0.1})
        log.hparams(settings, {"auc": 0.625, "kappa": None})
    found = read(tmp_path / "hparams")
    content = found.PluginTagToContent(hparams_metadata.PLUGIN_NAME)
    start = hparams_metadata.parse_session_start_info_plugin_data(
        content[hparams_metadata.SESSION_START_INFO_TAG]
    )
    values = {k: getattr(v, v.WhichOneof("kind")) for k, v in start.hparams.items()}
    assert values == {"width": 8, "rate": 0.5, "on": True, "none": "None", "bad": "inf"}
    assert scalars(found, "auc") == [(0, 0.625)]
    # Written anew: nothing of the first call is left.
    assert "old" not in found.Tags()["tensors"]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("loss/pairs", "loss/pairs"),
        ("", "unnamed"),
        (" / ", "unnamed"),
        ("/a\nb\x00c", "a b c"),
        ("ü $x$ <b>", "ü $x$ <b>"),
        ("\ud800x", "x"),
        (3, "3"),
    ],
)
def test_any_name_can_be_logged(tmp_path, name, tag):
    assert safe_tag(name) == tag
    with open_log(tmp_path) as log:
        log.scalars(0, {name: 1.0})
    assert scalars(read(tmp_path), tag) == [(0, 1.0)]


def test_a_folder_that_cannot_be_made_is_an_error_for_people(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write TensorBoard logs to .*--notensorboard"):
        open_log(tmp_path / "file" / "log")


def test_a_disabled_log_has_the_same_methods_and_writes_nothing(tmp_path):
    def public(kind):
        return {name for name in vars(kind) if not name.startswith("_")} - {"logdir"}

    assert public(NullLog) == public(TensorBoardLog)
    with open_log(tmp_path / "log", enabled=False) as log:
        log.scalars(0, {"x": 1.0})
        log.pr_curve(0, LABELS, PROBABILITIES)
        log.figures(0, {})
        log.text("x", "y")
        log.hparams({}, {})
        log.projector(np.zeros((1, 1)), pd.DataFrame(), [])
        log.flush()
    assert list(tmp_path.iterdir()) == []


def test_projector_files_point_to_each_other(tmp_path):
    vectors = np.array([[0.5, -1.0], [2.0, 3.0], [1e-9, 12345.678]], np.float32)
    thumbnails = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((4, 6, 3), np.uint8)
    frame = pd.DataFrame({"name": ["a\tb", "c\nd", "ü"], "score": [0.25, np.nan, 1.0]})
    with open_log(tmp_path) as log:
        log.projector(vectors, frame, thumbnails)
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    stored = np.loadtxt(tmp_path / embedding.tensor_path, delimiter="\t", dtype=np.float32)
    np.testing.assert_allclose(stored, vectors, rtol=1e-5)
    assert list(embedding.tensor_shape) == [3, 2]
    assert (tmp_path / embedding.metadata_path).read_text(encoding="utf-8") == (
        "name\tscore\na b\t0.25\nc d\t\nü\t1\n"
    )
    assert list(embedding.sprite.single_image_dim) == [6, 4]  # width, height
    with Image.open(tmp_path / embedding.sprite.image_path) as image:
        assert image.size == (12, 8)
        pixels = np.asarray(image)
    # Row by row: 0 and 1 above, 2 and the white rest below.
    assert [pixels[y, x, 0] for y, x in ((0, 0), (3, 11), (4, 5), (7, 11))] == [0, 1, 2, 255]


def test_metadata_of_one_column_has_no_header_and_no_blank_line():
    frame = pd.DataFrame({"name": ["a", None, "  "]})
    assert projector.metadata_tsv(frame) == "a\n-\n-  \n"
    assert projector.metadata_tsv(pd.DataFrame(index=range(2))) == "-\n-\n"


def test_metadata_columns_get_different_names():
    frame = pd.DataFrame([[1, 2, None]], columns=["x", "x", ""])
    assert projector.metadata_tsv(frame) == "x\tx'\tcolumn 3\n1\t2\t\n"


def test_a_sprite_never_passes_the_largest_texture(monkeypatch):
    monkeypatch.setattr(projector, "LARGEST_SPRITE", 64)
    picture, size = projector.sprite(np.full((10, 32, 16, 3), 7, np.uint8))
    # 4 columns and 3 rows of 16 x 32 would be 64 x 96: two thirds of it fit.
    assert size == (21, 10)
    assert picture.shape == (63, 40, 3)
    assert (picture[:42] == 7).all()


@pytest.mark.parametrize(
    ("vectors", "rows", "thumbnails", "message"),
    [
        (np.zeros((0, 3)), 0, np.zeros((0, 2, 2, 3), np.uint8), "at least one vector"),
        ([[np.nan], [1.0]], 2, np.zeros((2, 2, 2, 3), np.uint8), "1 that are not"),
        (np.zeros((2, 3)), 1, np.zeros((2, 2, 2, 3), np.uint8), "2 vectors, 1 rows"),
        (np.zeros((1, 3)), 1, np.zeros((1, 2, 2)), "float64"),
    ],
)
def test_projector_refuses_what_it_cannot_show(tmp_path, vectors, rows, thumbnails, message):
    frame = pd.DataFrame({"name": ["x"] * rows})
    with pytest.raises(UserError, match=message):
        projector.write(tmp_path, vectors, frame, thumbnails)
    assert not (tmp_path / "projector_config.pbtxt").exists()
