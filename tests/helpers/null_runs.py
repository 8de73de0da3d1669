"""Audits in which nothing can be found: random halves of images that were not used."""

import dataclasses

import numpy as np
import pandas as pd

from ganfp_tf.audit import metrics
from ganfp_tf.audit.case import REFERENCE, SUSPECT


def null_audits(case, runs, *, seed=0):
    """Calls a random half of the unused patients suspects, the others reference, again and again.

    Args:
        case: a labelled `Case`; only its images that were not used have a part.
        runs: how many halves.
        seed: of the halves.

    Yields:
        (permutation p of the set test, Welch's p, images flagged) of each.
    """
    unused = case.group(REFERENCE)
    base = None
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        codes, names = pd.factorize(unused["patient"])
        first = np.isin(codes, rng.permutation(len(names))[: len(names) // 2])
        real = unused.assign(label=first.astype(int), group=np.where(first, SUSPECT, REFERENCE))
        config = dataclasses.replace(case.config, seed=run)
        own = dataclasses.replace(case, real=real, config=config)
        if base is None:
            base = own
        # Labels are hidden from what is fitted: the same for every half.
        own._fitted.update(base._fitted)
        scores = own.scores(own.detectors.primary, decide=own.labelled)
        base._fitted.update(own._fitted)
        images = metrics.image_table(own, scores)
        together, _ = metrics.set_level(own, images)
        yield together.permutation_p, together.welch_p, int(images["flagged"].sum())
