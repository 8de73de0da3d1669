"""Where weights come from: the choices of --weights, the hub and its cache, the digest."""

import dataclasses
import hashlib
import http.server
import inspect
import threading

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import densenet, efficientnet, efficientnet_v2, resnet
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.applications import build_tiny
from ganfp_tf.models.backbones.build import BACKBONES, build_backbone
from ganfp_tf.models.weights import sources as weights_module
from ganfp_tf.models.weights.sources import PublishedFile, load_weights, weights_digest

PUBLISHED = {
    name: BACKBONES[name].imagenet.__self__
    for name in ("resnet50", "efficientnetb2", "densenet121", "efficientnetv2b0")
}


def randomise(model, seed=0):
    """Random numbers everywhere, positive where a variance is, none so large that they explode."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    return model


def write_legacy(path, model):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty Keras folder and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(weights_module, "is_reachable", lambda url: False)
    return tmp_path / "keras" / "models"


@pytest.fixture
def hub(tmp_path):
    """A web server that gives out tmp_path/hub."""
    folder = tmp_path / "hub"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_addresses_and_hashes_are_those_of_keras():
    published = PUBLISHED["resnet50"]
    name = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert published.url == resnet.BASE_WEIGHTS_PATH + name
    assert published.md5 == resnet.WEIGHTS_HASHES["resnet50"][1]
    published = PUBLISHED["efficientnetb2"]
    assert published.url == efficientnet.BASE_WEIGHTS_PATH + "efficientnetb2_notop.h5"
    assert published.md5 == efficientnet.WEIGHTS_HASHES["b2"][1]
    assert published.name == "efficientnetb2_notop.h5"
    published = PUBLISHED["efficientnetv2b0"]
    assert published.url == efficientnet_v2.BASE_WEIGHTS_PATH + "efficientnetv2-b0_notop.h5"
    assert published.md5 == efficientnet_v2.WEIGHTS_HASHES["b0"][1]
    published = PUBLISHED["densenet121"]
    assert published.url == densenet.DENSENET121_WEIGHT_PATH_NO_TOP
    assert published.md5 in inspect.getsource(densenet.DenseNet)  # where Keras keeps it


@pytest.mark.parametrize("name", ["tiny", "efficientnetb2", "resnet50"])
def test_auto_without_a_network_warns_loudly(name, offline, capfd):
    model, report = build_backbone(name, image_size=32, weights="auto")
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err
    assert "Downloading" not in printed.out + printed.err
    assert (report.source, report.pretrained) == ("random (seed 0)", False)
    lines = report.warning.splitlines()
    assert len(lines) >= 5
    assert f"RANDOM WEIGHTS. THE BACKBONE {name.upper()} HAS LEARNED NOTHING" in lines[1]
    _, none = build_backbone(name, image_size=32, weights="none")
    assert none.warning == ""
    assert report.digest == none.digest == weights_digest(model)


@pytest.mark.parametrize("name", ["resnet50", "efficientnetb2"])
def test_imagenet_without_a_network_says_how_to_get_the_file(name, offline):
    with pytest.raises(UserError) as caught:
        build_backbone(name, image_size=32, weights="imagenet")
    message = str(caught.value)
    for part in (PUBLISHED[name].url, str(offline), "--weights=PATH", "efficientnetlite0"):
        assert part in message


def test_imagenet_of_tiny_does_not_exist(offline):
    with pytest.raises(UserError, match="nobody publishes ImageNet weights of tiny"):
        build_backbone("tiny", image_size=32, weights="imagenet")


def image():
    return np.random.default_rng(4).uniform(0, 255, (2, 64, 64, 3)).astype("float32")


def assert_same_features(tokens, features):
    tokens, features = np.asarray(tokens), np.asarray(features)
    scale = np.abs(features).max()
    assert scale > 0
    np.testing.assert_allclose(tokens / scale, features.reshape(tokens.shape) / scale, atol=1e-5)


def publish(monkeypatch, name, md5):
    """Makes the registry expect a file with this hash at the real address."""
    published = PublishedFile(PUBLISHED[name].url, md5)
    entry = dataclasses.replace(BACKBONES[name], imagenet=published.load)
    monkeypatch.setitem(BACKBONES, name, entry)
    return published


@pytest.mark.parametrize(
    ("name", "constructor", "preprocess"),
    [
        ("resnet50", keras.applications.ResNet50, resnet.preprocess_input),
        ("densenet121", keras.applications.DenseNet121, densenet.preprocess_input),
        # It scales by itself.
        ("efficientnetv2b0", keras.applications.EfficientNetV2B0, lambda pixels: pixels),
    ],
)
def test_weights_from_the_cache_give_keras_features(
    name, constructor, preprocess, offline, monkeypatch
):
    """A file as Keras publishes it, with Keras's own preprocessing as the reference."""
    reference = randomise(constructor(include_top=False, weights=None, input_shape=(64, 64, 3)))
    md5 = write_legacy(offline / PUBLISHED[name].name, reference)
    publish(monkeypatch, name, md5)
    model, report = build_backbone(name, image_size=64, weights="auto")
    assert (report.source, report.pretrained) == ("imagenet (keras.applications)", True)
    assert report.warning == ""
    assert_same_features(model(image()), reference(preprocess(image())))


