"""timm's safetensors: every tensor in its place, timm's own features, and what is refused."""

import functools
import os

import keras
import ml_dtypes
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from ganfp_tf.errors import UserError
from ganfp_tf.models.backbones.build import BACKBONES, build_backbone
from ganfp_tf.models.backbones.vit_b16 import resample_positions
from ganfp_tf.models.weights import hub as hub_module
from ganfp_tf.models.weights.hub import HubFile
from ganfp_tf.models.weights.sources import load_weights
from ganfp_tf.models.weights.timm import TimmWeights, is_safetensors
from ganfp_tf.models.weights.timm_layout import Place
from tests.helpers.timm_tensors import CASES, GOLDEN, images, names_digest, relative, sample, state
from tests.models.weights.test_hub import put_into_cache

NAMES = ("densenet161", "vit_b16")
REPOSITORIES = {
    "densenet161": "timm/densenet161.tv_in1k",
    "vit_b16": "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
}


@functools.cache
def network_of(name):
    """Built once; no test cares what weights it holds."""
    return BACKBONES[name].build(32)


def shapes_of(name):
    return {p.tensor: p.shape for p in BACKBONES[name].timm.places(network_of(name))}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Backbone -> a file with timm's names and the tensors of `timm_tensors`."""
    folder, written = tmp_path_factory.mktemp("timm"), {}

    def get(name):
        if name not in written:
            written[name] = folder / f"{name}.safetensors"
            save_file(state(shapes_of(name)), written[name])
        return written[name]

    yield get
    for path in written.values():
        path.unlink()  # hundreds of megabytes


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache of the hub and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub_module, "is_reachable", lambda url: False)
    return tmp_path / "hub"


@pytest.mark.parametrize("name", NAMES)
def test_the_names_and_shapes_are_timms(name):
    assert names_digest(shapes_of(name)) == str(np.load(GOLDEN)[f"names_{name}"])


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_has_one_tensor_and_only_heads_and_counters_have_none(name):
    places = BACKBONES[name].timm.places(network_of(name))
    filled = [id(variable) for place in places for variable in place.variables]
    assert sorted(filled) == sorted(id(variable) for variable in network_of(name).weights)
    left_out = {place.tensor for place in places if not place.variables}
    head = "classifier" if name == "densenet161" else "head"
    counters = {tensor for tensor in left_out if tensor.endswith(".num_batches_tracked")}
    assert left_out - counters == {f"{head}.weight", f"{head}.bias"}
    assert len(counters) == {"densenet161": 161, "vit_b16": 0}[name]


@pytest.mark.parametrize("case", CASES)
def test_the_features_are_timms(case, files):
    """Against what timm gave for the same tensors and images (tests/parity/write_golden.py)."""
    name, side, _, _ = CASES[case]
    golden = np.load(GOLDEN)
    model, report = build_backbone(name, image_size=side, weights=str(files(name)))
    assert (report.source, report.pretrained) == (f"{name}.safetensors", True)
    assert report.warning == ""
    largest, _ = relative(sample(model(images(side)), case), golden[case])
    assert largest < 1e-4 * golden[f"{case}_scale"]
    assert golden[case].std(axis=(0, 1)).max() > 0.01 * golden[f"{case}_scale"]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_network_says_where_the_weights_are(name, cache):
    imagenet, network = BACKBONES[name].imagenet, network_of(name)
    wanted = (REPOSITORIES[name], "model.safetensors", "--weights=PATH", "cannot be reached")
    with pytest.raises(UserError, match="--weights=imagenet: no ImageNet weights for") as caught:
        load_weights(network, name, "imagenet", imagenet=imagenet, seed=3)
    source, pretrained, warning = load_weights(network, name, "auto", imagenet=imagenet, seed=3)
    assert (source, pretrained) == ("random (seed 3)", False)
    assert f"RANDOM WEIGHTS. THE BACKBONE {name.upper()} HAS LEARNED NOTHING" in warning
    for part in wanted:
        assert part in str(caught.value)
        assert part in warning


