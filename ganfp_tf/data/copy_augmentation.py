"""Copies made on the fly: what a generator would make of an image that it repeats.

A copy has the coarse layout of an image, as far as the generator can draw it at all, and the fine
structure of some generated image. It is made of (facts of the method in docs/detection.md):

1. a small turn, zoom and shift, and a share of another image, for copies are blends;
2. its projection onto 15 to 200 principal components of the generated images, the linear
   autoencoder of what the generator draws;
3. what the same projection leaves of a generated image: the generator's texture;
4. gain, offset and noise.

No label is looked at. Steps are drawn from their number alone, as in pairs.py.
"""

import dataclasses
from typing import Self

import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from ganfp_tf.data import pairs

GRID = 32  # pixels a side on which the generator's coarse look is fitted
COMPONENTS = 200
FEWEST = 15.0  # components of the coarsest copy
FITTED = 4000  # generated images that are looked at, the first in the order of their digests
TURN, ZOOM, SHIFT = 0.06, 0.05, 1.5 / 32.0  # radians, relative, of the side
TEXTURE = (0.3, 1.2)  # how much of a generated image's fine structure is put on
GAIN, OFFSET, NOISE = 0.1, 0.05, 0.02  # relative, of the gray range, standard deviation of it
ANCHOR = 0.3  # the image itself is warped by this part of what its copy is


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network learns what a copy is.

    Attributes:
        steps: optimiser steps.
        block: images of a block; each is set against the copies of all.
        blocks: blocks of a step.
        mix: a copy holds at most twice this share of another image; the share is that times the
            square of an even draw.
        warp: size of turn, zoom and shift; 1 is 3.4 degrees, 5 percent and 1.5 pixels of 32.
        texture: share of the generated images' fine structure, 0 leaves it out.
        hard: share of blocks that hold an image and its nearest others.
        candidates: copies that the comparator is shown with each image, the true one among them.
        learning_rate: highest one of AdamW.
        seed: of weights and draws.
    """

    steps: int = 1500
    block: int = 16
    blocks: int = 4
    mix: float = 0.3
    warp: float = 1.0
    texture: float = 1.0
    hard: float = 0.5
    candidates: int = 4
    learning_rate: float = 1e-3
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Look:
    """What generated images look like: mean `(GRID^2,)` and components `(K, GRID^2)`."""

    mean: np.ndarray
    components: np.ndarray

    @classmethod
    def of(cls, generated: np.ndarray) -> Self:
        """Fits it to `(M, S, S)` gray images in [0, 1]."""
        rows = shrunk(generated).reshape(len(generated), -1)
        count = min(COMPONENTS, *rows.shape)
        model = PCA(count, svd_solver="randomized", random_state=0).fit(rows)
        return cls(model.mean_.astype("float32"), model.components_.astype("float32"))

    def project(self, images: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """Images as the generator could draw them with its first `kept` components.

        Args:
            images: `(N, S, S, 1)` float32 tensor.
            kept: `(N, 1)` float32 tensor.

        Returns:
            `(N, S, S, 1)`, smooth: details finer than GRID are lost.
        """
        side = images.shape[1]
        rows = tf.reshape(tf.image.resize(images, (GRID, GRID), "area"), (-1, GRID * GRID))
        weights = tf.matmul(rows - self.mean, self.components, transpose_b=True)
        numbers = tf.range(len(self.components), dtype=tf.float32)
        weights = tf.where(numbers[None] < kept, weights, 0.0)
        drawn = tf.matmul(weights, self.components) + self.mean
        return tf.image.resize(tf.reshape(drawn, (-1, GRID, GRID, 1)), (side, side), "bilinear")


def shrunk(images: np.ndarray) -> np.ndarray:
    """`(N, S, S)` -> `(N, GRID, GRID)` float32 means over areas."""
    parts = np.array_split(images, max(1, len(images) // 512))
    small = [tf.image.resize(p[..., None], (GRID, GRID), "area").numpy() for p in parts]
    return np.concatenate(small)[..., 0].astype("float32")


def degrade(
    images: tf.Tensor,
    textures: tf.Tensor,
    others: tf.Tensor,
    look: Look,
    recipe: Recipe,
    key: tf.Tensor,
) -> tf.Tensor:
    """Copies of `images`.

    Args:
        images: `(N, S, S, 1)` float32 tensor in [0, 1], what is copied.
        textures: as many generated images, which lend their fine structure.
        others: as many images that are blended in.
        look: `Look` of the generated images.
        recipe: says how much of each.
        key: `(2,)` int64 tensor; decides every draw.

    Returns:
        `(N, S, S, 1)` float32 around [0, 1].
    """
    count = tf.shape(images)[0]

    def draw(number, *shape, low=-1.0, high=1.0):
        own = tf.random.experimental.stateless_fold_in(key, number)
        return tf.random.stateless_uniform((count, *shape), own, low, high)

    x = move(images, draw(0, 4), recipe.warp)
    share = 2.0 * recipe.mix * draw(1, 1, 1, 1, low=0.0) ** 2
    x = (1.0 - share) * x + share * others
    kept = draw(2, 1, low=FEWEST, high=float(COMPONENTS))
    x = look.project(x, kept)
    fine = textures - look.project(textures, kept)
    x += recipe.texture * draw(3, 1, 1, 1, low=TEXTURE[0], high=TEXTURE[1]) * fine
    x = (x - 0.5) * (1.0 + GAIN * draw(4, 1, 1, 1)) + 0.5 + OFFSET * draw(5, 1, 1, 1)
    return x + _noise(tf.shape(x), NOISE, key)


def move(images: tf.Tensor, draws: tf.Tensor, size: float) -> tf.Tensor:
    """Turns, zooms and shifts `(N, S, S, 1)` by `(N, 4)` draws in [-1, 1], times `size`."""
    side = images.shape[1]
    zoom, turn = 1.0 + ZOOM * size * draws[:, 0], TURN * size * draws[:, 1]
    right, down = (SHIFT * side * size * draws[:, i] for i in (2, 3))
    cosine, sine, half = tf.cos(turn) * zoom, tf.sin(turn) * zoom, (side - 1) / 2.0
    # Around the middle of the image.
    transforms = tf.stack(
        [
            cosine,
            -sine,
            half - cosine * half + sine * half + right,
            sine,
            cosine,
            half - sine * half - cosine * half + down,
            tf.zeros_like(zoom),
            tf.zeros_like(zoom),
        ],
        axis=1,
    )
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )


def batches(
    real: np.ndarray, generated: np.ndarray, groups: np.ndarray, recipe: Recipe, first_step: int = 0
) -> tf.data.Dataset:
    """The endless dataset of training steps from `first_step` on.

    Half of the blocks hold real images and half generated ones: a network that sees real images
    alone learns few of them by heart.

    Args:
        real: `(N, S, S)` float32 gray images in [0, 1].
        generated: `(M, S, S)`.
        groups: `(N,)` int: a hard block holds no image of the same number as the one that the
            others are the nearest of.
        recipe: `Recipe`.
        first_step: number of the first step.

    Returns:
        Dataset of `({"real", "generated"}, {"embedding", "pairs"})`: images `(blocks, R, S, S, 3)`
        in [0, 255], generated image i being the copy of real image i; and what the two outputs of
        the trainer should say, `(blocks, R)` int32.
    """
    look = Look.of(generated[:FITTED])
    near_real, near_generated = neighbours(real, groups), neighbours(generated)
    count = min(recipe.block, near_real.shape[1] + 1, near_generated.shape[1] + 1)
    pool = tf.constant(np.concatenate([real, generated])[..., None])
    made = tf.constant(generated[..., None])
    kinds = [(len(real), near_real, 0), (len(generated), near_generated, len(real))]
    wanted = {"embedding": tf.range(count), "pairs": tf.zeros(count, tf.int32)}
    wanted = {name: tf.tile(row[None], (recipe.blocks, 1)) for name, row in wanted.items()}

    def one_block(key):
        drawn = [_block(kind, count, recipe.hard, key) for kind in kinds]
        from_real = tf.random.stateless_uniform((), _fold(key, 9)) < 0.5
        return tf.where(from_real, *drawn)

    def one_step(element):
        key = pairs.step_key(recipe.seed, "copies", element["step"])
        keys = tf.map_fn(lambda number: _fold(key, number), tf.range(recipe.blocks, dtype=tf.int64))
        chosen = tf.reshape(tf.map_fn(one_block, keys, fn_output_signature=tf.int64), (-1,))
        total = recipe.blocks * count

        def any_of(images, number):
            places = tf.random.stateless_uniform(
                (total,), _fold(key, number), 0, len(images), tf.int32
            )
            return tf.gather(images, places)

        originals = tf.gather(pool, chosen)
        copied = degrade(originals, any_of(made, 101), any_of(pool, 102), look, recipe, key)
        turned = tf.random.stateless_uniform((total, 4), _fold(key, 103), -1.0, 1.0)
        anchors = move(originals, turned, ANCHOR * recipe.warp)
        anchors += _noise(tf.shape(anchors), NOISE / 2.0, _fold(key, 104))
        shape = (recipe.blocks, count, *originals.shape[1:3], 3)
        inputs = {
            name: tf.reshape(tf.tile(255.0 * images, (1, 1, 1, 3)), shape)
            for name, images in (("real", anchors), ("generated", copied))
        }
        return inputs, wanted

    return (
        pairs.steps(first_step)
        .map(one_step, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def neighbours(images: np.ndarray, groups: np.ndarray | None = None, count: int = 31) -> np.ndarray:
    """The nearest other images of each, no one of its own group: `(N, K)` int64, K <= count."""
    rows = shrunk(images).reshape(len(images), -1)
    largest = 1 if groups is None else int(np.bincount(groups).max())
    found = min(len(images) - 1, count + largest - 1)
    distances, near = NearestNeighbors(n_neighbors=found, algorithm="brute").fit(rows).kneighbors()
    return _without_group(distances, near, groups, min(count, len(images) - largest))


def _without_group(distances, near, groups, count):
    if groups is not None:
        distances = np.where(groups[near] == groups[:, None], np.inf, distances)
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(near, order, axis=1).astype("int64")


def _block(kind, count, hard, key):
    """Numbers of `count` different images of one kind: any, or one and some of its nearest."""
    images, near, offset = kind
    noise = tf.random.stateless_uniform((images,), _fold(key, 10))
    anyone = tf.cast(tf.math.top_k(noise, count).indices, tf.int64)
    noise = tf.random.stateless_uniform((near.shape[1],), _fold(key, 11))
    places = tf.math.top_k(noise, count - 1).indices
    centre = anyone[:1]
    close = tf.concat([centre, tf.gather(tf.gather(near, centre[0]), places)], axis=0)
    is_hard = tf.random.stateless_uniform((), _fold(key, 12)) < hard
    return tf.where(is_hard, close, anyone) + offset


def _fold(key, number):
    return tf.random.experimental.stateless_fold_in(key, number)


def _noise(shape, deviation, key):
    return tf.random.stateless_normal(shape, _fold(key, 99), stddev=deviation)
