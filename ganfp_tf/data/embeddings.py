"""The embedding store: each image passes the backbone once, ever.

    <root>/<backbone>-<key>/key.json     what the features depend on
                            <name>.npy   up to SHARD images, (images, tokens, channels)
                            <name>.json  their digests, scale, the key and the .npy's CRC-32
                            <name>.mean  their means over the tokens, made when first asked for

A shard exists when its .json does; both files are written to a temporary name and renamed, the
.json last. Shards are checked when the store is opened and memory-mapped when it is read; few are
mapped at a time, so that neither memory nor open files grow with the number of images.
"""

import collections
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ganfp_tf import files
from ganfp_tf.errors import UserError

SHARD = 64  # images: seconds of work lost at most, and few enough files for thousands of images
MAPPED_BYTES = 2**28  # of arrays mapped at once ...
MAPPED = 128  # ... and how many: systems allow some hundred open files


def open_store(root: str | os.PathLike, key: dict[str, Any]) -> "Store":
    """Opens (or starts) the store of `key` below `root`, dropping every shard that is not sound.

    Args:
        root: folder of all stores.
        key: JSON-ready dict of everything but the image that decides the features; must hold
            "backbone", "dtype", "tokens" and "channels".

    Returns:
        A `Store`.
    """
    text = json.dumps(key, sort_keys=True)
    identity = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = pathlib.Path(root) / f"{key['backbone']}-{identity}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "key.json", key)
    except OSError as error:
        raise UserError(f"--store_dir: cannot write to {folder}: {error.strerror}.") from error
    store = Store(folder, identity, key, {}, _Maps())
    for description in sorted(folder.glob("*.json")):
        # A leading dot: another process is writing it now.
        if description.name == "key.json" or description.name.startswith("."):
            continue
        reason = store.add(description)
        if reason:
            logging.warning("embedding store: %s %s; it is made anew", description.stem, reason)
            description.unlink(missing_ok=True)
            for suffix in (".npy", ".mean"):
                description.with_suffix(suffix).unlink(missing_ok=True)
    return store


class _Maps:
    """Arrays mapped into memory; those longest not asked for are let go."""

    def __init__(self) -> None:
        self._open: collections.OrderedDict[pathlib.Path, np.ndarray] = collections.OrderedDict()

    def __getitem__(self, path: pathlib.Path) -> np.ndarray:
        if path not in self._open:
            self._open[path] = np.load(path, mmap_mode="r", allow_pickle=False)
            total = sum(array.nbytes for array in self._open.values())
            while len(self._open) > 1 and (total > MAPPED_BYTES or len(self._open) > MAPPED):
                total -= self._open.popitem(last=False)[1].nbytes
        self._open.move_to_end(path)
        return self._open[path]

    def forget(self, path: pathlib.Path) -> None:
        self._open.pop(path, None)


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of the store, opened when it is read."""

    path: pathlib.Path
    scale: float
    maps: _Maps

    @property
    def features(self) -> np.ndarray:
        """`(images, tokens, channels)`, memory-mapped, times `scale`."""
        return self.maps[self.path]

    def means(self) -> np.ndarray:
        """`(images, channels)` float32, means over the tokens."""
        path = self.path.with_suffix(".mean")
        shape = (self.features.shape[0], self.features.shape[2])
        try:
            data = path.read_bytes()
            if zlib.crc32(data[4:]) == int.from_bytes(data[:4], "little"):
                return np.frombuffer(data[4:], "float32").reshape(shape)
        except (OSError, ValueError):
            pass
        means = (self.features.astype("float32") * np.float32(1.0 / self.scale)).mean(axis=1)
        data = means.tobytes()
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(zlib.crc32(data).to_bytes(4, "little") + data)
        return means


@dataclasses.dataclass(frozen=True)
class Store:
    """Features on disk. `rows` maps an image digest to `(Shard, row)`."""

    folder: pathlib.Path
    identity: str
    key: dict
    rows: dict
    maps: _Maps

    @property
    def shape(self) -> tuple[int, int]:
        """`(tokens, channels)` of one image."""
        return (self.key["tokens"], self.key["channels"])

    def add(self, description: pathlib.Path) -> str:
        """Takes up the shard of a .json file; returns what is wrong with it, or ""."""
        try:
            facts = files.read_json(description)
            digests, crc, scale = list(facts["digests"]), facts["crc32"], float(facts["scale"])
            if facts["key"] != self.identity:
                return "belongs to another store"
            features = np.load(description.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        except Exception as error:  # a damaged header raises anything, TokenError and EOFError too
            return f"cannot be read ({type(error).__name__})"
        if features.shape != (len(digests), *self.shape) or features.dtype != self.key["dtype"]:
            return f"holds {features.dtype} {features.shape}, not what its description says"
        if _checksum(features, scale, digests) != crc:
            return "does not match its checksum"
        path = description.with_suffix(".npy")
        self.maps.forget(path)
        shard = Shard(path, scale, self.maps)
        for row, digest in enumerate(digests):
            self.rows.setdefault(digest, (shard, row))
        return ""

    def missing(self, digests: Iterable[str]) -> list[str]:
        """The digests that are not in the store, each once, in order."""
        return [digest for digest in dict.fromkeys(digests) if digest not in self.rows]

    def write(self, digests: Sequence[str], features: np.ndarray | Sequence[np.ndarray]) -> None:
        """Stores `features` `(images, tokens, channels)` of `digests` as one shard.

        Raises:
            UserError: where a feature is not finite.
        """
        stored, scale = scaled(features, self.key["dtype"])
        name = hashlib.sha256("".join(digests).encode()).hexdigest()[:20]
        with files.atomic_path(self.folder / f"{name}.npy") as temporary:
            np.save(temporary, stored, allow_pickle=False)
        facts = {
            "key": self.identity,
            "crc32": _checksum(stored, scale, digests),
            "scale": scale,
            "digests": list(digests),
        }
        files.write_json(self.folder / f"{name}.json", facts)
        reason = self.add(self.folder / f"{name}.json")
        if reason:
            raise UserError(f"--store_dir: a file just written to {self.folder} {reason}.")

    def view(self, digests: Iterable[str]) -> "Features":
        """The features of `digests`, in that order, as a `Features`."""
        return Features([self.rows[digest] for digest in digests], self.shape)


@dataclasses.dataclass(frozen=True)
class Features:
    """Stored features of a list of images, read from disk when asked for."""

    rows: list
    shape: tuple

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """Returns `(*indices.shape, tokens, channels)` float32."""
        indices = np.asarray(indices)
        out = np.empty((indices.size, *self.shape), "float32")
        for position, index in enumerate(indices.ravel()):
            shard, row = self.rows[index]
            np.multiply(shard.features[row], np.float32(1.0 / shard.scale), out=out[position])
        return out.reshape(*indices.shape, *self.shape)

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Yields the features in order, `(size, tokens, channels)` at a time."""
        for start in range(0, len(self), size):
            yield self.gather(np.arange(start, min(start + size, len(self))))

    def pooled(self) -> "Pooled":
        """Mean over the tokens of every image, as `Pooled`."""
        return Pooled(self.rows, self.shape[1])


