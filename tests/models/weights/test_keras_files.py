"""Keras weight files in every form, written by this test, against the `tiny` network."""

import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.applications import build_tiny
from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.weights.keras_files import assign, read_entries


def filled(model, seed=0):
    """Gives every weight, moving statistics included, its own random numbers."""
    generator = np.random.default_rng(seed)
    model.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in model.weights])
    return model


@pytest.fixture
def network():
    return filled(build_tiny(32), seed=1)


@pytest.fixture
def backbone():
    return filled(build_backbone("tiny", image_size=32, weights="none")[0], seed=1)


def save_keras2(path, model, rename=str, root="/"):
    """Weights as Keras 2 wrote them: groups in layer order, names such as block1_conv/kernel:0."""
    with h5py.File(path, "w") as file:
        group = file.require_group(root)
        group.attrs["layer_names"] = [rename(layer.name).encode() for layer in model.layers]
        for layer in model.layers:
            child = group.create_group(rename(layer.name))
            names = [f"{rename(layer.name)}/{w.name}:0" for w in layer.weights]
            child.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                child[name] = weight.numpy()


def save_legacy_weights(path, model):
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)


def save_legacy_model(path, model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)


WRITERS = {
    "model.keras": lambda path, model: model.save(path),
    "model.weights.h5": lambda path, model: model.save_weights(path),
    "model.h5": save_legacy_model,
    "weights.h5": lambda path, model: save_legacy_weights(path, model),
    "keras2.h5": save_keras2,
    "keras2_model.h5": lambda path, model: save_keras2(path, model, root="model_weights"),
}
# `save_weights_to_hdf5_group` and `model.save` name a nested model's weights by path.
NESTED = ["model.keras", "model.weights.h5", "model.h5", "weights.h5"]


def assert_same(found, expected):
    assert all(map(np.array_equal, found.get_weights(), expected.get_weights()))
    image = np.random.default_rng(2).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(found(image), expected(image))


@pytest.mark.parametrize("name", WRITERS)
def test_every_form_is_read(name, network, tmp_path):
    WRITERS[name](tmp_path / name, network)
    other = build_tiny(32)
    assert not np.array_equal(other.get_weights()[0], network.get_weights()[0])
    assert assign(other, read_entries(tmp_path / name), name) == ""
    assert_same(other, network)


@pytest.mark.parametrize("name", NESTED)
def test_a_whole_backbone_is_read(name, backbone, tmp_path):
    WRITERS[name](tmp_path / name, backbone)
    other = build_tiny(32)
    assign(other, read_entries(tmp_path / name), name)
    assert_same(other, backbone.get_layer("network"))


def test_the_optimizers_numbers_are_left_out(network, tmp_path):
    model = keras.Sequential([network, keras.layers.GlobalAveragePooling2D()])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((1, 32, 32, 3)), np.ones((1, 32)), verbose=0)
    model.save(tmp_path / "trained.keras")
    other = build_tiny(32)
    assign(other, read_entries(tmp_path / "trained.keras"), "trained.keras")
    assert_same(other, network)


def test_early_keras_3_files_have_no_names(network, tmp_path):
    path = tmp_path / "early.weights.h5"
    network.save_weights(path)
    with h5py.File(path, "a") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
        file.move("layers", "_layer_checkpoint_dependencies")
    entries = read_entries(path)
    assert {entry.name for entry in entries} == {""}
    other = build_tiny(32)
    assign(other, entries, path.name)
    assert_same(other, network)


def test_keras_2_files_with_other_names_go_by_order(network, tmp_path):
    save_keras2(tmp_path / "a.h5", network, rename=lambda name: "z" + name[::-1])
    other = build_tiny(32)
    assign(other, read_entries(tmp_path / "a.h5"), "a.h5")
    assert_same(other, network)


def test_scopes_renamed_by_tensorflow_keep_the_layers_name(network, tmp_path):
    save_keras2(tmp_path / "a.h5", network)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        group = file["block2_conv"]
        group.move("block2_conv", "block2_conv_7")
        group.attrs["weight_names"] = [b"block2_conv_7/kernel:0"]
    other = build_tiny(32)
    assign(other, read_entries(tmp_path / "a.h5"), "a.h5")
    assert_same(other, network)


def test_names_too_long_for_one_attribute_are_joined(network, tmp_path):
    save_keras2(tmp_path / "a.h5", network)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:4], names[4:]
    other = build_tiny(32)
    assign(other, read_entries(tmp_path / "a.h5"), "a.h5")
    assert_same(other, network)


