"""Reads the weights out of Keras files and puts them into a network, by layer name.

Three forms hold the same thing: HDF5 as Keras 2 wrote it (`.h5`, a whole model or weights alone),
HDF5 as Keras 3 writes it (`.weights.h5`), and the zip of Keras 3 (`.keras`) around the latter.
Only arrays are read; nothing in the file is executed.
"""

import dataclasses
import io
import pathlib
import re
import zipfile
from collections.abc import Iterable

import h5py
import keras
import numpy as np

from ganfp_tf.errors import UserError

# A network's own Rescaling and Normalization are not part of a backbone here: `backbones.py` puts
# the scaling in front. These are the values with which Keras publishes EfficientNet: the mean, and
# the deviation where the variance belongs (https://github.com/tensorflow/tensorflow/issues/49930).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Entry:
    """The weights of one layer in a file."""

    name: str  # the layer's name; empty where the file has none
    slot: str  # its place in a Keras 3 file, such as "conv2d_3"; empty in other files
    arrays: tuple


def read_entries(path: pathlib.Path | str) -> list[Entry]:
    """Reads a Keras `.h5`, `.weights.h5` or `.keras` file.

    Args:
        path: the file.

    Returns:
        list of `Entry`, one a layer that has weights, in the file's order.

    Raises:
        UserError: missing, damaged or not such a file.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(
            f"No such weight file: {path}. --weights takes auto, imagenet, none or the path of a "
            "Keras .h5, .weights.h5 or .keras file or of a timm .safetensors file."
        )
    source: pathlib.Path | io.BytesIO = path
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read("model.weights.h5"))
        elif not h5py.is_hdf5(path):
            raise UserError(
                f"{path.name} is neither HDF5 nor a .keras file. --weights takes a Keras .h5, "
                ".weights.h5 or .keras file or a timm .safetensors file."
            )
        with h5py.File(source, "r") as file:
            root = file.get("model_weights", file)
            entries = _old(root) if "layer_names" in _attributes(root) else _new(root)
    except UserError:
        raise
    except Exception as error:  # A damaged file can raise nearly anything.
        raise UserError(
            f"{path.name} cannot be read; it is cut short, damaged or not a file that Keras wrote "
            f"({type(error).__name__}: {error}). Get it again."
        ) from None
    if not entries:
        raise UserError(f"{path.name} holds no weights of layers.")
    return entries


def _attributes(group):
    # HDF5 limits an attribute to 64 KB; Keras then splits it into layer_names0, layer_names1, ...
    return {re.sub(r"\d+$", "", name) for name in group.attrs}


def _names(group, attribute):
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        parts, number = [], 0
        while f"{attribute}{number}" in group.attrs:
            parts.append(group.attrs[f"{attribute}{number}"])
            number += 1
    return [n.decode() if isinstance(n, bytes) else str(n) for part in parts for n in part]


def _old(root):
    """Keras 2: groups named by layer; a nested model's layers are told by their weights' paths."""
    entries = []
    for layer in _names(root, "layer_names"):
        group = root[layer]
        inside = {}
        for weight in _names(group, "weight_names"):
            parts = weight.split("/")
            # TensorFlow made names unique by renaming the scope; the group keeps the layer's name.
            owner = parts[-2] if len(parts) > 1 else layer
            inside.setdefault(owner, []).append(_array(group[weight]))
        if len(inside) == 1:
            (arrays,) = inside.values()
            nested = next(iter(inside)) if _is_nested(layer, next(iter(inside))) else layer
            entries.append(Entry(nested, "", tuple(arrays)))
        else:
            entries += [Entry(name, "", tuple(arrays)) for name, arrays in inside.items()]
    return entries


def _is_nested(layer, owner):
    return re.sub(r"_\d+$", "", owner) != re.sub(r"_\d+$", "", layer)


def _new(root):
    """Keras 3: `layers/<class>_<number>/vars/<number>`, the layer's name in an attribute."""
    entries = []

    def visit(group, path):
        for key in group:
            # Links that lead out of the file are not followed.
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                continue
            child = group[key]
            if not isinstance(child, h5py.Group) or key in ("optimizer", "seed_generator"):
                continue
            if key == "vars" and len(child) and path and path[0] in _ROOTS:
                arrays = tuple(_array(child[str(number)]) for number in range(len(child)))
                entries.append(Entry(str(child.attrs.get("name", "")), path[-1], arrays))
            elif key != "vars":
                visit(child, (*path, key))

    visit(root, ())
    return entries


