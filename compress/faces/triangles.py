"""Geometry of one triangle on the screen for the compiled kernels: corners, bounding box, barycentrics, spans."""

from __future__ import annotations

import math

from compress.faces.kernel import Floats, Ints, kernel

EDGE_SLACK = 1e-9
"""Samples this far outside, in samples, belong to a triangle, so that rounding leaves no gap between two."""


@kernel
def place(screen: Floats, faces: Ints, i: int) -> tuple[float, float, float, float, float, float, float]:
    """Corners of triangle i: x and y of each, twice its signed area."""
    a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
    x0, y0 = float(screen[a, 0]), float(screen[a, 1])
    x1, y1 = float(screen[b, 0]), float(screen[b, 1])
    x2, y2 = float(screen[c, 0]), float(screen[c, 1])
    return x0, y0, x1, y1, x2, y2, (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)


@kernel
def box(
    x0: float, y0: float, x1: float, y1: float, x2: float, y2: float, width: int, height: int
) -> tuple[int, int, int, int]:
    """First and last column, first and last row of the samples that may lie in a triangle."""
    left = max(0, math.ceil(min(x0, x1, x2) - 0.5))
    right = min(width - 1, math.floor(max(x0, x1, x2) - 0.5))
    top = max(0, math.ceil(min(y0, y1, y2) - 0.5))
    return left, right, top, min(height - 1, math.floor(max(y0, y1, y2) - 0.5))


@kernel
def weights(
    x0: float, y0: float, x1: float, y1: float, x2: float, y2: float, area: float, px: float, py: float
) -> tuple[float, float, float, float, float, float]:
    """Two barycentrics at a point, and how they change with x and with y."""
    inverse = 1.0 / area
    w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * inverse
    w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * inverse
    return w0, w1, (y1 - y2) * inverse, (y2 - y0) * inverse, (x2 - x1) * inverse, (x0 - x2) * inverse


@kernel
def clip(low: float, high: float, weight: float, step: float) -> tuple[float, float]:
    """Narrow the steps low..high along a row to where weight + k * step >= 0."""
    if step > 0.0:
        return max(low, -weight / step), high
    if step < 0.0:
        return low, min(high, -weight / step)
    return low, (high if weight >= 0.0 else -1.0)


@kernel
def span(w0: float, w1: float, s0: float, s1: float, length: int) -> tuple[int, int]:
    """First and last of the steps 0..length along a row at which all barycentrics are positive."""
    low, high = clip(0.0, float(length), w0, s0)
    low, high = clip(low, high, w1, s1)
    low, high = clip(low, high, 1.0 - w0 - w1, -s0 - s1)
    return math.ceil(low - EDGE_SLACK), math.floor(high + EDGE_SLACK)


@kernel
def texture_place(uv: Floats, uv_faces: Ints, i: int, c0: float, c1: float) -> tuple[float, float]:
    """Texture coordinates at two barycentrics of triangle i."""
    a, b, c = uv_faces[i, 0], uv_faces[i, 1], uv_faces[i, 2]
    c2 = 1.0 - c0 - c1
    return c0 * uv[a, 0] + c1 * uv[b, 0] + c2 * uv[c, 0], c0 * uv[a, 1] + c1 * uv[b, 1] + c2 * uv[c, 1]
