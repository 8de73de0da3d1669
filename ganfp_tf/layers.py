"""The Keras layers of the package.

Importing this module registers all that a .keras file of this package may hold, so that
`keras.models.load_model` reads it.
"""

from ganfp_tf.models.backbones import applications, stages, vit_b16  # noqa: F401
from ganfp_tf.models.comparator import Comparator
from ganfp_tf.models.layers import AdaptiveSimilarity, CrossAttention

__all__ = ["AdaptiveSimilarity", "Comparator", "CrossAttention"]
