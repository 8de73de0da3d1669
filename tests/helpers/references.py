"""timm's DenseNet-161 and ViT-B/16, as the reference of the converters.

torch is imported behind TensorFlow and without triton: its LLVM beside TensorFlow's ends in a
crash, and no CPU needs it.
"""
# ruff: noqa: E402

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.modules["triton"] = None

import numpy as np
import tensorflow  # noqa: F401
import timm
import torch
from timm.layers import resample_abs_pos_embed

IN_TIMM = {
    "densenet161": "densenet161.tv_in1k",
    "vit_b16": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
}


def reference(name, tensors=None, side=224):
    """timm's network in evaluation mode.

    Args:
        name: a key of `IN_TIMM`.
        tensors: dict name -> array to fill it with; None: torch's own random weights, all scales,
            shifts and moving statistics drawn anew, because torch begins them at 0 or 1.
        side: of the images in pixels. timm's ViT is made for 224 and then told of the new size, by
            which it interpolates its position embedding.
    """
    torch.manual_seed(1)
    model = timm.create_model(IN_TIMM[name], pretrained=False)
    if tensors is None:
        for key, tensor in model.state_dict().items():
            if tensor.dim() == 1:
                positive = key.endswith(("weight", "running_var"))  # scales and variances
                tensor.uniform_(*((0.5, 1.5) if positive else (-0.2, 0.2)))
    else:
        model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in tensors.items()})
    if name == "vit_b16" and side != 224:
        model.set_input_size(img_size=side)
    return model.eval()


def tokens_of(name, model, pixels):
    """Pixels in [0, 255] (B, S, S, 3) -> timm's features as tokens (B, T, width), NumPy."""
    config = model.pretrained_cfg
    mean, deviation = (np.float32(config[key]) for key in ("mean", "std"))
    scaled = torch.from_numpy(((pixels / 255 - mean) / deviation).transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        features = model.forward_features(scaled)
    if name == "vit_b16":
        return features[:, 1:].numpy()  # without the class token
    return features.flatten(2).transpose(1, 2).numpy()


def state_of(model):
    """dict name -> array of all tensors of a network."""
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def resampled(positions, side):
    """timm's interpolation of position embeddings, (1 + g * g, width) to another grid."""
    return resample_abs_pos_embed(torch.from_numpy(positions)[None], [side, side])[0].numpy()
