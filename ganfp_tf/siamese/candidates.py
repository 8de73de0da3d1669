"""The nearest generated images of each real one, in bounded memory; approximate if many."""

import dataclasses

import numpy as np

EXACT = 100_000  # generated images up to which every one is looked at
CHECKED = 200  # real images whose neighbours are also found exactly, to measure the recall
OVERSAMPLE = 4  # so many times k are fetched by the approximate search and ranked exactly
COMPONENTS = 128  # numbers that the approximate search keeps of a vector, at most
LEARNED = 100_000  # generated vectors that its components and cells are learned from
RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Recall:
    """How many of the k nearest the search found.

    Attributes:
        k: neighbours asked for.
        generated: images searched.
        method: "exact", or what found them.
        value, low, high: mean share of the true k nearest that was found, over the real images
            looked at, and its 95 % bootstrap interval over them; 1 if the search is exact.
        images: real images looked at; 0 if the search is exact.
    """

    k: int
    generated: int
    method: str
    value: float = 1.0
    low: float = 1.0
    high: float = 1.0
    images: int = 0

    def sentence(self) -> str:
        """What to tell people."""
        if not self.images:
            return f"candidates: the {self.k} nearest of {self.generated} images, exact search"
        return (
            f"candidates: the {self.k} nearest of {self.generated} images by {self.method}; recall "
            f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] on {self.images} real images"
        )


class Vectors:
    """Centred vectors of unit length, read when asked for.

    Args:
        pooled: `embeddings.Pooled`, or an array `(images, channels)`.
        rows: `(n,)` row numbers in it.
        centre: `(channels,)`, taken off.
    """

    def __init__(self, pooled, rows, centre):
        self.pooled, self.rows, self.centre = pooled, np.asarray(rows), centre

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, places):
        """`(len(places), channels)` float64."""
        vectors = np.asarray(self.pooled[self.rows[places]], "float64") - self.centre
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def exact(real: Vectors, generated: Vectors, k: int, limit: int) -> np.ndarray:
    """The `k` nearest by cosine; equal ones in the order of the images.

    Args:
        real: Of the real images.
        generated: Of the generated images.
        k: neighbours; all if there are fewer.
        limit: bytes that vectors and cosines may take.

    Returns:
        `(len(real), k)` int64 places in `generated`, nearest first.
    """
    k = min(k, len(generated))
    channels = len(np.atleast_1d(generated.centre))
    size = max(1, int(limit / 8 / 4 / channels))  # 8 bytes a number; each vector is held twice
    out = np.empty((len(real), k), "int64")
    for rows in _blocks(len(real), min(size, 4096)):
        left = real[rows]
        best, places = np.empty((len(left), 0)), np.empty((len(left), 0), "int64")
        for columns in _blocks(len(generated), min(size, max(k, 8192))):
            # Rounded, because a matrix product sums equal columns in different orders.
            cosine = np.round(left @ generated[columns].T, 12)
            best = np.concatenate([best, cosine], axis=1)
            places = np.concatenate([places, np.broadcast_to(columns, cosine.shape)], axis=1)
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, places = (np.take_along_axis(a, order, axis=1) for a in (best, places))
        out[rows] = places
    return out


def candidates(
    real: Vectors, generated: Vectors, k: int, limit: int, *, seed: int, exact_up_to: int = EXACT
) -> tuple[np.ndarray, Recall]:
    """The `k` nearest by cosine, approximately if there are more than `exact_up_to`.

    Vectors are reduced to their leading principal components and put into about 4 sqrt(m) cells
    (inverted file, Sivic and Zisserman 2003; faiss, Douze et al. 2024, arXiv 2401.08281). Of the
    nearest sixteenth of the cells `OVERSAMPLE` times k images are fetched and ranked by their exact
    cosine.

    Args:
        real: Of the real images.
        generated: Of the generated images.
        k: neighbours; all if there are fewer.
        limit: bytes that the index and blocks of vectors may take.
        seed: of what the index is learned from and of the images that measure the recall.
        exact_up_to: generated images up to which the search is exact.

    Returns:
        `(places (len(real), k) int64 in generated, Recall)`.
    """
    k = min(k, len(generated))
    if len(generated) <= max(exact_up_to, OVERSAMPLE * k):
        return exact(real, generated, k, limit), Recall(k, len(generated), "exact")
    rng = np.random.default_rng(seed)
    index, method = _index(generated, limit, rng)
    out = np.empty((len(real), k), "int64")
    for rows in _blocks(len(real), 256):
        left = real[rows]
        _, fetched = index.search(left.astype("float32"), OVERSAMPLE * k)
        out[rows] = [_ranked(*each, generated, k) for each in zip(left, fetched, strict=True)]
    chosen = np.sort(rng.choice(len(real), min(CHECKED, len(real)), replace=False))
    true = exact(Vectors(real.pooled, real.rows[chosen], real.centre), generated, k, limit)
    found = [np.isin(a, b).mean() for a, b in zip(true, out[chosen], strict=True)]
    means = rng.choice(found, (RESAMPLES, len(found))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    recall = Recall(
        k, len(generated), method, float(np.mean(found)), float(low), float(high), len(found)
    )
    return out, recall


def _index(generated, limit, rng):
    import faiss  # Brings threads of its own, which a search of few images need not wait for.

    m, channels = len(generated), len(generated.centre)
    kept = min(COMPONENTS, channels, m // 2, max(8, int(limit / 2 / 2 / m)))
    cells = int(4 * np.sqrt(m))
    sample = min(m, max(int(np.clip(limit / 2 / 8 / channels, 1, LEARNED)), 40 * kept))
    learned = np.sort(rng.choice(m, sample, replace=False))
    cells = max(1, min(cells, sample // 40))  # faiss wants 39 vectors a cell
    method = f"IVF{cells},SQfp16"
    if kept < channels:
        method = f"PCA{kept},{method}"
    index = faiss.index_factory(channels, method, faiss.METRIC_INNER_PRODUCT)
    inner = faiss.extract_index_ivf(index)
    inner.cp.seed = int(rng.integers(2**31))
    index.train(generated[learned].astype("float32"))
    for columns in _blocks(m, 4096):
        index.add(generated[columns].astype("float32"))
    inner.nprobe = max(8, cells // 16)
    return index, f"faiss {method}, {min(inner.nprobe, cells)} of {cells} cells"


def _ranked(vector, fetched, generated, k):
    """The k nearest of what was fetched; if the cells held fewer, the first others follow."""
    places = np.unique(fetched[fetched >= 0])
    if len(places) < k:
        others = np.setdiff1d(np.arange(min(len(generated), 2 * k)), places)
        places = np.sort(np.concatenate([places, others[: k - len(places)]]))
    cosine = np.round(generated[places] @ vector, 12)
    return places[np.argsort(-cosine, kind="stable")[:k]]


def _blocks(count, size):
    return (np.arange(start, min(start + size, count)) for start in range(0, count, size))
