"""A trained run's detectors, read back, whatever they were taught: images in, a score each out."""

import dataclasses
import functools

from ganfp_tf.detectors.copies.run import CopyScorer, Network
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese import networks


@dataclasses.dataclass(frozen=True)
class PairScorer:
    """Scores images by the logits of their pairs; see also `copy_run.CopyScorer`.

    Attributes:
        scorer: `siamese.Scorer`.
    """

    scorer: networks.Scorer

    @property
    def decision(self):
        """The split's `siamese.Decision`."""
        return self.scorer.decision

    def partners_of(self, material, split_generated):
        """The generated rows that images of a split are scored against: those of the split."""
        return split_generated

    def score(self, material, real, generated, *, seed):
        """Scores the rows `real` against the rows `generated`.

        Returns:
            `(scores (len(real),), logits (len(real), K), partner rows (len(real), K))`.
        """
        logits, partner_rows = self.scorer.score(material, real, generated, seed=seed)
        return networks.image_scores(logits), logits, partner_rows


class Scorers:
    """The detectors of a run's splits.

    Args:
        folder: the run folder.
        config: the run's Config.
    """

    def __init__(self, folder, config):
        self.folder, self.config = folder, config

    def of(self, split_id):
        """The detector of a split.

        Raises:
            UserError: a file is missing or damaged.
        """
        place = self.folder / "splits" / split_id
        run_folder.require(self.folder, f"splits/{split_id}/decision.json")
        if self.config.supervision == "copy":
            return CopyScorer.load(self._network, place)
        return PairScorer(networks.load(place))

    @functools.cached_property
    def _network(self):
        return Network(networks.load_models(self.folder / "copies"))
