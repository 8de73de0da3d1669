"""The settings of the Siamese network, of several sections."""

import dataclasses

from ganfp_tf.config.copy_supervision import CopySettings
from ganfp_tf.config.data import DataSettings
from ganfp_tf.config.evaluation import EvaluationSettings
from ganfp_tf.config.model import ModelSettings
from ganfp_tf.config.run import RunSettings
from ganfp_tf.config.scale import ScaleSettings
from ganfp_tf.config.training import PairSettings, StoreSettings, TrainingSettings


@dataclasses.dataclass(frozen=True)
class SiameseSettings(
    EvaluationSettings,
    StoreSettings,
    TrainingSettings,
    PairSettings,
    ModelSettings,
    DataSettings,
    RunSettings,
    CopySettings,
    ScaleSettings,
):
    """What reading images, training on them and scoring them depend on."""

    @property
    def trains_on_tokens(self) -> bool:
        """Whether training reads stored tokens: not if the backbone learns or images change."""
        return self.finetune == "none" and self.supervision != "copy"
