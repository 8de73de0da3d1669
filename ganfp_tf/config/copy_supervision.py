"""The settings of the supervision, and of copies made on the fly."""

import dataclasses

from ganfp_tf.config.field import Condition, setting

WITH_COPIES = Condition("supervision=copy", modes=("train",))


@dataclasses.dataclass(frozen=True)
class CopySettings:
    """What the Siamese network learns, and how copies are made."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    # Copy supervision
    supervision: str = setting(
        "membership", "What the Siamese network learns: membership (the paper: whether the real "
        "image of a pair was used), copy (whether the generated image is a copy of the real one, "
        "without any membership label), or attribution (which real image a generated one comes "
        "from, so that used ones share them all).", group="Copy supervision",
        choices=("membership", "copy", "attribution"))
    copy_steps: int = setting(
        1500, "Steps of learning what a copy is.", group="Copy supervision", unit="steps", low=1,
        high=10000000, needs=WITH_COPIES)
    copy_block: int = setting(
        16, "Images of a block; each is set against the copies of all.", group="Copy supervision",
        unit="images", low=2, high=256, needs=WITH_COPIES)
    copy_blocks: int = setting(
        4, "Blocks a step.", group="Copy supervision", unit="blocks", low=1, high=256,
        needs=WITH_COPIES)
    copy_mix: float = setting(
        0.3, "Copies are blends: at most twice this share is another image, a third of it on "
        "average.", group="Copy supervision", low=0.0, high=0.5, needs=WITH_COPIES)
    copy_warp: float = setting(
        1.0, "Size of a copy's turn, zoom and shift; 1 is 3.4 degrees, 5 percent and a 21st of the "
        "side.", group="Copy supervision", low=0.0, high=5.0, needs=WITH_COPIES)
    copy_learning_rate: float = setting(
        1e-3, "Highest learning rate of AdamW while it learns what a copy is.",
        group="Copy supervision", low=1e-08, high=10.0, needs=WITH_COPIES)
    # fmt: on

    def copy_recipe(self, seed: int) -> dict:
        """The arguments of `copy_trainer.Recipe`, with the seed of what training draws."""
        names = ("steps", "block", "blocks", "mix", "warp", "learning_rate")
        return {name: getattr(self, f"copy_{name}") for name in names} | {"seed": seed}