@pytest.mark.parametrize("weights", ["auto", "imagenet"])
def test_the_hubs_cache_needs_no_network(weights, cache, files):
    path = put_into_cache(cache, HubFile(REPOSITORIES["densenet161"], "model.safetensors"), b"")
    path.unlink()
    os.link(files("densenet161"), path)
    source, pretrained, warning = load_weights(
        network_of("densenet161"),
        "densenet161",
        weights,
        imagenet=BACKBONES["densenet161"].imagenet,
        seed=0,
    )
    assert source == f"imagenet ({REPOSITORIES['densenet161']})"
    assert (pretrained, warning) == (True, "")


def test_the_file_of_the_other_network_is_refused(files):
    with pytest.raises(UserError) as caught:
        build_backbone("vit_b16", image_size=32, weights=str(files("densenet161")))
    message = str(caught.value)
    assert "is not timm's vit_base_patch16_224.augreg2_in21k_ft_in1k" in message
    assert "Missing tensors: blocks.0.attn.proj.bias, " in message
    assert "Not of this network: classifier.bias, " in message
    assert "Choose the --backbone" in message


def test_another_backbone_says_who_takes_such_files(tmp_path):
    save_file({"a": np.zeros(1, "float32")}, tmp_path / "a.safetensors")
    (tmp_path / "a.bin").write_bytes((tmp_path / "a.safetensors").read_bytes())
    for name in ("a.safetensors", "a.bin"):  # by its name, by its content
        with pytest.raises(UserError, match=rf"{name} is.*densenet161, vit_b16 take, and tiny"):
            build_backbone("tiny", image_size=32, weights=str(tmp_path / name))
    with pytest.raises(UserError, match=r"No such weight file: .*timm \.safetensors"):
        build_backbone("tiny", image_size=32, weights=str(tmp_path / "b.safetensors"))


def test_is_safetensors(tmp_path):
    for name, content in {
        "zip": b"PK\3\4" + bytes(30),
        "short": b"",
        "hdf": b"\x89HDF\r\n\x1a\n{",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert not is_safetensors(tmp_path / name)
    assert not is_safetensors(tmp_path)
    assert not is_safetensors("")


# What is refused, on a network of two layers: its reading is that of the large ones.


def small():
    """(network, its TimmWeights, a state dict that fits)."""
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])

    def places(network):
        found = [Place("head.weight", (9, 3), ()), Place("norm.num_batches_tracked", (), ())]
        for number, layer in enumerate(network.layers):
            shape = tuple(layer.kernel.shape)[::-1]
            found += [
                Place(f"{number}.weight", shape, (layer.kernel,), lambda array: (array.T,)),
                Place(f"{number}.bias", (shape[0],), (layer.bias,)),
            ]
        return found

    tensors = {
        place.tensor: np.arange(1, np.prod(place.shape) + 1, dtype="float32").reshape(place.shape)
        for place in places(network)
    }
    return network, TimmWeights("small", places), tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("1.bias"), "Missing tensors: 1.bias. Not of this network: none"),
        (lambda t: t.update(a=np.zeros(1)), "Missing tensors: none. Not of this network: a"),
        (
            lambda t: t.update({"0.weight": np.zeros((2, 3), "float32")}),
            r"0.weight should have the shape \(3, 2\), found \(2, 3\)",
        ),
        (
            lambda t: t.update({"1.bias": np.float32([np.nan])}),
            r"a\.safetensors has numbers in the tensor 1\.bias that are not finite",
        ),
        # More than float32 holds.
        (lambda t: t.update({"1.bias": np.array([1e200])}), "1.bias that are not finite"),
        (lambda t: t.update({"1.bias": np.array([1])}), "the tensor 1.bias as I64; F64, F32"),
    ],
    ids=["missing", "extra", "misshapen", "nan", "overflow", "integers"],
)
def test_a_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(change, message, tmp_path):
    network, weights, tensors = small()
    change(tensors)
    save_file(tensors, tmp_path / "a.safetensors")
    before = network.get_weights()
    with pytest.raises(UserError, match=message):
        weights.load_file(network, tmp_path / "a.safetensors")
    assert all(map(np.array_equal, network.get_weights(), before))


