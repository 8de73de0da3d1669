"""Phantoms as a whole: seeds, patients, and the folder that write_phantoms leaves."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ganfp_tf.errors import UserError
from ganfp_tf.reports import phantom_page
from ganfp_tf.simulation.phantoms import phantom as module
from ganfp_tf.simulation.phantoms.findings import SHARES
from ganfp_tf.simulation.phantoms.phantom import findings_of, level, phantom, write_phantoms


def test_the_same_call_gives_the_same_bytes_whatever_came_before():
    first = phantom(3, 1, size=32)
    for patient in range(12):
        module._patient(patient, 1)
    phantom(4, 0, size=32)
    module._patient.cache_clear()
    np.testing.assert_array_equal(phantom(3, 1, size=32), first)
    assert first.dtype == np.uint8
    assert first.shape == (32, 32)


def test_another_process_gives_the_same_bytes():
    code = (
        "import sys; from ganfp_tf.simulation.phantoms.phantom import phantom;"
        "sys.stdout.buffer.write(phantom(3, 1, size=32).tobytes());"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == phantom(3, 1, size=32).tobytes()


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([32, 64]), st.integers(0, 2**40), st.integers(0, 10**6), st.integers(1, 6))
def test_any_seed_and_patient(size, seed, patient, slices):
    image = phantom(patient, slices - 1, slices=slices, size=size, seed=seed)
    assert image.shape == (size, size)
    assert 15 < image.mean() < 190
    assert set(findings_of(patient, seed=seed)) <= set(SHARES)


def test_anatomy_does_not_depend_on_the_size():
    for patient in range(3):
        small, large = phantom(patient, 1, size=32), phantom(patient, 1, size=128)
        large = large.reshape(32, 4, 32, 4).mean(axis=(1, 3))
        assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.95


def test_slices_of_a_patient_differ_and_are_nearer_than_other_patients():
    images = np.array([[phantom(p, i, size=32) for i in range(3)] for p in range(12)], float)
    vectors = images.reshape(12, 3, -1)
    own = [np.linalg.norm(one[0] - one[1]) for one in vectors]
    others = [np.linalg.norm(vectors[p, 0] - vectors[(p + 1) % 12, 1]) for p in range(12)]
    assert min(own) > 200  # of grey levels, summed over 32 x 32 pixels: not copies
    assert np.mean(own) < np.mean(others)


def test_patients_differ_at_the_same_level():
    images = np.array([phantom(p, 1, size=32) for p in range(12)], float).reshape(12, -1)
    distances = [np.linalg.norm(images[a] - images[b]) for a in range(12) for b in range(a)]
    assert min(distances) > 400


def test_levels_go_down_and_stay_in_the_chest():
    for patient in range(20):
        levels = [level(patient, index, slices=5) for index in range(5)]
        assert levels == sorted(levels)
        assert module.LEVELS[0] < levels[0] < levels[-1] < module.LEVELS[1]


def test_another_seed_is_another_patient():
    assert not np.array_equal(phantom(0, 0, size=32), phantom(0, 0, size=32, seed=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 48}, "power of two.*size=48"),
        ({"size": 1024}, "power of two.*size=1024"),
        ({"index": 3}, "from 0 to 2.*index=3"),
        ({"index": -1}, "index=-1"),
        ({"slices": 0}, "slices=0"),
        ({"patient": -1}, "patient=-1"),
        ({"seed": -5}, "seed=-5"),
    ],
)
def test_bad_arguments_are_a_users_mistake(arguments, message):
    with pytest.raises(UserError, match=message):
        phantom(**{"patient": 0, "index": 0} | arguments)


def test_write_and_go_on(tmp_path):
    folder = write_phantoms(tmp_path / "set", patients=3, slices=2, size=32, workers=1)
    manifest = pd.read_csv(folder / "manifest.csv", keep_default_na=False)
    assert list(manifest.columns) == ["path", "patient", "slice", "findings"]
    assert list(manifest["path"][:3]) == [
        "phantom_0000_0.png",
        "phantom_0000_1.png",
        "phantom_0001_0.png",
    ]
    assert list(manifest["patient"]) == [0, 0, 1, 1, 2, 2]
    assert manifest["findings"][2] == " ".join(findings_of(1))
    files = sorted(folder.glob("*.png"))
    assert [path.name for path in files] == list(manifest["path"])
    with Image.open(files[3]) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), phantom(1, 1, slices=2, size=32))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    files[1].unlink()
    files[4].write_bytes(before[files[4]][1][:60])  # cut short by a full disc
    write_phantoms(folder, patients=3, slices=2, size=32, workers=1)
    for path in files:
        assert path.read_bytes() == before[path][1]
        same_time = path.stat().st_mtime_ns == before[path][0]
        assert same_time == (path not in (files[1], files[4]))
    write_phantoms(folder, patients=4, slices=2, size=32, workers=1)  # more patients: goes on
    assert len(list(folder.glob("*.png"))) == 8
    assert not list(folder.glob(".tmp-*"))


def test_a_folder_of_other_settings_is_refused(tmp_path):
    write_phantoms(tmp_path, patients=1, slices=1, size=32, workers=1)
    assert json.loads((tmp_path / "phantom.json").read_text())["size"] == 32
    with pytest.raises(UserError, match="other settings"):
        write_phantoms(tmp_path, patients=1, slices=1, size=64, workers=1)
    with pytest.raises(UserError, match="other settings"):
        write_phantoms(tmp_path, patients=1, slices=1, size=32, seed=1, workers=1)
    with pytest.raises(UserError, match="patients=0"):
        write_phantoms(tmp_path, patients=0)


def test_the_sample_page(tmp_path):
    phantom_page.write(tmp_path / "page.png", patients=(0, 106), slices=2, size=32)
    with Image.open(tmp_path / "page.png") as image:
        assert image.width > 400
        assert np.asarray(image).std() > 50


def test_two_processes_write_the_same(tmp_path):
    write_phantoms(tmp_path, patients=2, slices=1, size=32, workers=2)
    for patient in range(2):
        with Image.open(tmp_path / f"phantom_000{patient}_0.png") as image:
            np.testing.assert_array_equal(np.asarray(image), phantom(patient, 0, slices=1, size=32))
