"""The settings of what a Siamese network is taught, and of copies made on the fly."""

import dataclasses

from ganfp_tf.config.field import setting
from ganfp_tf.errors import UserError

# What only pairs drawn by label, or their training, have a use for.
OF_PAIRS = (
    "pairing",
    "neighbours",
    "real_per_batch",
    "generated_per_batch",
    "blocks",
    "class_weighted",
    "epochs",
    "steps_per_epoch",
    "patience",
    "learning_rate",
    "weight_decay",
    "warmup",
)


@dataclasses.dataclass(frozen=True)
class CopySettings:
    """What decides the supervision. Raises `UserError` where settings do not fit together."""

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
        high=10000000)
    copy_block: int = setting(
        16, "Images of a block; each is set against the copies of all.", group="Copy supervision",
        unit="images", low=2, high=256)
    copy_blocks: int = setting(
        4, "Blocks a step.", group="Copy supervision", unit="blocks", low=1, high=256)
    copy_mix: float = setting(
        0.3, "Copies are blends: at most twice this share is another image, a third of it on "
        "average.", group="Copy supervision", low=0.0, high=0.5)
    copy_warp: float = setting(
        1.0, "Size of a copy's turn, zoom and shift; 1 is 3.4 degrees, 5 percent and a 21st of the "
        "side.", group="Copy supervision", low=0.0, high=5.0)
    copy_learning_rate: float = setting(
        1e-3, "Highest learning rate of AdamW while it learns what a copy is.",
        group="Copy supervision", low=1e-08, high=10.0)
    # fmt: on

    def check_supervision(self):
        """Raises `UserError` for settings that the chosen supervision has no use for."""
        if self.supervision == "attribution" and self.pairing != "random":
            raise UserError(
                "--supervision=attribution sets a generated image against many real ones, which "
                f"only --pairing=random does. Received: --pairing={self.pairing}"
            )
        if self.supervision != "copy":
            return
        if self.domain_norm:
            raise UserError(
                "--supervision=copy learns what both kinds of images look like by itself: leave "
                "--domain_norm out."
            )
        if self.distribute != "none":
            raise UserError("--supervision=copy runs on one device: leave --distribute out.")
        if self.backbone in ("compact", "tiny") and self.finetune == "none":
            raise UserError(
                f"--backbone={self.backbone} has no pretrained weights; with --supervision=copy "
                "say --finetune=all as well, or it would stay as it was drawn."
            )

    def check_idle(self):
        """Raises `UserError` for settings that would do nothing in training."""
        default = {field.name: field.default for field in dataclasses.fields(self)}
        copies = [name for name in default if name.startswith("copy_")]
        taught_copies = self.supervision == "copy"
        names = OF_PAIRS if taught_copies else copies
        idle = [f"--{name}" for name in names if getattr(self, name) != default[name]]
        if idle and taught_copies:
            raise UserError(
                f"{' and '.join(idle)} decide how pairs with labels are drawn and learned, which "
                "--supervision=copy does not do. Leave them out; see the --copy_ flags."
            )
        if idle:
            raise UserError(f"{' and '.join(idle)} go with --supervision=copy.")

    def copy_recipe(self):
        """What `data.copies.Recipe` takes, as a dict."""
        names = ("steps", "block", "blocks", "mix", "warp", "learning_rate")
        recipe = {name: getattr(self, f"copy_{name}") for name in names}
        return recipe | {"seed": self.drawing_seed}

    @property
    def trains_on_tokens(self):
        """Whether training reads stored tokens: not where the backbone learns or images change."""
        return self.finetune == "none" and self.supervision != "copy"
