"""A run's detector for phones and small boards: its LiteRT models, and how far they agree."""

import dataclasses
import os
import time
from collections.abc import Callable
from importlib import metadata

import keras
import numpy as np
from scipy import stats

from ganfp_tf import progress
from ganfp_tf.detectors.copies import retrieval
from ganfp_tf.export import images as edge_images
from ganfp_tf.export import lite
from ganfp_tf.models.siamese import compiled
from ganfp_tf.siamese import networks
from ganfp_tf.statistics.intervals import patient_bootstrap
from ganfp_tf.statistics.metrics import auc
from ganfp_tf.statistics.paired import paired_bootstrap
from ganfp_tf.statistics.sample import Resampling, Sample

FEW = 32  # calibration images of each kind whose pairs say whether 8 bits are enough
FAITHFUL = 0.98  # rank correlation of pairs below which an 8-bit encoder is not kept
CALLS, BURN_IN, TURNS = 10, 3, 3  # timed calls a turn, calls before them, turns
BATCH = 16  # images that TensorFlow encodes at once, small in memory at any size
PAIRS = 256
Progress = Callable[[], object]  # called after each image or pair


@dataclasses.dataclass(frozen=True)
class Answers:
    """What one kind of model computes of `edge_images.Images`.

    Attributes:
        real, generated: tokens (n, T, D) and (m, T, D).
        logits: (n, m), of all pairs.
    """

    real: np.ndarray
    generated: np.ndarray
    logits: np.ndarray


class InKeras:
    """Encoder and comparator by TensorFlow."""

    def __init__(self, encoder: keras.Model, comparator: keras.Model) -> None:
        self.encode_batch = compiled(encoder)
        self._compare = compiled(comparator)

    def encode(self, images: np.ndarray, progress: Progress = lambda: None) -> np.ndarray:
        """(n, S, S, 3) -> (n, T, D); `progress()` is called after each image."""
        tokens = []
        for start in range(0, len(images), BATCH):
            tokens.extend(self.encode_batch(images[start : start + BATCH]))
        return np.stack(tokens)

    def compare(
        self, real: np.ndarray, generated: np.ndarray, progress: Progress = lambda: None
    ) -> np.ndarray:
        """(P, T, D) and (P, T, D) -> (P, 1)."""
        return self._compare({"real": real, "generated": generated})


class InLite:
    """Encoder and comparator by the LiteRT interpreter, one input at a time."""

    def __init__(self, encoder: bytes, comparator: bytes, threads: int) -> None:
        self.encoder = lite.LiteModel(encoder, threads)
        self.comparator = lite.LiteModel(comparator, threads)

    def encode(self, images: np.ndarray, progress: Progress = lambda: None) -> np.ndarray:
        """As `InKeras.encode`."""
        return self.encoder(progress, pixels=images)

    def compare(
        self, real: np.ndarray, generated: np.ndarray, progress: Progress = lambda: None
    ) -> np.ndarray:
        """As `InKeras.compare`."""
        return self.comparator(progress, real=real, generated=generated)


def answers(models: InKeras | InLite, images: edge_images.Images, title: str = "") -> Answers:
    """`Answers` of `InKeras` or `InLite`; a title shows a bar."""
    calls = len(images.real) + len(images.generated) + len(images.real) * len(images.generated)
    with progress.bar(calls, title, "call", show=bool(title)) as bar:
        real = models.encode(images.real, bar.update)
        generated = models.encode(images.generated, bar.update)
        return Answers(real, generated, all_pairs(models, real, generated, bar.update))


def all_pairs(
    models: InKeras | InLite,
    real: np.ndarray,
    generated: np.ndarray,
    progress: Progress = lambda: None,
) -> np.ndarray:
    """Logits of every real with every generated image: (n, T, D) and (m, T, D) -> (n, m)."""
    left, right = np.divmod(np.arange(len(real) * len(generated)), len(generated))
    logits = []
    for start in range(0, len(left), PAIRS):
        part = slice(start, start + PAIRS)
        logits.append(models.compare(real[left[part]], generated[right[part]], progress))
    return np.concatenate(logits).reshape(len(real), len(generated))


def convert(
    encoder: keras.Model, comparator: keras.Model, images: edge_images.Images | None = None
) -> tuple[dict[str, bytes], dict[str, str], dict]:
    """Makes the two models, in float32 or in 8 bits.

    In 8 bits, the comparator's weights alone are 8-bit: with its activations in 8 bits too
    it ranked images less alike, was no smaller and several times slower (docs/edge.md). The encoder
    is converted to 8-bit integers throughout, and kept so if its tokens rank the pairs of the
    calibration images as the network itself does (`FAITHFUL`); else its weights alone are stored in
    8 bits.

    Args:
        encoder: in float32.
        comparator: in float32.
        images: training images that set the ranges of 8 bits; None for float32.

    Returns:
        `({"encoder": bytes, "comparator": bytes}, {"encoder": kind, "comparator": kind} of
        lite.ARITHMETIC, facts of the calibration)`.
    """
    if images is None:
        made = {
            "encoder": lite.convert(encoder, "tokens"),
            "comparator": lite.convert(comparator, "logit"),
        }
        return made, dict.fromkeys(made, "float32"), {}
    pixels = np.concatenate([images.real, images.generated])

    def samples():
        with progress.bar(len(pixels), "calibrating", "image") as bar:
            for image in pixels:
                yield {"pixels": image[None]}
                bar.update()

    made = {
        "encoder": lite.convert(encoder, "tokens", "int8", samples),
        "comparator": lite.convert(comparator, "logit", "int8 weights"),
    }
    arithmetic = {"encoder": "int8", "comparator": "int8 weights"}
    facts = {
        "images": {"real": len(images.real), "generated": len(images.generated)},
        "from": "train images of the split main",
    }
    if lite.interpreter_class()[0]:
        found = _faith(encoder, comparator, made["encoder"], images)
        facts["pairs_rank_correlation_int8"] = found
        facts["kept_from"] = FAITHFUL
        if not found >= FAITHFUL:  # nan: all pairs alike
            made["encoder"] = lite.convert(encoder, "tokens", "int8 weights")
            arithmetic["encoder"] = "int8 weights"
    return made, arithmetic, facts


