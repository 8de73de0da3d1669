"""Number format and determinism of the process."""

import keras
import tensorflow as tf


def prepare_runtime(config):
    """Number format and determinism of the process; before any model is made."""
    policy = "float32"
    if config.mixed_precision:
        policy = "mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"
    keras.config.set_dtype_policy(policy)
    # Without it, sums over threads may end in another order and another last digit. Keras refuses
    # XLA beside it.
    if not config.jit_compile:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
