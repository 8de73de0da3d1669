"""Every broken input through the command line: one clear message, exit code 2, no traceback."""

import pytest

from main import main
from tests.helpers.broken_inputs import BROKEN, good_folder


@pytest.mark.parametrize(("build", "options"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_broken_input_ends_in_exit_code_2(build, options, tmp_path, capsys):
    data, expected = build(tmp_path)
    settings = dict(options)
    if reader := settings.pop("reader", None):
        settings["nifti_slice"] = reader.nifti_slice
    flags = [f"--{name}={value}" for name, value in settings.items()]
    run = tmp_path / "the run"
    code = main(["main.py", f"--data={data}", f"--run_dir={run}", "--backbone=tiny", *flags])
    errors = capsys.readouterr().err
    assert code == 2
    message = errors[errors.index("ganfp: ") :]
    assert expected in message
    assert "Traceback" not in errors
    # Nothing was begun that a later, mended command would have to clear away.
    assert not run.exists()


def test_too_few_patients_are_refused_before_anything_is_written(tmp_path, capsys):
    data = good_folder(tmp_path)
    run = tmp_path / "run"
    code = main(["main.py", f"--data={data or tmp_path}", f"--run_dir={run}", "--backbone=tiny"])
    assert code == 2
    assert "patients" in capsys.readouterr().err
    assert not run.exists()
