"""Every setting, once; flags and --help are made from it. No TensorFlow."""

from ganfp_tf.config.config import MODES, OF_VICTIMS, Config

__all__ = ["MODES", "OF_VICTIMS", "Config"]
