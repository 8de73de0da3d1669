"""Settings that every test shares."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def shared_data():
    """The folder of the two victims; the test is skipped where it is not there."""
    if not SHARED.is_dir():
        pytest.skip("needs the two victims in ../shared/data, which the project does not ship")
    return SHARED
