"""Distance between the texture of two sets of pictures: sliced Wasserstein of the patches of a Laplacian pyramid.

Patches stand at fixed random places and are projected on fixed random directions; of each picture only the distribution
function along each direction is kept, at fixed values. A set's distribution is then a mean over pictures, and so cheap
that it can be resampled. Values are relative to the teacher's own spread and not comparable with published ones.
Source: Rabin et al., SSVM 2011; Karras et al., ICLR 2018, section 5 and appendix B.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from compress.judging.metrics.estimate import Estimate
from compress.judging.metrics.intervals import Clusters, resampled

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

PATCH = 7
PATCHES = 128  # of each picture and level, as in the source; at most 255, since counts are bytes
DIRECTIONS = 32
LEVELS = 3
SMALLEST_SIDE = 32  # of the first level
_SEED = 7
# Where distribution functions are kept: dense around 0, where band-pass values lie, up to the largest low-pass ones.
_EDGES = np.sinh(np.linspace(-6.5, 6.5, 48)).astype(np.float32) * 3
_ROWS = 200  # resamples held at once


def pyramid(image: Bytes) -> list[Floats]:
    """Laplacian pyramid of one picture [H, W, 3], finest level first; the last level is low-pass, less mid-grey.

    Source: Burt and Adelson, IEEE Trans. Communications 31, 1983.
    """
    low = image.astype(np.float32) - 127.5
    levels = []
    for _ in range(LEVELS - 1):
        smaller = cv2.pyrDown(low)
        levels.append(low - cv2.pyrUp(smaller, dstsize=low.shape[1::-1]))
        low = smaller
    return [*levels, low]


def slices(images: Bytes) -> NDArray[np.uint8]:
    """Patches below each of 48 values along each of 32 directions: uint8 [N, H, W, 3] -> uint8 [N, 3, 32, 48].

    Raises ValueError for images below 32 px.
    """
    if min(images.shape[1:3]) < SMALLEST_SIDE:
        size = f"{images.shape[1]} x {images.shape[2]} px"
        raise ValueError(f"slices of {size} need at least {SMALLEST_SIDE} px")
    counts = np.empty((len(images), LEVELS, DIRECTIONS, len(_EDGES)), np.uint8)
    for row, image in enumerate(images):
        for index, level in enumerate(pyramid(image)):
            places, directions = _plan(index, level.shape[0], level.shape[1])
            # OpenCV's product, not `@`: for so little work the threads of a BLAS library cost more than they save.
            values = cv2.gemm(level.reshape(-1)[places], directions, 1, None, 0)
            slot = np.searchsorted(_EDGES, values)
            keyed = (slot + np.arange(DIRECTIONS) * (len(_EDGES) + 1)).reshape(-1)
            each = np.bincount(keyed, minlength=DIRECTIONS * (len(_EDGES) + 1)).reshape(DIRECTIONS, -1)
            counts[row, index] = each.cumsum(axis=1)[:, :-1]
    return counts


@functools.cache
def _plan(level: int, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Where the patches' values lie in the level's memory [128, 147], and directions of unit length [147, 32]."""
    generator = np.random.default_rng((_SEED, level))
    y, x = (generator.integers(0, side - PATCH + 1, PATCHES) for side in (height, width))
    corner = (y * width + x)[:, None, None, None] * 3
    rows, columns, colours = (np.arange(size) for size in (PATCH, PATCH, 3))
    inside = rows[:, None, None] * width * 3 + columns[None, :, None] * 3 + colours
    directions = generator.normal(size=(PATCH * PATCH * 3, DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    return (corner + inside).reshape(PATCHES, -1), directions.astype(np.float32)


def sliced_wasserstein(
    student: NDArray[np.uint8], teacher: NDArray[np.uint8], seed: int, clusters: Clusters | None = None
) -> Estimate:
    """Wasserstein-1 distance along each direction over the teacher's spread along it, mean over directions and levels.

    `student` and `teacher`: `slices` of pictures of the same photos, in the same order. 0 for equal sets; what lies
    beyond the outermost values is not told apart.
    """
    width = np.diff(_EDGES)
    # The area between two distribution functions; between two of the values they are taken as straight.
    below = teacher.mean(axis=0, dtype=np.float64) / PATCHES
    spread = _spread(below)
    difference = (student.astype(np.float32) - teacher.astype(np.float32)) / PATCHES
    middle = (difference[..., 1:] + difference[..., :-1]) / 2 * (width / spread[..., None]).astype(np.float32)
    flat = middle.reshape(len(middle), -1)
    directions = spread.size

    def statistic(copies: Floats) -> Floats:
        parts = []
        for start in range(0, len(copies), _ROWS):
            rows = copies[start : start + _ROWS].astype(np.float32)
            rows /= rows.sum(axis=1, keepdims=True)
            parts.append(np.abs(rows @ flat).sum(axis=1, dtype=np.float64) / directions)
        return np.concatenate(parts)

    return resampled(statistic, len(flat), seed, clusters)


def _spread(below: Floats) -> Floats:
    """Standard deviation along each direction of what is `below` each value [..., 48], values between taken as even."""
    mass = np.diff(below)
    middle = (_EDGES[1:] + _EDGES[:-1]) / 2
    mean = (mass * middle).sum(axis=-1, keepdims=True)
    variance = (mass * (np.square(middle - mean) + np.square(np.diff(_EDGES)) / 12)).sum(axis=-1)
    deviation: Floats = np.sqrt(np.maximum(variance, 1e-6))
    return deviation
