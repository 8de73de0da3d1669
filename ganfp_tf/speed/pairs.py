"""Pair scores a second with tokens held, beside the comparator called on gathered tokens."""

import numpy as np

from ganfp_tf.models.comparator import build_comparator
from ganfp_tf.models.pair_engine import PairEngine
from ganfp_tf.models.siamese import compiled
from ganfp_tf.speed import fits, machine
from ganfp_tf.speed.subject import Subject
from ganfp_tf.speed.timing import Ledger

PART = "pair scores"
GATHERED = 256  # pairs that the comparator as a model takes at once
TOKENS, CHANNELS = 49, 256  # of the reference: 7 x 7 places of a network at 224 pixels
HEADS = (4, 1)


def run_pairs(ledger: Ledger, subject: Subject) -> None:
    """Keeps pair scores/s of the run's comparator, in the run's number format."""
    config = subject.config
    side = ledger.extent.reference
    real, generated = (
        subject.tokens(np.resize(rows, side)) for rows in (subject.real, subject.generated)
    )
    places, channels = real.shape[1:]
    if config.domain_norm:  # Tokens of either domain, one behind the other.
        places //= 2
    flops = fits.pair_flops(places, channels) if config.cross_attention else 0
    _both_ways(ledger, run_name(), subject.networks.comparator, real, generated, flops)
    ledger.notes.append(
        f"{run_name()}: {places} tokens of {channels} channels, "
        + (f"cross-attention of {config.heads} heads." if flops else "no cross-attention.")
    )


def reference_pairs(ledger: Ledger, seed: int) -> None:
    """Keeps pair scores/s at 49 tokens of 256 with cross-attention, whatever the run is."""
    side = ledger.extent.reference
    rng = np.random.default_rng(seed)
    real, generated = (
        rng.normal(size=(side, TOKENS, CHANNELS)).astype("float32") for _ in range(2)
    )
    for policy in ("float32", machine.mixed_policy()):
        for heads in HEADS:
            with machine.policy(policy):
                comparator = build_comparator((TOKENS, CHANNELS), cross_attention=True, heads=heads)
                _both_ways(
                    ledger,
                    reference_name(heads, policy),
                    comparator,
                    real,
                    generated,
                    fits.pair_flops(TOKENS, CHANNELS),
                )


def run_name() -> str:
    """Name of the figure of the run's own comparator."""
    return "the run's comparator"


def reference_name(heads: int, policy: str) -> str:
    """Name of the measurement of a comparator of the reference."""
    return f"{TOKENS} tokens of {CHANNELS}, heads {heads}, {policy}"


def _both_ways(ledger, name, comparator, real, generated, flops):
    """Keeps the engine's and the model's rate, and the engine's share of the machine's limit."""
    left, right = (
        grid.ravel() for grid in np.meshgrid(np.arange(len(real)), np.arange(len(generated)))
    )
    engine, call = PairEngine(comparator), compiled(comparator)
    prepared = engine.prepare(real, "real"), engine.prepare(generated, "generated")

    def gathered():
        for start in range(0, len(left), GATHERED):
            a, b = (index[start : start + GATHERED] for index in (left, right))
            call({"real": real[a], "generated": generated[b]})

    old = f"{name}, by the model"
    rate = ledger.rate(
        PART, name, "pairs/s", len(left), lambda: engine.all_logits(*prepared), old
    ).value
    ledger.rate(
        PART,
        f"{name}, pairs named one by one",
        "pairs/s",
        len(left),
        lambda: engine.logits(*prepared, left, right),
        old,
    )
    ledger.rate(PART, old, "pairs/s", len(left), gathered)
    if flops:
        limit = machine.limit_name(comparator.compute_dtype)
        ledger.add(PART, f"{name}, a pair needs", flops / 1e6, "MFLOP")
        ledger.add(PART, f"{name}, of the limit", flops / 1e9 * rate, "GFLOP/s", limit)
