"""A training run's state on disk: exact, and sound whatever the moment of a crash."""

import dataclasses
import os
import pathlib

import keras
import numpy as np
import pytest

from ganfp_tf.errors import UserError
from ganfp_tf.siamese.checkpoint import RunState


@dataclasses.dataclass(frozen=True)
class Limits:
    """What `RunState.over` asks of a Config."""

    epochs: int
    patience: int


def make_model(seed=0, units=3, optimizer=None):
    """Compiled, with dropout and an optimizer that has slots and counts its steps."""
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(units, name="hidden"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dropout(0.5, name="dropout"),
        keras.layers.Dense(1, name="logit"),
    ]
    model = keras.Sequential(layers)
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 20)
    model.compile(optimizer or keras.optimizers.AdamW(schedule), "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


def train(model, steps):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 1)).astype("float32")
    for _ in range(steps):
        model.train_on_batch(x, y)


def values(model):
    return [variable.numpy() for variable in model.variables + model.optimizer.variables]


@pytest.fixture(scope="module")
def model():
    """For tests that put its state back themselves, or do not look at it."""
    return make_model()


def save_epoch(state, is_best, **row):
    """Ends an epoch; the first call is for the networks as they start, epoch 0."""
    state.history.append({"epoch": len(state.history), **row})
    state.save(is_best)


