"""Who lives in the population: shares of ancestries, ages and genders, and the draws that keep them.

The shares are of people; what a group looks like is in proportions.py and colouring.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

ANCESTRIES = ("african", "asian", "caucasian")
"""Names of the head's shapes; MIXED is where none of them leads."""
MIXED = 3
LEADING_FROM, MIXED_BELOW = 0.72, 0.58
"""A quarter of the people each has one ancestry from the first share up; the last quarter has all below the second."""
AGE_SHARES = {"child": 0.2, "adult": 0.5, "senior": 0.3}
CHILD_RANGE, ADULT_RANGE, SENIOR_RANGE = (0.5, 1.0), (0.0, 0.535), (0.56, 0.98)
"""Shares of the child's and the old shapes, see `years`."""
YOUNG_YEARS, CHILD_YEARS, OLD_YEARS = 25.0, 10.0, 90.0
"""Ages of the head's shapes in years, as their makers name them."""
ANDROGYNOUS = 0.49
"""Furthest share from a gender's own shapes; most people are near 0."""


def sample_ancestry(random: np.random.Generator) -> Array:
    """Shares [3] of the ancestries' shapes, of sum 1: each leads in a quarter of the people, none in the last one."""
    kind = int(random.integers(4))
    if kind == MIXED:
        shares = np.ones(1)
        while shares.max() >= MIXED_BELOW:
            shares = random.dirichlet([1.2, 1.2, 1.2])
        return np.asarray(shares, np.float32)
    rest = random.beta(1.0, 2.5) * (1 - LEADING_FROM)
    shares = random.dirichlet([1.0, 1.0, 1.0]) * rest
    shares[kind] += 1 - rest
    return np.asarray(shares, np.float32)


def sample_gender(random: np.random.Generator) -> float:
    """Share 0..1 of the male shapes: women and men in equal parts, few in between."""
    distance = float(random.beta(0.8, 6.0)) * ANDROGYNOUS
    return 1 - distance if random.random() < 0.5 else distance


def sample_age(random: np.random.Generator) -> tuple[float, float]:
    """Shares of the old and of the child's shapes, one of them 0, by AGE_SHARES."""
    group = random.random()
    if group < AGE_SHARES["child"]:
        return 0.0, float(random.uniform(*CHILD_RANGE))
    if group < AGE_SHARES["child"] + AGE_SHARES["adult"]:
        return float(random.uniform(*ADULT_RANGE)), 0.0
    return float(random.uniform(*SENIOR_RANGE)), 0.0


def years(old: float, child: float) -> float:
    """Age in years of shares of the old and of the child's shapes: 10 to 17, 25 to 60 and 61 to 89 here."""
    return YOUNG_YEARS + (OLD_YEARS - YOUNG_YEARS) * old + (CHILD_YEARS - YOUNG_YEARS) * child
