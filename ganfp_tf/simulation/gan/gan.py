"""The victim: a GAN trained by `model.fit`, whose every step follows from its number and a seed."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from ganfp_tf.simulation.gan.augment import augment

LOSSES = ("nonsaturating", "hinge")
R1_EVERY = 16  # lazy regularisation (Karras et al. 2020a, section 3.1)


class GAN(keras.Model):
    """A generator and a discriminator that are trained against each other.

    A step draws its latents and augmentations from the seed and the step's number alone, so that a
    run that was stopped and goes on makes the same steps as one that was not.

    Args:
        generator: `(batch, latent)` -> `(batch, side, side, 1)` in [-1, 1].
        discriminator: the same images -> `(batch, 1)` logits, higher = real.
        loss: "nonsaturating" (Goodfellow et al. 2014, section 3) or "hinge" (Lim & Ye 2017).
        r1: weight of the R1 penalty gamma / 2 E|grad D(real)|^2 (Mescheder et al. 2018, equation
            9); 0 leaves it out. It is taken every 16th step with 16 times the weight.
        average: decay of the moving average of the generator's weights; images are made by the
            average.
        augmentation: names of DiffAugment's policies; empty for none.
        seed: of all that is drawn.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        loss: str,
        r1: float,
        average: float,
        augmentation: Sequence[str] = (),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator, discriminator
        self.average = keras.models.clone_model(generator)
        self.average.set_weights(generator.get_weights())
        self.average.trainable = False
        self.loss_name, self.r1, self.decay = loss, r1, average
        self.augmentation = augmentation
        self.seed = seed % 2**31  # TensorFlow's seeds are int32; that of --unrelated is one more
        self.latent = generator.input_shape[-1]
        self.step = keras.Variable(0, dtype="int32", trainable=False, name="step")
        names = ("generator_loss", "discriminator_loss", "r1", "real_logit", "generated_logit")
        self.trackers = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        **kwargs: Any,
    ) -> None:
        """Sets both optimisers; other arguments as of `keras.Model.compile`."""
        super().compile(optimizer=optimizer, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        self.optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Running means of the losses, reset at each epoch."""
        return list(self.trackers.values())

    def call(self, latents: tf.Tensor) -> tf.Tensor:
        """Images of the averaged generator: `(batch, latent)` -> `(batch, side, side, 1)`."""
        return self.average(latents, training=False)

    def state(self) -> list[keras.Variable]:
        """All variables that a training in the middle of its steps consists of."""
        parts = (self.generator, self.discriminator, self.average)
        optimizers = (self.optimizer, self.discriminator_optimizer)
        return [self.step, *(v for part in (*parts, *optimizers) for v in part.variables)]

    def train_step(self, real: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of both networks on `(batch, side, side, 1)` real images in [-1, 1].

        Both see the same generated images and move at once (simultaneous gradient descent,
        Mescheder et al. 2018, section 2), which saves one pass of the generator.
        """
        seed = tf.stack([self.seed, self.step.value])
        latents = tf.random.stateless_normal((tf.shape(real)[0], self.latent), seed)
        discriminator = self.discriminator.trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            generated = self.generator(latents, training=True)
            seen = augment(tf.concat([real, generated], axis=0), self.augmentation, seed)
            real_logits, generated_logits = tf.split(self.discriminator(seen, training=True), 2)
            losses = adversarial_losses(real_logits, generated_logits, self.loss_name)
            generator_loss = self.optimizer.scale_loss(losses[0])
            discriminator_loss = self.discriminator_optimizer.scale_loss(losses[1])
        self.optimizer.apply(
            tape.gradient(generator_loss, self.generator.trainable_variables),
            self.generator.trainable_variables,
        )
        gradients = tape.gradient(discriminator_loss, discriminator)
        if self.r1:
            penalised = self.step % R1_EVERY == 0
            penalty, extra = tf.cond(
                penalised,
                lambda: self._penalty(real, seed),
                lambda: (tf.constant(0.0), [tf.zeros_like(g) for g in gradients]),
            )
            gradients = [a + b for a, b in zip(gradients, extra, strict=True)]
            self.trackers["r1"].update_state(penalty, tf.cast(penalised, tf.float32))
        self.discriminator_optimizer.apply(gradients, discriminator)
        self._follow()
        self.step.assign_add(1)
        values = {
            "generator_loss": losses[0],
            "discriminator_loss": losses[1],
            "real_logit": real_logits,
            "generated_logit": generated_logits,
        }
        for name, value in values.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _penalty(self, real, seed):
        """R1 of the real images, and its gradients with respect to the discriminator."""
        variables = [variable.value for variable in self.discriminator.trainable_variables]
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(real)
                seen = augment(real, self.augmentation, seed)
                total = tf.reduce_sum(self.discriminator(seen, training=True))
            slopes = inner.gradient(total, real)
            penalty = tf.reduce_mean(tf.reduce_sum(tf.square(slopes), axis=(1, 2, 3)))
            loss = self.discriminator_optimizer.scale_loss(0.5 * self.r1 * R1_EVERY * penalty)
        zero = tf.UnconnectedGradients.ZERO  # of the last bias, on which no slope depends
        return penalty, outer.gradient(loss, variables, unconnected_gradients=zero)

    def _follow(self):
        """Moves the average towards the generator; faster at first."""
        step = tf.cast(self.step.value, tf.float32)
        # The ramp of tf.train.ExponentialMovingAverage with its num_updates.
        decay = tf.minimum(self.decay, (1.0 + step) / (10.0 + step))
        for mean, value in zip(self.average.variables, self.generator.variables, strict=True):
            mean.assign(value + decay * (mean - value))


def adversarial_losses(
    real_logits: tf.Tensor, generated_logits: tf.Tensor, loss: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """The losses `(generator's, discriminator's)` of two batches of logits, as scalars."""
    if loss == "hinge":
        discriminator = tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(
            tf.nn.relu(1.0 + generated_logits)
        )
        return -tf.reduce_mean(generated_logits), discriminator
    if loss == "nonsaturating":
        discriminator = tf.reduce_mean(tf.nn.softplus(-real_logits)) + tf.reduce_mean(
            tf.nn.softplus(generated_logits)
        )
        return tf.reduce_mean(tf.nn.softplus(-generated_logits)), discriminator
    raise ValueError(f"loss must be one of {', '.join(LOSSES)}. Received: {loss!r}")
