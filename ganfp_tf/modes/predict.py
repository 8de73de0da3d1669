"""--mode=predict: unknown real images in, predictions.csv and run files out."""

import logging
import pathlib
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.data import submission
from ganfp_tf.data.catalog import Catalog, open_catalog
from ganfp_tf.detectors import trained
from ganfp_tf.errors import UserError
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese.encoded_images import checked_backbone, open_images
from ganfp_tf.siamese.networks import Decision


def run(config: Config) -> None:
    """Scores the unknown images of --data with the detector in --run_dir."""
    beam = open_beam(config) if config.beam else None
    folder = run_folder.folder_of(config)
    run_folder.require(folder, "config.json", "weights.json", "splits/main/decision.json")
    catalog = open_catalog(config.data, config, "predict")
    if beam:
        detector = trained.Scorers(folder, config.supervision).of("main")
        pipeline, runner = beam
        score, best = pipeline.predict(config, folder, catalog.frame, detector, runner)
        decision = detector.decision
    else:
        score, best, decision = score_here(config, folder, catalog.frame)
    finish(config.submission, folder, catalog, score, best, decision)


def open_beam(config: Config) -> tuple[ModuleType, Any]:
    """The module of the pipeline and the runner, before anything slow is done.

    Raises:
        UserError: Beam is not installed, or --runner or --runner_options do not fit it.
    """
    try:
        # Its warnings are of Google's services, which were not asked for.
        logging.disable(logging.WARNING)
        import apache_beam  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--beam needs Apache Beam, which is not installed: pip install -r requirements-beam.txt"
        ) from error
    finally:
        logging.disable(logging.NOTSET)
    from ganfp_tf.beam import pipeline, runner

    return pipeline, runner.open_runner(config.runner, config.runner_options)


def score_here(
    config: Config, folder: pathlib.Path, frame: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, Decision]:
    """Scores the real images of a Catalog's `frame` in this process.

    Returns:
        `(scores (real images,), rows of their best partners (real images,), Decision)`.
    """
    backbone, report = checked_backbone(config.section(SiameseSettings), folder)
    material, _ = open_images(frame, backbone, report, config.section(SiameseSettings))
    is_real = (frame["role"] == "real").to_numpy()
    real, generated = np.flatnonzero(is_real), np.flatnonzero(~is_real)
    scorer = trained.Scorers(folder, config.supervision).of("main")
    score, logits, partner_rows = scorer.score(material, real, generated, seed=config.seed)
    for recall in material.searches:
        print(recall.sentence())
    return score, partner_rows[np.arange(len(real)), logits.argmax(axis=1)], scorer.decision


def finish(
    submission_year: str,
    folder: pathlib.Path,
    catalog: Catalog,
    score: np.ndarray,
    best: np.ndarray,
    decision: Decision,
) -> None:
    """Writes and prints the answers.

    Args:
        submission_year: --submission.
        folder: the run folder.
        catalog: the Catalog.
        score: of each real image, in the order of the Catalog.
        best: rows of their best partners.
        decision: `siamese.Decision`.
    """
    frame = catalog.frame
    is_real = (frame["role"] == "real").to_numpy()
    predictions = frame.loc[is_real, ["name", "patient"]].assign(
        score=score,
        probability=decision.probability(score),
        prediction=decision.decide(score),
        best_match=frame["name"].to_numpy()[best],
    )
    # A run file is checked before anything is written: half an answer helps nobody.
    if submission_year:
        run_file = folder / f"run_{submission_year}.csv"
        submission.write_submission(
            run_file, predictions["name"], predictions["prediction"], submission_year
        )
        print(f"run file: {run_file}")
    files.write_csv(folder / "predictions.csv", predictions)
    if len(catalog.unreadable):
        files.write_csv(folder / "predictions_unreadable.csv", catalog.unreadable)
    used, made = int(predictions["prediction"].sum()), int((~is_real).sum())
    print(
        f"{len(predictions)} unknown images against {made} generated: {used} called "
        f"used, {len(predictions) - used} not used\nwritten: {folder / 'predictions.csv'}"
    )
    print(_worth(folder))


def _worth(folder):
    path = folder / "evaluation.json"
    if not path.exists():
        return "How much these calls are worth is not known: run --mode=evaluate first."
    sentences = files.read_json(path)["can_show"]
    best = sentences.get("images_cross_fitted") or sentences["images_test"]
    return f"What they are worth, by this detector's own evaluation: {best}"