def assert_equal(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# Exactness


@pytest.mark.parametrize("scaled", [False, True], ids=["adamw", "loss_scale"])
def test_a_restored_run_goes_on_as_one_that_was_not_interrupted(tmp_path, scaled):
    def optimizer():
        inner = keras.optimizers.AdamW(0.05)
        return keras.optimizers.LossScaleOptimizer(inner) if scaled else inner

    model = make_model(optimizer=optimizer())
    train(model, 3)
    save_epoch(RunState(model, tmp_path), True, loss=0.25)
    train(model, 3)
    other = make_model(seed=1, optimizer=optimizer())
    state = RunState(other, tmp_path)
    assert state.restore()
    train(other, 3)
    kept = [v.numpy() for v in model.trainable_variables + model.non_trainable_variables]
    found = [v.numpy() for v in other.trainable_variables + other.non_trainable_variables]
    assert_equal(kept, found)
    assert_equal(
        [v.numpy() for v in model.optimizer.variables],
        [v.numpy() for v in other.optimizer.variables],
    )


def test_the_seed_of_dropout_is_part_of_the_state(tmp_path):
    model = make_model()
    x = np.ones((16, 4), "float32")
    model(x, training=True)  # the generator moves on
    save_epoch(RunState(model, tmp_path), True)
    expected = model(x, training=True).numpy()
    other = make_model(seed=1)
    RunState(other, tmp_path).restore()
    np.testing.assert_array_equal(other(x, training=True), expected)


def test_history_comes_back_with_every_digit(tmp_path, model):
    state = RunState(model, tmp_path)
    save_epoch(state, True, loss=0.1 + 0.2, val_image_auc=1 / 3)
    save_epoch(state, False, loss=1e-17, val_image_auc=0.0)
    state.finish()
    again = RunState(model, tmp_path)
    assert again.restore()
    assert again.history == [
        {"epoch": 0, "loss": 0.1 + 0.2, "val_image_auc": 1 / 3},
        {"epoch": 1, "loss": 1e-17, "val_image_auc": 0.0},
    ]
    assert (again.epoch, again.best_epoch, again.finished) == (1, 0, True)


def test_nothing_saved_is_nothing_restored(tmp_path):
    model = make_model()
    before = values(model)
    state = RunState(model, tmp_path / "none")
    assert state.restore() is False
    assert_equal(values(model), before)
    assert (state.epoch, state.best_epoch, state.finished) == (0, None, False)


# The best epoch


def test_the_best_epochs_weights_come_back_and_its_file_is_the_only_one(tmp_path):
    model = make_model()
    state = RunState(model, tmp_path)
    kept = {}
    for epoch, is_best in enumerate([True, True, False, True, False]):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        save_epoch(state, is_best)
        kept[epoch] = model.get_weights()
        expected = {0: 0, 1: 1, 2: 1, 3: 3, 4: 3}[epoch]
        assert state.best_epoch == expected
        assert names(tmp_path) == [f"best-{expected}.npz", "last.npz"]
    optimizer = [v.numpy() for v in model.optimizer.variables]
    state.restore_best()
    assert_equal(model.get_weights(), kept[3])
    # The optimizer belongs to the last epoch, not to the best.
    assert_equal([v.numpy() for v in model.optimizer.variables], optimizer)
    again = RunState(model, tmp_path)
    again.restore()
    assert again.best_epoch == 3
    assert_equal(model.get_weights(), kept[4])


def test_finishing_keeps_what_is_needed_to_go_on_and_is_written_once(tmp_path):
    model = make_model()
    state = RunState(model, tmp_path)
    model.optimizer.iterations.assign(2)
    save_epoch(state, True)
    before = values(model)
    state.finish()
    written = (tmp_path / "last.npz").stat().st_mtime_ns
    state.finish()
    assert (tmp_path / "last.npz").stat().st_mtime_ns == written
    other = make_model(seed=1)
    again = RunState(other, tmp_path)
    again.restore()
    assert again.finished
    assert_equal(values(other), before)
    assert int(other.optimizer.iterations.numpy()) == 2


# Crashes


class CrashError(Exception):
    """The process ends here."""


CALLS = {"open": (np, "savez"), "rename": (os, "replace"), "remove": (pathlib.Path, "unlink")}


def crash_at(monkeypatch, call, number, after):
    """Makes the `number`-th call raise, before it has done its work or `after` it has."""
    owner, name = CALLS[call]
    real, count = getattr(owner, name), [0]

    def counted(*arguments, **keywords):
        count[0] += 1
        if count[0] != number:
            return real(*arguments, **keywords)
        if after:
            real(*arguments, **keywords)
        raise CrashError

    monkeypatch.setattr(owner, name, counted)


# An epoch that is best: two files written (two names renamed, two temporary names removed), then
# the outdated one removed.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("call", "number", "is_best"),
    [("open", n, True) for n in (1, 2)]
    + [("rename", n, True) for n in (1, 2)]
    + [("remove", n, True) for n in (1, 2, 3)]
    + [("open", 1, False), ("rename", 1, False), ("remove", 1, False)],
)
def test_last_never_names_a_best_file_that_is_not_there(
    tmp_path, monkeypatch, model, call, number, is_best, after
):
    def weights(epoch):
        return [np.full_like(weight, epoch) for weight in model.get_weights()]

    state = RunState(model, tmp_path)
    for epoch in (0, 1, 2):
        model.set_weights(weights(epoch))
        save_epoch(state, True)
    model.set_weights(weights(3))
    with monkeypatch.context() as context:
        crash_at(context, call, number, after)
        with pytest.raises(CrashError):
            save_epoch(state, is_best)

    again = RunState(model, tmp_path)
    model.set_weights(weights(9))
    assert again.restore()
    assert again.epoch in (2, 3)
    assert_equal(model.get_weights(), weights(again.epoch))
    assert again.best_epoch == (3 if is_best and again.epoch == 3 else 2)
    again.restore_best()
    assert_equal(model.get_weights(), weights(again.best_epoch))

    # And it goes on: the epoch that was lost is done again, and nothing is left over.
    again.restore()
    while again.epoch < 4:
        save_epoch(again, True)
    assert names(tmp_path) == ["best-4.npz", "last.npz"]


def test_left_over_temporary_files_do_no_harm(tmp_path, model):
    state = RunState(model, tmp_path)
    (tmp_path / ".tmp-abc-last.npz").write_bytes(b"half")
    (tmp_path / ".tmp-abc-best-9.npz").write_bytes(b"half")
    save_epoch(state, True)
    again = RunState(model, tmp_path)
    assert again.restore()
    again.restore_best()
    assert again.best_epoch == 0