def refuses(network, path, message):
    before = network.get_weights()
    with pytest.raises(UserError, match=message):
        assign(network, read_entries(path), path.name)
    assert all(map(np.array_equal, network.get_weights(), before))


def test_other_shapes_are_refused_by_name(network, tmp_path):
    x = inputs = keras.Input((32, 32, 3))
    for layer in network.layers[1:]:
        config = layer.get_config()
        if layer.name == "block3_conv":
            config["filters"] = 31
        x = type(layer).from_config(config)(x)
    keras.Model(inputs, x).save_weights(tmp_path / "a.weights.h5")
    refuses(
        network,
        tmp_path / "a.weights.h5",
        r"layer block3_conv expects the shapes \[\(3, 3, 24, 32\)\], found \[\(3, 3, 24, 31\)\]",
    )


def test_another_networks_file_is_refused(network, tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
    other.save(tmp_path / "a.keras")
    message = (
        r"a\.keras does not fit the backbone: expected 6 layers with weights, found 1\. "
        r"Missing: block1_bn, block1_conv, block2_bn and 3 more\. Not of this backbone: head\."
    )
    refuses(network, tmp_path / "a.keras", message)


def test_a_top_is_refused(network, tmp_path):
    head = keras.layers.Dense(2, name="predictions")(network.output)
    keras.Model(network.input, head).save(tmp_path / "a.keras")
    refuses(network, tmp_path / "a.keras", "Not of this backbone: predictions.*without its top")


def test_numbers_that_are_not_finite_are_refused(network, tmp_path):
    kernel = network.get_layer("block2_conv").weights[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    network.save_weights(tmp_path / "a.weights.h5")
    refuses(build_tiny(32), tmp_path / "a.weights.h5", "layer block2_conv that are not finite")


@pytest.mark.parametrize("name", WRITERS)
def test_a_truncated_file_is_refused(name, network, tmp_path):
    path = tmp_path / name
    WRITERS[name](path, network)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    # A zip without its end is no zip.
    refuses(network, path, rf"{name} (cannot be read; it is cut short|is neither HDF5)")


@pytest.mark.parametrize("name", ["model.weights.h5", "keras2.h5"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_zeroed_stretches_are_refused_or_read(name, share, network, tmp_path):
    path = tmp_path / name
    WRITERS[name](path, network)
    content = bytearray(path.read_bytes())
    start = int(len(content) * share)
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    path.write_bytes(content)
    try:
        assign(build_tiny(32), read_entries(path), name)
    except UserError as error:
        assert name in str(error)


def test_what_is_no_weight_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"No such weight file: .*none\.h5\. --weights takes auto"):
        read_entries(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("these are not weights")
    with pytest.raises(UserError, match=r"text\.h5 is neither HDF5 nor a \.keras file"):
        read_entries(tmp_path / "text.h5")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(UserError, match=r"a\.keras cannot be read"):
        read_entries(tmp_path / "a.keras")
    h5py.File(tmp_path / "empty.h5", "w").close()
    with pytest.raises(UserError, match=r"empty\.h5 holds no weights"):
        read_entries(tmp_path / "empty.h5")


def test_links_out_of_the_file_are_not_followed(network, tmp_path):
    network.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "b.weights.h5", "w") as file:
        file["layers"] = h5py.ExternalLink("a.weights.h5", "/layers")
    with pytest.raises(UserError, match="holds no weights"):
        read_entries(tmp_path / "b.weights.h5")


@pytest.mark.parametrize(
    ("mean", "variance", "remark"),
    [
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], ""),
        ([0.485, 0.456, 0.406], [0.052441, 0.050176, 0.050625], ""),
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], "carries its own normalization (mean [0.0, 0.0, 0.0]"),
    ],
)
def test_a_normalization_in_the_file_is_left_out(mean, variance, remark, network, tmp_path):
    inputs = keras.Input((32, 32, 3))
    scaling = keras.layers.Normalization(name="normalization_4")
    model = keras.Model(inputs, network(scaling(inputs)))
    scaling.set_weights([np.float32(mean), np.float32(variance), np.int32(0)])
    model.save(tmp_path / "a.keras")
    other = build_tiny(32)
    found = assign(other, read_entries(tmp_path / "a.keras"), "a.keras")
    assert remark in found
    assert bool(remark) == bool(found)
    assert_same(other, network)
