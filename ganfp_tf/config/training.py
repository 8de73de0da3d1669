"""The settings of pairs, of training, and of the embedding store."""

import dataclasses

from ganfp_tf.config.field import Condition, setting

# Settings of pairs with labels.
BY_LABEL = Condition(
    "supervision=copy",
    modes=("train",),
    reason="decide how pairs with labels are drawn and learned, which --supervision=copy does not "
    "do. Leave them out; see the --copy_ flags.",
)


@dataclasses.dataclass(frozen=True)
class PairSettings:
    """Which real and generated images are paired."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    pairing: str = setting(
        "random", "Generated partners of a real image: random (the paper), its nearest ones, or "
        "half of each.", group="Pairs", choices=("random", "nearest", "mixed"), without=BY_LABEL)
    neighbours: int = setting(
        8, "How many nearest generated images a real image may be paired with.", group="Pairs",
        unit="images", low=1, high=4096, without=BY_LABEL)
    real_per_batch: int = setting(
        8, "Real images a block; a block scores all its real x generated pairs.", group="Pairs",
        unit="images", low=1, high=512, without=BY_LABEL)
    generated_per_batch: int = setting(
        8, "Generated images a block.", group="Pairs", unit="images", low=1, high=512,
        without=BY_LABEL)
    blocks: int = setting(
        1, "Blocks a step; with --distribute a multiple of the devices.", group="Pairs",
        unit="blocks", low=1, high=256, without=BY_LABEL)
    class_weighted: bool = setting(
        True, "Draw real images with weights inverse to their label's frequency.", group="Pairs",
        without=BY_LABEL)
    # fmt: on

    @property
    def step_blocks(self) -> int:
        """Number of blocks in the dataset of a step: with nearest partners, one a real image."""
        return self.blocks * (1 if self.pairing == "random" else self.real_per_batch)


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How the Siamese network is trained."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    epochs: int = setting(
        20, "Most epochs.", group="Training", unit="epochs", low=1, high=10000, without=BY_LABEL)
    steps_per_epoch: int = setting(
        40, "Optimiser steps an epoch.", group="Training", unit="steps", low=1, high=100000,
        without=BY_LABEL)
    patience: int = setting(
        8, "Epochs without a better validation AUC of images before training stops.",
        group="Training", unit="epochs", low=1, high=10000, without=BY_LABEL)
    learning_rate: float = setting(
        3e-4, "Highest learning rate of AdamW.", group="Training", low=1e-08, high=10.0,
        without=BY_LABEL)
    weight_decay: float = setting(
        1e-4, "Decoupled weight decay of AdamW.", group="Training", low=0.0, high=1.0,
        without=BY_LABEL)
    warmup: float = setting(
        0.05, "Share of all steps in which the learning rate rises; a cosine to zero follows.",
        group="Training", low=0.0, high=0.9, without=BY_LABEL)
    mixed_precision: bool = setting(
        False, "Compute in float16 on a GPU and in bfloat16 elsewhere.", group="Training")
    jit_compile: bool = setting(
        False, "Compile the training step with XLA; the last digits may then differ between runs.",
        group="Training")
    distribute: str = setting(
        "none", "none, mirrored over all visible devices, or multiworker: one process on each "
        "machine, told of the others by TF_CONFIG.", group="Training",
        choices=("none", "mirrored", "multiworker"))
    tensorboard: bool = setting(
        True, "Write TensorBoard logs into the run folder.", group="Training", role="place")
    # fmt: on


@dataclasses.dataclass(frozen=True)
class StoreSettings:
    """Where features of the backbone are kept."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    store_dir: str = setting(
        "runs/store", "Folder of the embedding store. It holds features of the images: guard it as "
        "you guard them.", group="Embedding store", role="place")
    store_dtype: str = setting(
        "float16", "Number format of stored features.", group="Embedding store",
        choices=("float16", "float32"))
    embed_batch: int = setting(
        32, "Images the backbone takes at once.", group="Embedding store", unit="images", low=1,
        high=4096, role="place")
    # fmt: on
