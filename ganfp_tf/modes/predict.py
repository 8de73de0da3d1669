"""--mode=predict: unknown real images in, predictions.csv and run files out."""

import numpy as np

from ganfp_tf import files, runs
from ganfp_tf.data.catalog import open_catalog
from ganfp_tf.detectors import scoring
from ganfp_tf.detectors.material import checked_backbone, open_material
from ganfp_tf.reports import submission


def run(config):
    """Scores the unknown images of --data with the detector in --run_dir."""
    folder = runs.folder_of(config)
    runs.require(folder, "config.json", "weights.json", "splits/main/decision.json")
    catalog = open_catalog(config, "predict")
    backbone, report = checked_backbone(config, folder)
    material, _ = open_material(catalog.frame, backbone, report, config)
    is_real = (catalog.frame["role"] == "real").to_numpy()
    real, generated = np.flatnonzero(is_real), np.flatnonzero(~is_real)
    scorer = scoring.Scorers(folder, config).of("main")
    score, logits, partner_rows = scorer.score(material, real, generated, seed=config.seed)
    best = partner_rows[np.arange(len(real)), logits.argmax(axis=1)]
    names = material.frame["name"].to_numpy()
    predictions = material.frame.iloc[real][["name", "patient"]].assign(
        score=score, probability=scorer.decision.probability(score),
        prediction=scorer.decision.decide(score), best_match=names[best],
    )  # fmt: skip
    # A run file is checked before anything is written: half an answer helps nobody.
    if config.submission:
        run_file = folder / f"run_{config.submission}.csv"
        submission.write_submission(
            run_file, predictions["name"], predictions["prediction"], config.submission
        )
        print(f"run file: {run_file}")
    files.write_csv(folder / "predictions.csv", predictions)
    if len(catalog.unreadable):
        files.write_csv(folder / "predictions_unreadable.csv", catalog.unreadable)
    used = int(predictions["prediction"].sum())
    print(
        f"{len(predictions)} unknown images against {len(generated)} generated: {used} called "
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
