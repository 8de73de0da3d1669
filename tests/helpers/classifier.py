"""EfficientNet-Lite0 with the ImageNet head that its weights were published with."""

import keras

from ganfp_tf.models.backbones import efficientnet_lite
from ganfp_tf.models.backbones.registry import BACKBONES
from ganfp_tf.models.weights.torch_pickle import read_state_dict

CLASSES = 1000


def imagenet_classifier():
    """keras.Model, pixels in [0, 255] (B, 224, 224, 3) -> logits (B, 1000)."""
    x = inputs = keras.Input((224, 224, 3), dtype="float32", name="pixels")
    for layer in BACKBONES["efficientnetlite0"].scaling():
        x = layer(x)
    state = read_state_dict(efficientnet_lite.find_weights())
    network = efficientnet_lite.build_network(224)
    efficientnet_lite.load_torch_weights(network, state)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(network(x))
    head = keras.layers.Dense(CLASSES, name="classes")
    model = keras.Model(inputs, head(x), name="classifier")
    head.set_weights([state["_fc.weight"].T, state["_fc.bias"]])
    return model
