"""Whether the student's picture still shows the person in the photo, judged beside the teacher's picture.

Photo identity networks are unsafe as absolute measures on cartoons, so both numbers are relative to the teacher.
Embeddings are unit rows [n, d] of one named network. If that network was also a loss of the training, it grades its own
pupil: say so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compress.metrics.estimate import Estimate
from compress.metrics.intervals import ratio

Floats = NDArray[np.floating]


def similarity(first: Floats, second: Floats) -> Floats:
    """Cosine [n] of embeddings row by row; rows need not have unit length, since half precision cannot keep it."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine: Floats = (first * second).sum(axis=1) / np.maximum(lengths, 1e-12)
    return cosine


def delta(photo: Floats, student: Floats, teacher: Floats) -> Floats:
    """cos(E photo, E student) - cos(E photo, E teacher), [n]; below 0 the student lost likeness."""
    return similarity(photo, student) - similarity(photo, teacher)


def found(photo: Floats, pictures: Floats) -> Floats:
    """1.0 where the nearest of all photos to a picture is its own, else 0.0, [n]; a tie is not found."""
    photo = photo.astype(np.float64)
    pictures = pictures.astype(np.float64)
    photo /= np.maximum(np.linalg.norm(photo, axis=1, keepdims=True), 1e-12)
    scores = pictures @ photo.T
    own = np.diag(scores).copy()
    np.fill_diagonal(scores, -np.inf)
    hits: Floats = (own > scores.max(axis=1)).astype(np.float64)
    return hits


def rank1_relative(photo: Floats, student: Floats, teacher: Floats, seed: int) -> Estimate:
    """Rank-1 retrieval of student pictures among all photos, divided by that of the teacher's pictures.

    Raises ValueError if not one teacher picture finds its photo: then there is nothing to be relative to.
    """
    of_teacher = found(photo, teacher)
    if not of_teacher.any():
        raise ValueError("rank1_relative: no picture of the teacher finds its photo among the sources")
    return ratio(found(photo, student), of_teacher, seed)