_ROOTS = ("layers", "_layer_checkpoint_dependencies")


def _array(dataset):
    array = np.asarray(dataset)
    if array.dtype.kind not in "fiu":
        raise UserError(f"{dataset.name} in the weight file is not numbers but {array.dtype}.")
    return array


def assign(network: keras.Model, entries: list[Entry], source: str) -> str:
    """Puts a file's weights into `network`; either all of them or, on any mismatch, none.

    Args:
        network: flat keras.Model without a top.
        entries: list of `Entry`.
        source: the file's name, for messages.

    Returns:
        A remark for the user, empty where there is none.

    Raises:
        UserError: the file is of another network: missing, extra or misshapen weights.
    """
    layers = [layer for layer in network.layers if layer.weights]
    entries, remark = _without_normalization(entries, source)
    wanted = {layer.name for layer in layers}
    slots = _slots(network)
    found = [entry.name or slots.get(entry.slot, entry.slot) for entry in entries]
    if not wanted & set(found) and len(found) == len(layers) and not entries[0].slot:
        # Keras 2 files are also loaded by order, since names could differ from one session to
        # the next.
        found = [layer.name for layer in layers]
    by_name = dict(zip(found, entries, strict=True))
    if len(by_name) != len(found) or set(by_name) != wanted:
        raise UserError(
            f"{source} does not fit the backbone: expected {len(layers)} layers with weights, "
            f"found {len(found)}. Missing: {some_names(wanted - set(by_name))}. Not of this "
            f"backbone: {some_names(set(by_name) - wanted)}. Choose the --backbone the file was "
            "made with, and save it without its top."
        )
    for layer in layers:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        arrays = by_name[layer.name].arrays
        if [array.shape for array in arrays] != shapes:
            raise UserError(
                f"{source} does not fit the backbone: layer {layer.name} expects the shapes "
                f"{shapes}, found {[array.shape for array in arrays]}. Choose the --backbone the "
                "file was made with."
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise UserError(f"{source} has numbers in layer {layer.name} that are not finite.")
    for layer in layers:
        layer.set_weights(list(by_name[layer.name].arrays))
    return remark


def _without_normalization(entries, source):
    kept, remark = [], ""
    for entry in entries:
        shapes = [array.size for array in entry.arrays]
        name = entry.name or entry.slot
        if not (re.fullmatch(r"normalization(_\d+)?", name) and shapes in ([3, 3], [3, 3, 1])):
            kept.append(entry)
            continue
        mean, spread = (np.ravel(array) for array in entry.arrays[:2])
        known = (IMAGENET_DEVIATION, np.square(IMAGENET_DEVIATION))
        if not np.allclose(mean, IMAGENET_MEAN, atol=1e-3) or not any(
            np.allclose(spread, values, atol=1e-3) for values in known
        ):
            remark = (
                f"{source} carries its own normalization (mean {np.round(mean, 4).tolist()}, "
                f"variance {np.round(spread, 4).tolist()}), which is not ImageNet's. It is left "
                "out: the network is fed as --normalization says, perhaps not as it was trained."
            )
    return kept, remark


def _slots(network):
    """The places Keras 3 gives to the layers of a model: class name in snake case and a count."""
    slots, counts = {}, {}
    for layer in network.layers:
        name = re.sub(r"\W+", "", type(layer).__name__)
        name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        count = counts[name] = counts.get(name, -1) + 1
        slots[f"{name}_{count}" if count else name] = layer.name
    return slots


def some_names(names: Iterable[str]) -> str:
    """The first three names and how many more there are, for messages; "none" where none is."""
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "") or "none"
