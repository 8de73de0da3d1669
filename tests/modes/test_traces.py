"""Nothing is compiled twice: partial batches, other images and later epochs trace no function."""

import collections
import inspect

import pytest
import tensorflow as tf

from main import main

SMALL = (
    "--backbone=tiny",
    "--weights=none",
    "--image_size=32",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--epochs=3",
    "--steps_per_epoch=4",
    "--bootstrap=100",
    "--permutations=100",
    "--cross_attention",
    "--notensorboard",
    # Divides none of the numbers of images: every last batch is a smaller one.
    "--embed_batch=7",
)


@pytest.fixture
def made(monkeypatch):
    """Every `tf.function` made from now on: dict (file, function) that makes it -> list."""
    found, original = collections.defaultdict(list), tf.function

    def function(func=None, **options):
        caller = inspect.stack()[1]
        place = (caller.filename.rsplit("/", 1)[1], caller.function)

        def keep(wrapped):
            found[place].append(original(wrapped, **options))
            return found[place][-1]

        return keep if func is None else keep(func)

    monkeypatch.setattr(tf, "function", function)
    return found


def traced(made):
    """Number of traces of each function made, dict place -> list; those never called left out."""
    counts = {
        place: [n for f in functions if (n := f.experimental_get_tracing_count())]
        for place, functions in made.items()
    }
    return {place: counts[place] for place in counts if counts[place]}


@pytest.mark.parametrize(
    ("finetune", "modes"), [("none", ("train", "evaluate", "predict")), ("all", ("train",))]
)
def test_a_run_traces_each_function_once(made, victim, tmp_path, finetune, modes):
    flags = [*SMALL, f"--store_dir={tmp_path / 'store'}", f"--run_dir={tmp_path / 'run'}"]
    for mode in modes:
        made.clear()
        data = victim[1] if mode == "predict" else victim[0]
        words = ["main.py", f"--mode={mode}", f"--data={data}", f"--finetune={finetune}", *flags]
        assert main(words) == 0
        found = traced(made)
        assert ("siamese.py", "compiled") in found
        assert all(set(counts) == {1} for counts in found.values()), found
        # A network compiled anew for each of the four validations would be traced once each time.
        ours = sum(len(counts) for (file, _), counts in found.items() if file != "layer.py")
        assert ours <= (15 if mode == "train" else 6), found
        if mode == "train":
            assert ("trainer.py", "_make_function") in found
