"""The embedding store: each image passes the backbone once, ever.

    <root>/<backbone>-<key>/key.json     what the features depend on
                            <name>.npy   up to SHARD images, (images, tokens, channels)
                            <name>.json  their digests, scale, the key and the .npy's CRC-32

A shard exists when its .json does; both files are written to a temporary name and renamed, the
.json last. Shards are checked when the store is opened and memory-mapped when it is read.
"""

import dataclasses
import hashlib
import json
import logging
import pathlib
import zlib

import numpy as np

from ganfp_tf import files
from ganfp_tf.errors import UserError

SHARD = 64  # images: seconds of work lost at most, and few enough files for thousands of images


def open_store(root, key):
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
    store = Store(folder, identity, key, {})
    for description in sorted(folder.glob("*.json")):
        # A leading dot: another process is writing it now.
        if description.name == "key.json" or description.name.startswith("."):
            continue
        reason = store.add(description)
        if reason:
            logging.warning("embedding store: %s %s; it is made anew", description.stem, reason)
            description.unlink(missing_ok=True)
            description.with_suffix(".npy").unlink(missing_ok=True)
    return store


@dataclasses.dataclass(frozen=True)
class Store:
    """Features on disk. `rows` maps an image digest to (memory-mapped shard, row, scale)."""

    folder: pathlib.Path
    identity: str
    key: dict
    rows: dict

    @property
    def shape(self):
        """`(tokens, channels)` of one image."""
        return (self.key["tokens"], self.key["channels"])

    def add(self, description):
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
        for row, digest in enumerate(digests):
            self.rows.setdefault(digest, (features, row, scale))
        return ""

    def missing(self, digests):
        """The digests that are not in the store, each once, in order."""
        return [digest for digest in dict.fromkeys(digests) if digest not in self.rows]

    def write(self, digests, features):
        """Stores `features` `(images, tokens, channels)` of `digests` as one shard.

        They are multiplied by a power of two that brings the largest to 2^14: half precision keeps
        11 bits of every number near its middle, but overflows at 65504 and fades out below 6e-5,
        where untrained networks may well be.

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
        scaled = np.asarray(features, "float32") * np.float32(scale)
        stored = np.ascontiguousarray(scaled, dtype=self.key["dtype"])
        name = hashlib.sha256("".join(digests).encode()).hexdigest()[:20]
        with files.atomic_path(self.folder / f"{name}.npy") as temporary:
            np.save(temporary, stored, allow_pickle=False)
        facts = {
            "key": self.identity, "crc32": _checksum(stored, scale, digests), "scale": scale,
            "digests": list(digests),
        }  # fmt: skip
        files.write_json(self.folder / f"{name}.json", facts)
        reason = self.add(self.folder / f"{name}.json")
        if reason:
            raise UserError(f"--store_dir: a file just written to {self.folder} {reason}.")

    def view(self, digests):
        """The features of `digests`, in that order, as a `Features`."""
        return Features([self.rows[digest] for digest in digests], self.shape)


@dataclasses.dataclass(frozen=True)
class Features:
    """Stored features of a list of images, read from disk when asked for."""

    rows: list
    shape: tuple

    def __len__(self):
        return len(self.rows)

    def gather(self, indices):
        """Returns `(*indices.shape, tokens, channels)` float32."""
        indices = np.asarray(indices)
        out = np.empty((indices.size, *self.shape), "float32")
        for position, index in enumerate(indices.ravel()):
            features, row, scale = self.rows[index]
            np.multiply(features[row], np.float32(1.0 / scale), out=out[position])
        return out.reshape(*indices.shape, *self.shape)

    def batches(self, size):
        """Yields the features in order, `(size, tokens, channels)` at a time."""
        for start in range(0, len(self), size):
            yield self.gather(np.arange(start, min(start + size, len(self))))

    def pooled(self):
        """Mean over the tokens of every image: `(images, channels)` float32."""
        means = [batch.mean(axis=1) for batch in self.batches(256)]
        return np.concatenate(means) if means else np.empty((0, self.shape[1]), "float32")


def statistics(features, limit=1024, places=False):
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


def _checksum(features, scale, digests):
    # Over the description too: a wrong digest would hand out another image's features.
    return zlib.crc32(features, zlib.crc32(json.dumps([scale, list(digests)]).encode()))