@dataclasses.dataclass(frozen=True)
class Pooled:
    """Means over the tokens of a list of images, read from disk when asked for."""

    rows: list
    channels: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """`(n, channels)` float32 of the row numbers `rows`, `(n,)`."""
        rows = np.arange(len(self))[rows]
        out = np.empty((len(rows), self.channels), "float32")
        places: dict[pathlib.Path, tuple[Shard, list[int], list[int]]] = {}
        for position, index in enumerate(rows):
            shard, row = self.rows[index]
            places.setdefault(shard.path, (shard, [], []))
            places[shard.path][1].append(position)
            places[shard.path][2].append(row)
        for shard, positions, chosen in places.values():
            out[positions] = shard.means()[chosen]
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def batches(self, rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """Yields `self[rows]`, `size` rows at a time."""
        for start in range(0, len(rows), size):
            yield self[rows[start : start + size]]

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """Mean of the row numbers `rows`: `(channels,)` float32."""
        total = np.zeros(self.channels)
        for batch in self.batches(rows, 4096):
            total += batch.sum(axis=0, dtype="float64")
        return (total / max(len(rows), 1)).astype("float32")


def statistics(features: Features, limit: int = 1024, places: bool = False) -> tuple[Any, Any]:
    """Mean and deviation of each channel, over all tokens of at most `limit` evenly taken images.

    Args:
        features: a `Features`.
        limit: images looked at.
        places: of each channel of each token instead.

    Returns:
        `(mean, deviation)`, both `(channels,)` float64, with `places` `(tokens, channels)`.
    """
    axes = (0,) if places else (0, 1)
    chosen = np.unique(np.linspace(0, len(features) - 1, min(limit, len(features))).astype(int))
    total = square = count = 0.0
    for start in range(0, len(chosen), 64):
        batch = features.gather(chosen[start : start + 64]).astype("float64")
        total = total + batch.sum(axis=axes)
        square = square + np.square(batch).sum(axis=axes)
        count += batch.shape[0] * (1 if places else batch.shape[1])
    mean = total / count
    return mean, np.sqrt(np.maximum(square / count - mean**2, 0.0))


def scaled(features: np.ndarray | Sequence[np.ndarray], dtype: str) -> tuple[np.ndarray, float]:
    """The number format of stored features.

    They are multiplied by a power of two that brings the largest to 2^14: half precision keeps
    11 bits of every number near its middle, but overflows at 65504 and fades out below 6e-5,
    where untrained networks may well be.

    Args:
        features: array of any shape.
        dtype: "float16" or "float32".

    Returns:
        `(the scaled features as dtype, the factor)`.

    Raises:
        UserError: where a feature is not finite.
    """
    largest = float(np.abs(features).max())
    if not np.isfinite(largest):
        raise UserError(
            "the backbone gave features that are not finite. Use other --weights, another "
            "--backbone, or leave out --mixed_precision."
        )
    exponent = np.clip(14 - np.ceil(np.log2(largest)), -100, 100) if largest else 0
    scale = float(2.0**exponent)
    numbers = np.asarray(features, "float32") * np.float32(scale)
    return np.ascontiguousarray(numbers, dtype=dtype), scale


def _checksum(features, scale, digests):
    # Over the description too: a wrong digest would hand out another image's features.
    return zlib.crc32(features, zlib.crc32(json.dumps([scale, list(digests)]).encode()))
