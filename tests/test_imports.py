"""What a mode imports before it knows that it needs it: each import is time that every run pays."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Each takes a tenth of a second up to several, or is not installed everywhere.
RARELY_NEEDED = {
    "ai_edge_litert",
    "apache_beam",
    "faiss",
    "jinja2",
    "keras_cv",
    "keras_hub",
    "nibabel",
    "onnxruntime",
    "pydicom",
    "skimage",
    "statsmodels",
    "tensorflow_hub",
    "tensorflow_text",
    "timm",
    "torch",
}
SCRIPT = """
import importlib, json, sys
found = []
for modules in json.loads(sys.argv[1]):
    for module in modules:
        importlib.import_module(module)
    found.append(sorted({name.partition(".")[0] for name in sys.modules}))
print(json.dumps(found))
"""


def test_modes_import_what_they_need():
    steps = [
        ["ganfp_tf.cli", "ganfp_tf.config"],
        ["ganfp_tf.modes.compare", "ganfp_tf.modes.audit", "ganfp_tf.modes.benchmark"],
        ["ganfp_tf.data.catalog", "ganfp_tf.data.images"],
    ]
    light, reports, reading = imported(steps)
    assert not light & {"tensorflow", "keras", "scipy", "sklearn", "matplotlib", "PIL"}
    assert not reports & {"tensorflow", "keras", "tensorboard"}
    assert not reading & {"tensorflow", "keras", "pydicom", "nibabel"}
    # Keras itself imports Matplotlib and scikit-learn.
    (networks,) = imported(
        [[f"ganfp_tf.modes.{mode}" for mode in ("train", "evaluate", "predict", "export")]]
    )
    assert "tensorflow" in networks
    assert not networks & RARELY_NEEDED


def imported(steps):
    """Names of the packages imported after each step, a list of modules; one process."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(steps)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [set(names) for names in json.loads(done.stdout.splitlines()[-1])]
