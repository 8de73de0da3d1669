"""Every setting, once; flags and --help are made from it. No TensorFlow."""

from ganfp_tf.config.config import OF_VICTIMS, Config
from ganfp_tf.config.run import MODES

__all__ = ["MODES", "OF_VICTIMS", "Config"]
