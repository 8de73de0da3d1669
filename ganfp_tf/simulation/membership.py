"""Who is a member and who is not, and where each image of the data set goes."""

import numpy as np
import pandas as pd

from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.errors import UserError

MEMBER, NON_MEMBER, SIBLING, UNRELATED = "member", "non_member", "sibling", "unrelated"
TRAINING, TEST = "training", "test"
SPLIT = 0  # stream of random numbers


def patients_needed(victim: VictimSettings) -> int:
    """Number of patients that a simulation takes."""
    return victim.members * (2 if victim.unrelated else 1) + victim.non_members


def divide(
    pool: pd.DataFrame, victim: VictimSettings, *, test_fraction: float, seed: int
) -> pd.DataFrame:
    """Splits the patients of a pool, and takes one image of each.

    Patients, not images, are members: the victim sees one image of each member patient. Other
    images of member patients in the test part join that part as siblings.

    Args:
        pool: what `real_images.open_pool` returns.
        victim: the settings of the victim.
        test_fraction: share of the members and of the non-members in the test part.
        seed: seed of the draw of patients.

    Returns:
        DataFrame of path, patient, group ("member", "non_member", "sibling", "unrelated") and part
        ("training", "test"; "" for unrelated).

    Raises:
        UserError: too few patients, or a part left without members or non-members.
    """
    patients = pool.patient.unique()
    needed = patients_needed(victim)
    if len(patients) < needed:
        parts = f"{victim.members} members, {victim.non_members} non-members"
        if victim.unrelated:
            parts += f", {victim.members} more for --unrelated"
        raise UserError(
            f"--real={victim.real} has {len(patients)} patients; {needed} are needed ({parts}). "
            "Lower --members or --non_members, or hand in more patients."
        )
    rng = np.random.default_rng([seed, SPLIT])
    order = rng.permutation(patients)
    ends = np.cumsum([victim.members, victim.non_members, needed])
    groups = zip((MEMBER, NON_MEMBER, UNRELATED), np.split(order[:needed], ends[:2]), strict=True)
    by_patient = dict(list(pool.groupby("patient")))
    rows, siblings = [], []
    for group, chosen in groups:
        tested = 0 if group == UNRELATED else held_out(len(chosen), test_fraction, group)
        for number, patient in enumerate(chosen):
            own = by_patient[patient].iloc[rng.permutation(len(by_patient[patient]))]
            part = TEST if number < tested else TRAINING
            rows.append((own.path.iloc[0], patient, group, "" if group == UNRELATED else part))
            if group == MEMBER and part == TEST:
                siblings += [(path, patient, SIBLING, TEST) for path in own.path.iloc[1:]]
    columns = ["path", "patient", "group", "part"]
    kept = pd.DataFrame(siblings, columns=columns)
    # One sibling of every patient comes before a second of any.
    turns = kept.groupby("patient").cumcount()
    kept = kept.iloc[np.argsort(turns, kind="stable")].head(victim.siblings)
    return pd.concat([pd.DataFrame(rows, columns=columns), kept], ignore_index=True)


def held_out(count: int, fraction: float, what: str) -> int:
    """How many of `count` images go to the test part: at least one, and two stay.

    Raises:
        UserError: fewer than two would stay; `what` names the images.
    """
    tested = max(1, round(count * fraction))
    if count - tested < 2:
        raise UserError(
            f"--test_fraction={fraction} leaves {count - tested} of {count} {what} images for the "
            "training part; it needs two. Lower it, or take more."
        )
    return tested
