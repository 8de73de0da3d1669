"""What tests of modes that run other runs share."""

import json

import pytest

from ganfp_tf.runs import child_process
from main import main


@pytest.fixture
def in_this_process(monkeypatch):
    """Runs go on here, one after the other, which spares a start of TensorFlow each."""
    ran = []

    def run(config, settings_path, log_path):
        ran.append(config.run_dir.rsplit("/", 1)[1])
        settings_path.parent.mkdir(parents=True, exist_ok=True)
        settings_path.write_text(json.dumps(config.to_dict()))
        return child_process.Outcome(
            main(["main.py", f"--config_json={settings_path}"]), 1.5, 10**9
        )

    monkeypatch.setattr(child_process, "run", run)
    return ran
