"""What the scores of an audit show: the parts of its result that are numbers."""

import dataclasses
import math

import numpy as np
import pandas as pd

from ganfp_tf.audit.case import Case
from ganfp_tf.audit.parts import (
    EpsilonResult,
    Estimate,
    ImageResult,
    LowRate,
    PatientResult,
    PowerResult,
    SetResult,
    ShareResult,
    SiblingResult,
)
from ganfp_tf.audit.patient_scores import permuted_p, pooled
from ganfp_tf.data.suspects import REFERENCE, SIBLING, SUSPECT
from ganfp_tf.statistics import conformal
from ganfp_tf.statistics.epsilon import epsilon_lower_bound
from ganfp_tf.statistics.evaluation import ALPHA, POWER, Evaluation, evaluate_frame
from ganfp_tf.statistics.low_fpr import tpr_at_low_rates
from ganfp_tf.statistics.member_share import share_used
from ganfp_tf.statistics.multiple_testing import benjamini_hochberg
from ganfp_tf.statistics.power import detectable_auc, power_at, significant_auc
from ganfp_tf.statistics.sample import Resampling, Sample
from ganfp_tf.statistics.two_sample import set_test

CURVE = np.round(np.arange(0.50, 0.96, 0.01), 2)  # true AUC for which the power is told


def estimate(evaluation: Evaluation, name: str) -> Estimate:
    """A metric of an evaluation with its interval."""
    return Estimate(**evaluation.to_dict()["metrics"][name])