@pytest.mark.parametrize("kept", [0, 7, 40, -1])
def test_a_file_cut_short_is_refused(kept, tmp_path):
    network, weights, tensors = small()
    path = tmp_path / "a.safetensors"
    save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:kept])
    before = network.get_weights()
    with pytest.raises(UserError, match=r"a\.safetensors cannot be read; it is cut short"):
        weights.load_file(network, path)
    assert all(map(np.array_equal, network.get_weights(), before))


@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16])
def test_a_file_that_fits_is_loaded_with_any_head_or_none(dtype, tmp_path):
    network, weights, tensors = small()
    saved = {name: array.astype(dtype) for name, array in tensors.items()}
    saved["head.weight"] = np.full((5, 3), np.nan, "float32")
    del saved["norm.num_batches_tracked"]
    save_file(saved, tmp_path / "a.safetensors")
    weights.load_file(network, tmp_path / "a.safetensors")
    expected = [tensors["0.weight"].T, tensors["0.bias"], tensors["1.weight"].T, tensors["1.bias"]]
    assert all(map(np.array_equal, network.get_weights(), expected))


def test_qkv_is_cut_into_heads():
    """Row r of the 2304 is number r % 64 of head r // 64 % 12 of query, key or value."""
    places = BACKBONES["vit_b16"].timm.places(network_of("vit_b16"))
    turn = {place.tensor: place.turn for place in places}
    rows = np.arange(2304, dtype="float32")
    matrix = rows[:, None] + np.arange(768, dtype="float32") / 1024  # [row, input]
    for found, first in zip(turn["blocks.0.attn.qkv.weight"](matrix), (0, 768, 1536), strict=True):
        assert found.shape == (768, 12, 64)
        assert found[5, 3, 7] == first + 3 * 64 + 7 + np.float32(5 / 1024)
    for found, first in zip(turn["blocks.0.attn.qkv.bias"](rows), (0, 768, 1536), strict=True):
        np.testing.assert_array_equal(found, first + np.arange(768).reshape(12, 64))
    (found,) = turn["blocks.0.attn.proj.weight"](matrix[:768])
    assert found.shape == (12, 64, 768)
    assert found[3, 7, 5] == 5 + np.float32((3 * 64 + 7) / 1024)


def test_positions_of_the_same_size_stay():
    positions = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(resample_positions(positions, 2), positions)


def test_positions_by_hand():
    """Two samples 0, 1 at 0.5, 1.5; four centres at 0.25, 0.75, 1.25, 1.75.

    Keys' kernel at 0.25, 0.75, 1.25 is 0.8671875, 0.2265625, -0.0703125; the rest is off the grid,
    so that weights are divided by their sum: -0.0703125 / 0.796875 and 0.2265625 / 1.09375.
    """
    line = np.array([-0.0882353, 0.2071429, 0.7928571, 1.0882353])
    token, across = [9.0, 9.0], [[0, 0], [1, 0], [0, 1], [1, 1]]  # channels: column, row
    found = resample_positions(np.float32([token, *across]), 4)
    assert found.shape == (17, 2)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found[0], token)
    grid = found[1:].reshape(4, 4, 2)
    np.testing.assert_allclose(grid[:, :, 0], np.broadcast_to(line, (4, 4)), atol=1e-6)
    np.testing.assert_allclose(grid[:, :, 1], np.broadcast_to(line[:, None], (4, 4)), atol=1e-6)
    # Antialiasing: one place of two sees both alike.
    np.testing.assert_allclose(
        resample_positions(np.float32([token, *across]), 1), [token, [0.5, 0.5]], atol=1e-6
    )
