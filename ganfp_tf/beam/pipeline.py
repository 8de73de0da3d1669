"""The pipeline: encode -> search -> score, each in shards of files; the launcher joins them."""

import contextlib
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsSingleton, PCollection
from apache_beam.runners import PipelineRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from ganfp_tf import files
from ganfp_tf import progress as bars
from ganfp_tf.beam import job as jobs
from ganfp_tf.beam import models
from ganfp_tf.beam.encode import Encode, Sample
from ganfp_tf.beam.job import Job
from ganfp_tf.beam.score import Score
from ganfp_tf.beam.search import Nearest, Search, kept
from ganfp_tf.config import Config
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.groups import Pool

LOOK = 1.0  # seconds between two looks at what the workers have written


def predict(
    config: Config,
    run: Path,
    frame: pd.DataFrame,
    detector: Any,
    runner: tuple[PipelineRunner, PipelineOptions],
) -> tuple[np.ndarray, np.ndarray]:
    """Scores the real images of a Catalog on a Beam runner; resumes an interrupted job.

    Args:
        config: the run's Config.
        run: the run folder.
        frame: rows of a Catalog, real and generated.
        detector: `networks.PairScorer` or `copies.run.CopyScorer` of the run.
        runner: what `open_runner` returns.

    Returns:
        `(scores (real images,) float64, rows of the best partners (real images,))`, in the order
        of the Catalog.

    Raises:
        UserError: a worker failed. What it had finished is not done again.
    """
    same = groups(detector, frame) if config.supervision == "copy" else None
    job = jobs.open_job(config, run, frame, same)
    todo = job.to_score()
    if todo:
        execute(job, todo, *runner)
    there = job.queries - len(todo)
    print(f"score: {there} of {job.queries} shards were there")
    found = collect(job, detector)
    job.drop_features()
    print(f"The shards of scores stay in {job.folder}; nothing reads them but the same command.")
    return found


def execute(job: Job, todo: list[int], runner: PipelineRunner, options: PipelineOptions) -> None:
    """Runs the pipeline for the queries `todo`.

    Raises:
        UserError: it failed; <job>/failure.txt says how.
    """
    try:
        with show_progress(job), silence(runner):
            pipeline = beam.Pipeline(runner=runner, options=options)
            build(pipeline, job, todo)
            result = pipeline.run()
            state = result.wait_until_finish()
        if state not in (None, "DONE"):
            raise RuntimeError(f"the pipeline ended as {state}")
    except Exception as error:
        raise failed(job, error) from error
    finally:
        models.forget()
    counts = counters(result)
    if counts:
        there, made = counts.get("encode_there", 0), counts.get("encode_made", 0)
        print(f"encode: {there} of {there + made} shards were there")


def build(pipeline: beam.Pipeline, job: Job, todo: list[int]) -> PCollection:
    """Adds the job's stages to a pipeline.

    Each stage takes numbers of shards and leaves files; what is small enough, the nearest images
    of a shard, goes from worker to worker.
    """
    shards = [(kind, number) for kind in jobs.KINDS for number in range(job.shards(kind))]
    done = (
        pipeline
        | "images" >> beam.Create(shards)
        | "share images" >> beam.Reshuffle()
        | "encode" >> beam.ParDo(Encode(job))
        | "encoded" >> beam.combiners.Count.Globally()
    )
    if job.copies:
        once = pipeline | "once" >> beam.Create([0])
        done = once | "sample" >> beam.ParDo(Sample(job), AsSingleton(done))
    if job.near:
        queries = (
            pipeline
            | "generated" >> beam.Create(list(range(job.shards("generated"))))
            | "share generated" >> beam.Reshuffle()
            | "search" >> beam.ParDo(Search(job, todo), AsSingleton(done))
            | "nearest" >> beam.CombinePerKey(Nearest(kept(job)))
        )
    else:
        queries = (
            pipeline
            | "real" >> beam.Create([(query, None) for query in todo])
            | "share real" >> beam.Reshuffle()
        )
    return queries | "score" >> beam.ParDo(Score(job), AsSingleton(done))


