"""Who may import whom: the contracts of .importlinter."""

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder):
    """Runs import-linter over the package in `folder`; its exit code and output."""
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_contracts_are_kept():
    code, output = lint(ROOT)
    assert code == 0, output


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("statistics/metrics.py", "from ganfp_tf.modes import train", "Lower folders"),
        ("audit/metrics.py", "import matplotlib", "Nothing below reports"),
        ("config/config.py", "import tensorflow", "Statistics, settings"),
        ("detectors/attacks/hits.py", "from ganfp_tf.siamese import training", "Attacks"),
        ("modes/train.py", "from ganfp_tf.modes import evaluate", "Modes"),
    ],
)
def test_a_forbidden_import_fails(module, line, contract, tmp_path):
    ignore = shutil.ignore_patterns("*.zip", "__pycache__")
    shutil.copytree(ROOT / "ganfp_tf", tmp_path / "ganfp_tf", ignore=ignore)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    with open(tmp_path / "ganfp_tf" / module, "a") as source:
        source.write(f"\n{line}\n")
    code, output = lint(tmp_path)
    broken = [row for row in output.splitlines() if row.endswith("BROKEN")]
    assert code == 1, output
    assert any(row.startswith(contract) for row in broken), output
