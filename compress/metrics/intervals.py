"""Percentile bootstrap over images: the interval of any statistic of a sample.

Images are taken as independent; several pictures of one person make the true interval wider than the one found here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from compress.metrics.estimate import Estimate

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]

CONFIDENCE = 0.95
ROUNDS = 2000
_CHUNK = 2_000_000  # indices held at once, so that memory does not grow with the sample


def bootstrap(statistic: Callable[[Indices], Floats], n: int, seed: int) -> Estimate:
    """Estimate `statistic`, which maps index rows [R, n] into the sample to R values, with a 95 % interval.

    Raises ValueError for an empty sample. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), 13.3.
    """
    if n < 1:
        raise ValueError("bootstrap of an empty sample")
    generator = np.random.default_rng(seed)
    rows = max(1, min(ROUNDS, _CHUNK // n))
    parts = []
    for start in range(0, ROUNDS, rows):
        size = (min(rows, ROUNDS - start), n)
        parts.append(statistic(generator.integers(0, n, size)))
    value = statistic(np.arange(n, dtype=np.int64)[None])[0]
    return interval(float(value), np.concatenate(parts), n)


def interval(value: float, repeats: Floats, n: int) -> Estimate:
    """`value` with the central 95 % of its bootstrap `repeats` [R]."""
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.quantile(repeats, [tail, 1 - tail])
    return Estimate(value, float(lower), float(upper), n)


def mean(values: Floats, seed: int) -> Estimate:
    """Mean of `values` [n]."""
    return bootstrap(lambda rows: values[rows].mean(axis=1), len(values), seed)


def percentile(values: Floats, percent: float, seed: int) -> Estimate:
    """`percent`-th percentile of `values` [n], linear between ranks."""
    return bootstrap(lambda rows: np.percentile(values[rows], percent, axis=1), len(values), seed)


def ratio(over: Floats, under: Floats, seed: int) -> Estimate:
    """sum(over) / sum(under), both [n] and at least 0, resampled together; NaN where under has nothing."""

    def statistic(rows: Indices) -> Floats:
        above, below = over[rows].sum(axis=1), under[rows].sum(axis=1)
        shares: Floats = np.divide(above, below, out=np.full(len(rows), np.nan), where=below > 0)
        return shares

    return bootstrap(statistic, len(over), seed)
