"""The images to be scored, cut into shards, and the files of a job. No Beam, no TensorFlow."""

import dataclasses
import hashlib
import json
import pathlib
import shutil

import numpy as np
import pandas as pd

from ganfp_tf import files
from ganfp_tf.beam.shards import Shards
from ganfp_tf.config import Config
from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.errors import UserError
from ganfp_tf.runs import run_folder

FORMAT = 1  # of the files; another number recomputes everything
SHARD = 256  # images: what a worker holds at once, and what is lost when one fails
LEAST = 8  # images, so that small sets are still cut into several shards
SEVERAL = 4
KINDS = ("real", "generated")
COLUMNS = ["path", "digest", "fast", "role", "name", "patient"]
SAMPLE = 256  # generated images that measure how near the nearest usually is; see `copies.run`


@dataclasses.dataclass(frozen=True)
class PartnerPlan:
    """How many generated images a real image is compared with.

    Attributes:
        searched: number of nearest ones, if there are as many; of a copy-detection network, the
            candidates.
        drawn: number of those drawn at random, the same for every real image.
    """

    searched: int
    drawn: int

    @classmethod
    def of(cls, settings: SiameseSettings) -> "PartnerPlan":
        """The plan of a run's settings."""
        if settings.supervision == "copy":
            return cls(settings.candidates or settings.partners, 0)
        if settings.candidates:
            return cls(settings.candidates, 0)
        half = settings.partners // 2
        searched = {"random": 0, "nearest": settings.partners, "mixed": settings.partners - half}
        drawn = {"random": settings.partners, "nearest": 0, "mixed": half}
        return cls(min(searched[settings.pairing], settings.neighbours), drawn[settings.pairing])

    def near(self, generated: int) -> int:
        """Number of nearest images among `generated` ones."""
        return min(self.searched, generated)


@dataclasses.dataclass(frozen=True)
class Job:
    """One scoring, the same on launcher and workers.

    Attributes:
        run: the run folder.
        folder: the job's own, <run>/cluster/<digest of what decides the scores>.
        config: the Config.
        images: number of real and of generated images in it.
        drawn: positions among the generated images that every real image is paired with.
    """

    run: pathlib.Path
    folder: pathlib.Path
    config: Config
    images: tuple[int, int]
    drawn: tuple[int, ...]

    @property
    def copies(self) -> bool:
        """Whether the run's detector is a copy-detection network, trained without labels."""
        return self.config.supervision == "copy"

    @property
    def near(self) -> int:
        """Number of nearest generated images that a real image is paired with."""
        return PartnerPlan.of(self.config.section(SiameseSettings)).near(self.images[1])

    @property
    def wanted(self) -> int:
        """Candidates of an image for a copy-detection network."""
        return self.config.candidates or self.config.partners

    def size(self, kind: str) -> int:
        """Images a shard."""
        count = self.images[KINDS.index(kind)]
        return min(SHARD, max(LEAST, -(-count // SEVERAL)))

    def shards(self, kind: str) -> int:
        """Number of shards."""
        return -(-self.images[KINDS.index(kind)] // self.size(kind))

    def tokens(self, kind: str) -> Shards:
        """The encoded images, as `Shards` of tokens, pooled and total (see `encode.Encode`)."""
        return Shards(self.folder / "tokens", kind, self.shards(kind))

    @property
    def sample(self) -> np.ndarray:
        """Positions of the generated images that take the place of a real one: (n,) int."""
        count = self.images[1]
        return np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).astype(int))

    @property
    def sampled(self) -> Shards:
        """Their tokens and the mean of all generated tokens, one shard."""
        return Shards(self.folder / "tokens", "sample", 1)

    @property
    def queries(self) -> int:
        """Number of queries: the shards of real images, and behind them the sample, if any."""
        return self.shards("real") + self.copies

    @property
    def scores(self) -> Shards:
        """The results, one shard a query."""
        return Shards(self.folder / "scores", "scores", self.queries)

    def to_score(self) -> list[int]:
        """The queries whose results are missing or damaged."""
        return [n for n in range(self.queries) if not self.scores.is_sound(n, *self.result(n))]

    def result(self, query: int) -> tuple[str, ...]:
        """Names of the arrays of a query's result (see `score.Score`)."""
        if not self.copies:
            return ("rows", "score", "best")
        if query == self.shards("real"):
            return ("distance", "top")
        return ("rows", "distance", "like", "top", "alike", "best")

    def listed(self, kind: str, number: int) -> pd.DataFrame:
        """The images of a shard.

        Returns:
            DataFrame of COLUMNS and row (in the Catalog); for a copy-detection network also group.
        """
        try:
            lines = _images(self, kind).path(number, "jsonl").read_text(encoding="utf-8")
            return pd.DataFrame([json.loads(line) for line in lines.splitlines()])
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.folder} cannot be read ({error}). Every worker must see the run folder "
                "under the same path as the launcher."
            ) from error

    def reference_groups(self) -> np.ndarray:
        """Group of each reference image of a copy-detection network: (n,) int."""
        return Shards(self.folder / "images", "reference", 1).read(0, "groups")[0]

    def drop_features(self) -> None:
        """Removes the encoded images."""
        shutil.rmtree(self.folder / "tokens", ignore_errors=True)