def _faith(encoder, comparator, content, images):
    """Rank correlation of the pairs' logits, 8-bit tokens against the network's own."""
    network, model = InKeras(encoder, comparator), lite.LiteModel(content, threads_here())
    few = images.real[:FEW], images.generated[:FEW]
    ours = all_pairs(network, *(network.encode(part) for part in few))
    theirs = all_pairs(network, *(model(pixels=part) for part in few))
    return rank_correlation(ours.ravel(), theirs.ravel())


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's of two `(n,)`; nan if one of them is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(stats.spearmanr(a, b).statistic)


def threads_here() -> int:
    """Cores that this process may use."""
    count = getattr(os, "sched_getaffinity", None)
    return len(count(0)) if count else os.cpu_count() or 1


def image_scores(logits: np.ndarray, supervision: str) -> np.ndarray:
    """Scores (n,) of real images from logits (n, m), as far as logits alone make them."""
    return retrieval.top(logits) if supervision == "copy" else networks.image_scores(logits)


def agreement(
    encoder: keras.Model,
    comparator: keras.Model,
    made: dict[str, bytes],
    images: edge_images.Images,
    decision: networks.Decision | None,
    *,
    supervision: str,
    resampling: Resampling,
) -> dict:
    """Runs the LiteRT models and the network on the same images; a dict for agreement.json.

    Args:
        encoder: in float32.
        comparator: in float32.
        made: {"encoder": bytes, "comparator": bytes}.
        images: `edge_images.Images` of the test.
        decision: the main split's `networks.Decision`; None if logits alone do not make a score.
        supervision: --supervision.
        resampling: of the intervals.
    """
    threads = threads_here()
    network = InKeras(encoder, comparator)
    small = InLite(made["encoder"], made["comparator"], threads)
    ours, theirs = answers(network, images), answers(small, images, "LiteRT")
    scores = {
        "keras": image_scores(ours.logits, supervision),
        "litert": image_scores(theirs.logits, supervision),
    }
    labels, patients = images.frame["label"].to_numpy(), images.frame["patient"].to_numpy()
    # The decisions play no part in the AUC.
    undecided = np.zeros(len(labels), int)
    samples = {name: Sample(labels, score, patients, undecided) for name, score in scores.items()}
    areas = {name: _area(sample, resampling) for name, sample in samples.items()}
    apart = paired_bootstrap(samples["litert"], scores["keras"], resampling)
    found = {
        "sample": {
            "images": "test images of the split main, each with the same generated images",
            "real": len(labels),
            "used": int(labels.sum()),
            "generated": len(images.generated),
            "patients": len(set(patients)),
            "pairs": ours.logits.size,
            "seed": resampling.seed,
        },
        "rank_correlation": {
            "images": rank_correlation(scores["keras"], scores["litert"]),
            "pairs": rank_correlation(ours.logits.ravel(), theirs.logits.ravel()),
        },
        "largest_difference": {
            "score": np.abs(scores["keras"] - scores["litert"]).max(),
            "logit": np.abs(ours.logits - theirs.logits).max(),
        },
        "spread": {"score": scores["keras"].std(), "logit": ours.logits.std()},
        "auc": areas,
        "auc_difference": {"value": apart.difference, "low": apart.low, "high": apart.high},
        "confidence": resampling.confidence,
        "latency_ms": _latencies(network, small, images, ours),
        "operations": {
            "encoder": small.encoder.operations(),
            "comparator": small.comparator.operations(),
        },
        "interpreter": f"{small.encoder.package} {metadata.version(small.encoder.package)}",
        "tensorflow": metadata.version("tensorflow"),
        "threads": threads,
    }
    if decision:
        calls = [decision.decide(score) for score in scores.values()]
        found["same_call"] = int((calls[0] == calls[1]).sum())
    return found


def _area(sample, resampling):
    interval = patient_bootstrap(sample, resampling)["auc"]
    area = auc(sample.labels, sample.scores)
    return {"value": area, "low": interval.low, "high": interval.high}


def _latencies(network, small, images, ours):
    """Median milliseconds a call of one image and of one pair, by both."""
    image, real, made = images.real[:1], ours.real[:1], ours.generated[:1]
    calls = {
        "encoder": (lambda: small.encode(image), lambda: network.encode_batch(image)),
        "comparator": (lambda: small.compare(real, made), lambda: network.compare(real, made)),
    }
    return {
        name: dict(zip(("litert", "tensorflow"), _medians(pair), strict=True))
        for name, pair in calls.items()
    }


def _medians(calls):
    """In turns, so that what else the machine does slows both down."""
    seconds = [[] for _ in calls]
    for _ in range(TURNS):
        for call, kept in zip(calls, seconds, strict=True):
            for number in range(BURN_IN + CALLS):
                begun = time.perf_counter()
                call()
                if number >= BURN_IN:
                    kept.append(time.perf_counter() - begun)
    return [1000.0 * float(np.median(kept)) for kept in seconds]
