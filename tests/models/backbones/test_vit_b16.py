"""ViT-B/16: its tokens, and weights from files."""

import numpy as np
import pytest

from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.backbones.vit_b16 import build_network, load_file, parts


@pytest.fixture(scope="module")
def network():
    return build_network(32)


def test_features_are_the_patch_tokens_behind_the_last_normalization(network):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    features = network(images).numpy()
    sequence = network.get_layer("vit")(images).numpy()
    assert features.shape == (2, 2, 2, 768)
    assert sequence.shape == (2, 5, 768)
    np.testing.assert_allclose(features.reshape(2, 4, 768), sequence[:, 1:], rtol=1e-4, atol=1e-4)
    # A LayerNormalization that has learned nothing leaves mean 0 and deviation 1.
    np.testing.assert_allclose(features.mean(-1), 0, atol=1e-4)
    np.testing.assert_allclose(features.std(-1), 1, atol=1e-2)


def test_parts_are_the_blocks(network):
    names = [layer.name for layer in parts(network)]
    assert [n for n in names if n.startswith("transformer_block_")] == [
        f"transformer_block_{number}" for number in range(1, 13)
    ]
    assert names.index("ln") == names.index("transformer_block_12") + 1
    # No weight is left out or named twice.
    assert sum(len(layer.weights) for layer in parts(network)) == len(network.weights)


def test_normalization_and_activation_are_those_of_the_published_network(network):
    """Epsilon 1e-6, and the GELU with the error function in place of its approximation."""
    embedding, _, *blocks, norm = parts(network)
    assert embedding.patch_embedding.use_bias
    epsilons = {layer.epsilon for b in blocks for layer in (b.layer_norm_1, b.layer_norm_2)}
    assert {*epsilons, norm.epsilon} == {1e-6}
    for block in blocks:
        # 0.5 x (1 + erf(x / sqrt(2))) at 1 and -2; the approximation gives 0.841192, -0.045402.
        found = block.mlp.dense_1.activation(np.float32([1, -2]))
        np.testing.assert_allclose(found, [0.8413447, -0.0455003], atol=1e-6)


def test_a_file_of_another_network_is_refused(network, tmp_path):
    other = build_backbone("tiny", image_size=32, weights="none")[0].get_layer("network")
    other.save_weights(tmp_path / "tiny.weights.h5")
    with pytest.raises(UserError, match=r"tiny\.weights\.h5 does not fit the backbone vit_b16"):
        load_file(network, tmp_path / "tiny.weights.h5")


def test_a_missing_file_is_refused(network):
    with pytest.raises(UserError, match=r"No such weight file: nowhere\.weights\.h5"):
        load_file(network, "nowhere.weights.h5")


@pytest.mark.slow
def test_weights_from_files(tmp_path):
    source, expected = build_backbone("vit_b16", image_size=32, weights="none", seed=1)
    inner = source.get_layer("network")
    inner.save_weights(tmp_path / "v.weights.h5")
    inner.save(tmp_path / "v.keras")
    for name in ("v.weights.h5", "v.keras"):
        _, report = build_backbone("vit_b16", image_size=32, weights=str(tmp_path / name))
        assert (report.source, report.pretrained, report.warning) == (name, True, "")
        assert report.digest == expected.digest
    with pytest.raises(UserError, match=r"does not fit.*same --image_size"):
        build_backbone("vit_b16", image_size=64, weights=str(tmp_path / "v.weights.h5"))

    import keras_hub

    published = keras_hub.models.ViTBackbone(
        image_shape=(32, 32, 3),
        patch_size=16,
        num_layers=12,
        num_heads=12,
        hidden_dim=768,
        mlp_dim=3072,
    )
    published.save_weights(tmp_path / "hub.weights.h5")
    loaded, report = build_backbone(
        "vit_b16", image_size=32, weights=str(tmp_path / "hub.weights.h5")
    )
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(
        loaded(images), published(images / 127.5 - 1)[:, 1:], rtol=1e-3, atol=1e-3
    )

    weight = parts(inner)[-1].beta
    weight.assign(np.full(768, np.nan, "float32"))
    inner.save_weights(tmp_path / "nan.weights.h5")
    with pytest.raises(UserError, match=r"ln/beta that are not finite"):
        build_backbone("vit_b16", image_size=32, weights=str(tmp_path / "nan.weights.h5"))
