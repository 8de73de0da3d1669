"""Tensors for timm's networks that every machine makes alike, with torch or without."""

import hashlib
import pathlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "timm.npz"
# Key of the golden file -> (backbone, side of the images, step between the places that it keeps,
# step between the channels).
CASES = {
    "densenet161_64": ("densenet161", 64, 1, 46),
    "vit_b16_64": ("vit_b16", 64, 3, 16),
    "vit_b16_224": ("vit_b16", 224, 14, 32),
}


def numbers(name, shape):
    """The tensor `name`: uniform numbers from NumPy's frozen `RandomState`, seeded by the name.

    Scaled so that activations keep their size: weights of deviation 1 / sqrt(inputs), and sqrt(2)
    of it in front of a ReLU; variances and scales in [0.5, 1.5]; all else in [-0.3, 0.3].
    """
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, "int64")
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    uniform = np.random.RandomState(seed).random_sample(shape).astype("float32")
    if len(shape) in (2, 4):
        gain = 2.0 if name.startswith("features") else 1.0
        return (uniform - 0.5) * np.float32(np.sqrt(12 * gain / np.prod(shape[1:])))
    if name.endswith("running_var") or ("norm" in name and name.endswith("weight")):
        return uniform + np.float32(0.5)
    return (uniform - 0.5) * np.float32(0.6)


def state(shapes):
    """dict name -> shape to dict name -> array."""
    return {name: numbers(name, tuple(shape)) for name, shape in shapes.items()}


def images(side):
    """Two images of noise on a ramp, in [0, 255]: float32 (2, side, side, 3)."""
    noise = np.random.RandomState(side).random_sample((2, side, side, 3))
    ramp = np.linspace(0, 1, side)[:, None, None] * np.array([1.0, 0.5, 0.0])
    return (255 * (0.5 * noise + 0.5 * ramp)).astype("float32")


def sample(tokens, case):
    """What the golden file keeps of tokens (2, T, width)."""
    _, _, places, channels = CASES[case]
    return np.asarray(tokens)[:, ::places, ::channels]


def names_digest(shapes):
    """SHA-256 over the names and shapes of a state dict."""
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def relative(found, expected):
    """The largest absolute difference, and the same in units of the largest expected number."""
    difference = float(np.abs(np.asarray(found) - expected).max())
    return difference, difference / float(np.abs(expected).max())
