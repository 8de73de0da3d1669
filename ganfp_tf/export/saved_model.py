"""The Siamese network as a SavedModel that needs neither this package nor Keras."""

import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from ganfp_tf.data import decode

PIXELS = (None, None, None, 3)


def write_saved_model(siamese: keras.Model, path: Path) -> None:
    """Exports a Siamese network, atomically.

    Signatures, all of whose outputs are named as here:
        serving_default(real, generated): images `(batch, height, width, 3)` of any size, float32
            pixels in [0, 255] -> probability `(batch, 1)`.
        serve_bytes(real, generated): encoded PNG or JPEG strings `(batch,)` -> probability.
        encode(images): `(batch, height, width, 3)` -> tokens `(batch, tokens, channels)`;
            with --domain_norm all as a real image's, then all as a generated image's.
    A signature has one number format; `serve(real, generated)` of the loaded object takes uint8
    too, as does the signature serving_uint8.

    Args:
        siamese: model of inputs `real` and `generated`, with a layer named "encoder".
        path: folder to be written.
    """
    module = Serving(siamese)
    real, generated = (tf.TensorSpec(PIXELS, tf.float32, name) for name in ("real", "generated"))
    real8, generated8 = (tf.TensorSpec(PIXELS, tf.uint8, name) for name in ("real", "generated"))
    text = (tf.TensorSpec((None,), tf.string, name) for name in ("real", "generated"))
    signatures = {
        "serving_default": module.serve.get_concrete_function(real, generated),
        "serving_uint8": module.serve.get_concrete_function(real8, generated8),
        "serve_bytes": module.serve_bytes.get_concrete_function(*text),
        "encode": module.encode.get_concrete_function(tf.TensorSpec(PIXELS, tf.float32, "images")),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=".tmp-", dir=path.parent)
    try:
        tf.saved_model.save(module, temporary, signatures=signatures)
        shutil.rmtree(path, ignore_errors=True)
        shutil.move(temporary, path)
        path.chmod(0o755)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class Serving(tf.Module):
    """The Siamese network behind plain tensors: any size, pixels or encoded files."""

    def __init__(self, siamese: keras.Model) -> None:
        super().__init__()
        self.siamese = siamese
        self.encoder = siamese.get_layer("encoder")
        self.size = self.encoder.input_shape[1]

    @tf.function
    def serve(self, real: tf.Tensor, generated: tf.Tensor) -> dict[str, tf.Tensor]:
        """Probability of pairs of images `(batch, height, width, 3)` in [0, 255]."""
        return {"probability": self._probability(self._pixels(real), self._pixels(generated))}

    @tf.function
    def serve_bytes(self, real: tf.Tensor, generated: tf.Tensor) -> dict[str, tf.Tensor]:
        """Probability of pairs of encoded PNG or JPEG strings `(batch,)`."""
        return {"probability": self._probability(self._decoded(real), self._decoded(generated))}

    @tf.function
    def encode(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Tokens `(batch, tokens, channels)` of images `(batch, height, width, 3)`."""
        return {"tokens": self.encoder(self._pixels(images), training=False)}

    def _probability(self, real, generated):
        logit = self.siamese({"real": real, "generated": generated}, training=False)
        return tf.sigmoid(logit)

    def _pixels(self, images):
        return decode.resize(tf.cast(images, tf.float32), self.size)

    def _decoded(self, encoded):
        return tf.map_fn(
            lambda item: decode.resize(decode.decode_encoded(item), self.size),
            encoded,
            fn_output_signature=tf.TensorSpec((self.size, self.size, 3), tf.float32),
        )
