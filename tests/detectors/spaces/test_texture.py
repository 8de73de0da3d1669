"""Texture features against scikit-image, and distances in them."""

import numpy as np
import pytest
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from ganfp_tf.detectors.attacks.distance import CalibratedDistance, NearestDistance
from ganfp_tf.detectors.attacks.hits import HitCount
from ganfp_tf.detectors.spaces.texture import TextureSpace, quantised
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.metrics import auc
from tests.helpers.pictures import Pictures, planted, scenes, shuffled


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_stripes_by_hand():
    """Columns 0 1 0 1 ...: side by side they always differ, one above the other never."""
    stripes = np.tile(np.array([0.0, 1.0], "float32"), (1, 16, 8))
    space = TextureSpace(levels=2, offsets=(1,), radii=(1,))
    row = space.features(stripes)[0]
    contrast, dissimilarity, homogeneity, energy, correlation, entropy = row[:24].reshape(6, 4)
    assert contrast == pytest.approx([1, 1, 0, 1])
    assert dissimilarity == pytest.approx(contrast)
    assert homogeneity == pytest.approx([0.5, 0.5, 1, 0.5])
    assert energy == pytest.approx(np.sqrt([0.5] * 4))
    assert correlation == pytest.approx([-1, -1, 1, -1])
    assert entropy == pytest.approx([np.log(2)] * 4)
    assert row[24:].sum() == pytest.approx(1)


def test_numbers_are_scikit_images(rng):
    image = scenes(rng, 1)[0]
    space = TextureSpace()
    row = space.features(image[None])[0]
    gray = np.minimum(np.floor(image * 32), 31).astype("uint8")
    angles = np.pi / 4 * np.arange(4)
    matrix = graycomatrix(gray, [1, 2, 4], angles, 32, symmetric=True, normed=True)
    assert row[:12] == pytest.approx(graycoprops(matrix, "contrast").ravel(), rel=1e-6)
    assert row[48:60] == pytest.approx(graycoprops(matrix, "correlation").ravel(), rel=1e-6)
    fine = np.minimum(np.floor(image * 256), 255).astype("uint8")
    codes = local_binary_pattern(fine, 16, 2, "uniform")
    assert row[-18:] == pytest.approx([(codes == code).mean() for code in range(18)])
    assert len(row) == 72 + 10 + 18


def test_cells_are_histograms_of_their_own(rng):
    image = scenes(rng, 1)
    whole = TextureSpace(radii=(1,)).features(image)[0, 72:]
    cells = TextureSpace(radii=(1,), grid=2).features(image)[0, 72:].reshape(4, 10)
    assert cells.sum(axis=1) == pytest.approx(1)
    assert cells.mean(axis=0) == pytest.approx(whole)
    fine = quantised(image[0], 256)
    corner = local_binary_pattern(fine, 8, 1, "uniform")[:16, 16:]
    assert cells[1] == pytest.approx([(corner == code).mean() for code in range(10)])


def test_each_domain_is_standardised_apart(rng):
    store, real, made, _ = planted(rng)
    vectors = TextureSpace().fit(real, made, store)
    for rows in (vectors.real(real), vectors.generated(made)):
        assert rows.dtype == np.float32
        assert rows.mean(axis=0) == pytest.approx(0, abs=1e-4)
        deviation = rows.std(axis=0)
        assert np.all((abs(deviation - 1) < 1e-3) | (deviation == 0))
        assert deviation.any()


def test_features_are_computed_once_an_image(rng):
    store, real, made, _ = planted(rng, count=6)
    for detector in (NearestDistance(TextureSpace()), HitCount(TextureSpace())):
        detector.fit(real, made, store).score(real, made, store)
    assert len(store.asked) == len(set(store.asked)) == len(real) + len(made)


@pytest.mark.parametrize("detector", [NearestDistance, CalibratedDistance, HitCount])
def test_planted_copies_are_found_whatever_the_order(detector, rng):
    store, real, made, labels = planted(rng, noise=0.002)
    found = detector(TextureSpace()).fit(real, made, store).score(real, made, store)
    assert auc(labels, found) > 0.95
    mixed = shuffled(real, 1)
    again = detector(TextureSpace()).fit(mixed, shuffled(made, 2), store)
    assert (again.score(mixed, shuffled(made, 3), store) == found[mixed.index]).all()


def test_without_a_domain_the_message_says_which(rng):
    store = Pictures()
    real = store.add(scenes(rng, 2))
    vectors = TextureSpace().fit(real, real[:0], store)
    assert np.isfinite(vectors.real(real)).all()
    with pytest.raises(UserError, match=r"texture standardises generated images .* found none"):
        vectors.generated(real)
