"""Distance between the set of a student's images and the set of its teacher's: KID, and the noise to compare it with.

Values depend on the feature network and are not comparable with published KID, which is of Inception features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compress.metrics.estimate import Estimate
from compress.metrics.intervals import interval

Floats = NDArray[np.floating]

MOST_IMAGES = 2000  # the kernel matrices grow with the square: 2,000 images are 100 MB
FEWEST_IMAGES = 4
_ROUNDS = 1000
_SPLITS = 200


def polynomial_kernel(x: Floats, y: Floats) -> Floats:
    """(x y / d + 1)^3 for rows x [n, d], y [m, d] -> [n, m]. Source: Binkowski et al., ICLR 2018, section 4."""
    kernel: Floats = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def kid(student: Floats, teacher: Floats, seed: int) -> Estimate:
    """Unbiased squared MMD of pooled features [n, d] of student and teacher, row i of both from photo i; 0 if equal.

    Because rows are pairs, the terms of a photo with itself are left out of all three sums: with them the estimate
    would be biased downwards. The interval resamples photos, and leaves out a photo's copies of itself in the same way.
    Of more than 2,000 photos, 2,000 drawn by `seed` are used. Raises ValueError below 4.
    Source: Gretton et al., JMLR 13, 2012, lemma 6, equation 4, with the kernel of KID.
    """
    rows = _draw(len(student), seed)
    s, t = student[rows].astype(np.float64), teacher[rows].astype(np.float64)
    cross = polynomial_kernel(s, t)
    h = polynomial_kernel(s, s) + polynomial_kernel(t, t) - cross - cross.T
    np.fill_diagonal(h, 0)
    n = len(rows)
    generator = np.random.default_rng(seed)
    repeats = []
    for _ in range(_ROUNDS // 50):
        copies = generator.multinomial(n, np.full(n, 1 / n), 50).astype(np.float64)
        repeats.append(((copies @ h) * copies).sum(axis=1) / (n**2 - np.square(copies).sum(axis=1)))
    return interval(float(h.sum() / (n * (n - 1))), np.concatenate(repeats), n)


def noise_floor(teacher: Floats, seed: int) -> Estimate:
    """KID of the teacher against itself: 200 random splits of its features [n, d] into halves, unpaired.

    The value is the mean (0 but for rounding, the estimator being unbiased) and the interval holds 95 % of the splits:
    a KID within it cannot be told from none by unpaired halves. Raises ValueError below 4 images.
    """
    rows = _draw(len(teacher), seed)
    features = teacher[rows].astype(np.float64)
    kernel = polynomial_kernel(features, features)
    np.fill_diagonal(kernel, 0)
    half = len(rows) // 2
    order = np.argsort(np.random.default_rng(seed).random((_SPLITS, len(rows))), axis=1)
    first = (order < half).astype(np.float64)
    second = ((order >= half) & (order < 2 * half)).astype(np.float64)
    rows_first = first @ kernel
    within = ((rows_first * first).sum(1) + ((second @ kernel) * second).sum(1)) / (half * (half - 1))
    repeats = within - 2 * (rows_first * second).sum(1) / half**2
    return interval(float(repeats.mean()), repeats, len(rows))


def _draw(n: int, seed: int) -> NDArray[np.int64]:
    if n < FEWEST_IMAGES:
        raise ValueError(f"kid of {n} images needs at least {FEWEST_IMAGES}")
    return np.sort(np.random.default_rng(seed).permutation(n)[:MOST_IMAGES])
