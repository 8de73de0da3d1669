"""The callbacks of a victim's training."""

from ganfp_tf.models.callbacks import Progress, StopOnNonFinite
from ganfp_tf.simulation.gan.gan import GAN

SHOWN = 40  # samples in the grid, five rows of eight


def stop_on_non_finite(gan: GAN) -> StopOnNonFinite:
    """Stops a victim whose losses or weights are no longer numbers."""

    def explain(what, value, epoch, step):
        return (
            f"the victim's {what} are no longer numbers at step {int(gan.step)}. Lower "
            "--gan_learning_rate, raise --r1, or leave out --mixed_precision. The last good "
            "checkpoint is kept."
        )

    return StopOnNonFinite(explain, variables=gan.state)


def progress_bar(steps: int, done: int, title: str) -> Progress:
    """A bar over all steps with rate and time left."""
    names = ("generator_loss", "discriminator_loss", "frechet")

    def shown(logs):
        return {name: f"{logs[name]:.2f}" for name in names if name in logs}

    return Progress(steps, done, title, shown)
