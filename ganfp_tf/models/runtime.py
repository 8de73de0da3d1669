"""Number format and determinism of the process."""

from typing import Protocol

import keras
import tensorflow as tf


class RuntimeSettings(Protocol):
    """What the process depends on: of the sections of training and of the run."""

    @property
    def mixed_precision(self) -> bool:
        """Whether to compute in half precision."""

    @property
    def jit_compile(self) -> bool:
        """Whether training is compiled with XLA."""

    @property
    def seed(self) -> int:
        """Seed of Python, NumPy and TensorFlow."""


def prepare_runtime(settings: RuntimeSettings) -> None:
    """Sets number format and determinism of the process; before any model is made."""
    policy = "float32"
    if settings.mixed_precision:
        policy = "mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"
    keras.config.set_dtype_policy(policy)
    # Without it, sums over threads may end in another order and another last digit. Keras refuses
    # XLA beside it.
    if not settings.jit_compile:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
