"""Feature maps of several depths, put together: numbers by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.models.backbones.stages import MergeStages, regrid


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("found", "wanted", "matrix"),
    [
        (4, 2, [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]),
        # Each new position covers one and a half old ones.
        (3, 2, [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]),
        (2, 2, [[1, 0], [0, 1]]),
        # The middles of the new positions lie a quarter beside those of the old ones.
        (2, 4, [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]),
        (1, 3, [[1], [1], [1]]),
    ],
)
def test_another_number_of_positions_by_hand(found, wanted, matrix):
    assert regrid(found, wanted) == pytest.approx(np.array(matrix), abs=1e-6)


@pytest.mark.parametrize("wanted", range(1, 20))
@pytest.mark.parametrize("found", [1, 5, 7, 13])
def test_a_constant_stays_one(found, wanted):
    assert regrid(found, wanted).sum(axis=1) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("side", [14, 28, 9])
def test_more_positions_are_those_of_a_bilinear_resize(side):
    features = random(1, 7, 7, 2)
    found = np.einsum("ip,jq,bpqc->bijc", regrid(7, side), regrid(7, side), features)
    expected = tf.image.resize(features, (side, side), "bilinear").numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_depth_has_the_same_share_and_its_places():
    fine, middle, coarse = 100 * random(2, 4, 4, 1), random(2, 2, 2, 3), 1e-3 * random(2, 1, 1, 5)
    merged = MergeStages(2)([fine, middle, coarse]).numpy()
    assert merged.shape == (2, 2, 2, 9)
    parts = (merged[..., :1], merged[..., 1:4], merged[..., 4:])
    for part in parts:
        lengths = np.square(part).sum(axis=-1)
        assert lengths.mean(axis=(1, 2)) == pytest.approx(1.0, abs=1e-4)
    # By hand: means of 2 x 2 positions; as it is; the same everywhere.
    wanted = (
        fine.reshape(2, 2, 2, 2, 2, 1).mean(axis=(2, 4)),
        middle,
        np.tile(coarse, (1, 2, 2, 1)),
    )
    for part, before in zip(parts, wanted, strict=True):
        length = np.sqrt(np.square(before).sum(axis=-1).mean(axis=(1, 2)))
        np.testing.assert_allclose(part, before / length[:, None, None, None], rtol=1e-4)


def test_an_image_is_scaled_by_itself_alone():
    maps = [random(3, 4, 4, 2), random(3, 2, 2, 3)]
    together = MergeStages(2)(maps).numpy()
    alone = MergeStages(2)([features[1:2] for features in maps]).numpy()
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-5)


def test_a_depth_of_zeros_stays_zero():
    merged = MergeStages(2)([np.zeros((1, 4, 4, 2), "float32"), random(1, 2, 2, 3)]).numpy()
    assert np.isfinite(merged).all()
    assert not merged[..., :2].any()


def test_long_vectors_do_not_overflow_in_float16():
    # The squared length, 131072, is beyond float16's 65504.
    maps = [np.full((1, 2, 2, 2048), 8.0, "float16"), np.ones((1, 1, 1, 2), "float16")]
    merged = MergeStages(1, dtype="mixed_float16")(maps)
    assert merged.dtype == tf.float16
    lengths = np.square(merged.numpy().astype("float32")).sum(axis=-1)
    assert lengths == pytest.approx(2.0, rel=0.01)


def test_comes_back_from_a_file(tmp_path):
    entries = [keras.Input((4, 4, 2)), keras.Input((2, 2, 3))]
    model = keras.Model(entries, MergeStages(2)(entries))
    assert model.output_shape == (None, 2, 2, 5)
    model.save(tmp_path / "merge.keras")
    again = keras.saving.load_model(tmp_path / "merge.keras")
    maps = [random(3, 4, 4, 2), random(3, 2, 2, 3)]
    np.testing.assert_array_equal(again(maps), model(maps))
