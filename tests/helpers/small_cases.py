"""Cases of an audit for tests: from files on disk, or from scores that a test writes down."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd
from PIL import Image

from ganfp_tf.audit.case import Case, open_case
from ganfp_tf.config import Config
from ganfp_tf.data.catalog import Catalog
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.detectors.protocol import Unprepared

QUICK = dict(mode="audit", bootstrap=100, permutations=199, folds=3)
THREE = "nearest_pixels,calibrated_pixels,hits_pixels"


def opened(folder, run, **settings):
    """`open_case` of the images in `folder`, with few resamples."""
    settings = {**QUICK, "detectors": THREE, **settings}
    return open_case(Config(data=str(folder), **settings), pathlib.Path(run))


@dataclasses.dataclass
class Known(Unprepared):
    """A detector that needs no label and scores an image by its name."""

    scores: dict
    name: str = "known"
    title: str = "what the test says"
    uses_labels: bool = False

    def fit(self, labelled, generated, store):
        return self

    def score(self, candidates, generated, store):
        assert (candidates["label"] == -1).all()
        return np.array([self.scores[name] for name in candidates["name"]], dtype=float)


def scored(rows, *, kind="labelled", names=("nearest_pixels", "blind_pixels"), **settings):
    """A case without files and the scores of its primary detector, which are those of `rows`.

    Args:
        rows: (name, patient, group, score[, decision[, fold]]) of each real image.
        kind, names: of the Case.

    Returns:
        (Case, DataFrame of crossfit.COLUMNS for suspects and reference).
    """
    columns = ["name", "patient", "group", "score", "decision", "fold"]
    rows = [(*row, *(0, "all")[len(row) - 4 :]) for row in rows]
    frame = pd.DataFrame(rows, columns=columns)
    real = frame[["name", "patient", "group"]].assign(
        path=frame["name"],
        digest=frame["name"],
        role="real",
        part="",
        label=(frame["group"] == "suspect").astype(int),
    )
    catalog = Catalog(real, pd.DataFrame(columns=["path", "reason"]), ())
    config = Config(**{**QUICK, **settings})
    place = pathlib.Path("nowhere")
    case = Case(kind, catalog, real, real.iloc[:0], tuple(names), config, place, PixelStore())
    known = Known(dict(zip(frame["name"], frame["score"], strict=True)))
    case._fitted[case.detectors.primary] = known
    tested = frame[frame["group"] != "sibling"].reset_index(drop=True)
    scores = case.tested[["name", "patient", "label"]].assign(
        score=tested["score"], decision=tested["decision"], split_id=tested["fold"], split="test"
    )
    return case, scores


def scenes(count, side=16, seed=0):
    """Smooth random pictures (count, side, side) uint8, all different."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, 4, 4)).astype("float32")
    return np.stack([np.asarray(Image.fromarray(c).resize((side, side))) for c in coarse]).astype(
        "uint8"
    )


def write(folder, images, stem):
    """Writes images as PNG, `stem`_1.png and so on; returns the names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{stem}_{number}.png" for number in range(1, len(images) + 1)]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / name)
    return names


def write_patients(root, used, unused, *, per_patient=1, both=0, copies=2, side=16, seed=0):
    """A data set with a manifest; generated images are noisy copies of used ones.

    Args:
        used, unused: patients with `per_patient` images each: u0, u1, ... and n0, n1, ...
        both: of the used patients, so many have two images more, which were not used: they look
            like the used ones.
    """
    rng = np.random.default_rng(seed)

    def noisy(images, deviation):
        changed = images.astype(float) + rng.normal(0, deviation, images.shape)
        return changed.clip(0, 255).round().astype("uint8")

    pictures = scenes((used + unused) * per_patient, side, seed)
    members = pictures[: used * per_patient]
    alike = noisy(np.repeat(members[::per_patient][:both], 2, axis=0), 4)
    made = noisy(np.repeat(members, copies, axis=0), 4)
    rows = ["path,role,label,patient"]
    for stem, images, label, people in (
        ("used", members, 1, [f"u{i // per_patient}" for i in range(len(members))]),
        (
            "other",
            pictures[len(members) :],
            0,
            [f"n{i // per_patient}" for i in range(unused * per_patient)],
        ),
        ("alike", alike, 0, [f"u{i // 2}" for i in range(len(alike))]),
    ):
        names = write(root, images, stem) if len(images) else []
        rows += [f"{n},real,{label},{p}" for n, p in zip(names, people, strict=True)]
    rows += [f"{name},generated,," for name in write(root, made, "made")]
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root
