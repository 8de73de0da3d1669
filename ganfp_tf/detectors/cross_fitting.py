"""Scores of all labelled images, none of which had a part in how it was scored. No TensorFlow."""

import numpy as np
import pandas as pd

from ganfp_tf.data.split import make_splits
from ganfp_tf.detectors.protocol import Detector, ImageStore
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.calibration import choose_threshold
from ganfp_tf.statistics.sample import check_scores

FOLDS = 5  # where --folds says nothing
COLUMNS = ["split_id", "name", "patient", "label", "split", "score", "decision"]


def cross_fitted_scores(
    detector: Detector, frame: pd.DataFrame, store: ImageStore, *, folds: int, seed: int
) -> pd.DataFrame:
    """Scores the labelled images of a Catalog against the generated images of their own part.

    A part (the folders above the images) has a generator of its own: a detector is fitted and
    scores part by part. Where no labelled image's part has generated images, all parts share all.

    Without labels (`uses_labels` False) the detector is fitted once on all labelled images, their
    labels hidden, and scores them all. With labels, a fold is scored by a detector fitted on the
    other folds. Either way, the threshold of a fold is the one of the highest kappa on the other
    folds. With labels their scores come from detectors fitted without the scored images: on all
    folds but two. The mean of those scores is taken off a fold's scores and threshold, to put
    detectors of several folds side by side.

    Args:
        detector: a `registry.Detector`, not fitted.
        frame: a Catalog's frame; unknown images are left out.
        store: what the detector reads images from.
        folds: patient-disjoint folds, at least 2; at least 3 for a detector that uses labels.
        seed: of the folds.

    Returns:
        DataFrame of COLUMNS, one row a labelled image in the frame's order: split_id is "all", or
        "fold_0", ... for a detector that uses labels; split is "test"; decision is 1 where the
        score reaches its fold's threshold, else 0. `evaluation.evaluate_frame` takes it, with
        strata="split_id".

    Raises:
        UserError: too few folds or patients, a part without generated images where others have
            some, a part with one label only to learn from, or a score that is not finite.
    """
    least = 3 if detector.uses_labels else 2
    if folds < least:
        raise UserError(
            f"Cross-fitting {detector.name} needs at least {least} folds: one is scored, and the "
            f"others choose its threshold. Received: --folds={folds}"
        )
    known = frame[(frame["role"] == "real") & frame["label"].isin((0, 1))].reset_index(drop=True)
    generated = frame[frame["role"] == "generated"]
    fold = _folds(frame, known, folds, seed)
    parts = list(_parts(known, generated))
    labels = known["label"].to_numpy(dtype=np.int64)
    prepared = [_prepared(detector, known[mine], made, store) for mine, made in parts]

    def scores_of(train, test):
        return _scores_of(prepared, known, parts, store, train, test)

    # outside[i]: for fold i, out-of-fold scores of all other folds; inside, those of the fold.
    everyone = np.ones(len(known), dtype=bool)
    if detector.uses_labels:
        outside = _without_two(fold, folds, scores_of)
        inside = np.zeros(len(known))
        for i in range(folds):
            inside[fold == i] = scores_of(fold != i, fold == i)[fold == i]
    else:
        inside = scores_of(everyone, everyone)
        outside = np.tile(inside, (folds, 1))

    score, decision = inside.copy(), np.zeros(len(known), dtype=np.int64)
    for i in range(folds):
        held, rest = fold == i, fold != i
        decision[held] = choose_threshold(labels[rest], outside[i, rest]).decide(inside[held])
        if detector.uses_labels:
            score[held] -= outside[i, rest].mean()
    split_id = [f"fold_{i}" if detector.uses_labels else "all" for i in fold]
    return known.assign(split_id=split_id, split="test", score=score, decision=decision)[COLUMNS]


def _folds(frame, known, folds, seed):
    """The fold of each row of `known`, as training has them: (len(known),) of 0..folds-1."""
    # The shares are those of the one split, of which nothing is used here.
    splits = make_splits(frame, test_fraction=0.2, validation_fraction=0.2, folds=folds, seed=seed)
    tests = splits[(splits["split"] == "test") & splits["split_id"].str.startswith("fold_")]
    number = tests["split_id"].str.removeprefix("fold_").astype(int).to_numpy()
    return pd.Series(number, index=tests["path"].to_numpy())[known["path"]].to_numpy()


def _parts(known, generated):
    """(bool (len(known),), rows of generated) of every part that has labelled images."""
    if not generated["part"].isin(set(known["part"])).any():
        yield np.ones(len(known), dtype=bool), generated.reset_index(drop=True)
        return
    for part in known["part"].unique():
        own = generated[generated["part"] == part]
        if not len(own):
            raise UserError(
                f"The part {part!r} has labelled images but no generated ones, and others have "
                "some: put the images of its generator beside them, or leave that part out."
            )
        yield (known["part"] == part).to_numpy(), own.reset_index(drop=True)


def _prepared(detector, mine, generated, store):
    """The detector, having seen all real images without their labels."""
    return detector.prepare(mine.assign(label=-1).reset_index(drop=True), generated, store)


def _scores_of(detectors, known, parts, store, train, test):
    """Scores of the rows `test` by detectors fitted on the rows `train`; nan elsewhere."""
    hidden = known.assign(label=-1)
    shown = known if detectors[0].uses_labels else hidden
    scores = np.full(len(known), np.nan)
    for detector, (mine, generated) in zip(detectors, parts, strict=True):
        rows = test & mine
        if not rows.any():
            continue
        material = shown[train & mine].reset_index(drop=True)
        if detector.uses_labels and material["label"].nunique() < 2:
            raise UserError(
                f"{detector.name} learns from used and from not used images. Found only one kind "
                f"in part {known['part'][rows].iloc[0]!r} outside the folds that are scored: add "
                "images, or use a detector that needs no labels."
            )
        fitted = detector.fit(material, generated, store)
        found = fitted.score(hidden[rows].reset_index(drop=True), generated, store)
        scores[rows] = check_scores(found, int(rows.sum()))
    return scores


def _without_two(fold, folds, scores_of):
    """(folds, n): row i scores each image of another fold j by a detector that saw neither."""
    outside = np.full((folds, len(fold)), np.nan)
    for i in range(folds):
        for j in range(i):
            # One detector serves both: j's images when i is held out, and the other way round.
            pair = (fold == i) | (fold == j)
            scores = scores_of(~pair, pair)
            outside[i, fold == j] = scores[fold == j]
            outside[j, fold == i] = scores[fold == i]
    return outside
