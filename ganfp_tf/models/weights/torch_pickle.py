"""Reads a state dict that `torch.save` wrote in its old form: no torch, no code that runs.

The old form (before torch 1.6, and later with `_use_new_zipfile_serialization=False`) is a row of
pickles: a magic number, a protocol version, a description of the machine, the state dict, the list
of storage keys; then, for each key, the count of its numbers as int64 and the numbers themselves.
A tensor in the state dict names its storage and carries offset, size and stride.
"""

import collections
import dataclasses
import math
import pathlib
import pickle
import zipfile
from typing import Any

import numpy as np

from ganfp_tf.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A tensor whose numbers have not been read yet."""

    key: str
    dtype: np.dtype
    offset: int
    size: tuple
    stride: tuple


def _rebuild_tensor(storage, offset, size, stride, *_):
    key, dtype = storage
    return _Tensor(key, dtype, offset, tuple(size), tuple(stride))


class _Unpickler(pickle.Unpickler):
    """Admits what a plain state dict needs; a pickle that names anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGES:
            return np.dtype(STORAGES[name])
        raise UserError(
            f"it asks for {module}.{name}, which a table of weights does not need and which could "
            "run any code. Only plain tensors are read"
        )

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype]:
        kind, dtype, key, _location, _count, view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or view is not None:
            raise UserError(f"it refers to {kind!r}, where only whole storages are read")
        return str(key), dtype


def read_state_dict(path: pathlib.Path | str) -> dict[str, np.ndarray]:
    """Reads an old-form `.pth` file.

    Args:
        path: the file.

    Returns:
        dict of name -> numpy array, in the file's order; each array owns its memory.

    Raises:
        UserError: missing file, another format, a damaged file, or one that names classes other
            than tensors, storages and OrderedDict.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"No such weight file: {path}")
    if zipfile.is_zipfile(path):
        raise UserError(
            f"{path.name} is in torch's newer zip form, which is not read. Save it again with "
            "torch.save(state_dict, path, _use_new_zipfile_serialization=False)."
        )
    try:
        with path.open("rb") as file:
            state = _read(file, path.stat().st_size)
    except UserError as error:
        raise UserError(f"Cannot use the weight file {path.name}: {error}.") from None
    except Exception as error:  # A damaged pickle can raise nearly anything.
        raise UserError(
            f"Cannot use the weight file {path.name}: it is damaged or not a state dict in torch's "
            f"old form ({type(error).__name__}: {error}). Get it again."
        ) from None
    return state


def _read(file, file_size):
    if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != PROTOCOL:
        raise UserError("it does not start with torch's magic number and protocol 1001")
    if _Unpickler(file).load().get("little_endian") is not True:
        raise UserError("it was written on a big-endian machine")
    tensors = _Unpickler(file).load()
    if not isinstance(tensors, dict) or not tensors:
        raise UserError("it does not hold a state dict")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise UserError(f"its entry {name!r} is a {type(tensor).__name__}, not a tensor")
    dtypes = {tensor.key: tensor.dtype for tensor in tensors.values()}
    storages = {}
    for key in _Unpickler(file).load():
        count = int.from_bytes(_exactly(file, 8), "little", signed=True)
        dtype = dtypes.get(str(key))
        if dtype is None:
            raise UserError(f"storage {key} belongs to no tensor")
        if not 0 <= count * dtype.itemsize <= file_size:
            raise UserError(f"storage {key} claims {count} numbers, more than the file can hold")
        storages[str(key)] = np.frombuffer(_exactly(file, count * dtype.itemsize), dtype)
    return {name: _array(name, tensor, storages) for name, tensor in tensors.items()}


def _exactly(file, count):
    data = file.read(count)
    if len(data) != count:
        raise UserError(f"it ends early ({len(data)} bytes where {count} were promised)")
    return data


def _array(name, tensor, storages):
    storage = storages.get(tensor.key)
    if storage is None:
        raise UserError(f"the numbers of {name} are not in it")
    numbers = (tensor.offset, *tensor.size, *tensor.stride)
    if len(tensor.size) != len(tensor.stride) or any(
        not isinstance(number, int) or number < 0 for number in numbers
    ):
        raise UserError(f"{name} has the impossible size {tensor.size} or stride {tensor.stride}")
    last = tensor.offset + sum(
        (n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True)
    )
    # A zero stride repeats a number; more numbers than the storage holds is never a weight.
    if 0 in tensor.size or last >= storage.size or math.prod(tensor.size) > storage.size:
        raise UserError(f"{name} of size {tensor.size} reaches beyond its storage")
    view = np.lib.stride_tricks.as_strided(
        storage[tensor.offset :],
        tensor.size,
        [step * storage.itemsize for step in tensor.stride],
        writeable=False,
    )
    return view.copy()
