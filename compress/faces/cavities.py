"""Hollows and ridges of a posed head: how much light reaches them, from the curvature at every vertex. No colours.

Baked occlusion (`Head.occlusion`) is that of the mean head; folds of lids, wings of the nose and corners of the mouth
are a person's own, and it is by them that faces are told apart in even light.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.faces.kernel import Floats, Ints, kernel

Array = npt.NDArray[np.float32]

DEPTH = 0.07
"""Logarithm of the light that a hollow loses for a curvature of 1 per scene unit (a head is 2.2 high)."""
SHARPEST, RIDGE = 40.0, 4.0
"""Curvature at which edges are cut off, and up to which ridges gain light: 1 per scene unit."""
DARKEST, BRIGHTEST = 0.25, 1.25
FLAT = 1e-5
"""Added to squared lengths of edges, so that none is divided by 0."""


@kernel
def curvature(positions: Floats, normals: Floats, faces: Ints, count: int) -> Floats:
    """Mean curvature [count] of the first vertices of a mesh, positive on ridges, smoothed over their neighbours."""
    value, near = np.zeros(count, np.float32), np.zeros(count, np.float32)
    for i in range(faces.shape[0]):
        for k in range(3):
            a, b = faces[i, k], faces[i, (k + 1) % 3]
            along = square = 0.0
            for axis in range(3):
                step = positions[b, axis] - positions[a, axis]
                along += (normals[b, axis] - normals[a, axis]) * step
                square += step * step
            bend = min(SHARPEST, max(-SHARPEST, along / (square + FLAT)))
            value[a] += bend
            value[b] += bend
            near[a] += 1
            near[b] += 1
    value /= near + 1e-6
    out = np.zeros(count, np.float32)
    for i in range(faces.shape[0]):
        for k in range(3):
            a, b = faces[i, k], faces[i, (k + 1) % 3]
            out[a] += value[b]
            out[b] += value[a]
    return 0.5 * value + 0.5 * out / (near + 1e-6)


def cavity(positions: Array, normals: Array, faces: Ints, count: int) -> Array:
    """Gain [count] of the light that reaches each of the first vertices: below 1 in hollows, above 1 on ridges.

    positions, normals [n, 3] in the scene; faces [m, 3] of vertices below count.
    """
    bend = np.minimum(curvature(positions, normals, faces, count), RIDGE)
    return np.asarray(np.clip(np.exp(DEPTH * bend), DARKEST, BRIGHTEST), np.float32)