def collect(job: Job, detector: Any) -> tuple[np.ndarray, np.ndarray]:
    """Joins the results: `(scores, rows of the best partners)`, in the order of the Catalog."""
    parts = []
    for query in range(job.shards("real")):
        names = job.result(query)
        parts.append(pd.DataFrame(dict(zip(names, job.scores.read(query, *names), strict=True))))
    table = pd.concat(parts).sort_values("rows")
    if job.copies:
        distance, top = job.scores.read(job.shards("real"), "distance", "top")
        signals = [
            np.log(distance).mean() - np.log(table["distance"]),
            np.log(table["like"]),
            table["top"] - top.mean(),
            -table["alike"],
        ]
        score = detector.weights.of(np.stack(signals, axis=1))
    else:
        score = table["score"].to_numpy()
    return score, table["best"].to_numpy()


def groups(detector: Any, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Images of one patient: `(group of each real image, group of each reference image)`.

    As `copies.run.Network.signals`; it needs all images, but no features.

    Raises:
        UserError: the reference holds no other patient for an image.
    """
    columns = ["path", "digest", "patient"]
    real, reference = frame.loc[frame["role"] == "real", columns], detector.reference.frame
    pool = Pool.of(pd.concat([real, reference], ignore_index=True), reference)
    found = pool.groups[pool.rows]
    own, others = found[: len(real)], found[len(real) :]
    if len(set(others)) < 2 and (own == others[0]).any():
        raise UserError(
            "an image is scored beside real images of other patients that the run was trained on, "
            "and there are none: train on at least two patients."
        )
    return own, others


def failed(job: Job, error: Exception) -> UserError:
    """The `UserError` of a pipeline that failed."""
    text = "".join(traceback.format_exception(error))
    files.write_text(job.folder / "failure.txt", text)
    # Runners pass on a worker's error as text, with the worker's own traceback before it.
    message = re.sub(r"\s*\[while running .*", "", str(error)).strip() or repr(error)
    expected = re.search(r"UserError: (.+)", message)
    if expected:
        return UserError(expected[1])
    last = message.splitlines()[-1].rstrip(".")
    return UserError(
        f"the pipeline on --runner={job.config.runner} failed: {last}. More in "
        f"{job.folder / 'failure.txt'}. Give the same command again: finished shards are kept."
    )


def counters(result: Any) -> dict[str, int]:
    """The workers' counters by name, as far as the runner reports them."""
    try:
        found = result.metrics().query()["counters"]
    except Exception:  # of a runner without metrics, which is no reason to fail
        return {}
    return {counter.key.metric.name: counter.result for counter in found}


@contextlib.contextmanager
def silence(runner: PipelineRunner) -> Iterator[None]:
    """Suppresses the tracebacks that Beam's local runner prints; failure.txt has them."""
    if not isinstance(runner, FnApiRunner):
        yield
        return
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stderr(_WithoutTracebacks(sys.stderr)):
            yield
    finally:
        logging.disable(logging.NOTSET)


class _WithoutTracebacks:
    """A stream that leaves out tracebacks, which Beam's threads write in one piece."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        traced = text.startswith("Traceback (most recent call last)")
        return len(text) if traced else self.stream.write(text)

    def __getattr__(self, name):
        return getattr(self.stream, name)


@contextlib.contextmanager
def show_progress(job: Job) -> Iterator[None]:
    """Shows a bar of the shards written so far; the runner itself is silent until the end."""
    stop = threading.Event()
    thread = threading.Thread(target=_count_shards, args=(job, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _count_shards(job, stop):
    kinds = [*map(job.tokens, jobs.KINDS), job.scores]
    total = sum(shards.count for shards in kinds)
    with bars.bar(total, "encoding and scoring", "shard") as bar:
        ended = False
        while not ended:
            ended = stop.wait(LOOK)
            there = sum(s.path(n).exists() for s in kinds for n in range(s.count))
            bar.update(there - bar.n)