# Damage


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model, its folder with one saved epoch, and the bytes of last.npz."""
    folder = tmp_path_factory.mktemp("saved")
    model = make_model()
    save_epoch(RunState(model, folder), True, loss=0.5)
    return model, folder, (folder / "last.npz").read_bytes()


def damaged(data):
    """Names and bytes: cut off at many places, and with bits flipped at many places."""
    end = data.rindex(b"PK\x05\x06")
    start = int.from_bytes(data[end + 16 : end + 20], "little")  # the table of contents
    yield "empty", b""
    for length in range(1, len(data), len(data) // 40):
        yield f"cut at {length}", data[:length]
    positions = list(range(0, start, 23)) + list(range(start, len(data)))
    for position in positions:
        for mask in (0x01, 0x20, 0xFF):
            flipped = bytearray(data)
            flipped[position] ^= mask
            yield f"byte {position} by {mask:#x}", bytes(flipped)


def test_a_damaged_file_is_refused_or_harmlessly_damaged(tmp_path):
    model, folder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), tmp_path
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    save_epoch(RunState(model, folder), True, loss=0.5)
    data = (folder / "last.npz").read_bytes()
    expected = values(model)
    refused = harmless = 0
    for name, content in damaged(data):
        (folder / "last.npz").write_bytes(content)
        state = RunState(model, folder)
        try:
            assert state.restore()
        except UserError as error:
            assert "last.npz" in str(error), name
            assert "--overwrite" in str(error), name
            refused += 1
            continue
        assert state.history == [{"epoch": 0, "loss": 0.5}], name
        for found, wanted in zip(values(model), expected, strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=name)
        harmless += 1
    assert refused > harmless > 0


@pytest.mark.parametrize("arrays", [{}, {"a": np.ones(3)}, {"facts": np.array("{}")}])
def test_a_foreign_npz_is_refused(tmp_path, model, arrays):
    np.savez(tmp_path / "last.npz", **arrays)
    with pytest.raises(UserError, match="--overwrite"):
        RunState(model, tmp_path).restore()


def test_pickles_are_not_opened(tmp_path, model):
    np.savez(tmp_path / "last.npz", facts=np.array([{"epoch": 1}], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        RunState(model, tmp_path).restore()


@pytest.mark.parametrize(
    "other",
    [
        {"units": 4},
        {"optimizer": keras.optimizers.SGD(0.1)},
        {"optimizer": keras.optimizers.AdamW(0.1, amsgrad=True)},
    ],
    ids=["wider", "sgd", "amsgrad"],
)
def test_another_models_file_is_refused_and_nothing_is_changed(saved, other):
    _, folder, data = saved
    (folder / "last.npz").write_bytes(data)
    model = make_model(seed=2, **other)
    before = values(model)
    with pytest.raises(UserError, match=r"belongs to another model.*--overwrite.*--run_dir"):
        RunState(model, folder).restore()
    assert_equal(values(model), before)


def test_a_best_file_that_is_gone_is_named(tmp_path, model):
    state = RunState(model, tmp_path)
    save_epoch(state, True)
    (tmp_path / "best-0.npz").unlink()
    with pytest.raises(UserError, match=r"best-0\.npz cannot be read.*--overwrite"):
        state.restore_best()


# When to stop


def rows(epochs):
    """A history: nothing yet (None), or a row for the start and one for each epoch."""
    return [] if epochs is None else [{}] * (epochs + 1)


@pytest.mark.parametrize(
    ("epochs", "best", "patience", "expected"),
    [
        (None, None, 1, False),  # nothing measured yet
        (0, 0, 1, False),
        (1, 0, 1, True),  # training has only harmed
        (1, 1, 1, False),
        (2, 1, 1, True),
        (8, 1, 8, False),
        (9, 1, 8, True),
        (9, 2, 8, False),
        (12, 2, 8, True),  # past the moment
    ],
)
def test_stale(tmp_path, epochs, best, patience, expected):
    state = RunState(None, tmp_path)
    state.history, state.best_epoch = rows(epochs), best
    assert state.stale(patience) is expected


@pytest.mark.parametrize(
    ("epochs", "best", "finished", "expected"),
    [
        (None, None, False, False),
        (0, 0, False, False),
        (4, 4, False, False),
        (5, 5, False, True),  # killed between the last epoch and its end
        (6, 6, False, True),  # trained with more epochs before
        (4, 1, False, True),  # no better one for three epochs
        (4, 2, False, False),
        (1, 1, True, True),
    ],
)
def test_over(tmp_path, epochs, best, finished, expected):
    state = RunState(None, tmp_path)
    state.history, state.best_epoch, state.finished = rows(epochs), best, finished
    assert state.over(Limits(epochs=5, patience=3)) is expected
