"""DenseNet-161 (Huang et al., 2017), layer by layer as torchvision and timm have it."""

import keras

from ganfp_tf.models.weights.timm_layout import Place, convolution_place, head_places, same_place

GROWTH = 48
BLOCKS = (6, 12, 36, 24)
STEM = 96
BOTTLENECK = 4
WIDTH = 2208


def build_network(image_size: int) -> keras.Model:
    """DenseNet-161 without its top, with random weights.

    Args:
        image_size: side S in pixels, at least 32.

    Returns:
        keras.Model, ImageNet-scaled pixels (B, S, S, 3) -> (B, S/32, S/32, 2208), the side rounded
        down at the three average poolings.

    A layer is called as its torch module is, with "_" where torch writes "." (torch's
    `features.denseblock1.denselayer1.norm1` is `features_denseblock1_denselayer1_norm1`). Padding
    is torch's, the same on all sides; BatchNormalization has torch's epsilon and momentum.
    """
    x = inputs = keras.Input((image_size, image_size, 3))
    x = keras.layers.ZeroPadding2D(3, name="features_pad0")(x)
    x = _convolution(STEM, 7, "features_conv0", strides=2)(x)
    x = _norm_relu(x, "features_norm0", "features_relu0")
    # Zeros are as good as torch's minus infinity: nothing is negative behind a ReLU.
    x = keras.layers.ZeroPadding2D(1, name="features_pool0_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="features_pool0")(x)
    for block, layers in enumerate(BLOCKS, start=1):
        for layer in range(1, layers + 1):
            x = _dense_layer(x, f"features_denseblock{block}_denselayer{layer}")
        if block < len(BLOCKS):
            x = _transition(x, f"features_transition{block}")
    x = _norm_relu(x, "features_norm5", "features_relu5")
    return keras.Model(inputs, x, name="network")


def _dense_layer(x, name):
    """(B, h, w, C) -> (B, h, w, C + 48): what came in, then what is new."""
    new = _norm_relu(x, f"{name}_norm1", f"{name}_relu1")
    new = _convolution(BOTTLENECK * GROWTH, 1, f"{name}_conv1")(new)
    new = _norm_relu(new, f"{name}_norm2", f"{name}_relu2")
    new = _convolution(GROWTH, 3, f"{name}_conv2", padding="same")(new)
    return keras.layers.Concatenate(name=f"{name}_concat")([x, new])


def _transition(x, name):
    """(B, h, w, C) -> (B, h/2, w/2, C/2)."""
    x = _norm_relu(x, f"{name}_norm", f"{name}_relu")
    x = _convolution(x.shape[-1] // 2, 1, f"{name}_conv")(x)
    return keras.layers.AveragePooling2D(2, 2, name=f"{name}_pool")(x)


def _convolution(filters, size, name, strides=1, padding="valid"):
    return keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def _norm_relu(x, norm, relu):
    # Keras's momentum is the old value's share, torch's (0.1) the new one's.
    x = keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=norm)(x)
    return keras.layers.ReLU(name=relu)(x)


def densenet161_places(network: keras.Model) -> list[Place]:
    """The places of timm's densenet161.

    Args:
        network: what `build_network` returned.

    Returns:
        list of `Place`. Without variables are the classifier, which this network leaves out, and
        BatchNormalization's counts of batches, which decide nothing once training is over.
    """
    places = []
    for layer in network.layers:
        # "features_denseblock1_denselayer1_norm1": no name of torch's has a "_" of its own.
        name = layer.name.replace("_", ".")
        if isinstance(layer, keras.layers.Conv2D):
            places.append(convolution_place(f"{name}.weight", layer.kernel))
        elif isinstance(layer, keras.layers.BatchNormalization):
            parts = {
                "weight": layer.gamma,
                "bias": layer.beta,
                "running_mean": layer.moving_mean,
                "running_var": layer.moving_variance,
            }
            places += [same_place(f"{name}.{part}", variable) for part, variable in parts.items()]
            places.append(Place(f"{name}.num_batches_tracked", (), ()))
    return [*places, *head_places("classifier", network.output.shape[-1])]
