"""Where a backbone's weights come from: `--weights=auto|imagenet|none|PATH`."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from ganfp_tf.errors import UserError
from ganfp_tf.models.weights.hub import is_reachable
from ganfp_tf.models.weights.keras_files import assign, read_entries


@dataclasses.dataclass(frozen=True)
class WeightsReport:
    """What a backbone's weights are."""

    source: str  # "imagenet (keras.applications)", "random (seed 0)", a file name, ...
    pretrained: bool
    digest: str  # of `weights_digest`
    warning: str = ""  # what the caller has to print, empty where all is well


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file of weights at Keras's hub; name, address and MD5 as keras.applications has them."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[1]

    def load(self, network: keras.Model) -> str:
        """Puts the file into `network`, from Keras's cache or the hub; says where it came from.

        Raises:
            UserError: not in the cache and no way to the hub, or damaged.
        """
        home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
        cached = home / "models" / self.name
        if not cached.is_file():
            cached = self._download(home)
        if hashlib.md5(cached.read_bytes(), usedforsecurity=False).hexdigest() != self.md5:
            raise UserError(f"{cached} is damaged (its MD5 is not {self.md5}); delete it")
        assign(network, read_entries(cached), self.name)
        return "imagenet (keras.applications)"

    def _download(self, home):
        where = home / "models"
        # Keras would wait for long and print a download that never comes.
        if not is_reachable(self.url):
            raise UserError(
                f"{self.name} is not in {where}, and {self.url} cannot be reached. Download it "
                "elsewhere and put it there"
            )
        with contextlib.suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
        try:
            # Where `home` cannot be written Keras takes another folder, and says so here.
            return pathlib.Path(
                keras.utils.get_file(
                    self.name,
                    self.url,
                    cache_dir=str(home),
                    cache_subdir="models",
                    file_hash=self.md5,
                )
            )
        except Exception as error:  # Keras raises bare Exception for what goes wrong on the way.
            raise UserError(
                f"the download of {self.url} failed ({error}). Download it elsewhere and put it "
                f"into {where}"
            ) from None


def load_weights(
    network: keras.Model,
    name: str,
    weights: str,
    *,
    imagenet: Callable[[keras.Model], str] | None,
    seed: int,
) -> tuple[str, bool, str]:
    """Fills a backbone's network as `--weights` says.

    Args:
        network: flat keras.Model without a top, with the random weights of `seed`.
        name: the backbone's name, for messages.
        weights: "auto", "imagenet", "none" or a path.
        imagenet: function that puts ImageNet weights into a network and returns their source, or
            None where nobody publishes any.
        seed: the seed of the random weights.

    Returns:
        (source, pretrained, warning), as in `WeightsReport`.

    Raises:
        UserError: "imagenet" cannot be had, or the file cannot be used.
    """
    random = f"random (seed {seed})"
    if weights == "none":
        return random, False, ""
    if weights not in ("auto", "imagenet"):
        path = pathlib.Path(weights)
        remark = assign(network, read_entries(path), path.name)
        return path.name, True, f"WARNING: {remark}" if remark else ""
    try:
        if imagenet is None:
            raise UserError(f"nobody publishes ImageNet weights of {name}")
        return imagenet(network), True, ""
    except UserError as error:
        reason = str(error).rstrip(".")
        if weights == "imagenet":
            raise UserError(
                f"--weights=imagenet: no ImageNet weights for {name}: {reason}. Or hand in a "
                "Keras .h5, .weights.h5 or .keras file with --weights=PATH, take "
                "--backbone=efficientnetlite0, whose weights come by pip, or say --weights=none."
            ) from None
        return random, False, _random_warning(name, reason)


def _random_warning(name, reason):
    line = "!" * 78
    return "\n".join(
        [
            line,
            f"WARNING: RANDOM WEIGHTS. THE BACKBONE {name.upper()} HAS LEARNED NOTHING.",
            "ImageNet weights were wanted (--weights=auto) but could not be had:",
            f"{reason}.",
            "Features of a random network say little about an image; do not report these results",
            "as the backbone's. Get the file, hand in one with --weights=PATH, or say",
            "--weights=none if random weights are what you want.",
            line,
        ]
    )


def weights_digest(model: keras.Model) -> str:
    """SHA-256 over names, shapes and numbers of all weights, moving statistics included.

    Args:
        model: a built keras.Model; nested models are walked through.

    Returns:
        64 hexadecimal digits; the same for two models that hold the same layers and weights.
    """
    digest = hashlib.sha256()
    for layer in _leaves(model):
        for variable in layer.weights:
            array = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
            digest.update(f"{layer.name}/{variable.name} {array.shape} {array.dtype}\n".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def _leaves(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer
