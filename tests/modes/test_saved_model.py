"""The SavedModel serves in a process where neither ganfp nor Keras can be imported."""

import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from ganfp_tf.config import Config
from ganfp_tf.data import decode
from ganfp_tf.export.saved_model import write_saved_model
from ganfp_tf.siamese.encoded_images import make_backbone
from ganfp_tf.siamese.networks import build_networks

CLIENT = """
import json, sys

# None in sys.modules: importing the name fails, looking for it finds nothing.
sys.modules.update(dict.fromkeys(["ganfp_tf", "keras", "keras_cv", "tf_keras"]))
import numpy as np
import tensorflow as tf

for name in ("ganfp_tf", "keras"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(name + " could be imported")
given = np.load(sys.argv[2], allow_pickle=False)
loaded = tf.saved_model.load(sys.argv[1])
signatures = loaded.signatures
real, generated = given["real"], given["generated"]
floats = dict(real=tf.constant(real, tf.float32), generated=tf.constant(generated, tf.float32))
texts = [json.loads(str(given[name])) for name in ("real_files", "generated_files")]
texts = [[bytes.fromhex(item) for item in items] for items in texts]
np.savez(
    sys.argv[3],
    names=sorted(signatures),
    floats=signatures["serving_default"](**floats)["probability"],
    ints=signatures["serving_uint8"](
        real=tf.constant(real, tf.uint8), generated=tf.constant(generated, tf.uint8)
    )["probability"],
    either=loaded.serve(tf.constant(real, tf.uint8), tf.constant(generated, tf.uint8))[
        "probability"
    ],
    bytes=signatures["serve_bytes"](
        real=tf.constant(texts[0]), generated=tf.constant(texts[1])
    )["probability"],
    tokens=signatures["encode"](images=floats["real"])["tokens"],
)
"""


@pytest.mark.parametrize("cross_attention", [True, False])
def test_a_client_without_this_package(cross_attention, tmp_path):
    config = Config(
        backbone="tiny",
        weights="none",
        image_size=32,
        width=16,
        heads=2,
        cross_attention=cross_attention,
    )
    siamese = build_networks(
        config, make_backbone(config, config.seed)[0], config.trains_on_tokens
    ).siamese()
    rng = np.random.default_rng(0)
    for weight in siamese.trainable_variables:
        weight.assign(rng.normal(0, 0.2, weight.shape))
    write_saved_model(siamese, tmp_path / "saved_model")

    # Different colours, so that different pairs get different answers.
    colours = rng.integers(0, 200, (2, 3, 1, 1, 3))
    real = (colours[0] + rng.integers(0, 56, (3, 50, 41, 3))).astype("uint8")
    generated = (colours[1] + rng.integers(0, 56, (3, 64, 64, 3))).astype("uint8")
    np.savez(
        tmp_path / "given.npz",
        real=real,
        generated=generated,
        real_files=encoded(real, "PNG"),
        generated_files=encoded(generated, "PNG"),
    )
    (tmp_path / "client.py").write_text(CLIENT)
    done = subprocess.run(
        [sys.executable, "client.py", "saved_model", "given.npz", "answer.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    answer = np.load(tmp_path / "answer.npz")
    assert set(answer["names"]) >= {"serving_default", "serve_bytes", "encode"}
    resized = {
        name: decode.resize(images.astype("float32"), 32)
        for name, images in (("real", real), ("generated", generated))
    }
    logits = np.asarray(siamese(resized, training=False), "float64")
    expected = 1.0 / (1.0 + np.exp(-logits))
    assert expected.std() > 1e-3
    for name in ("floats", "ints", "either", "bytes"):
        np.testing.assert_allclose(answer[name], expected, atol=1e-5, err_msg=name)
    tokens = siamese.get_layer("encoder")(resized["real"], training=False)
    np.testing.assert_allclose(answer["tokens"], tokens, atol=1e-5)


def encoded(images, kind):
    """The images as files of `kind`, hex in JSON (an array of bytes would lose trailing zeros)."""
    files = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, kind)
        files.append(stream.getvalue().hex())
    return json.dumps(files)


def test_the_keras_file_gives_the_same(tmp_path):
    config = Config(backbone="tiny", weights="none", image_size=32, width=16, heads=2)
    siamese = build_networks(
        config, make_backbone(config, config.seed)[0], config.trains_on_tokens
    ).siamese()
    siamese.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    pair = {"real": images, "generated": images[::-1]}
    np.testing.assert_allclose(loaded.predict(pair, verbose=0), siamese.predict(pair, verbose=0))
