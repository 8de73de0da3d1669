"""The settings of the Siamese network."""

import dataclasses

from ganfp_tf.config.field import setting


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """What the Siamese network is made of."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    backbone: str = setting(
        "resnet50", "Encoder: the paper's resnet50, efficientnetb2, densenet161 and vit_b16 (whose "
        "image_size is a multiple of 16); efficientnetlite0, densenet121, efficientnetv2b0; "
        "compact (small, for --supervision=copy); tiny for tests.", group="Model", choices=(
            "resnet50", "efficientnetb2", "densenet161", "vit_b16", "efficientnetlite0",
            "densenet121", "efficientnetv2b0", "compact", "tiny"))
    weights: str = setting(
        "auto", "auto (ImageNet where it can be had, else random with a warning), imagenet, "
        "none, or the path of a Keras .h5, .weights.h5 or .keras file, for densenet161 and vit_b16 "
        "also of a timm .safetensors file.", group="Model")
    normalization: str = setting(
        "backbone", "Pixel scaling: the backbone's own, or the paper's ImageNet mean and "
        "deviation.", group="Model", choices=("backbone", "imagenet"))
    image_size: int = setting(
        224, "Side to which images are resized.", group="Model", unit="pixels", low=32, high=1024)
    finetune: str = setting(
        "none", "What of the backbone is trained: none, last_stage or all. "
        "BatchNormalization always stays frozen.", group="Model",
        choices=("none", "last_stage", "all"))
    features: str = setting(
        "last", "Tokens of the backbone: its last features (the paper), or multi: three depths "
        "together at the positions of the middle one, compared place by place with "
        "--cross_attention or without. Its store takes up to 7 times the space (resnet50: 1.4 MB "
        "an image of 224 pixels).", group="Model", choices=("last", "multi"))
    domain_norm: bool = setting(
        False, "Standardise features of real and of generated images apart, at each place, so "
        "that neither the generator's look nor what all images share rules the comparison.",
        group="Model")
    cross_attention: bool = setting(
        False, "Align the tokens of both images by cross-attention (paper, section 3.2).",
        group="Model")
    width: int = setting(
        128, "Channels of the tokens that cross-attention compares.", group="Model",
        unit="channels", low=8, high=2048)
    heads: int = setting(
        4, "Attention heads.", group="Model", unit="heads", low=1, high=32)
    similarity: str = setting(
        "both", "Signals of the adaptive similarity layer.", group="Model",
        choices=("both", "difference", "dot"))
    hidden: int = setting(
        64, "Units of the hidden layer after the similarity.", group="Model", unit="units", low=1,
        high=4096)
    dropout: float = setting(
        0.1, "Dropout before and after the hidden layer.", group="Model", low=0.0, high=0.9)
    # fmt: on