def image_table(case: Case, scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with a p and an adjusted p for each image, the table behind scores.csv.

    A suspect's p is the share of the reference that scores at least as high, one added to both
    (Bates et al. 2023); an image of the reference is held against the others. q is the p adjusted
    over the suspects (Benjamini & Hochberg 1995), and an image is flagged where q is at most --fdr.

    Args:
        case: the `Case`.
        scores: of the primary detector, in the order of `case.tested`.

    Returns:
        DataFrame: path, name, patient, digest, group, label (empty where it is not known), fold,
        score, decision, p, q, flagged, patient_score; siblings are the last rows.
    """
    columns = ["path", "name", "patient", "digest", "group", "label"]
    own = case.tested[columns].assign(
        fold=scores["split_id"].to_numpy(),
        score=scores["score"].to_numpy(),
        decision=scores["decision"].to_numpy(),
        p=math.nan,
        q=math.nan,
        flagged=False,
    )
    siblings = case.group(SIBLING)[columns]
    if len(siblings):
        found = case.scores_of_siblings(case.detectors.primary)
        own = pd.concat(
            [
                own,
                siblings.assign(
                    fold="", score=found, decision=-1, p=math.nan, q=math.nan, flagged=False
                ),
            ],
            ignore_index=True,
        )
    suspect = (own["group"] == SUSPECT).to_numpy()
    reference = (own["group"] == REFERENCE).to_numpy()
    if reference.any():
        values = own["score"].to_numpy()
        own.loc[suspect, "p"] = conformal.conformal_p(values[suspect], values[reference])
        if reference.sum() > 1:
            own.loc[reference, "p"] = conformal.leave_one_out_p(values[reference])
        p = own.loc[suspect, "p"].to_numpy()
        own.loc[suspect, "q"] = benjamini_hochberg(p)
        own.loc[suspect, "flagged"] = conformal.flag(p, case.config.fdr)
    own["patient_score"] = own.groupby(["patient", "group"])["score"].transform("mean")
    return own if case.labelled else own.assign(label=-1)


def image_level(case: Case, images: pd.DataFrame) -> ImageResult | None:
    """How many suspects are flagged; `images` is what `image_table` returned."""
    if case.kind == "suspects":
        return None
    tested = int((images["group"] == SUSPECT).sum())
    n0 = int((images["group"] == REFERENCE).sum())
    able = conformal.resolvable(n0, tested, case.config.fdr)
    fewest = conformal.fewest_flagged(n0, tested, case.config.fdr)
    note = (
        f"The smallest p that {n0} images of the reference can give is "
        f"{conformal.smallest_p(n0):.3f}: "
    )
    if able:
        note += (
            f"at least {fewest} of {tested} suspects must score above all of them before any can "
            f"be named."
        )
    else:
        note += (
            "too large for any image to be named at a false discovery rate of "
            f"{case.config.fdr:.0%}."
        )
    return ImageResult(
        tested=tested,
        flagged=int(images["flagged"].sum()),
        fdr=case.config.fdr,
        smallest_p=conformal.smallest_p(n0),
        resolvable=able,
        note=note,
    )


def set_level(
    case: Case, images: pd.DataFrame
) -> tuple[SetResult, ShareResult] | tuple[None, None]:
    """Suspects and reference as a whole, and the share of suspects that were used."""
    if case.kind == "suspects":
        return None, None
    sides = pd.concat([images[images["group"] == group] for group in (SUSPECT, REFERENCE)])
    sample = Sample(
        (sides["group"] == SUSPECT).to_numpy(),
        sides["score"].to_numpy(),
        sides["patient"].to_numpy(),
        strata=sides["fold"].to_numpy(),
    )
    resampling = Resampling.of(case.config)
    found, share = set_test(sample, resampling), share_used(sample, resampling)
    return (
        SetResult(
            welch_t=found.welch_t,
            welch_df=found.welch_df,
            welch_p=found.welch_p,
            permutation_p=found.permutation_p,
            permutations=found.permutations,
            suspects=found.suspects,
            reference=found.reference,
            difference=Estimate(found.difference, found.low, found.high),
            unit="patient",
        ),
        ShareResult(
            value=share.value,
            low=share.low,
            high=share.high,
            method=share.method,
            note="An estimate from below: used images that score no higher than unused ones "
            "are not counted.",
        ),
    )


def patient_level(case: Case, images: pd.DataFrame) -> PatientResult | None:
    """Patients, by the mean of each patient's images."""
    if case.kind == "suspects":
        return None
    tested = images[images["group"] != SIBLING]
    sides = (tested["group"] == SUSPECT).astype(int)
    means = pooled(tested.assign(label=sides, split_id=tested["fold"]))
    resampling = Resampling.of(case.config)
    evaluation = evaluate_frame(means, resampling, strata="split_id")
    return PatientResult(
        n=len(means),
        auc=estimate(evaluation, "auc_within"),
        p=known(evaluation.permutation.auc_p),
        pooling="mean of a patient's images",
        kappa=estimate(evaluation, "kappa") if case.labelled else None,
        tpr=low_rates(means, resampling) if case.labelled else None,
    )


def sibling_level(case: Case, images: pd.DataFrame) -> SiblingResult | None:
    """Unused images of suspected patients; None if there are none."""
    siblings = images[images["group"] == SIBLING]
    if siblings.empty:
        return None
    rows = images[images["group"].isin((SIBLING, REFERENCE))]
    labels = (rows["group"] == SIBLING).astype(int)
    # Of one fold: siblings are scored by all folds together.
    frame = rows.assign(label=labels, decision=labels, split_id="all")
    resampling = Resampling.of(case.config)
    return SiblingResult(
        images=len(siblings),
        patients=siblings["patient"].nunique(),
        auc=estimate(evaluate_frame(frame, resampling), "auc"),
        p=known(permuted_p(frame, resampling)),
        note="Images known to be unused of patients who are suspected, against those of other "
        "patients. Where they score higher, the generator gives away patients, not only images. "
        "They are in no other figure.",
    )


def power(case: Case, images: pd.DataFrame, auc: Estimate | None) -> PowerResult | None:
    """What these numbers of patients could have shown; auc: of the primary detector."""
    if auc is None:
        return None
    tested = images[images["group"] != SIBLING]
    sample = Sample(
        (tested["group"] == SUSPECT).to_numpy(),
        tested["score"].to_numpy(),
        tested["patient"].to_numpy(),
    )
    used, unused = sample.patient_counts
    curve = tuple((float(a), power_at(float(a), used, unused, ALPHA)) for a in CURVE)
    needed, seen = significant_auc(used, unused, ALPHA), detectable_auc(used, unused, ALPHA, POWER)
    found = "With so few patients no AUC could have been told from chance."
    if not math.isnan(seen):
        found = (
            f"With {used} and {unused} patients, a detector whose true AUC is {seen:.2f} would be "
            f"found with probability {POWER:.0%}; measured was {auc.value:.2f}."
        )
    return PowerResult(
        significant_auc=needed,
        detectable_auc=seen,
        alpha=ALPHA,
        power=POWER,
        suspects=used,
        reference=unused,
        curve=curve,
        found=found,
    )


def epsilon(case: Case, images: pd.DataFrame) -> EpsilonResult | None:
    """A lower bound from decisions on patients, with thresholds from other folds."""
    if not case.labelled:
        return None
    tested = images[images["group"] != SIBLING]
    called = tested.groupby(["patient", "label"])["decision"].mean().reset_index()
    decision = called["decision"] >= 0.5
    used = called["label"] == 1
    found = epsilon_lower_bound(
        int((decision & used).sum()),
        int(used.sum()),
        int((decision & ~used).sum()),
        int((~used).sum()),
        confidence=case.config.confidence,
    )
    return EpsilonResult(
        low=found.low,
        confidence=case.config.confidence,
        delta=0.0,
        true_positives=int((decision & used).sum()),
        used=int(used.sum()),
        false_positives=int((decision & ~used).sum()),
        unused=int((~used).sum()),
        note="A generator with a smaller epsilon could not have been told apart so well. It "
        "holds for this attack alone and takes patients to be drawn for training independently.",
    )


def low_rates(scores: pd.DataFrame, resampling: Resampling) -> tuple[LowRate, ...]:
    """True positive rates at low false positive rates."""
    found = tpr_at_low_rates(Sample.from_frame(scores), resampling)
    names = [field.name for field in dataclasses.fields(LowRate)]
    return tuple(LowRate(**{name: getattr(rate, name) for name in names}) for rate in found)


def known(p: float) -> float | None:
    """None for nan."""
    return None if math.isnan(p) else p
