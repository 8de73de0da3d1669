"""The run's networks, read once a process, whatever the number of threads and stages."""

import functools
import threading
from collections.abc import Callable
from typing import Any

from ganfp_tf.beam.job import Job
from ganfp_tf.detectors import trained
from ganfp_tf.models.runtime import prepare_runtime
from ganfp_tf.models.siamese import compiled
from ganfp_tf.siamese import encoded_images
from ganfp_tf.siamese.networks import SiameseNetworks

_LOCK = threading.Lock()


def detector(job: Job) -> Any:
    """The trained detector: `networks.PairScorer` or `copies.run.CopyScorer`."""
    return _once(_detector, job)


def networks(job: Job) -> SiameseNetworks:
    """The networks that encode images and compare their tokens."""
    return _networks(job, detector(job))


def backbone(job: Job) -> Callable:
    """The backbone as it was before training, compiled: images in, features out.

    Raises:
        UserError: its weights are not those that the run was trained on.
    """
    return _once(_backbone, job)


def forget() -> None:
    """Releases the networks that this process has read."""
    _detector.cache_clear()
    _backbone.cache_clear()


def _networks(job, found):
    return found.network.networks if job.copies else found.networks


def _once(load, job):
    with _LOCK:
        # The number format belongs to the thread, so that every thread sets it.
        prepare_runtime(job.config)
        return load(job)


@functools.lru_cache(maxsize=1)
def _detector(job):
    found = trained.Scorers(job.run, job.config.supervision).of("main")
    # Compiled here, under the lock: each thread would compile its own.
    networks = _networks(job, found)
    _ = networks.encode, networks.engine
    return found


@functools.lru_cache(maxsize=1)
def _backbone(job):
    model, report = encoded_images.make_backbone(job.config, job.config.seed)
    encoded_images.check_weights(report, job.run)
    return compiled(model)
