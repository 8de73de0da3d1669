"""The settings of `--mode=simulate`: a victim, its images, its training, and a grid of victims."""

import dataclasses
import functools

from ganfp_tf.config.field import Condition, setting
from ganfp_tf.errors import UserError

SIDES = (32, 64, 128, 256)
POLICIES = ("color", "translation", "cutout")
NO_DATA_SET = Condition(
    "shadows", reason="decide a victim's data set, which --shadows does not make. Leave them out."
)
# Only simulations read these settings.
victim_setting = functools.partial(setting, modes=("simulate",))


@dataclasses.dataclass(frozen=True)
class VictimSettings:
    """What decides a simulated victim. Raises `UserError` where a value is not allowed."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    # Simulation
    real: str = victim_setting(
        "phantom", "Real images of the simulation: phantom (procedural lung CT), or a folder of "
        "images (a manifest.csv or --patient_regex says whose they are; labels are looked at with "
        "--shadow_on=not_used alone).",
        group="Simulation", role="victim")
    members: int = victim_setting(
        100, "Patients whose images the victim is trained on.", group="Simulation",
        unit="patients", low=4, high=100000, role="victim", without=NO_DATA_SET)
    non_members: int = victim_setting(
        100, "Patients whose images it never sees.", group="Simulation", unit="patients", low=4,
        high=100000, role="victim", without=NO_DATA_SET)
    generated: int = victim_setting(
        1000, "Images that the victim generates. Of these, of members and of non-members, "
        "--test_fraction go to the test part.", group="Simulation", unit="images", low=4,
        high=1000000, role="victim")
    siblings: int = victim_setting(
        20, "Most other images of members in the test part that join it: used patient, unseen "
        "image. The truth names them.", group="Simulation", unit="images", low=0, high=100000,
        role="victim", without=NO_DATA_SET)
    plant_copies: float = victim_setting(
        0.0, "Positive control: this share of the generated images is replaced by slightly changed "
        "member images.", group="Simulation", unit="percent", low=0.0, high=100.0, role="victim",
        without=NO_DATA_SET)
    unrelated: bool = victim_setting(
        False, "Negative control: also images by a second victim, trained on as many other "
        "patients, in unrelated/.", group="Simulation", role="victim", without=NO_DATA_SET)
    size: int = victim_setting(
        64, "Side of the images: 32, 64, 128 or 256.", group="Simulation", unit="pixels", low=32,
        high=256, role="victim")
    slices: int = victim_setting(
        3, "Slices of a phantom patient.", group="Simulation", unit="images", low=1, high=64,
        role="victim", without=NO_DATA_SET)
    phantom_seed: int = victim_setting(
        0, "Seed of the phantoms' anatomy; --seed draws who of them is a member.",
        group="Simulation", low=0, high=2 ** 31 - 1, role="victim", without=NO_DATA_SET)
    phantom_dir: str = victim_setting(
        "runs/phantoms", "Folder of rendered phantoms, which all simulations share.",
        group="Simulation", role="place")
    grid: str = victim_setting(
        "", "Several victims, then every detector on each: settings with their values, such as "
        "members=50,100;architecture=dcgan,residual;seed=0,1. What is done already stays.",
        group="Simulation", role="place", without=NO_DATA_SET)

    shadows: int = victim_setting(
        0, "Instead of a victim, train this many shadow generators on the images of --real; they "
        "calibrate detectors (--shadow).", group="Simulation", unit="generators", low=0, high=1000,
        role="victim")
    shadow_on: str = victim_setting(
        "halves", "What a shadow is trained on: halves (a random half of the patients, the next "
        "one on the rest, whatever the labels), or not_used (the images known not to be used; one "
        "shadow).", group="Simulation", choices=("halves", "not_used"), role="victim",
        needs=Condition("shadows"))

    # Victim
    architecture: str = victim_setting(
        "dcgan", "Networks of the victim: transposed convolutions, or residual blocks modulated by "
        "a style.", group="Victim", choices=("dcgan", "residual"), role="victim")
    channels: int = victim_setting(
        24, "Channels of its finest feature maps; each coarser level has twice as many, at most "
        "512.", group="Victim", unit="channels", low=4, high=512, role="victim")
    latent: int = victim_setting(
        64, "Numbers of a latent.", group="Victim", unit="numbers", low=2, high=1024,
        role="victim")
    gan_loss: str = victim_setting(
        "nonsaturating", "Adversarial loss.", group="Victim", choices=("nonsaturating", "hinge"),
        role="victim")
    r1: float = victim_setting(
        10.0, "Weight of the R1 penalty on the slope at real images; 0 leaves it out.",
        group="Victim", low=0.0, high=10000.0, role="victim")
    ema: float = victim_setting(
        0.999, "Decay of the moving average of the generator's weights, which makes the images.",
        group="Victim", low=0.0, high=0.99999, role="victim")
    diffaugment: str = victim_setting(
        "", "Differentiable augmentation: some of color, translation and cutout, separated by "
        "commas.", group="Victim", role="victim")
    steps: int = victim_setting(
        20000, "Training steps of the victim.", group="Victim", unit="steps", low=1,
        high=100000000, role="victim")
    gan_batch: int = victim_setting(
        8, "Real images a step.", group="Victim", unit="images", low=2, high=4096, role="victim")
    gan_learning_rate: float = victim_setting(
        3e-4, "Learning rate of both Adam optimisers.", group="Victim", low=1e-08, high=1.0,
        role="victim")
    # fmt: on

    def check_shadows(self) -> None:
        """Raises `UserError` if shadows lack what they need."""
        if not self.shadows:
            return
        if self.real == VictimSettings.real:
            raise UserError(
                "--shadows needs --real=FOLDER: the real images of which it is asked whether they "
                "were used."
            )
        if self.shadow_on == "not_used" and self.shadows > 1:
            raise UserError(
                "--shadow_on=not_used trains one shadow: say --shadows=1. "
                f"Received: --shadows={self.shadows}"
            )

    def check_victim(self) -> None:
        """Raises `UserError` if the settings of a victim do not fit together."""
        if self.size not in SIDES:
            sides = ", ".join(map(str, SIDES))
            raise UserError(f"--size must be one of {sides}. Received: {self.size}")
        unknown = [name for name in self.policies if name not in POLICIES]
        if unknown or len(set(self.policies)) < len(self.policies):
            raise UserError(
                f"--diffaugment must name some of {', '.join(POLICIES)}, each once, separated by "
                f"commas. Received: {self.diffaugment!r}"
            )
        if self.gan_batch > self.members:
            raise UserError(
                "--gan_batch must be at most --members, or a step would hold images twice. "
                f"Received: --gan_batch={self.gan_batch} --members={self.members}"
            )

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies of --diffaugment, as a tuple."""
        return tuple(name.strip() for name in self.diffaugment.split(",") if name.strip())
