"""How much of the teacher's style the student applies: as a share of its change of the photo, and by Gram matrices.

`strength` asks the pixels and needs a teacher that leaves the face where it is; `gram_distance` asks the statistics of
features, wherever they lie. Both are relative to the photo, so that they mean the same for any teacher.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]


def change(photo: Bytes, teacher: Bytes) -> Floats:
    """The teacher's change of the photo, mean square over the values, [N]: <T - P, T - P>."""
    step = teacher.astype(np.float32) - photo.astype(np.float32)
    return _products(step, step)


def followed(photo: Bytes, teacher: Bytes, student: Bytes) -> Floats:
    """What of the teacher's change the student makes too, [N]: <S - P, T - P>, mean over the values.

    Its sum over that of `change` is the style's strength: 1 is all of it, 0 the photo itself or a change elsewhere.
    """
    source = photo.astype(np.float32)
    return _products(student.astype(np.float32) - source, teacher.astype(np.float32) - source)


def _products(first: Floats, second: Floats) -> Floats:
    each: Floats = (first * second).mean(axis=tuple(range(1, first.ndim)), dtype=np.float64)
    return each


def gram(features: Floats) -> Floats:
    """Gram matrix of maps [N, C, h, w] over their pixels as rows [N, C (C + 1) / 2].

    Off the diagonal times sqrt 2, so that distances of rows are those of the matrices (Frobenius).
    Source: Gatys, Ecker and Bethge, CVPR 2016, equation 3, divided by the number of pixels.
    """
    n, channels, height, width = features.shape
    flat = features.reshape(n, channels, height * width)
    rows, columns = np.triu_indices(channels)
    weight = np.where(rows == columns, 1.0, np.sqrt(2.0)).astype(features.dtype)
    # Not `@`: for so little work the threads of a BLAS library cost more than they save.
    matrix = np.einsum("nct,ndt->ncd", flat, flat)
    upper: Floats = matrix[:, rows, columns] * (weight / (height * width))
    return upper


def gram_distance(grams: Sequence[Floats], targets: Sequence[Floats]) -> Floats:
    """Distance of Gram matrices, relative to the target's size, mean over layers: one [N, k] a layer each -> [N]."""
    layers = [
        np.linalg.norm(gram - target, axis=1) / np.maximum(np.linalg.norm(target, axis=1), 1e-12)
        for gram, target in zip(grams, targets, strict=True)
    ]
    each: Floats = np.mean(layers, axis=0)
    return each
