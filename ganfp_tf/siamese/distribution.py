"""Training on several devices or machines: each takes its blocks of a step, the chief writes.

With --distribute=multiworker every machine runs the same command on the same run folder. All
workers take each step together, on their own share of its blocks; worker 0, the chief, alone writes
the run folder, which the others read, and computes what may differ from machine to machine (the
validation metrics that end the training).
"""

import contextlib
import functools
import pathlib
import secrets
import socket
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from ganfp_tf.config import tf_config
from ganfp_tf.errors import UserError

PATIENCE = 10.0  # seconds between two lines about workers that are waited for
# What collectives raise if another worker has ended, or the network between them.
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
        cluster: `tf_config.Cluster` of several processes; None for this one alone.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy | None = None,
        cluster: tf_config.Cluster | None = None,
    ) -> None:
        self.strategy = strategy
        self.cluster = cluster

    @property
    def chief(self) -> bool:
        """Whether this process writes."""
        return self.cluster is None or self.cluster.index == 0

    @property
    def replicas(self) -> int:
        """Devices of all workers together."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self) -> contextlib.AbstractContextManager:
        """The scope in which models are created."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def datasets(self, make: Callable) -> Any:
        """The dataset of steps, each device's blocks its own.

        Args:
            make: function `share` -> Dataset; `share`, Dataset -> Dataset, is to be applied after
                "real" `(B, R)` and "generated" `(B, G)` are chosen and before anything is looked
                up; None if one device takes all blocks.
        """
        if not self.strategy:
            return make(None)

        def of_worker(context):
            local = context.num_replicas_in_sync // context.num_input_pipelines
            first = local * context.input_pipeline_id
            return make(share(context.num_replicas_in_sync, first, local))

        return self.strategy.distribute_datasets_from_function(of_worker)

    def mine(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of `frame` that this worker encodes."""
        if not self.cluster:
            return frame
        rows = frame.drop_duplicates("digest")
        return rows.iloc[self.cluster.index :: len(self.cluster.addresses)]

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Returns `function(*args)` on the chief; None elsewhere, once it is done.

        Raises:
            UserError: on every worker, if `function` has raised one on the chief.
        """
        return self._on_chief(0, function, args)[0]

    def numbers(self, count: int, function: Callable[..., Sequence[float]], *args: Any) -> list:
        """Returns the `count` floats of `function(*args)`, computed by the chief, on every worker.

        Raises:
            UserError: on every worker, if `function` has raised one on the chief.
        """
        return self._on_chief(count, function, args)[1]

    def wait(self) -> None:
        """Returns when every worker has come here."""
        if self.cluster:
            self._sum([0.0])

    def check_folder(self, folder: pathlib.Path) -> None:
        """Raises `UserError` on every worker if one does not see the chief's `folder`."""
        if not self.cluster:
            return
        # A folder of the same name on a disk of the worker's own has no such file.
        number = self.numbers(1, lambda: [secrets.randbits(32)])[0]
        mark = folder / f".workers-{number:.0f}"
        self.call(mark.touch)
        blind = np.flatnonzero(self._of_each(not mark.exists()))
        if self.chief:
            mark.unlink()
        if len(blind):
            raise UserError(
                f"worker {_names(blind)} does not see the run folder of worker 0, {folder}. Give "
                "every worker the same --run_dir, on a file system that they share."
            )

    def agree(self, what: str, text: str) -> None:
        """Raises `UserError` on every worker if `text` is not the same on all."""
        if not self.cluster:
            return
        sums = self._of_each(zlib.crc32(text.encode()))
        other = np.flatnonzero(sums != sums[0])
        if len(other):
            raise UserError(
                f"{what} of worker {_names(other)} are not those of worker 0. Every worker must be "
                "given the same command and the same files."
            )

    def part(self) -> None:
        """Waits for the others at the end, so that no worker leaves while they need it."""
        with contextlib.suppress(*LOST):
            self.wait()

    def _on_chief(self, count, function, args):
        """`(result, numbers)` of `function(*args)`; the result is None on other workers."""
        if not self.cluster:
            result = function(*args)
            return result, list(result) if count else []
        result, error = None, None
        if self.chief:
            try:
                result = function(*args)
            except UserError as raised:
                error = raised
        values = result if count and result is not None else np.zeros(count)
        *numbers, failed = self._sum([*values, error is not None]).tolist()
        if error:
            raise error
        if failed:
            raise UserError("worker 0 has stopped; its own output says why.")
        return result, numbers

    def _of_each(self, value):
        """The number `value` of every worker: `(workers,)` float64."""
        return self._sum((np.arange(len(self.cluster.addresses)) == self.cluster.index) * value)

    def _sum(self, values):
        """The sum of `values`, numbers, over all workers: `(n,)` float64."""
        mine, nothing = np.asarray(values, "float64"), np.zeros(len(values))
        local = self.replicas // len(self.cluster.addresses)

        def of_replica(context):
            first = context.replica_id_in_sync_group % local == 0
            return tf.identity(mine if first else nothing)

        spread = self.strategy.experimental_distribute_values_from_function(of_replica)
        return self.strategy.reduce("SUM", spread, axis=None).numpy()


ALONE = Team()


def share(replicas: int, first: int, local: int) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
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


def of(distribute: str, blocks: int) -> Team:
    """The `Team` of a run: one device, all of this machine, or those of all workers.

    With --distribute=multiworker the first call joins the others, and must come before anything
    that TensorFlow computes.

    Args:
        distribute: --distribute.
        blocks: blocks of a step.

    Raises:
        UserError: the blocks of a step cannot be shared evenly, or the workers cannot meet.
    """
    if distribute == "none":
        return ALONE
    if distribute == "multiworker":
        team = _joined(tf_config.read())
    else:
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        team = _mirrored(tuple(device.name for device in devices))
    tf_config.check_blocks(distribute, blocks, team.replicas, "devices")
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
        with _report_missing(cluster):
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
def _report_missing(cluster: tf_config.Cluster) -> Iterator[None]:
    """Prints from time to time which workers do not answer yet, while the block waits."""
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
def report_lost_workers(distribute: str) -> Iterator[None]:
    """Raises a `UserError` that says what to do if TensorFlow has lost a worker in the block."""
    try:
        yield
    except LOST as error:
        if distribute != "multiworker":
            raise
        raise UserError(
            "another worker has ended or cannot be reached any more; its own output says why. The "
            "same commands, on all machines, go on from the last whole epoch. TensorFlow says: "
            f"{_first_line(error)}"
        ) from error


def _names(numbers):
    return ", ".join(map(str, numbers))


def _first_line(error):
    return str(error).strip().partition("\n")[0]
