"""Writes the golden files of this folder: `python -m tests.golden.write_golden`, without a GPU.

They say what run folders, saved networks and audits of 0.1 look like and what they answer; written
once, by the code of that version. Only a change of results that is meant writes them anew.
"""

import os
import pathlib
import shutil
import tempfile
import zipfile

import numpy as np

from main import main
from tests.conftest import write_victim
from tests.golden import recipes

HERE = pathlib.Path(__file__).resolve().parent


def write_runs(work):
    """A finished run, the same one interrupted after its first epoch, and its predictions."""
    from ganfp_tf.siamese import checkpoint

    write_victim(work)
    save = checkpoint.RunState.save

    def interrupted(self, is_best):
        save(self, is_best)
        if self.epoch == 1:
            raise KeyboardInterrupt

    checkpoint.RunState.save = interrupted
    assert main(["main.py", *recipes.TRAIN]) == 130
    checkpoint.RunState.save = save
    shutil.copytree(work / "run", work / "interrupted")
    for words in (recipes.TRAIN, recipes.PREDICT):
        assert main(["main.py", *words]) == 0
    for name in ("saved_model", "figures", "tensorboard"):
        shutil.rmtree(work / "run" / name)
    with zipfile.ZipFile(HERE / "runs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in ("training", "test", "run", "interrupted"):
            for path in sorted((work / part).rglob("*")):
                if path.is_file():
                    content = path.read_bytes()
                    if path.suffix == ".csv":  # which names the images by their absolute paths
                        content = content.replace(os.fsencode(work), recipes.PLACE)
                    archive.writestr(str(path.relative_to(work)), content)


def write_networks():
    """Networks of each kind as .keras files, with the logits that they give."""
    images = np.random.default_rng(0).uniform(0, 255, (2, 3, 32, 32, 3)).astype("float32")
    logits = {}
    for name, network in recipes.networks().items():
        network.save(HERE / f"{name}.keras")
        logits[name] = network.predict({"real": images[0], "generated": images[1]}, verbose=0)
    np.savez(HERE / "logits.npz", images=images, **logits)


def write_audit(work):
    """The audit of the demo with every fast detector."""
    assert main(["main.py", *recipes.AUDIT]) == 0
    for name in ("audit.json", "scores.csv"):
        shutil.copy(work / "audit" / name, HERE / name)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        write_runs(pathlib.Path(name))
        write_networks()
        write_audit(pathlib.Path(name))