def test_efficientnetb2_from_the_cache_gives_keras_features(offline, monkeypatch):
    """The reference is Keras's own graph for weights="imagenet", fed with the same file."""
    source = randomise(
        keras.applications.EfficientNetB2(include_top=False, weights=None, input_shape=(64, 64, 3))
    )
    (normalization,) = (x for x in source.layers if isinstance(x, keras.layers.Normalization))
    # Keras's published file has the deviation where the variance belongs.
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    normalization.set_weights([mean, deviation, np.int32(0)])
    cached = offline / PUBLISHED["efficientnetb2"].name
    publish(monkeypatch, "efficientnetb2", write_legacy(cached, source))
    monkeypatch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(cached))
    reference = keras.applications.EfficientNetB2(
        include_top=False, weights="imagenet", input_shape=(64, 64, 3)
    )
    model, report = build_backbone("efficientnetb2", image_size=64, weights="imagenet")
    assert report.pretrained
    assert report.warning == ""
    assert_same_features(model(image()), reference(image()))


def test_a_damaged_file_in_the_cache_is_named(offline):
    offline.mkdir(parents=True)
    (offline / PUBLISHED["resnet50"].name).write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"kernels_notop.h5 is damaged.*delete it"):
        build_backbone("resnet50", image_size=32, weights="imagenet")


def test_a_file_is_downloaded_once(hub, monkeypatch, tmp_path):
    folder, address = hub
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    network = build_tiny(32)
    md5 = write_legacy(folder / "tiny_notop.h5", network)
    published = PublishedFile(f"{address}/tiny_notop.h5", md5)
    other = build_tiny(32)
    assert published.load(other) == "imagenet (keras.applications)"
    assert all(map(np.array_equal, other.get_weights(), network.get_weights()))
    (folder / "tiny_notop.h5").unlink()
    published.load(build_tiny(32))


def test_a_download_that_goes_wrong_is_named(hub, monkeypatch, tmp_path):
    folder, address = hub
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (folder / "tiny_notop.h5").write_bytes(b"something else")
    published = PublishedFile(f"{address}/tiny_notop.h5", "0" * 32)
    with pytest.raises(UserError, match=r"the download of http.*failed"):
        published.load(build_tiny(32))


@pytest.mark.parametrize("name", ["saved.weights.h5", "saved.keras"])
def test_a_path(name, tmp_path):
    saved, first = build_backbone("tiny", image_size=32, weights="none", seed=7)
    saved.save_weights(tmp_path / name) if "weights" in name else saved.save(tmp_path / name)
    model, report = build_backbone("tiny", image_size=64, weights=str(tmp_path / name))
    assert (report.source, report.pretrained, report.warning) == (name, True, "")
    assert report.digest == first.digest
    assert model.output_shape == (None, 64, 32)


def test_a_file_of_another_backbone(tmp_path):
    build_tiny(32).save_weights(tmp_path / "tiny.weights.h5")
    with pytest.raises(UserError, match=r"tiny.weights.h5 does not fit.*expected 106 layers"):
        build_backbone("resnet50", image_size=32, weights=str(tmp_path / "tiny.weights.h5"))


def test_a_remark_becomes_the_warning(tmp_path):
    network = build_tiny(32)
    inputs = keras.Input((32, 32, 3))
    scaling = keras.layers.Normalization(name="normalization", mean=None)
    model = keras.Model(inputs, network(scaling(inputs)))
    model.save_weights(tmp_path / "a.weights.h5")
    path = str(tmp_path / "a.weights.h5")
    source, pretrained, warning = load_weights(network, "tiny", path, imagenet=None, seed=0)
    assert (source, pretrained) == ("a.weights.h5", True)
    assert warning.startswith("WARNING: a.weights.h5 carries its own normalization")


@pytest.mark.parametrize("weights", ["", "ImageNet", "no/such/file.h5"])
def test_a_wrong_choice_or_path_is_named(weights):
    with pytest.raises(UserError, match=r"No such weight file.*takes auto, imagenet, none or the"):
        build_backbone("tiny", image_size=32, weights=weights)


def test_digest_by_hand():
    inputs = keras.Input((2,))
    dense = keras.layers.Dense(1, name="dense")
    model = keras.Model(inputs, keras.Model(inputs, dense(inputs))(inputs))
    dense.set_weights([np.float32([[1], [2]]), np.float32([3])])
    expected = hashlib.sha256(
        b"dense/kernel (2, 1) float32\n\0\0\x80\x3f\0\0\0\x40dense/bias (1,) float32\n\0\0\x40\x40"
    ).hexdigest()
    assert weights_digest(model) == expected


def test_every_weight_counts_in_the_digest():
    network = build_tiny(32)
    digests = {weights_digest(network)}
    for weight in network.weights:
        weight.assign(weight + 1e-3)
        digests.add(weights_digest(network))
    assert len(digests) == 1 + len(network.weights)
