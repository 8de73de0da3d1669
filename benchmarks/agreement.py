"""The same pairs by every path: store, whole model, SavedModel, LiteRT; and Beam's image scores.

    pip install -r requirements-beam.txt -r requirements-edge.txt
    python benchmarks/agreement.py RUN TEST [--real=16] [--generated=16]

RUN is a trained run (its saved_model/ written), TEST a folder of unknown real and generated images
for --mode=predict. Prints the largest difference of logits of RUN's own test images from those that
scoring computes from the store; of the SavedModel and of Beam, which give probabilities and scores,
the largest difference of these.
"""

import argparse
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf import cli
from ganfp_tf.config import Config
from ganfp_tf.export.lite_agreement import InLite
from ganfp_tf.models.siamese import compiled
from ganfp_tf.siamese import encoded_images, networks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("test", type=pathlib.Path)
    parser.add_argument("--real", type=int, default=16)
    parser.add_argument("--generated", type=int, default=16)
    asked = parser.parse_args()
    run = asked.run
    config = Config.from_json(run / "config.json")
    material, _ = encoded_images.reopen_images(config, run)
    splits = pd.read_csv(run / "splits.csv")
    paths = splits["path"][(splits["split_id"] == "main") & (splits["split"] == "test")]
    real = material.rows(paths, "real")[: asked.real]
    generated = material.rows(paths, "generated")[: asked.generated]
    table = np.broadcast_to(generated, (len(real), len(generated)))
    trained = networks.load(run / "splits" / "main").networks
    stored = networks.pair_logits(trained, material, real, table)
    images = [
        np.stack(list(material.images(rows).as_numpy_iterator())) for rows in (real, generated)
    ]
    left = np.repeat(np.arange(len(real)), len(generated))
    right = np.tile(np.arange(len(generated)), len(real))
    whole, served, lite = (np.empty(stored.size, "float32") for _ in range(3))
    network = compiled(keras.models.load_model(run / "model.keras"))
    loaded = tf.saved_model.load(run / "saved_model")
    for start in range(0, stored.size, 32):
        part = slice(start, start + 32)
        pair = {"real": images[0][left[part]], "generated": images[1][right[part]]}
        whole[part] = network(pair)[:, 0]
        tensors = {role: tf.constant(array) for role, array in pair.items()}
        served[part] = loaded.signatures["serving_default"](**tensors)["probability"][:, 0]
    cli.main(["main.py", "--mode=export", f"--run_dir={run}", "--export_format=tflite"])
    made = ((run / "lite" / f"{name}.tflite").read_bytes() for name in ("encoder", "comparator"))
    in_lite = InLite(*made, threads=1)
    tokens = [in_lite.encode(each) for each in images]
    lite[:] = np.ravel(in_lite.compare(tokens[0][left], tokens[1][right]))
    scores = []
    for flags in ((), ("--beam",)):
        cli.main(["main.py", "--mode=predict", f"--run_dir={run}", f"--data={asked.test}", *flags])
        scores.append(pd.read_csv(run / "predictions.csv")["score"].to_numpy())
    flat = stored.ravel()
    print(f"{flat.size} pairs; logits have a standard deviation of {flat.std():.3g}")
    for name, difference in (
        ("whole model on images, logit", whole - flat),
        ("SavedModel, probability", served - 1.0 / (1.0 + np.exp(-flat.astype("float64")))),
        (
            "SavedModel against the whole model, probability",
            served - 1.0 / (1.0 + np.exp(-whole.astype("float64"))),
        ),
        ("LiteRT float, logit", lite - flat),
        ("LiteRT float against the whole model, logit", lite - whole),
        (f"Beam against --mode=predict, score of {len(scores[0])} images", scores[1] - scores[0]),
    ):
        print(f"{name}: largest difference {np.abs(difference).max():.2g}")


if __name__ == "__main__":
    main()
