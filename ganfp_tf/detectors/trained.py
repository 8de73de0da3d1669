"""A trained run's detectors, read back, whatever they were taught: images in, a score each out."""

import functools

from ganfp_tf.detectors.copies.run import CopyScorer, Network
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese import networks


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
        return networks.load(place)

    @functools.cached_property
    def _network(self):
        return Network(networks.load_networks(self.folder / "copies"))
