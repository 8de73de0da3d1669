"""DenseNet-161: torch's names and shapes, torch's padding, Keras files of weights."""

import keras
import numpy as np
import pytest

from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.backbones.densenet161 import build_network


@pytest.fixture(scope="module")
def network():
    return build_network(64)


def test_trainable_parameters_and_layers_are_the_published_ones(network):
    # timm's 28,681,000 for densenet161 less 2208x1000+1000 of the head.
    assert sum(int(np.prod(w.shape)) for w in network.trainable_weights) == 26_472_000
    convolutions = [la for la in network.layers if isinstance(la, keras.layers.Conv2D)]
    # 161 layers: the head, which is left out, and these.
    assert len(convolutions) == 160


@pytest.mark.parametrize(
    ("layer", "kernel"),
    [
        # Worked out from growth 48, stem 96, 4 x 48 bottlenecks and halving transitions.
        ("features_conv0", (7, 7, 3, 96)),
        ("features_denseblock1_denselayer1_conv1", (1, 1, 96, 192)),
        ("features_denseblock1_denselayer6_conv2", (3, 3, 192, 48)),
        ("features_transition1_conv", (1, 1, 96 + 6 * 48, 192)),
        ("features_transition2_conv", (1, 1, 192 + 12 * 48, 384)),
        ("features_transition3_conv", (1, 1, 384 + 36 * 48, 1056)),
        ("features_denseblock4_denselayer24_conv1", (1, 1, 1056 + 23 * 48, 192)),
    ],
)
def test_kernels_by_torchs_names(network, layer, kernel):
    found = network.get_layer(layer)
    assert tuple(found.kernel.shape) == kernel
    assert not found.use_bias


def test_every_normalization_has_torchs_epsilon(network):
    found = [la for la in network.layers if isinstance(la, keras.layers.BatchNormalization)]
    assert len(found) == 1 + 2 * (6 + 12 + 36 + 24) + 3 + 1
    assert {layer.epsilon for layer in found} == {1e-5}


def test_the_stem_pads_alike_on_all_sides(network):
    """A kernel of ones counts the pixels under it: fewer at the borders, by hand."""
    stem = keras.Model(network.input, network.get_layer("features_conv0").output)
    before = network.get_layer("features_conv0").get_weights()
    network.get_layer("features_conv0").set_weights([np.ones_like(before[0])])
    counted = stem(np.ones((1, 64, 64, 3), "float32")).numpy()[0, :, :, 0] / 3
    network.get_layer("features_conv0").set_weights(before)
    # Places 0, 2, 4, ... of the padded 70: rows -3..3 hold 4 pixels, -1..5 hold 6, 59..65 hold 5.
    alone = np.array([4, 6] + [7] * 29 + [5])
    np.testing.assert_allclose(counted, np.outer(alone, alone))


@pytest.mark.slow
def test_weights_from_a_file(tmp_path):
    source = build_backbone("densenet161", image_size=32, weights="none", seed=1)
    source[0].get_layer("network").save_weights(tmp_path / "d.weights.h5")
    _, report = build_backbone("densenet161", image_size=64, weights=str(tmp_path / "d.weights.h5"))
    assert (report.source, report.pretrained, report.warning) == ("d.weights.h5", True, "")
    assert report.digest == source[1].digest
