"""ViT-B/16 (Dosovitskiy et al., 2021): KerasHub's layers, without a classifier."""

import collections
import hashlib
import pathlib
import warnings

import keras
import numpy as np

from ganfp_tf.errors import UserError
from ganfp_tf.models.weight_files import read_entries

PATCH = 16
WIDTH = 768


def build_network(image_size):
    """ViT-B/16 without its head, with random weights.

    Args:
        image_size: side S in pixels, a multiple of 16.

    Returns:
        keras.Model, pixels (B, S, S, 3) scaled to [-1, 1] -> (B, S/16, S/16, 768): the patches'
        tokens behind the last normalization, in their places. The class token takes part in the
        attention and is then left out.

    Raises:
        UserError: S is not a multiple of 16.
    """
    if image_size % PATCH:
        raise UserError(
            f"vit_b16 cuts images into patches of {PATCH} x {PATCH} pixels: --image_size must be a "
            f"multiple of {PATCH}, such as 224. Received: --image_size={image_size}"
        )
    # Here, because importing KerasHub takes time that no other backbone should cost.
    import keras_hub

    transformer = keras_hub.models.ViTBackbone(
        image_shape=(image_size, image_size, 3),
        patch_size=PATCH,
        num_layers=12,
        num_heads=12,
        hidden_dim=WIDTH,
        mlp_dim=3072,
        data_format="channels_last",
        name="vit",
    )
    side = image_size // PATCH
    inputs = keras.Input((image_size, image_size, 3))
    # The model as a whole, because its layers cannot be loaded from a file one by one.
    x = keras.layers.Cropping1D((1, 0), name="without_class_token")(transformer(inputs))
    x = keras.layers.Reshape((side, side, WIDTH), name="grid")(x)
    return keras.Model(inputs, x, name="network")


def parts(network):
    """The layers that fine-tuning tells apart: the embedding, the encoder's blocks and its norm.

    Args:
        network: what `build_network` returned, or the same loaded from a file.

    Returns:
        list of layers; "transformer_block_12" is the last block and "ln" the last normalization.
    """
    transformer = network.get_layer("vit")
    encoder = transformer.get_layer("vit_encoder")
    return [
        transformer.get_layer("vit_patching_and_embedding"),
        encoder.dropout,
        *encoder.encoder_layers,
        encoder.layer_norm,
    ]


def load_file(network, path):
    """Puts a file's weights into the network of `build_network`.

    By Keras's own loader, because the names of the layers inside a transformer block repeat.

    Args:
        network: the network; after an error it may be half filled.
        path: a `.weights.h5` or `.keras` file of it, or of KerasHub's ViTBackbone of its size.

    Raises:
        UserError: missing, damaged or of another network or image size.
    """
    path = pathlib.Path(path)
    # Refuses what is missing, damaged or empty.
    arrays = [array for entry in read_entries(path) for array in entry.arrays]
    # KerasHub's own files have one level less.
    reason = _failure(network, path) and _failure(network.get_layer("vit"), path)
    # Keras passes over some of what it does not find in a file with no more than a warning.
    if not reason and _digests(arrays) != _digests(network.get_weights()):
        reason = f"its {len(arrays)} arrays are not the network's {len(network.weights)}"
    if reason:
        raise UserError(
            f"{path.name} does not fit the backbone vit_b16. Expected a .weights.h5 or .keras file "
            "of this network, made with the same --image_size (it decides how many positions the "
            f"network knows). Found: {reason}"
        )
    for weight in network.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise UserError(f"{path.name} has numbers in {weight.path} that are not finite.")


def _failure(model, path):
    """Why the file cannot be loaded into the model; empty where it is loaded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `load_file` sees for itself whether all was loaded.
            model.load_weights(path)
    except Exception as error:  # Keras raises many kinds.
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""


def _digests(arrays):
    return collections.Counter(
        hashlib.sha256(np.ascontiguousarray(array, "float32")).digest() for array in arrays
    )
