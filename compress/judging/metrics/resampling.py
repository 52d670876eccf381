"""People and videos as clusters of images, and resamples of them: what all intervals are made of.

A resample is a row of copies: how often each cluster was drawn. Memory is bounded; the same seed draws the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]
Clusters = NDArray[np.generic]  # [n], equal where two images are of one person or video

ROUNDS = 2000
_HELD = 2_000_000  # numbers held at once, so that memory does not grow with the sample


def codes(n: int, clusters: Clusters | None) -> tuple[Indices, int]:
    """Number of the cluster of each image [n], and how many there are."""
    if n < 1:
        raise ValueError("interval of an empty sample")
    if clusters is None:
        return np.arange(n), n
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} clusters of {n} images")
    names, code = np.unique(clusters, return_inverse=True)
    return code, len(names)


def effective(clusters: Clusters) -> float:
    """How many clusters with equal shares of the images weigh as much as these, n^2 / sum(n_i^2): 1 to their number.

    Source: Kish, Survey Sampling (1965), section 11.7.
    """
    counts = np.unique(clusters, return_counts=True)[1]
    return float(counts.sum() ** 2 / np.square(counts).sum())


def sums(code: Indices, count: int, *columns: NDArray[np.generic]) -> Floats:
    """Sums of columns [n] over each cluster, [clusters, columns]."""
    return np.stack([np.bincount(code, np.asarray(column, np.float64), count) for column in columns], axis=1)


def blocks(code: Indices, count: int, matrix: Floats) -> Floats:
    """Sums of `matrix` [n, n] over each pair of clusters; none of a cluster with itself."""
    if count < len(code):
        order = np.argsort(code, kind="stable")
        starts = np.searchsorted(code[order], np.arange(count))
        matrix = np.add.reduceat(np.add.reduceat(matrix[np.ix_(order, order)], starts, axis=0), starts, axis=1)
    else:
        inverse = np.argsort(code)
        matrix = np.array(matrix[np.ix_(inverse, inverse)], np.float64)
    np.fill_diagonal(matrix, 0)
    return matrix


def resamples(count: int, seed: int, width: int = 0, whole: Floats | None = None) -> Iterator[Floats]:
    """Copies of each cluster in ROUNDS resamples, [some, count] at a time; `whole` is put before the first."""
    if whole is not None:
        yield whole
    rows = max(1, min(ROUNDS, _HELD // max(count, width)))
    if rows == ROUNDS:
        yield _all_resamples(count, seed)
        return
    generator = np.random.default_rng(seed)
    for start in range(0, ROUNDS, rows):
        yield _multinomial(generator, count, min(rows, ROUNDS - start))


@functools.lru_cache(maxsize=2)  # the statistics of one verdict share their sample's size and seed
def _all_resamples(count: int, seed: int) -> Floats:
    copies = _multinomial(np.random.default_rng(seed), count, ROUNDS)
    copies.flags.writeable = False
    return copies


def _multinomial(generator: np.random.Generator, count: int, rounds: int) -> Floats:
    return generator.multinomial(count, np.full(count, 1 / count), rounds).astype(np.float64)


def left_out(count: int, width: int) -> Iterator[Floats]:
    """Copies of each cluster with one of them left out in each row."""
    rows = max(1, _HELD // max(count, width))
    for start in range(0, count, rows):
        copies = np.ones((min(rows, count - start), count))
        copies[np.arange(len(copies)), np.arange(start, start + len(copies))] = 0
        yield copies


def design_effect(code: Indices, count: int, residuals: Floats) -> float:
    """By how much clusters make the variance of the sum of `residuals` [n] larger, at least 1.

    Where nothing varies nothing is known, and all images of a person count as one.
    """
    if count == len(code):
        return 1.0
    squares = np.square(residuals).sum()
    if not squares > 0:
        return len(code) / effective(code)
    within = sums(code, count, residuals)[:, 0]
    return max(1.0, float(np.square(within).sum() / squares))
