"""TF_CONFIG, which tells a process of --distribute=multiworker who the others are."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping

from ganfp_tf.config.config import Config
from ganfp_tf.errors import UserError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
ADDRESS = re.compile(r"(\[[^\[\]\s]+\]|[^:\s/]+):(\d{1,5})")
RECORDED = ("evaluate", "predict", "export")  # modes that read a trained run's settings


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run. Worker 0, the chief, writes the run folder.

    Attributes:
        addresses: host:port of each worker, the same list in all processes.
        index: which of them this process is.
    """

    addresses: tuple
    index: int

    @property
    def others(self) -> list[tuple[int, tuple[str, int]]]:
        """`(number, (host, port))` of every worker but this one."""
        ends = [address.rpartition(":") for address in self.addresses]
        return [
            (number, (host.strip("[]"), int(port)))
            for number, (host, _, port) in enumerate(ends)
            if number != self.index
        ]


def read(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The `Cluster` of the environment.

    Raises:
        UserError: TF_CONFIG is not set, or is not what TensorFlow's MultiWorkerMirroredStrategy
            and this program can start from.
    """
    text = environment.get(VARIABLE, "")
    if not text.strip():
        raise _wrong("it is not set")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _wrong(f"it is not JSON ({error})") from error
    cluster = value.get("cluster") if isinstance(value, dict) else None
    task = value.get("task") if isinstance(value, dict) else None
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise _wrong('it lacks "cluster" or "task", or they are no objects')
    if set(cluster) != {"worker"}:
        found = ", ".join(sorted(cluster)) or "none"
        raise _wrong(f'"cluster" must hold one job, "worker", led by its first. Found: {found}')
    addresses = cluster["worker"]
    if not isinstance(addresses, list) or not addresses:
        raise _wrong('"worker" must be a list of host:port, one for each machine')
    for address in addresses:
        match = ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if not match or not 0 < int(match[2]) < 65536:
            raise _wrong(f"an address must be host:port. Received: {address!r}")
    if len(set(addresses)) < len(addresses):
        raise _wrong(f"two workers have the same address: {', '.join(addresses)}")
    if task.get("type") != "worker":
        raise _wrong(f'the type of "task" must be "worker". Received: {task.get("type")!r}')
    index = task.get("index")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(addresses):
        raise _wrong(
            f'the index of "task" must be 0 to {len(addresses) - 1}, the place of this machine in '
            f"the list of workers. Received: {index!r}"
        )
    return Cluster(tuple(addresses), index)


def check(config: Config) -> None:
    """Raises `UserError` where --distribute=multiworker cannot start; needs no TensorFlow."""
    if config.distribute != "multiworker" or config.mode in RECORDED:
        return
    if config.mode != "train":
        raise UserError("--distribute=multiworker goes with --mode=train.")
    if config.jit_compile:
        raise UserError("--distribute=multiworker runs without XLA: leave --jit_compile out.")
    workers = len(read().addresses)
    check_blocks(config.distribute, config.step_blocks, workers, "workers")


def check_blocks(distribute: str, blocks: int, count: int, what: str) -> None:
    """Raises `UserError` if the blocks of a step are not shared evenly among `count` `what`."""
    if blocks % count:
        raise UserError(
            f"--distribute={distribute} shares the blocks of a step among {count} {what}; "
            f"{blocks} blocks do not divide evenly. Set --blocks to a multiple of {count}."
        )


def leads(config: Config) -> bool:
    """False for a worker other than the chief: it writes nothing and does nothing but train."""
    if config.distribute != "multiworker" or config.mode != "train":
        return True
    return read().index == 0


def _wrong(found):
    return UserError(
        f"--distribute=multiworker needs the environment variable {VARIABLE} in every process, "
        f"such as {VARIABLE}='{EXAMPLE}'; {found}."
    )
