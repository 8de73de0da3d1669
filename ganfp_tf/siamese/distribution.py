"""Training on several devices or machines: who takes which blocks, who writes, who tells whom.

With --distribute=multiworker every machine runs the same command. All workers take each step
together, on their own share of its blocks; worker 0, the chief, alone writes the run folder and
decides what may differ from machine to machine (the validation figures that end the training).
"""

import contextlib
import functools
import io
import json
import socket
import sys
import threading
import zlib

import numpy as np
import tensorflow as tf

from ganfp_tf.config import tf_config
from ganfp_tf.errors import UserError

PIECE = 2_000_000  # words of four bytes sent at once
PATIENCE = 10.0  # seconds between two lines about workers that are waited for
# What collectives end in when another worker has ended, or the network between them.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class Team:
    """The devices that train together, and the processes that they belong to.

    Args:
        strategy: a `tf.distribute.Strategy`; None for one device.
        cluster: `cluster_config.Cluster` of several processes; None for this one alone.
    """

    def __init__(self, strategy=None, cluster=None):
        self.strategy = strategy
        self.cluster = cluster

    @property
    def chief(self):
        """Whether this process writes."""
        return self.cluster is None or self.cluster.index == 0

    @property
    def replicas(self):
        """Devices of all workers together."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self):
        """The scope in which models are made."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def datasets(self, make):
        """The dataset of steps, each device's blocks its own.

        Args:
            make: function `share` -> Dataset; `share`, Dataset -> Dataset, is to be applied where
                "real" `(B, R)` and "generated" `(B, G)` are chosen and nothing is looked up yet;
                None where one device takes all blocks.
        """
        if not self.strategy:
            return make(None)

        def of_worker(context):
            local = context.num_replicas_in_sync // context.num_input_pipelines
            first = local * context.input_pipeline_id
            return make(share(context.num_replicas_in_sync, first, local))

        return self.strategy.distribute_datasets_from_function(of_worker)

    def mine(self, frame):
        """The rows of `frame` that this worker encodes."""
        if not self.cluster:
            return frame
        rows = frame.drop_duplicates("digest")
        return rows.iloc[self.cluster.index :: len(self.cluster.addresses)]

    def from_chief(self, make):
        """The bytes that `make()` gives on the chief, on every worker; nobody passes before.

        Raises:
            UserError: on every worker, where `make` has raised one on the chief.
        """
        if not self.cluster:
            return make()
        content, failed = b"", None
        if self.chief:
            try:
                content = make()
            except UserError as error:
                failed, content = error, str(error).encode()
        size, wrong = self._sum([len(content), failed is not None]).astype(int)
        sent = self._send(content, size)
        if failed:
            raise failed
        if wrong:
            raise UserError(f"worker 0 has stopped: {sent.decode()}")
        return sent

    def call(self, function, *args):
        """What `function(*args)` gives on the chief; None elsewhere, once it is done."""
        results = []

        def make():
            results.append(function(*args))
            return b""

        self.from_chief(make)
        return results[0] if results else None

    def value(self, make):
        """The JSON-ready value that `make()` gives on the chief, on every worker."""
        if not self.cluster:
            return make()
        return json.loads(self.from_chief(lambda: json.dumps(make()).encode()))

    def file(self, path):
        """A file of the run folder: `path`, or what the chief read there; None where it has none.

        The other workers need not see the run folder.
        """
        if not self.cluster:
            return path if path.exists() else None
        content = self.from_chief(lambda: path.read_bytes() if path.exists() else b"")
        return (path if self.chief else _Sent(content)) if content else None

    def agree(self, what, text):
        """Raises `UserError` on every worker where `text` is not the same on all."""
        if not self.cluster:
            return
        mine = np.arange(len(self.cluster.addresses)) == self.cluster.index
        told = self._sum(mine * zlib.crc32(text.encode()))
        other = [str(number) for number in np.flatnonzero(told != told[0])]
        if other:
            raise UserError(
                f"{what} of worker {', '.join(other)} are not those of worker 0. Every worker must "
                "be handed the same command and the same files."
            )

    def part(self):
        """Ends the work together: a worker that leaves first takes nothing from the others."""
        if self.cluster:
            with contextlib.suppress(*LOST):
                self._sum([0.0])

    def _sum(self, values):
        """The sum of `values`, numbers, over all workers: `(n,)` float64."""
        mine, nothing = np.asarray(values, "float64"), np.zeros(len(values))
        local = self.replicas // len(self.cluster.addresses)

        def of_replica(context):
            first = context.replica_id_in_sync_group % local == 0
            return tf.identity(mine if first else nothing)

        spread = self.strategy.experimental_distribute_values_from_function(of_replica)
        return self.strategy.reduce("SUM", spread, axis=None).numpy()

    def _send(self, content, size):
        # Words of 32 bits as float64, which holds them exactly and every device can sum.
        words = np.zeros(-(-size // 4), "<u4")
        if content:
            words[:] = np.frombuffer(content.ljust(4 * len(words), b"\0"), "<u4")
        for start in range(0, len(words), PIECE):
            words[start : start + PIECE] = self._sum(words[start : start + PIECE])
        return words.tobytes()[:size]


ALONE = Team()


class _Sent(io.BytesIO):
    """A file that the chief has read; its name in messages."""

    def __str__(self):
        return "of worker 0"


def share(replicas, first, local):
    """Dataset -> Dataset: of each step's blocks those of the devices `first` to `first + local`.

    Args:
        replicas: devices of all workers together; the blocks divide evenly among them.
        first: number of this worker's first device.
        local: its devices.

    Returns:
        A function to a Dataset with an element for each of the `local` devices, step after step.
    """

    def split(element):
        def of_devices(indices):
            by_device = tf.reshape(indices, (replicas, -1, indices.shape[1]))
            return by_device[first : first + local]

        return {name: of_devices(element[name]) for name in ("real", "generated")}

    def apply(dataset):
        parts = dataset.map(split, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
        # Else the workers would ask each other before each step whether there is another.
        return parts.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return apply


def of(config):
    """The `Team` of a run: one device, all of this machine, or those of all workers.

    With --distribute=multiworker the first call joins the others, and must come before anything
    that TensorFlow computes.

    Raises:
        UserError: the blocks of a step cannot be shared evenly, or the workers cannot meet.
    """
    if config.distribute == "none":
        return ALONE
    if config.distribute == "multiworker":
        team = _joined(tf_config.read())
    else:
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        team = _mirrored(tuple(device.name for device in devices))
    tf_config.check_blocks(config, team.replicas, "devices")
    return team


@functools.cache
def _mirrored(devices):
    """One strategy a process: a second one would number its reductions from the start again.

    TensorFlow remembers the shape that each number had, and stops where another network's differs.
    """
    return Team(tf.distribute.MirroredStrategy(list(devices)))


@functools.cache
def _joined(cluster):
    """Starts this worker's server and waits for the other workers."""
    count = len(cluster.addresses)
    print(f"worker {cluster.index} of {count}: {cluster.addresses[cluster.index]}", flush=True)
    try:
        with _told_who_is_missing(cluster):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"worker {cluster.index} cannot meet the others of {tf_config.VARIABLE} at "
            f"{cluster.addresses[cluster.index]}: {_first_line(error)} Is the port free and the "
            "address this machine's, and are all workers started with the same list?"
        ) from error
    print(f"all {count} workers are there", flush=True)
    return Team(strategy, cluster)


@contextlib.contextmanager
def _told_who_is_missing(cluster):
    """Says now and then which workers do not answer yet, while the block waits for them."""
    done = threading.Event()

    def tell():
        while not done.wait(PATIENCE):
            missing = [number for number, end in cluster.others if not _answers(end)]
            if missing and not done.is_set():
                names = ", ".join(f"{number} ({cluster.addresses[number]})" for number in missing)
                print(f"waiting for worker {names}", file=sys.stderr, flush=True)

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _answers(end):
    try:
        socket.create_connection(end, timeout=2.0).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def losses_told(config):
    """Turns what TensorFlow raises where a worker is lost into a `UserError` with what to do."""
    try:
        yield
    except LOST as error:
        if config.distribute != "multiworker":
            raise
        raise UserError(
            "another worker has ended or cannot be reached any more; its own output says why. The "
            "same commands, on all machines, go on from the last whole epoch. TensorFlow says: "
            f"{_first_line(error)}"
        ) from error


def _first_line(error):
    return str(error).strip().partition("\n")[0]
