"""What all trainings share: the learning rate's course, and what is not decayed."""

import keras

# What is not a kernel is not decayed: a scale pulled to zero is no simpler a function.
UNDECAYED = ["bias", "gamma", "beta", "log_temperature", "channel_weights"]


def warmed_cosine(
    steps: int, rate: float, warmup: float
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate that rises for the share `warmup` of all steps; a cosine to zero follows."""
    rising = round(steps * warmup)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if rising else rate,
        max(steps - rising, 1),
        warmup_target=rate if rising else None,
        warmup_steps=rising,
    )
