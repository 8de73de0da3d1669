"""Branching trees that fill a lung, and how a thick slice cuts them.

The trees grow as in Tawhai et al., "Generation of an anatomically based three-dimensional model of
the conducting airways" (Annals of Biomedical Engineering 28, 2000): a branch heads for the centre
of the tissue it supplies, which is then halved for its two children. Radii follow Murray's law in
the number of ends supplied.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ganfp_tf.simulation.phantoms.anatomy import Grid


class Tree(NamedTuple):
    """Straight segments: ends (n, 3) in mm, radius (n,) in mm, ends supplied (n,)."""

    start: np.ndarray
    end: np.ndarray
    radius: np.ndarray
    supplied: np.ndarray

    def chosen(self, mask: np.ndarray) -> "Tree":
        """The segments of `mask` (n,)."""
        return Tree(*(field[mask] for field in self))


def grow(
    root: np.ndarray,
    targets: np.ndarray,
    rng: np.random.Generator,
    *,
    leaf: float = 0.5,
    murray: float = 0.37,
    generations: int = 13,
) -> Tree:
    """Grows a tree from `root` (3,) to `targets` (n, 3).

    Args:
        root: (3,) in mm.
        targets: (n, 3) in mm.
        rng: NumPy generator.
        leaf: radius of an end, mm.
        murray: exponent of the radius in the number of ends (1/3 by Murray's law; measured
            pulmonary arteries are nearer to 0.37).
        generations: of branches, at most.
    """
    group = np.zeros(len(targets), int)
    start = np.asarray(root, float)[None]
    parts = []
    for generation in range(generations):
        count = np.bincount(group, minlength=len(start))
        alive = np.flatnonzero(count)
        group = np.searchsorted(alive, group)
        start, count = start[alive], count[alive]
        sums = np.stack([np.bincount(group, targets[:, axis]) for axis in range(3)], 1)
        centre = sums / count[:, None]
        reach = np.where(count > 1, 0.28 if generation < 2 else 0.42, 0.8)[:, None]
        end = start + reach * (centre - start)
        length = np.linalg.norm(end - start, axis=1, keepdims=True)
        end = end + rng.normal(size=end.shape) * 0.06 * length
        parts.append(Tree(start, end, leaf * count**murray, count))
        spread = targets - centre[group]
        outer = spread[:, :, None] * spread[:, None, :]
        moments = np.stack(
            [np.bincount(group, outer[:, i, j]) for i in range(3) for j in range(3)], 1
        ).reshape(-1, 3, 3)
        axis = np.linalg.eigh(moments)[1][:, :, 2]
        # Unequal halves: the plane is a little off the centre.
        offset = (
            rng.normal(size=len(axis)) * 0.25 * np.sqrt(moments.trace(axis1=1, axis2=2) / count)
        )
        side = (spread * axis[group]).sum(1) > offset[group]
        keep = count[group] > 1
        targets, group = targets[keep], (2 * group + side)[keep]
        start = np.repeat(end, 2, axis=0)
        if not len(targets):
            break
    return Tree(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def beside(tree: Tree, gap: float, rng: np.random.Generator) -> Tree:
    """The tree moved aside by `gap` mm: an airway next to its artery."""
    side = np.array([rng.normal(), rng.normal(), 0.3 * rng.normal()])
    side /= np.linalg.norm(side)
    shift = gap * side
    return tree._replace(start=tree.start + shift, end=tree.end + shift)


def in_slice(tree: Tree, z: float, thickness: float) -> tuple[Tree, np.ndarray, np.ndarray]:
    """Segments that meet the slab of `thickness` mm about z, cut to it, and their share of it.

    Returns:
        `(Tree, share (n,), steepness (n,))`; share is the part of the slab's thickness that the
        vessel fills at its axis, steepness 0 for a vessel in the plane and 1 for one across it.
    """
    low, high = z - thickness / 2, z + thickness / 2
    bottom = np.minimum(tree.start[:, 2], tree.end[:, 2]) - tree.radius
    top = np.maximum(tree.start[:, 2], tree.end[:, 2]) + tree.radius
    tree = tree.chosen((bottom < high) & (top > low))
    run = tree.end - tree.start
    length = np.maximum(np.linalg.norm(run, axis=1), 1e-6)
    steep = np.abs(run[:, 2]) / length
    rise = np.where(np.abs(run[:, 2]) < 1e-6, 1e-6, run[:, 2])
    first = (low - tree.radius - tree.start[:, 2]) / rise
    last = (high + tree.radius - tree.start[:, 2]) / rise
    first, last = np.clip([np.minimum(first, last), np.maximum(first, last)], 0, 1)
    tree = tree._replace(
        start=tree.start + first[:, None] * run, end=tree.start + last[:, None] * run
    )
    middle = (tree.start[:, 2] + tree.end[:, 2]) / 2
    overlap = np.minimum(high, middle + tree.radius) - np.maximum(low, middle - tree.radius)
    flat = np.clip(overlap / thickness, 0, 1)
    return tree, steep + (1 - steep) * flat, steep


def draw(cover: np.ndarray, grid: "Grid", tree: Tree, share: np.ndarray, steep: np.ndarray) -> None:
    """Raises `cover` (H, W) in place to the share of each pixel that the segments fill.

    A vessel thinner than a pixel is drawn a pixel wide and fainter, so that its mass stays.
    """
    pixel = grid.pixel
    half = np.maximum(tree.radius, 0.6 * pixel)
    strength = share * (tree.radius / half) ** (1 + steep)
    first = grid.index(tree.start[:, 0], tree.start[:, 1])  # (2, n): column, row
    second = grid.index(tree.end[:, 0], tree.end[:, 1])
    margin = half / pixel + 1
    low = np.floor(np.minimum(first, second) - margin).astype(int).clip(0)
    high = np.ceil(np.maximum(first, second) + margin).astype(int) + 1
    for k in range(len(half)):
        rows, columns = slice(low[1, k], high[1, k]), slice(low[0, k], high[0, k])
        x, y = grid.x[rows, columns], grid.y[rows, columns]
        if x.size == 0:
            continue
        x0, y0 = tree.start[k, 0], tree.start[k, 1]
        dx, dy = tree.end[k, 0] - x0, tree.end[k, 1] - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        distance = np.hypot(x - x0 - along * dx, y - y0 - along * dy)
        inside = np.clip(0.5 + (half[k] - distance) / pixel, 0, 1) * strength[k]
        np.maximum(cover[rows, columns], inside, out=cover[rows, columns])
