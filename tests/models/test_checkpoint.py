"""A training's state in a file: there and back, and what damage does."""

import keras
import numpy as np
import pytest

from ganfp_tf.errors import UserError
from ganfp_tf.models import checkpoint


def variables(seed=0):
    """Variables of several shapes and types, one of them a scalar."""
    rng = np.random.default_rng(seed)
    return [
        keras.Variable(seed, dtype="int32", trainable=False),
        keras.Variable(rng.normal(size=(3, 4)), dtype="float32"),
        keras.Variable(rng.normal(size=(4,)), dtype="float32"),
    ]


class Array:
    """As much of a variable as a state needs."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def numpy(self):
        return self.array

    def assign(self, array):
        self.array = array


def equal(one, other):
    return all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(one, other, strict=True))


def test_variables_and_facts_come_back(tmp_path):
    stored, others = variables(1), variables(2)
    facts = {"history": [{"step": 4, "loss": 0.5}], "name": "Fréchet", "none": None}
    checkpoint.save(tmp_path / "a.npz", stored, facts)
    assert checkpoint.load(tmp_path / "a.npz", others) == facts
    assert equal(stored, others)
    assert [v.dtype for v in others] == ["int32", "float32", "float32"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_without_facts_there_are_none(tmp_path):
    checkpoint.save(tmp_path / "a.npz", variables(1))
    assert checkpoint.load(tmp_path / "a.npz", variables(2)) is None


def test_more_than_ten_variables_keep_their_order(tmp_path):
    stored = [keras.Variable(float(i)) for i in range(12)]
    others = [keras.Variable(0.0) for _ in range(12)]
    checkpoint.save(tmp_path / "a.npz", stored)
    checkpoint.load(tmp_path / "a.npz", others)
    assert equal(stored, others)


def test_an_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "a.npz", variables(1), {"epoch": 1})

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", stop)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path / "a.npz", variables(2), {"epoch": 2})
    assert checkpoint.load(tmp_path / "a.npz", variables(3)) == {"epoch": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kept", [slice(0, 2), slice(None, None, -1)], ids=["fewer", "order"])
def test_another_models_file_is_refused_and_changes_nothing(tmp_path, kept):
    checkpoint.save(tmp_path / "a.npz", variables(1)[kept])
    others = variables(2)
    with pytest.raises(UserError, match="belongs to another model"):
        checkpoint.load(tmp_path / "a.npz", others)
    assert equal(others, variables(2))


@pytest.mark.parametrize("name", ["missing", "empty", "text", "array", "short"])
def test_no_checkpoint_is_a_users_error(tmp_path, name):
    path = tmp_path / "a.npz"
    checkpoint.save(path, variables(1), {"epoch": 1})
    if name == "missing":
        path.unlink()
    elif name == "empty":
        path.write_bytes(b"")
    elif name == "text":
        path.write_text("no archive")
    elif name == "array":
        with open(path, "wb") as handle:
            np.save(handle, np.zeros(3))
    else:
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="--overwrite"):
        checkpoint.load(path, variables(2))


def test_any_flipped_byte_is_a_users_error_or_harmless(tmp_path):
    # Arrays in place of variables, which take most of the time.
    path, stored = tmp_path / "a.npz", [Array(v.numpy()) for v in variables(1)]
    facts = {"epoch": 1}
    checkpoint.save(path, stored, facts)
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        for flip in (0x08, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= flip
            path.write_bytes(damaged)
            others = [Array(np.zeros_like(v.array)) for v in stored]
            try:
                found = checkpoint.load(path, others)
            except UserError:
                refused += 1
            else:
                # Dates and the like carry nothing; a lost name of the facts is told by None.
                assert found in (facts, None)
                assert equal(stored, others)
    assert refused > len(whole)
