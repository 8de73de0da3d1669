"""Settings and images that every test shares."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Two threads wait for each other longer than such small matrices take.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # the other cores have tests of their own
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import numpy as np
import pytest
from PIL import Image

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
WORKERS = 4  # at most; each holds TensorFlow and its networks, about 2 GB


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the options
def pytest_cmdline_main(config):
    """Spreads the files of tests over processes, unless the command line says how.

    One file, `-s`, `--pdb` and a Python without pytest-xdist stay in this process, and so does
    `-n 0`. A file is never divided: its fixtures are made once.
    """
    options = config.option
    if hasattr(config, "workerinput") or not hasattr(options, "numprocesses"):
        return
    asked = options.numprocesses is not None or options.tx or options.dist != "no"
    if asked or options.distload or options.usepdb or options.capture == "no":
        return
    files = {str(name).partition("::")[0] for name in config.args}
    if len(files) > 1 or not files.pop().endswith(".py"):
        options.numprocesses = min(len(os.sched_getaffinity(0)), WORKERS)
        options.dist = "loadfile"
        # pytest-xdist starts with the files of many tests; those that take long have few.
        options.loadscopereorder = False


@pytest.fixture
def shared_data():
    """The folder of the two victims; the test is skipped where it is not there."""
    if not SHARED.is_dir():
        pytest.skip("needs the two victims in ../shared/data, which the project does not ship")
    return SHARED


def write_victim(root, *, used=15, unused=15, unknown=8, copies=6, side=32, seed=0):
    """Writes a planted victim in the 2025 layout: generated images are noisy copies of used ones.

    Returns:
        `(training folder, test folder, dict name -> label of the unknown images)`.
    """
    rng = np.random.default_rng(seed)
    training, test = root / "training", root / "test"
    sources = {"real_used": _scenes(rng, used, side), "real_not_used": _scenes(rng, unused, side)}
    for role, scenes in sources.items():
        _write(training / role, role, scenes)
    _write(training / "generated", "generated", _copies(rng, sources["real_used"], copies))
    members, others = _scenes(rng, unknown // 2, side), _scenes(rng, unknown // 2, side)
    _write(test / "real_unknown", "real_unknown", np.concatenate([members, others]))
    _write(test / "generated", "generated", _copies(rng, members, copies))
    truth = {f"real_unknown_{i + 1}.png": int(i < unknown // 2) for i in range(unknown)}
    return training, test, truth


def _scenes(rng, count, side):
    """Smooth random pictures `(count, side, side)` of values in [0, 255]."""
    coarse = rng.uniform(0, 255, (count, 4, 4)).astype("float32")
    return np.stack(
        [
            np.asarray(Image.fromarray(c).resize((side, side), Image.Resampling.BICUBIC))
            for c in coarse
        ]
    ).clip(0, 255)


def _copies(rng, scenes, copies):
    repeated = np.repeat(scenes, copies, axis=0)
    return (repeated + rng.normal(0, 4, repeated.shape)).clip(0, 255)


def _write(folder, stem, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images, start=1):
        Image.fromarray(np.round(image).astype("uint8")).save(folder / f"{stem}_{number}.png")


@pytest.fixture(scope="session")
def victim(tmp_path_factory):
    """A planted victim, written once: `(training folder, test folder, truth)`."""
    return write_victim(tmp_path_factory.mktemp("victim"))
