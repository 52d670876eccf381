"""Whether the student's picture still shows the person in the photo, judged beside the teacher's picture.

Photo identity networks are unsafe as absolute measures on cartoons, so all numbers are relative to the teacher.
Embeddings are rows [n, d] of one named network. If that network was also a loss of the training, it grades its own
pupil: say so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from compress.judging.metrics.estimate import Estimate
from compress.judging.metrics.intervals import Clusters, share_ratio

Floats = NDArray[np.floating]

BLOCK = 1024  # pictures compared with all photos at a time
GALLERY = 30  # photos that a picture is matched with: its own and 29 of other people


def similarity(first: Floats, second: Floats) -> Floats:
    """Cosine [n] of embeddings row by row; rows need not have unit length, since half precision cannot keep it."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine: Floats = (first * second).sum(axis=1) / np.maximum(lengths, 1e-12)
    return cosine


def delta(photo: Floats, student: Floats, teacher: Floats) -> Floats:
    """cos(E photo, E student) - cos(E photo, E teacher), [n]; below 0 the student lost likeness."""
    return similarity(photo, student) - similarity(photo, teacher)


def rank1(photo: Floats, pictures: Floats, person: Clusters | None = None, gallery: int = GALLERY) -> Floats:
    """Probability that each picture's own photo is the best match among it and 29 random photos of others, [n].

    Exact: with w of m photos of other people at least as like, none of w is among gallery - 1 drawn from m with
    probability C(m - w, gallery - 1) / C(m, gallery - 1). So it does not depend on how many photos there are, where
    rank-1 among all falls with their number; fewer than `gallery` photos are all drawn. A tie is lost, and so
    is what is not a number. Other photos of
    the same `person` [n] are neither right nor wrong. Raises ValueError if there is nobody else.
    """
    unit = photo / np.maximum(np.linalg.norm(photo.astype(np.float64), axis=1, keepdims=True), 1e-12)
    m, wrong = np.empty(len(photo), np.int64), np.empty(len(photo), np.int64)
    for block, scores, others in score_blocks(pictures, unit, person):
        own = scores[np.arange(len(scores)), block]
        m[block], wrong[block] = others.sum(axis=1), (others & ~(scores < own[:, None])).sum(axis=1)
    if not m.all():
        raise ValueError("rank1: all photos are of one person; nobody could be mistaken for another")
    drawn = np.minimum(gallery - 1, m)
    right = m - wrong
    # The two factors a! / (a - drawn)! with their denominators: exactly 1 where nobody is as like.
    logs = special.gammaln(right + 1) - special.gammaln(m + 1)
    logs += special.gammaln(m - drawn + 1) - special.gammaln(np.maximum(right - drawn, 0) + 1)
    chance: Floats = np.where(right >= drawn, np.exp(logs), 0.0)
    return chance


def score_blocks(
    pictures: Floats, photos: Floats, person: Clusters | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]]:
    """Rows, their scores [b, n] (inner products) with all `photos`, and which of these show somebody else.

    In blocks, because all n x n at once grow with the square of the test set.
    """
    names = np.arange(len(photos)) if person is None else np.asarray(person)
    columns = photos.astype(np.float64).T
    for first in range(0, len(pictures), BLOCK):
        rows = np.arange(first, min(first + BLOCK, len(pictures)))
        yield rows, pictures[rows].astype(np.float64) @ columns, names[rows, None] != names


def rank1_relative(of_student: Floats, of_teacher: Floats, clusters: Clusters | None = None) -> Estimate:
    """Mean `rank1` of the student's pictures over that of the teacher's, both [n].

    The interval is wide rather than narrow: nearly all pictures find their photo, and rare misses often go unseen.
    Raises ValueError if not one teacher picture finds its photo: then there is nothing to be relative to.
    """
    if not of_teacher.sum() > 0:
        raise ValueError("rank1_relative: no picture of the teacher finds its photo among the sources")
    return share_ratio(of_student, of_teacher, clusters)
