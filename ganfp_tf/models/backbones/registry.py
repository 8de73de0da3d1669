"""The registry of encoders: name -> network without top, its width and its own pixel scaling."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras

from ganfp_tf.models.backbones import compact, densenet161, efficientnet_lite, vit_b16
from ganfp_tf.models.backbones.applications import (
    CaffeScaling as CaffeScaling,  # registered by being imported
)
from ganfp_tf.models.backbones.applications import (
    at_stages,
    build_densenet121,
    build_efficientnetb2,
    build_efficientnetv2b0,
    build_resnet50,
    build_tiny,
    caffe_scaling,
    imagenet_scaling,
    lite_scaling,
    symmetric_scaling,
)
from ganfp_tf.models.backbones.densenet161 import densenet161_places
from ganfp_tf.models.backbones.vit_b16 import vit_b16_places
from ganfp_tf.models.weights.sources import PublishedFile
from ganfp_tf.models.weights.timm import TimmWeights

HUB = "https://storage.googleapis.com/"


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One entry of the registry."""

    build: Callable[[int], keras.Model]
    """image size S -> network, scaled pixels (B, S, S, 3) -> features (B, h, w, width)."""
    width: int
    """Channels of the features."""
    parameters: int
    """Weights of the network without top, BatchNormalization's moving statistics included; at 224
    pixels where they depend on the image size."""
    scaling: Callable[[], list[keras.layers.Layer]]
    """() -> layers that take pixels in [0, 255] to what the network wants."""
    last_stage: tuple[str, ...]
    """Beginnings of the names of the layers that --finetune=last_stage trains."""
    stages: tuple[str, str, str]
    """Layers of --features=multi, from the finest positions to the coarsest: strides 8, 16 and 32,
    without an EfficientNet's widening top. The second one's positions are the tokens'."""
    imagenet: Callable[[keras.Model], str] | None = None
    """Puts ImageNet weights into the network and returns their source; None: nobody has any."""
    load_file: Callable[[keras.Model, pathlib.Path | str], None] | None = None
    """Puts a Keras file's weights into the network; None: `weight_files` does, layer by layer."""
    parts: Callable[[keras.Model], list[keras.layers.Layer]] = lambda network: network.layers
    """Network -> the layers that `last_stage` speaks of."""
    at_stages: Callable[[keras.Model, tuple[str, ...]], keras.Model] = at_stages
    """(network, names of stages) -> model "network" of its outputs there, over the same layers."""
    timm: TimmWeights | None = None
    """Reads timm's `.safetensors` file of the network; None: no such file can be read."""


DENSENET161 = TimmWeights("densenet161.tv_in1k", densenet161_places)
VIT_B16 = TimmWeights("vit_base_patch16_224.augreg2_in21k_ft_in1k", vit_b16_places)

BACKBONES: dict[str, Backbone] = {
    "tiny": Backbone(
        build_tiny,
        32,
        11_088,
        symmetric_scaling,
        ("block3_",),
        ("block1_relu", "block2_relu", "block3_relu"),
    ),
    "compact": Backbone(
        compact.build_network,
        compact.WIDTH,
        69_504,
        symmetric_scaling,
        ("block3_", "top_"),
        ("block1_gelu", "block3_add", "top_conv"),
    ),
    "efficientnetlite0": Backbone(
        efficientnet_lite.build_network,
        1280,
        3_413_024,
        lite_scaling,
        ("block7", "top_"),
        ("block3b_add", "block5c_add", "block7a_project_bn"),
        efficientnet_lite.load_imagenet,
    ),
    "efficientnetb2": Backbone(
        build_efficientnetb2,
        1408,
        7_768_562,
        imagenet_scaling,
        ("block7", "top_"),
        ("block3c_add", "block5d_add", "block7b_add"),
        PublishedFile(
            HUB + "keras-applications/efficientnetb2_notop.h5", "111f8e2ac8aa800a7a99e3239f7bfb39"
        ).load,
    ),
    "resnet50": Backbone(
        build_resnet50,
        2048,
        23_587_712,
        caffe_scaling,
        ("conv5_",),
        ("conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
        PublishedFile(
            HUB + "tensorflow/keras-applications/resnet/"
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "4d473c1dd8becc155b73f8504c6f6626",
        ).load,
    ),
    "densenet161": Backbone(
        densenet161.build_network,
        densenet161.WIDTH,
        26_691_936,
        imagenet_scaling,
        ("features_denseblock4_", "features_norm5"),
        ("features_transition2_conv", "features_transition3_conv", "features_relu5"),
        DENSENET161.load,
        timm=DENSENET161,
    ),
    "vit_b16": Backbone(
        vit_b16.build_network,
        vit_b16.WIDTH,
        85_798_656,
        symmetric_scaling,
        ("transformer_block_12", "ln"),
        ("transformer_block_4", "transformer_block_8", "ln"),
        VIT_B16.load,
        vit_b16.load_file,
        vit_b16.parts,
        vit_b16.at_stages,
        VIT_B16,
    ),
    "densenet121": Backbone(
        build_densenet121,
        1024,
        7_037_504,
        imagenet_scaling,
        ("conv5_", "bn"),
        ("pool3_conv", "pool4_conv", "relu"),
        PublishedFile(
            HUB + "tensorflow/keras-applications/densenet/"
            "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "30ee3e1110167f948a6b9946edeeb738",
        ).load,
    ),
    "efficientnetv2b0": Backbone(
        build_efficientnetv2b0,
        1280,
        5_919_312,
        imagenet_scaling,
        ("block6", "top_"),
        ("block3b_add", "block5e_add", "block6h_add"),
        PublishedFile(
            HUB + "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b0_notop.h5",
            "893217f2bb855e2983157299931e43ff",
        ).load,
    ),
}
