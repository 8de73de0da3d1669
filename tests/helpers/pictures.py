"""Pictures in memory instead of files, for tests of detectors that look at pixels."""

import hashlib

import numpy as np
import pandas as pd
from scipy import ndimage


class Pictures:
    """A store of pictures that were never written; counts how often each was asked for."""

    def __init__(self):
        self.rows, self.kept, self.asked = {}, {}, []

    def keep(self, key, make):
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def pixels(self, frame):
        self.asked += list(frame["digest"])
        size = next(iter(self.rows.values())).size
        return np.array([self.rows[each] for each in frame["digest"]]).reshape(len(frame), size)

    def add(self, pictures, role="real", patients=None):
        """(n, side, side) gray values in [0, 1] -> rows of a Catalog, each its own patient."""
        pictures = np.asarray(pictures, "float32")
        digests = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
        self.rows.update(zip(digests, pictures.reshape(len(pictures), -1), strict=True))
        names = [f"{role}_{number}" for number in range(len(pictures))]
        if patients is None:
            patients = names if role == "real" else ""
        return pd.DataFrame(
            {
                "path": names,
                "name": names,
                "role": role,
                "label": -1,
                "part": "",
                "digest": digests,
                "patient": patients,
            }
        )


def scenes(rng, count, side=32, grain=2.0):
    """(count, side, side) smooth random pictures in [0, 1]."""
    noise = ndimage.gaussian_filter(rng.normal(size=(count, side, side)), (0, grain, grain))
    low = noise.min(axis=(1, 2), keepdims=True)
    return ((noise - low) / np.ptp(noise, axis=(1, 2), keepdims=True)).astype("float32")


def planted(rng, *, count=20, copies=4, side=32, noise=0.02, grain=2.0):
    """A store with real pictures, the first half used, and noisy copies of the used ones.

    Returns:
        (store, real, generated, labels).
    """
    store = Pictures()
    pictures = scenes(rng, count, side, grain)
    used = np.repeat(pictures[: count // 2], copies, axis=0)
    made = np.clip(used + rng.normal(0, noise, used.shape), 0, 1)
    labels = np.repeat([1, 0], [count // 2, count - count // 2])
    return store, store.add(pictures), store.add(made, role="generated"), labels


def shuffled(frame, seed):
    """The rows of `frame` in another order, labels that say nothing, its index kept."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frame))
    return frame.iloc[order].assign(label=rng.integers(0, 2, len(frame)))


class PairsOfTokens:
    """Networks and their engine in one: `pair` gives the logits of tokens, one row a pair."""

    image_bytes = 4
    joined = staticmethod(np.concatenate)

    @property
    def engine(self):
        return self

    def prepare(self, tokens, domain):
        return tokens

    def all_logits(self, real, generated):
        left, right = np.indices((len(real), len(generated)))
        logits = self.logits(real, generated, left.ravel(), right.ravel())
        return logits.reshape(len(real), len(generated))

    def logits(self, real, generated, left, right):
        return self.pair(real[left], generated[right])
