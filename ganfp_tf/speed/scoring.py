"""Scoring N x M pairs: each image encoded once and stored, against both images of every pair."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from ganfp_tf.models.siamese import compiled
from ganfp_tf.siamese import networks
from ganfp_tf.speed import fits
from ganfp_tf.speed.subject import Subject, repeated, stored
from ganfp_tf.speed.timing import Ledger

PART = "scoring"
TASK = (200, 5000)  # real and generated images of the 2025 task
NAIVE_PAIRS = 8  # at once
POINT_REPEATS = 3
NAIVE = "naive way, a pair"
PAIR, IMAGE = "store way, a pair", "store way, an image"


def scoring(ledger: Ledger, subject: Subject, folder: Path) -> dict:
    """Measures the curve of cost against N x M; keeps the costs of both ways.

    Args:
        ledger: `Ledger`.
        subject: `Subject`.
        folder: where the stores of the measured points lie while they are measured.

    Returns:
        The curve, JSON-ready: `points` (dicts of real, generated, seconds_pairs and, where the
        point was measured in all, seconds_total; None where it would have taken too long),
        `seconds_image`, `seconds_pair`, `seconds_naive_pair`, `slope_pairs`, `slope_total`.
    """
    naive = _naive(ledger, subject)
    points = _points(ledger, subject, folder)
    held = [point for point in points if point["seconds_pairs"] is not None]
    whole = [point for point in points if point["seconds_total"] is not None]
    sizes = {name: [_pairs(p) for p in found] for name, found in (("held", held), ("all", whole))}
    image, pair = fits.unit_costs(
        [0] * len(held) + [p["real"] + p["generated"] for p in whole],
        sizes["held"] + sizes["all"],
        [p["seconds_pairs"] for p in held] + [p["seconds_total"] for p in whole],
    )
    ledger.add(PART, IMAGE, image, "s")
    ledger.add(PART, PAIR, pair, "s")
    ledger.add(PART, NAIVE, naive, "s", PAIR)
    for title, real, generated in (("", *TASK), (" (this data)", *subject.counts)):
        store, other = (f"{way} way, {real} x {generated}{title}" for way in ("store", "naive"))
        pairs = real * generated
        ledger.add(PART, store, image * (real + generated) + pair * pairs, "s")
        ledger.add(PART, other, naive * pairs, "s", store)
    curve = {
        "points": points,
        "seconds_image": image,
        "seconds_pair": pair,
        "seconds_naive_pair": naive,
        "slope_pairs": fits.log_slope(sizes["held"], [p["seconds_pairs"] for p in held]),
        "slope_total": fits.log_slope(sizes["all"], [p["seconds_total"] for p in whole]),
    }
    for name, of in (("slope_pairs", "pair scores"), ("slope_total", "store way in all")):
        if curve[name] is not None:
            ledger.add(PART, f"power of N x M, {of}", curve[name], "")
    return curve


def _pairs(point):
    return point["real"] * point["generated"]


def _naive(ledger, subject):
    """Seconds a pair where both images pass the whole network for it."""
    images = subject.images(2 * NAIVE_PAIRS)
    batch = {"real": images[:NAIVE_PAIRS], "generated": images[NAIVE_PAIRS:]}
    call = compiled(subject.networks.siamese())
    rate = ledger.rate(
        PART, "naive way, images held", "pairs/s", NAIVE_PAIRS, lambda: call(batch)
    ).value
    return 1.0 / rate


def _points(ledger, subject, folder):
    extent, points = ledger.extent, []
    image = pair = 0.0  # expected seconds, from the point before
    for real, generated in extent.curve:
        pairs, images = real * generated, real + generated
        point = {"real": real, "generated": generated, "seconds_pairs": None, "seconds_total": None}
        points.append(point)
        if pair * pairs > extent.curve_seconds:
            continue
        point["seconds_pairs"] = _seconds_of_pairs(extent, subject, real, generated)
        pair = point["seconds_pairs"] / pairs
        if image * images + pair * pairs > extent.curve_seconds:
            continue
        point["seconds_total"] = _seconds_in_all(extent, subject, real, generated, folder)
        image = max(point["seconds_total"] - point["seconds_pairs"], 0.0) / images
    return points


def _seconds_of_pairs(extent, subject, real, generated):
    """Seconds for the logits of all pairs, tokens held and prepared."""
    engine = subject.networks.engine
    # Tokens of few images many times over: their numbers do not change what is computed.
    held = [
        engine.prepare(subject.tokens(np.resize(rows, count)), domain)
        for domain, rows, count in (
            ("real", subject.real, real),
            ("generated", subject.generated, generated),
        )
    ]
    engine.all_logits(*held)  # traces
    return _timed(extent, lambda: engine.all_logits(*held))


def _seconds_in_all(extent, subject, real, generated, folder):
    """Seconds from files to the logits of all pairs: read, encoded, stored, prepared, scored."""
    frame = subject.frame
    parts = [frame.iloc[subject.real], frame.iloc[subject.generated]]
    frame = repeated(
        pd.concat(
            [repeated(part, count) for part, count in zip(parts, (real, generated), strict=True)]
        ),
        real + generated,
    )
    partners = np.broadcast_to(np.arange(real, real + generated), (real, generated))

    def score():
        with tempfile.TemporaryDirectory(prefix=".speed-", dir=folder) as place:
            material = stored(frame, place, subject.encode, subject.backbone, subject.config)
            networks.pair_logits(subject.networks, material, np.arange(real), partners)

    return _timed(extent, score)


def _timed(extent, call):
    """Median seconds of up to three calls; of less where they are slow."""
    found = []
    while len(found) < POINT_REPEATS and sum(found) < extent.seconds:
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return float(np.median(found))
