"""A description of the machine, and its limit: the rate of a large matrix product."""

import contextlib
import logging
import os
import platform
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from ganfp_tf.speed.timing import Ledger

GPU_MATRIX, CPU_MATRIX = 4096, 2048
CHAIN = 16  # products a call on a GPU, where one takes less than handing it over


def on_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def mixed_policy() -> str:
    """The number format of --mixed_precision on this machine."""
    return "mixed_float16" if on_gpu() else "mixed_bfloat16"


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Sets the Keras dtype policy, which is global to the process, within the block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def many_networks() -> Iterator[None]:
    """Within the block, TensorFlow does not warn of many traces: each network needs its own."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def describe() -> dict:
    """Processor, cores, threads and load, JSON-ready."""
    devices = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    threading = tf.config.threading
    affinity = getattr(os, "sched_getaffinity", None)
    load = getattr(os, "getloadavg", None)
    return {
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        # 0: TensorFlow takes as many as there are cores.
        "intra_op_threads": threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": threading.get_inter_op_parallelism_threads(),
        "gpus": devices,
        "load_at_start": round(load()[0], 2) if load else None,
    }


def memory_on_gpu() -> int:
    """Peak memory of TensorFlow on the first GPU so far, in bytes; 0 without one."""
    if not on_gpu():
        return 0
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def matrix_products(ledger: Ledger) -> None:
    """Measures GFLOP/s of a large matrix product in float32 and in the mixed format's type."""
    side = ledger.extent.matrix or (GPU_MATRIX if on_gpu() else CPU_MATRIX)
    chain = CHAIN if on_gpu() else 1
    numbers = np.random.default_rng(0).normal(0.0, side**-0.5, (side, side)).astype("float32")
    for dtype in ("float32", mixed_policy().removeprefix("mixed_")):
        left = right = tf.cast(tf.constant(numbers), dtype)
        product = _products(chain)
        ledger.rate(
            "machine",
            limit_name(dtype),
            "GFLOP/s",
            2 * side**3 * chain / 1e9,
            lambda product=product, left=left, right=right: product(left, right).numpy(),
            ratio_to="" if dtype == "float32" else limit_name("float32"),
        )
    ledger.notes.append(f"The machine's limit is a product of two {side} x {side} matrices.")


def limit_name(dtype: str) -> str:
    """Name of the measurement of a number format's limit."""
    return f"matrix product, {dtype}"


def _products(chain):
    @tf.function
    def products(left, right):
        for _ in range(chain):
            left = tf.matmul(left, right)
        return left[0, 0]  # one number to wait for, not a matrix to carry back

    return products


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            for line in handle:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
