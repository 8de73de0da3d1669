"""A victim's training: its order, its interruptions, its end, its files."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ganfp_tf import progress
from ganfp_tf.config import Config, simulation
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.errors import UserError
from ganfp_tf.models import checkpoint
from ganfp_tf.models.callbacks import Progress, StopOnNonFinite
from ganfp_tf.reports.tensorboard.gan_samples import Samples
from ganfp_tf.reports.tensorboard.log import NullLog, open_log
from ganfp_tf.simulation.gan import architectures, augment, gan, sampling, training

EPOCH, STEPS, SEED = 4, 10, 3
MEMBERS = np.random.default_rng(0).integers(0, 256, (11, 32, 32)).astype("uint8")


def settings(**changes):
    """The smallest victim there is."""
    tiny = {
        "mode": "simulate",
        "size": 32,
        "channels": 4,
        "latent": 4,
        "gan_batch": 4,
        "steps": STEPS,
    }
    return Config(**tiny | changes).section(VictimSettings)


class Watch:
    """Stands for the Fréchet distance: 100 at first, one less each time."""

    def __init__(self):
        self.value = 101.0

    def distance(self, generator):
        assert generator.output_shape == (None, 32, 32, 1)
        self.value -= 1.0
        return self.value


def train(folder, config=None, *, log=None, watch=None, images=MEMBERS):
    return training.train(
        images,
        folder,
        config or settings(),
        seed=SEED,
        title="t",
        make_callbacks=lambda latents: [Samples(log or NullLog(), folder, watch, latents)],
    )


def everything(folder):
    """Weights and optimisers of the checkpoint, by name."""
    with np.load(folder / "checkpoint.npz") as stored:
        return {name: stored[name] for name in stored.files if name != "facts"}


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch):
    monkeypatch.setattr(training, "EPOCH", EPOCH)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A victim trained without an interruption: `(folder, Trained)`."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch, open_log(folder / "tensorboard") as log:
        patch.setattr(training, "EPOCH", EPOCH)
        yield folder, train(folder, log=log, watch=Watch())


def test_settings_and_code_name_the_same_things():
    assert tuple(augment.POLICIES) == simulation.POLICIES
    fields = Config.__dataclass_fields__
    assert tuple(fields["architecture"].metadata["choices"]) == tuple(architectures.ARCHITECTURES)
    assert set(fields["gan_loss"].metadata["choices"]) == set(gan.LOSSES)


def test_an_order_holds_each_image_once():
    images = np.arange(11, dtype="uint8")[:, None, None] + np.zeros((11, 2, 2), "uint8")
    dataset = training.batches(images, 4, SEED)
    drawn = [sampling.to_bytes(batch)[:, 0, 0] for batch in dataset.take(33)]
    assert all(len(batch) == 4 for batch in drawn)
    turns = np.concatenate(drawn).reshape(12, 11)
    np.testing.assert_array_equal(np.sort(turns, axis=1), np.tile(np.arange(11), (12, 1)))
    assert len({tuple(turn) for turn in turns}) == 12, "every turn has an order of its own"
    # Where an image stands in a turn is not tied to its number.
    assert len(set(turns[:, 0])) > 4
    other = [sampling.to_bytes(b)[:, 0, 0] for b in training.batches(images, 4, SEED + 1).take(33)]
    assert not np.array_equal(np.concatenate(other), np.concatenate(drawn))
    late = [sampling.to_bytes(b)[:, 0, 0] for b in training.batches(images, 4, SEED, 7).take(5)]
    np.testing.assert_array_equal(late, drawn[7:12])


def test_batches_hold_the_images_themselves():
    batch = next(iter(training.batches(MEMBERS, 8, SEED)))
    assert batch.shape == (8, 32, 32, 1)
    assert batch.dtype == tf.float32
    assert np.min(batch) >= -1.0
    assert np.max(batch) <= 1.0
    known = {image.tobytes() for image in MEMBERS}
    assert {image.tobytes() for image in sampling.to_bytes(batch)} <= known


def test_a_training_ends_exactly_at_its_steps(whole):
    folder, trained = whole
    history = pd.read_csv(folder / "history.csv")
    assert history.step.tolist() == [4, 8, 10]
    assert history.frechet.tolist() == [100.0, 99.0, 98.0]
    names = {"generator_loss", "discriminator_loss", "r1", "real_logit", "generated_logit"}
    assert set(history) == {"step", "frechet"} | names
    assert np.isfinite(history.to_numpy()).all()
    pd.testing.assert_frame_equal(history, trained.history)
    assert int(everything(folder)["00000"]) == STEPS
    assert trained.seconds > 0.0
    built = training.build(settings(), SEED)
    assert trained.parameters == {
        "generator": built.generator.count_params(),
        "discriminator": built.discriminator.count_params(),
    }
    assert {path.name for path in folder.iterdir()} == {
        "checkpoint.npz",
        "history.csv",
        "generator.keras",
        "samples.png",
        "tensorboard",
    }


def test_the_saved_generator_is_the_average(whole):
    folder, trained = whole
    loaded = keras.models.load_model(folder / "generator.keras")
    assert training.digest(loaded) == training.digest(trained.generator)
    images = sampling.generate(trained.generator, 5, SEED)
    assert images.shape == (5, 32, 32)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(sampling.generate(loaded, 5, SEED), images)
    assert training.digest(training.build(settings(), SEED).average) != training.digest(loaded)


def test_tensorboard_holds_losses_and_samples(whole):
    accumulator = EventAccumulator(str(whole[0] / "tensorboard"), size_guidance={"tensors": 0})
    accumulator.Reload()
    tags = {
        "loss/generator_loss",
        "loss/discriminator_loss",
        "penalty/r1",
        "logit/real_logit",
        "logit/generated_logit",
        "fidelity/frechet",
        "samples",
    }
    assert set(accumulator.Tags()["tensors"]) == tags
    for tag in tags:
        assert [event.step for event in accumulator.Tensors(tag)] == [4, 8, 10]
    picture = tf.make_ndarray(accumulator.Tensors("samples")[-1].tensor_proto)[2]
    rgb = tf.io.decode_png(picture).numpy()
    assert rgb.shape[-1] == 3
    assert rgb.std() > 5.0


def test_interrupted_and_resumed_equals_uninterrupted(whole, tmp_path, monkeypatch):
    original = StopOnNonFinite.on_train_batch_end

    def stop(self, batch, logs=None):
        if int(self.model.step) == 6:
            raise KeyboardInterrupt
        original(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(StopOnNonFinite, "on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, watch=Watch())
    assert int(everything(tmp_path)["00000"]) == 4, "the last checkpoint is that of the epoch"
    watch = Watch()
    watch.value -= 1
    resumed = train(tmp_path, watch=watch)
    folder, trained = whole
    pd.testing.assert_frame_equal(resumed.history, trained.history)
    assert training.digest(resumed.generator) == training.digest(trained.generator)
    one, other = everything(tmp_path), everything(folder)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].tobytes() == other[name].tobytes(), f"array {name}"


def test_a_residual_victim_is_the_same_whatever_the_process_built_before(tmp_path, monkeypatch):
    """And resumed it equals itself: unnamed layers would be numbered on, and sums reordered."""
    config = settings(architecture="residual", size=64, channels=8, latent=16, steps=12)
    members = np.repeat(np.repeat(MEMBERS, 2, axis=1), 2, axis=2)
    first = training.digest(train(tmp_path / "a", config, images=members).generator)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Progress, "on_epoch_end", _interrupt)
        train(tmp_path / "b", config, images=members)
    assert training.digest(train(tmp_path / "b", config, images=members).generator) == first


def _interrupt(self, epoch, logs=None):
    if epoch == 1:
        raise KeyboardInterrupt


@pytest.mark.parametrize(("steps", "ends"), [(3, [3]), (8, [4, 8])])
def test_steps_need_not_be_more_than_an_epoch_nor_leave_a_rest(tmp_path, steps, ends):
    assert train(tmp_path, settings(steps=steps)).history.step.tolist() == ends


def test_the_bar_ends_at_the_steps_and_shows_the_distance(tmp_path, monkeypatch):
    bars = []
    make = progress.bar

    def keep(*args, **kwargs):
        bars.append(make(*args, **kwargs))
        return bars[-1]

    monkeypatch.setattr(progress, "bar", keep)
    train(tmp_path, settings(steps=5), watch=Watch())
    assert bars[0].n == bars[0].total == 5
    assert "frechet=99.00" in bars[0].postfix


def test_a_finished_training_is_not_made_again(whole, monkeypatch):
    monkeypatch.setattr(gan.GAN, "fit", None)
    folder, trained = whole
    again = train(folder)
    assert training.digest(again.generator) == training.digest(trained.generator)
    assert again.seconds == trained.seconds
    pd.testing.assert_frame_equal(again.history, trained.history)


@pytest.mark.parametrize("damage", ["short", "other"])
def test_a_damaged_checkpoint_is_a_users_error(whole, tmp_path, damage):
    stored = (whole[0] / "checkpoint.npz").read_bytes()
    (tmp_path / "checkpoint.npz").write_bytes(stored[:-100] if damage == "short" else stored)
    config = settings(latent=5) if damage == "other" else settings()
    with pytest.raises(UserError, match="--overwrite"):
        train(tmp_path, config)


def test_a_checkpoint_without_its_history_is_a_users_error(tmp_path):
    built = training.build(settings(), SEED)
    checkpoint.save(tmp_path / "checkpoint.npz", built.state())
    with pytest.raises(UserError, match="damaged"):
        train(tmp_path)


@pytest.mark.parametrize(("epoch", "what"), [(1, "weights"), (1000, "losses")])
def test_a_diverged_training_is_told_and_keeps_no_bad_checkpoint(
    tmp_path, monkeypatch, epoch, what
):
    monkeypatch.setattr(training, "EPOCH", epoch)
    build = training.build

    def explosive(config, seed, **options):
        built = build(config, seed)
        # The first step's losses are numbers still; the weights that it leaves are not.
        built.discriminator_optimizer.learning_rate.assign(float("inf"))
        return built

    monkeypatch.setattr(training, "build", explosive)
    with pytest.raises(UserError, match=f"{what} are no longer numbers at step"):
        train(tmp_path)
    assert not (tmp_path / "checkpoint.npz").exists()
    assert not (tmp_path / "generator.keras").exists()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_every_optimiser_scales_at_most_once(policy):
    keras.config.set_dtype_policy(policy)
    try:
        built = training.build(settings(), SEED)
    finally:
        keras.config.set_dtype_policy("float32")
    for optimizer in (built.optimizer, built.discriminator_optimizer):
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (policy == "mixed_float16")
        inner = optimizer.inner_optimizer if scaled else optimizer
        assert type(inner) is keras.optimizers.Adam
        assert (inner.beta_1, inner.beta_2) == (0.0, 0.99)
        assert any(v.path.endswith("iteration") for v in built.state())
    images = tf.constant(sampling.to_unit(MEMBERS[:4]))
    built.r1 = 0.01  # small enough not to overflow at the scale that it begins with
    logs = built.train_step(images)
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert int(built.step) == 1


def test_a_seed_decides_the_networks():
    digests = [training.digest(training.build(settings(), seed).average) for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_a_victim_learns_what_all_its_members_show(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EPOCH", 150)
    square = np.zeros((8, 32, 32), "uint8")
    square[:, 8:24, 8:24] = 255
    config = settings(steps=150, ema=0.9, channels=8, gan_learning_rate=2e-3)
    start = sampling.generate(training.build(config, SEED).average, 16, SEED)
    images = sampling.generate(train(tmp_path, config, images=square).generator, 16, SEED)
    before, after = (np.abs(x.astype(float) - square[:1]).mean() for x in (start, images))
    assert after < 0.5 * before
