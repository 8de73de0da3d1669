"""Reading torch's old form without torch, from files that this test writes byte by byte."""

import collections
import io
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganfp_tf.errors import UserError
from ganfp_tf.models.weights.torch_pickle import MAGIC, PROTOCOL, STORAGES, read_state_dict

DTYPES = {np.dtype(code): name for name, code in STORAGES.items()}
LITTLE = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"long": 4}}


class Tensor:
    """Pickles as a torch tensor over a storage does."""

    def __init__(self, key, storage, offset, size, stride):
        self.arguments = (Storage(key, storage), offset, size, stride, False, {})

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Storage:
    def __init__(self, key, numbers):
        self.key, self.numbers = key, numbers


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            kind = getattr(sys.modules["torch"], DTYPES[obj.numbers.dtype])
            return "storage", kind, obj.key, "cpu", obj.numbers.size, None
        return None


@pytest.fixture(scope="module")
def fake_torch():
    """Modules with torch's names, which a pickle can name its classes by."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        raise AssertionError("only its name is needed")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils",
        "_rebuild_tensor_v2",
    )
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    torch._utils = utils
    for name in [*STORAGES, "Tensor"]:
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utils)
        yield torch


def write(tensors, storages, *, magic=MAGIC, machine=LITTLE):
    """The bytes of a file: four pickles, the keys, the numbers."""
    file = io.BytesIO()
    for part in (magic, PROTOCOL, machine, tensors, list(storages)):
        Pickler(file, protocol=2).dump(part)
    for numbers in storages.values():
        file.write(numbers.size.to_bytes(8, "little") + numbers.tobytes())
    return file.getvalue()


def two_tensors():
    numbers = np.arange(12, dtype="<f4")
    counter = np.int64([7])
    tensors = collections.OrderedDict(
        # The same storage twice: a transposed view and the last three numbers.
        kernel=Tensor("1", numbers, 0, (3, 4), (1, 3)),
        tail=Tensor("1", numbers, 9, (3,), (1,)),
        count=Tensor("2", counter, 0, (), ()),
    )
    return write(tensors, {"2": counter, "1": numbers})


def read(path, content):
    path.write_bytes(content)
    return read_state_dict(path)


def test_offsets_strides_and_scalars(fake_torch, tmp_path):
    state = read(tmp_path / "a.pth", two_tensors())
    assert list(state) == ["kernel", "tail", "count"]
    np.testing.assert_array_equal(state["kernel"], np.arange(12).reshape(4, 3).T)
    np.testing.assert_array_equal(state["tail"], [9, 10, 11])
    assert state["count"].shape == ()
    assert state["count"] == 7
    assert state["count"].dtype == np.int64
    state["kernel"][0, 0] = 5  # Each array owns its memory.


@pytest.mark.parametrize("storage", STORAGES)
def test_every_kind_of_number(storage, fake_torch, tmp_path):
    numbers = np.array([1, 0, 1], STORAGES[storage])
    content = write({"x": Tensor("k", numbers, 0, (3,), (1,))}, {"k": numbers})
    found = read(tmp_path / "a.pth", content)["x"]
    assert found.dtype == np.dtype(STORAGES[storage])
    np.testing.assert_array_equal(found, numbers)


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_the_file_is_refused_and_not_run(fake_torch, tmp_path):
    target = tmp_path / "made by the file"
    content = write({"x": Attack(target)}, {})
    with pytest.raises(UserError, match=r"bad.pth.*mkdir.*run any code"):
        read(tmp_path / "bad.pth", content)
    assert not target.exists()
    with pytest.raises(UserError, match=r"mkdir"):
        read(tmp_path / "bad.pth", write({}, {}, magic=Attack(target)))
    assert not target.exists()


def test_other_classes_of_torch_are_refused(fake_torch, tmp_path):
    with pytest.raises(UserError, match=r"torch\.Tensor"):
        read(tmp_path / "bad.pth", write({"x": fake_torch.Tensor}, {}))


NUMBERS = np.arange(6, dtype="<f4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, (7,), (1,)), r"x of size \(7,\) reaches beyond its storage"),
        ((4, (3,), (1,)), "reaches beyond its storage"),
        ((0, (2, 3), (4, 1)), "reaches beyond its storage"),
        ((0, (10**9, 10**9), (0, 0)), "reaches beyond its storage"),
        ((-1, (2,), (1,)), "impossible size"),
        ((5, (3,), (-1,)), "impossible size"),
        ((0, (2, 3), (1,)), "impossible size"),
        ((0, (2.0,), (1,)), "impossible size"),
    ],
)
def test_a_tensor_cannot_reach_out_of_its_storage(arguments, message, fake_torch, tmp_path):
    content = write({"x": Tensor("k", NUMBERS, *arguments)}, {"k": NUMBERS})
    with pytest.raises(UserError, match=message):
        read(tmp_path / "bad.pth", content)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: write({"x": 3}, {}), "its entry 'x' is a int, not a tensor"),
        (lambda: write([1], {}), "does not hold a state dict"),
        (lambda: write({}, {}), "does not hold a state dict"),
        (lambda: write({}, {}, magic=1), "magic number"),
        (lambda: write({}, {}, machine={"little_endian": False}), "big-endian"),
        (lambda: two_tensors()[:-1], "ends early"),
        (lambda: write({"x": Tensor("k", NUMBERS, 0, (6,), (1,))}, {}), "numbers of x are not in"),
        (
            lambda: write({"x": Tensor("k", NUMBERS, 0, (6,), (1,))}, {"j": NUMBERS}),
            "storage j belongs to no tensor",
        ),
        (lambda: b"no pickle at all", "damaged or not a state dict"),
        (lambda: b"", "damaged or not a state dict"),
    ],
)
def test_damage_is_named(build, message, fake_torch, tmp_path):
    with pytest.raises(UserError, match=rf"bad.pth: .*{message}"):
        read(tmp_path / "bad.pth", build())


def test_a_storage_cannot_claim_more_than_the_file(fake_torch, tmp_path):
    content = write({"x": Tensor("k", NUMBERS, 0, (6,), (1,))}, {"k": NUMBERS})
    count = (6).to_bytes(8, "little")
    start = content.rindex(count + NUMBERS.tobytes())
    bomb = content[:start] + (2**60).to_bytes(8, "little") + content[start + 8 :]
    with pytest.raises(UserError, match="more than the file can hold"):
        read(tmp_path / "bad.pth", bomb)


def test_the_newer_zip_form_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "new.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(UserError, match=r"new.pth is in torch's newer zip form"):
        read_state_dict(tmp_path / "new.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"No such weight file: .*none\.pth"):
        read_state_dict(tmp_path / "none.pth")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_gives_arrays_or_a_user_error(data, fake_torch, tmp_path):
    content = bytearray(two_tensors())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        state = read(tmp_path / "damaged.pth", bytes(content))
    except UserError:
        return
    assert all(isinstance(array, np.ndarray) for array in state.values())
