"""--mode=evaluate: what a trained detector is worth, or what a run file is worth."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.data import submission
from ganfp_tf.data.split import split_of
from ganfp_tf.detectors import trained
from ganfp_tf.reports import evaluation_figures
from ganfp_tf.reports.copy_curves import copy_curves
from ganfp_tf.reports.render import canvas, plots, tables
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese.candidates import Recall
from ganfp_tf.siamese.encoded_images import EncodedImages, reopen_images
from ganfp_tf.simulation.membership import SIBLING
from ganfp_tf.statistics.evaluation import can_show, evaluate_frame
from ganfp_tf.statistics.sample import Resampling

SEEN = (
    "train images were seen in training: their figures show only how much was memorised.",
    "all images were seen in training, but no label was: labels of train and validation images "
    "chose the threshold alone.",
)


def run(config: Config) -> None:
    """Evaluates the run in --run_dir on its test images, or --predictions against --truth."""
    if config.predictions:
        score_predictions(config)
        return
    folder = run_folder.folder_of(config)
    run_folder.require(
        folder, "config.json", "images.csv", "splits.csv", "splits/main/decision.json"
    )
    material, weights = reopen_images(config.section(SiameseSettings), folder)
    splits = run_folder.read_splits(folder)

    scorers = trained.Scorers(folder, config.supervision)
    scored, pairs = [], None
    for split_id in splits["split_id"].unique():
        table, logits = score_split(
            scorers.of(split_id), material, split_of(splits, split_id), config.seed
        )
        scored.append(table.assign(split_id=split_id))
        if split_id == "main":
            pairs = logits
    scores = pd.concat(scored, ignore_index=True)
    columns = ["split_id", "name", "patient", "label", "split", "score", "probability"]
    columns += ["decision", "best_match"]
    files.write_csv(folder / "scores.csv", scores[columns])
    report(scores, pairs, weights, folder, config, material.searches)


def score_split(
    scorer: Any, material: EncodedImages, split: pd.Series, seed: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Scores the real images of one split, each against generated images of its own part.

    Args:
        scorer: the split's detector, of `scoring.Scorers`.
        material: the images.
        split: Series path -> split.
        seed: of random partners.

    Returns:
        `(DataFrame of the real images with score, centered, probability, decision, best_match;
        logits (test images, partners) of the test images' pairs)`.
    """
    parts, test_logits = [], None
    for name in ("test", "validation", "train"):
        paths = split.index[split == name]
        real, generated = material.rows(paths, "real"), material.rows(paths, "generated")
        generated = scorer.partners_of(material, generated)
        score, logits, partner_rows = scorer.score(material, real, generated, seed=seed)
        best = partner_rows[np.arange(len(real)), logits.argmax(axis=1)]
        part = material.frame.iloc[real][["name", "patient", "label"]].assign(
            split=name,
            score=score,
            centered=score - scorer.decision.center,
            probability=scorer.decision.probability(score),
            decision=scorer.decision.decide(score),
            best_match=material.frame["name"].to_numpy()[best],
        )
        parts.append(part)
        if name == "test":
            test_logits = logits
    return pd.concat(parts, ignore_index=True), test_logits


