"""Time and memory of scoring N real images against M generated ones, beside the encoder alone.

    python benchmarks/scale.py WORK [--real=200] [--generated=5000] [--made=0]
        [--backbone=resnet50] [--size=224] [--width=128] [--heads=4] [--candidates=0] [--side=256]

WORK is a folder for images, store and runs; what is there is used again. The images are written by
the script (smooth noise, --side pixels, gray PNG). A detector is trained for one step; then, in one
process, the same command that users run (--mode=predict with every generated image as a partner)
scores all N x M pairs with an empty store, half of the bare encoder passes before it and half
behind it, so that a machine that grows slower slows both. The naive way (both images of each pair
through the whole network) is measured on a sample of pairs and extrapolated.

With --made=M the generated images' tokens are made up and lie in the store already: only reading,
preparing and comparing are measured, for numbers of images that would take hours to encode.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image

from ganfp_tf import cli, timing

NAIVE_PAIRS, BATCH = 64, 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=pathlib.Path)
    numbers = {
        "real": 200,
        "generated": 5000,
        "made": 0,
        "size": 224,
        "width": 128,
        "heads": 4,
        "candidates": 0,
        "side": 256,
    }
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--backbone", default="resnet50")
    asked = parser.parse_args()
    flags = [
        f"--backbone={asked.backbone}",
        "--weights=none",
        f"--image_size={asked.size}",
        "--cross_attention",
        f"--width={asked.width}",
        f"--heads={asked.heads}",
        f"--candidates={asked.candidates}",
        f"--store_dir={asked.work / 'trained_store'}",
    ]
    run = asked.work / f"run-{asked.backbone}-{asked.size}-{asked.width}-{asked.heads}"
    run = run.with_name(f"{run.name}-{asked.candidates}")
    training = asked.work / "training"
    for name, count in (("real_used", 10), ("real_not_used", 10), ("generated", 20)):
        write(training / name, count, name, asked.side)
    call(
        [
            f"--data={training}",
            f"--run_dir={run}",
            "--epochs=1",
            "--steps_per_epoch=1",
            "--notensorboard",
            "--nosaved_model",
            *flags,
        ]
    )
    facts = made(asked, run) if asked.made else encoded(asked, run)
    facts |= {**vars(asked), "work": str(asked.work), "peak_gb": timing.peak_bytes() / 1e9}
    print(json.dumps(facts, indent=2))


def encoded(asked, run):
    """Everything from the files on, and the bare passes around it."""
    import keras

    from ganfp_tf.config import Config
    from ganfp_tf.models.siamese import compiled
    from ganfp_tf.siamese.encoded_images import make_backbone

    data = asked.work / f"test-{asked.real}-{asked.generated}-{asked.side}"
    write(data / "real_unknown", asked.real, "unknown", asked.side)
    write(data / "generated", asked.generated, "generated", asked.side)
    store = asked.work / "store"
    shutil.rmtree(store, ignore_errors=True)
    config = Config.from_json(run / "config.json")
    encode = compiled(make_backbone(config, config.seed)[0])
    batch = np.random.default_rng(0).uniform(0, 255, (BATCH, asked.size, asked.size, 3))
    batch = batch.astype("float32")
    passes = -(-(asked.real + asked.generated) // BATCH)

    def bare(count):
        started = time.perf_counter()
        for _ in range(count):
            encode(batch)
        return time.perf_counter() - started

    bare(2)
    seconds = bare(passes // 2)
    started = time.perf_counter()
    call(
        [
            "--mode=predict",
            f"--run_dir={run}",
            f"--data={data}",
            f"--store_dir={store}",
            f"--partners={asked.generated}",
        ]
    )
    total = time.perf_counter() - started
    seconds += bare(passes - passes // 2)
    started = time.perf_counter()
    call(
        [
            "--mode=predict",
            f"--run_dir={run}",
            f"--data={data}",
            f"--store_dir={store}",
            f"--partners={asked.generated}",
        ]
    )
    stored = time.perf_counter() - started

    siamese = keras.models.load_model(run / "model.keras")
    pair = compiled(siamese)
    pair({"real": batch, "generated": batch})
    started = time.perf_counter()
    for _ in range(NAIVE_PAIRS // BATCH):
        pair({"real": batch, "generated": batch})
    naive = (time.perf_counter() - started) / NAIVE_PAIRS
    pairs = asked.real * asked.generated
    return {
        "bare_encoder_seconds": seconds,
        "total_seconds": total,
        "total_over_bare": total / seconds,
        "again_from_the_store_seconds": stored,
        "pairs_a_second_from_the_store": pairs / stored,
        "naive_seconds_a_pair": naive,
        "naive_seconds_extrapolated": naive * pairs,
        "faster_than_naive": naive * pairs / total,
        "limit_of_that": 2 * pairs / (asked.real + asked.generated),
    }


def made(asked, run):
    """Scores made-up tokens from a store; nothing is encoded."""
    import pandas as pd

    from ganfp_tf.config import Config
    from ganfp_tf.data import embeddings
    from ganfp_tf.detectors import trained
    from ganfp_tf.siamese.encoded_images import EncodedImages

    config = Config.from_dict(
        Config.from_json(run / "config.json").to_dict() | {"partners": asked.made}
    )
    scorer = trained.Scorers(run, config.supervision).of("main")
    tokens, channels = scorer.networks.entry.input.shape[1:]
    key = {"backbone": "made", "dtype": "float16", "tokens": tokens, "channels": channels}
    store = embeddings.open_store(asked.work / f"made_store-{tokens}-{channels}", key)
    digests = [f"{i:064d}" for i in range(asked.real + asked.made)]
    missing = store.missing(digests)
    for start in range(0, len(missing), embeddings.SHARD):
        names = missing[start : start + embeddings.SHARD]
        rng = np.random.default_rng(int(names[0]))
        store.write(names, rng.normal(size=(len(names), tokens, channels)).astype("float32"))
    before = timing.peak_bytes() / 1e9
    features = store.view(digests)
    roles = ["real"] * asked.real + ["generated"] * asked.made
    frame = pd.DataFrame({"digest": digests, "role": roles})
    material = EncodedImages(frame, features, features.pooled(), config)
    real, generated = np.arange(asked.real), asked.real + np.arange(asked.made)
    started = time.perf_counter()
    scorer.score(material, real, generated, seed=0)
    seconds = time.perf_counter() - started
    pairs = asked.real * (asked.candidates or asked.made)
    return {
        "seconds": seconds,
        "pairs_a_second": pairs / seconds,
        "peak_before_gb": before,
        "searches": [recall.sentence() for recall in material.searches],
    }


def call(flags):
    code = cli.main(["main.py", *flags])
    if code:
        sys.exit(code)


def write(folder, count, stem, side):
    """Smooth noise, another picture each, gray PNG of side x side pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(stem))
    for number in range(1, count + 1):
        coarse = Image.fromarray(rng.uniform(0, 255, (8, 8)).astype("uint8"))
        path = folder / f"{stem}_{number}.png"
        if not path.exists():
            coarse.resize((side, side), Image.Resampling.BICUBIC).save(path)


if __name__ == "__main__":
    main()
