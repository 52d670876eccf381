"""Distance between the set of a student's images and the set of its teacher's: KID, its noise, and diversity.

Features [n, d] are pooled ones of a named network, row i of student and teacher from photo i. Values depend on that
network and are not comparable with published KID, which is of Inception features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compress.judging.metrics.estimate import Estimate
from compress.judging.metrics.intervals import Clusters, Indices, pair_ratio, resampled, split_halves

Floats = NDArray[np.floating]

MOST_IMAGES = 2000  # the kernel matrices grow with the square: 2,000 images are 100 MB
FEWEST_IMAGES = 4


def polynomial_kernel(x: Floats, y: Floats) -> Floats:
    """(x y / d + 1)^3 for rows x [n, d], y [m, d] -> [n, m]. Source: Binkowski et al., ICLR 2018, section 4."""
    kernel: Floats = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def kid(student: Floats, teacher: Floats, seed: int, clusters: Clusters | None = None) -> Estimate:
    """Unbiased squared MMD of pooled features [n, d] of student and teacher; 0 if equal.

    Because rows are pairs, the terms of a photo with itself are left out of all three sums, and so are those of two
    photos of one person: with them the estimate would be biased downwards.
    Of more than 2,000 photos, 2,000 drawn by `seed` are used. Raises ValueError below 4.
    Source: Gretton et al., JMLR 13, 2012, lemma 6, equation 4, with the kernel of KID.
    """
    rows = _draw(len(student), seed)
    s, t = student[rows].astype(np.float64), teacher[rows].astype(np.float64)
    cross = polynomial_kernel(s, t)
    h = polynomial_kernel(s, s) + polynomial_kernel(t, t) - cross - cross.T
    return pair_ratio(h, np.ones_like(h), seed, None if clusters is None else clusters[rows])


def kid_share(
    drawn: Floats, photos: Floats, wanted: Floats, seed: int, clusters: tuple[Clusters, Clusters]
) -> tuple[Estimate, Estimate, Estimate]:
    """KID of `drawn` [n, d] and of the `photos` [n, d] they were drawn from, both to `wanted` [m, d], and their ratio.

    `clusters` are the people of photos [n] and of `wanted` [m]. Pairs of pictures of one person count nowhere: within
    a set they would make it look narrow, between sets the two alike. 0 as a ratio is drawn like what is wanted, 1 no
    nearer than the photos. Of more than 2,000 pictures, 2,000 drawn by `seed` are used. Raises ValueError below 4.
    Source: Gretton et al., JMLR 13, 2012, lemma 6, equation 3, with the kernel of KID.
    """
    rows, others = _draw(len(drawn), seed), _draw(len(wanted), seed)
    people = np.concatenate([clusters[0][rows], clusters[1][others]])
    of_drawn, of_photos = (_between(x[rows], wanted[others], people) for x in (drawn, photos))

    def share(copies: Floats) -> Floats:
        ratio: Floats = of_drawn(copies) / of_photos(copies)
        return ratio

    first, second, third = (resampled(s, len(people), seed, people) for s in (of_drawn, of_photos, share))
    return first, second, third


def kid_apart(first: Floats, second: Floats, seed: int, clusters: tuple[Clusters, Clusters]) -> float:
    """KID between two sets [n, d] and [m, d] of other pictures, people and limits as of `kid_share`."""
    rows, others = _draw(len(first), seed), _draw(len(second), seed)
    people = np.concatenate([clusters[0][rows], clusters[1][others]])
    return float(_between(first[rows], second[others], people)(np.ones((1, len(people))))[0])


def _between(first: Floats, second: Floats, people: Clusters) -> Callable[[Floats], Floats]:
    """KID of resamples, from copies [R, n + m] of each picture of the two sets."""
    both = np.concatenate([first, second]).astype(np.float64)
    apart = (people[:, None] != people).astype(np.float64)
    kernel = polynomial_kernel(both, both) * apart
    inside = np.arange(len(both)) < len(first)

    def distance(copies: Floats) -> Floats:
        a, b = copies * inside, copies * ~inside
        within, beyond, across = (
            ((x @ kernel) * y).sum(axis=1) / np.maximum(((x @ apart) * y).sum(axis=1), 1e-12)
            for x, y in ((a, a), (b, b), (a, b))
        )
        squared: Floats = within + beyond - 2 * across
        return squared

    return distance


def noise_floor(teacher: Floats, seed: int, clusters: Clusters | None = None) -> Estimate:
    """KID of the teacher against itself: random splits of its features [n, d] into halves, unpaired, by people.

    The value is the mean (about 0, the estimator being unbiased) and the interval holds 95 % of the splits: a KID
    within it cannot be told from none by unpaired halves. Raises ValueError below 4 images.
    """
    rows = _draw(len(teacher), seed)
    features = teacher[rows].astype(np.float64)
    kernel = polynomial_kernel(features, features)
    np.fill_diagonal(kernel, 0)

    def distance(first: Indices, second: Indices) -> float:
        within = sum(kernel[np.ix_(half, half)].sum() / (len(half) * (len(half) - 1)) for half in (first, second))
        return float(within - 2 * kernel[np.ix_(first, second)].mean())

    return split_halves(distance, len(rows), seed, None if clusters is None else clusters[rows])


def diversity_ratio(student: Floats, teacher: Floats, seed: int, clusters: Clusters | None = None) -> Estimate:
    """Spread of the student's features [n, d] over that of the teacher's: root mean square distance between people.

    1 is as diverse as the teacher, 0 one picture for everybody. Of more than 2,000 photos, 2,000 drawn by `seed` are
    used. Raises ValueError below 4.
    """
    rows = _draw(len(student), seed)
    known = None if clusters is None else clusters[rows]
    squared = pair_ratio(_squared_distances(student[rows]), _squared_distances(teacher[rows]), seed, known)
    ends = (math.sqrt(max(end, 0)) if math.isfinite(end) else end for end in (squared.lower, squared.upper))
    lower, upper = ends
    value = math.sqrt(squared.value) if math.isfinite(squared.value) else squared.value
    return replace(squared, value=value, lower=lower, upper=upper)


def _squared_distances(features: Floats) -> Floats:
    # Centred first: subtracting large numbers of nearly the same size would lose a small spread.
    x = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    squares = np.square(x).sum(axis=1)
    distances: Floats = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)
    np.fill_diagonal(distances, 0)
    return distances


def _draw(n: int, seed: int) -> NDArray[np.int64]:
    if n < FEWEST_IMAGES:
        raise ValueError(f"kid of {n} images needs at least {FEWEST_IMAGES}")
    return np.sort(np.random.default_rng(seed).permutation(n)[:MOST_IMAGES])