def open_job(
    config: Config,
    run: pathlib.Path,
    frame: pd.DataFrame,
    same: tuple[np.ndarray, np.ndarray] | None = None,
) -> Job:
    """Cuts the images into shards and lists them in files.

    Args:
        config: the run's Config.
        run: the run folder.
        frame: rows of a Catalog.
        same: for a copy-detection network, `(group of each real image, group of each reference
            image)`: images of one group are of one patient.

    Returns:
        A `Job`.
    """
    real = np.flatnonzero((frame["role"] == "real").to_numpy())
    generated = np.flatnonzero((frame["role"] != "real").to_numpy())
    plan = PartnerPlan.of(config.section(SiameseSettings))
    drawn = np.random.default_rng(config.seed).permutation(len(generated))[: plan.drawn]
    if not plan.near(len(generated)):
        # All real images are compared with the same few: the others need not be encoded.
        kept, drawn = np.unique(drawn, return_inverse=True)
        generated = generated[kept]
    frame = frame[COLUMNS].assign(row=np.arange(len(frame)))
    parts = {"real": frame.iloc[real], "generated": frame.iloc[generated]}
    facts = {
        "format": FORMAT,
        "shard": SHARD,
        "settings": config.settings("model", "data"),
        "partners": config.partners,
        "candidates": config.candidates,
        "detector": _detector(run),
        "images": {
            kind: part[["digest", "fast", "row"]].to_numpy().tolist()
            for kind, part in parts.items()
        },
        "same": [np.asarray(groups).tolist() for groups in same or ()],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    folder = run.absolute() / "cluster" / digest
    counts = (len(real), len(generated))
    job = Job(run.absolute(), folder, config, counts, tuple(int(place) for place in drawn))
    if same:
        parts["real"] = parts["real"].assign(group=same[0])
        Shards(folder / "images", "reference", 1).write(0, groups=np.asarray(same[1]))
    for kind, part in parts.items():
        _list(job, kind, part)
    return job


def _images(job, kind):
    return Shards(job.folder / "images", kind, job.shards(kind))


def _list(job, kind, part):
    for number in range(job.shards(kind)):
        rows = part.iloc[number * job.size(kind) : (number + 1) * job.size(kind)]
        lines = rows.to_json(orient="records", lines=True, force_ascii=False)
        files.write_text(_images(job, kind).path(number, "jsonl"), lines)


def _detector(run):
    """SHA-256 of every file that scoring reads from the run folder."""
    places = [run / "weights.json", *sorted((run / "splits" / "main").glob("*.*"))]
    places += sorted((run / "copies").glob("*.keras"))
    return {
        str(path.relative_to(run)): run_folder.digest_of(path) for path in places if path.is_file()
    }
