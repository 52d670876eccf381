"""Points and directions on triangles, for the compiled kernels: blended vertices, unit vectors, facing normals."""

from __future__ import annotations

import math

from compress.faces.kernel import Floats, Ints, kernel
from compress.faces.materials import EYE, HEADWEAR, SCARF

GRAZING = 0.02
"""Normals that turn from the camera are bent back to this cosine."""


@kernel
def unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    """A vector divided by its length."""
    inverse = 1.0 / (math.sqrt(x * x + y * y + z * z) + 1e-9)
    return x * inverse, y * inverse, z * inverse


@kernel
def blend(values: Floats, faces: Ints, i: int, c0: float, c1: float) -> tuple[float, float, float]:
    """Vector [n, 3] of the vertices at two barycentrics of triangle i."""
    a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
    c2 = 1 - c0 - c1
    return (
        c0 * values[a, 0] + c1 * values[b, 0] + c2 * values[c, 0],
        c0 * values[a, 1] + c1 * values[b, 1] + c2 * values[c, 1],
        c0 * values[a, 2] + c1 * values[b, 2] + c2 * values[c, 2],
    )


@kernel
def face_camera(
    m: int, nx: float, ny: float, nz: float, vx: float, vy: float, vz: float
) -> tuple[float, float, float, float]:
    """A unit normal that does not turn from the camera, and its cosine; cloth has two sides."""
    nx, ny, nz = unit(nx, ny, nz)
    facing = nx * vx + ny * vy + nz * vz
    if facing < 0.0 and m in (HEADWEAR, SCARF):
        nx, ny, nz, facing = -nx, -ny, -nz, -facing
    if facing < GRAZING and m != EYE:
        bend = facing - GRAZING
        nx, ny, nz = unit(nx - vx * bend, ny - vy * bend, nz - vz * bend)
    return nx, ny, nz, max(facing, GRAZING)