def report(
    scores: pd.DataFrame,
    pairs: np.ndarray,
    weights: dict[str, Any],
    folder: pathlib.Path,
    config: Config,
    searches: Sequence[Recall] = (),
) -> None:
    """Writes evaluation.json and figures/, prints the table and what it can show.

    Args:
        scores: as scores.csv, with decision and centered.
        pairs: `(test images, partners)` logits.
        weights: content of weights.json.
        folder: the run folder.
        config: the run's Config.
        searches: `search.Recall` of the searches for candidates.
    """
    main = scores[scores["split_id"] == "main"]
    test = main[main["split"] == "test"]
    crossed = scores[(scores["split_id"] != "main") & (scores["split"] == "test")]
    partners = pairs.shape[1]
    # The paper judges pairs at probability 0.5 of the network itself.
    each = test.loc[test.index.repeat(partners)]
    flat = pairs.ravel().astype("float64")
    resampling = Resampling.of(config)
    levels = {
        "pairs_test": evaluate_frame(
            each.assign(score=flat, decision=(flat >= 0).astype(int)), resampling
        ),
        "images_test": evaluate_frame(test, resampling),
    }
    if len(crossed):
        crossed = crossed.assign(score=crossed["centered"])
        levels["images_cross_fitted"] = evaluate_frame(crossed, resampling, strata="split_id")
    train = main[main["split"] == "train"]
    levels["images_train"] = evaluate_frame(train, resampling)
    titles = {
        "pairs_test": f"test pairs ({partners} an image)",
        "images_test": "test images",
        "images_cross_fitted": f"all images, {config.folds} folds",
        "images_train": "train images",
    }
    sentences = {
        name: f"{titles[name]}: {can_show(level)}"
        for name, level in levels.items()
        if name.startswith("images") and name != "images_train"
    }
    files.write_json(
        folder / "evaluation.json",
        {
            "data": config.data,
            "backbone": config.backbone,
            "weights": weights,
            "cross_attention": config.cross_attention,
            "pairing": config.pairing,
            "supervision": config.supervision,
            "partners": partners,
            "seed": config.seed,
            "folds": config.folds,
            "threshold_from": "validation images of the same split",
            "levels": {name: level.to_dict() for name, level in levels.items()},
            "can_show": sentences,
            "searches": [dataclasses.asdict(recall) for recall in searches],
        },
    )
    _draw(test, crossed, levels, folder)
    history = pd.read_csv(folder / "splits" / "main" / "history.csv")
    draw = copy_curves if config.supervision == "copy" else plots.training_curves
    canvas.save(draw(history), folder / "figures" / "training.png")
    shown = [(titles[name], level.to_dict()) for name, level in levels.items()]
    print()
    print(tables.evaluation_table(shown))
    print()
    for sentence in sentences.values():
        print(sentence)
    for sentence in dict.fromkeys(recall.sentence() for recall in searches):
        print(sentence)
    print(
        f"{SEEN[config.supervision == 'copy']}\n"
        f"backbone weights: {weights['source']}\nfigures and scores: {folder}"
    )


def score_predictions(config: Config) -> None:
    """Scores --predictions (a run file or predictions.csv) against --truth."""
    joined = submission.join(
        submission.read_predictions(config.predictions), submission.read_truth(config.truth)
    )
    sibling = joined["group"] == SIBLING
    resampling = Resampling.of(config)
    levels = {"images": evaluate_frame(joined[~sibling], resampling)}
    titles = {"images": "predictions", "siblings": "siblings against not used"}
    if sibling.any() and (joined["label"][~sibling] == 0).any():
        # The image was not used, its patient was: no error either way, so a row of its own.
        near = joined[sibling | (joined["label"] == 0)]
        levels["siblings"] = evaluate_frame(near.assign(label=sibling[near.index] * 1), resampling)
    print(tables.evaluation_table([(titles[name], levels[name].to_dict()) for name in levels]))
    print()
    said = {name: f"{titles[name]}: {can_show(level)}" for name, level in levels.items()}
    if "siblings" in levels:
        print(
            f"{int(sibling.sum())} siblings (unseen images of used patients) count in their own "
            "row only: there they take the place of used images."
        )
    print(*said.values(), sep="\n")
    if config.run_dir:
        path = run_folder.folder_of(config) / "evaluation_predictions.json"
        files.write_json(
            path,
            {
                "predictions": config.predictions,
                "truth": config.truth,
                "levels": {name: level.to_dict() for name, level in levels.items()},
                "can_show": said["images"].removeprefix("predictions: "),
            },
        )
        print(f"written: {path}")


def _draw(test, crossed, levels, folder):
    sets = [("test", test, "test images", levels["images_test"])]
    if len(crossed):
        sets.append(("cross_fitted", crossed, "cross-fitted images", levels["images_cross_fitted"]))
    for prefix, frame, title, level in sets:
        for name, figure in evaluation_figures.of_scores(frame, title, level).items():
            canvas.save(figure, folder / "figures" / f"{prefix}_{name}.png")
