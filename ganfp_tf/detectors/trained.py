"""The detectors of a trained run, read back: images in, a score for each out."""

import functools
import pathlib

from ganfp_tf.detectors.copies.run import CopyScorer, Network
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese import networks


class Scorers:
    """The detectors of a run's splits.

    Args:
        folder: the run folder.
        supervision: --supervision of the run.
    """

    def __init__(self, folder: pathlib.Path, supervision: str) -> None:
        self.folder, self.supervision = folder, supervision

    def of(self, split_id: str) -> CopyScorer | networks.PairScorer:
        """The detector of a split.

        Raises:
            UserError: a file is missing or damaged.
        """
        place = self.folder / "splits" / split_id
        run_folder.require(self.folder, f"splits/{split_id}/decision.json")
        if self.supervision == "copy":
            return CopyScorer.load(self._network, place)
        return networks.load(place)

    @functools.cached_property
    def _network(self):
        return Network(networks.load_networks(self.folder / "copies"))
