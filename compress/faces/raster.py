"""Triangle rasterisation on the CPU: z-buffer, alpha tests, soft coverage, attribute look-up.

Compiled by numba with an on-disk cache. Does not shade (see shading.py) and knows nothing of faces but their materials.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from compress.faces.kernel import Bytes, Floats, Ints, kernel
from compress.faces.materials import BEARD, BROW, CLOTH, EYE, HAIR, LASH, SKIN
from compress.faces.sampling import hash01, texture_alpha
from compress.faces.triangles import box, place, span, texture_place, weights

Array = npt.NDArray[np.float32]
NEAR = 0.05
"""Triangles with a vertex nearer than this depth are dropped."""
FLAT = 1e-9
"""Triangles of less than half this area, in samples, are dropped."""
COVER_SLACK = 0.035
"""Brows and lashes may lie this far behind the surface and still cover it."""
BLOCK = 8
"""Side in samples of the blocks in which hidden triangles are found."""
NOWHERE = np.float32(1e9)
"""Depth where there is nothing."""


@kernel
def is_hole(m: int, u: float, v: float, flat: Bytes, textures: Ints, x: int, y: int) -> bool:
    """Whether cloth, hair or beard is cut out here; hair by its alpha with a little hashed dither."""
    if m == CLOTH:
        return u < 0.0
    across, up = textures[m, 1], textures[m, 2]
    tx = min(across - 1, max(0, int(u * across)))
    ty = min(up - 1, max(0, int((1.0 - v) * up)))
    clear: bool = flat[textures[m, 0] + (ty * across + tx) * 4 + 3] < 255.0 * (0.30 + 0.4 * hash01(x, y, 7))
    return clear


@kernel
def find_least(nearness: Floats, least: Floats) -> None:
    """Fill in the least nearness in every block of samples."""
    height, width = nearness.shape
    least[:] = NOWHERE
    for y in range(height):
        for x in range(width):
            least[y // BLOCK, x // BLOCK] = min(least[y // BLOCK, x // BLOCK], nearness[y, x])


@kernel
def is_hidden(least: Floats, left: int, right: int, top: int, bottom: int, nearest: float) -> bool:
    """Whether all that was drawn in the blocks around a box is nearer than what comes."""
    for row in range(top // BLOCK, bottom // BLOCK + 1):
        for column in range(left // BLOCK, right // BLOCK + 1):
            if least[row, column] < nearest:
                return False
    return True


def rasterize(
    screen: Array,
    faces: npt.NDArray[np.int32],
    uv_faces: npt.NDArray[np.int32],
    material: npt.NDArray[np.int8],
    uv: Array,
    flat: npt.NDArray[np.uint8],
    textures: npt.NDArray[np.int64],
    width: int,
    height: int,
    outside: int = 0,
) -> tuple[npt.NDArray[np.int32], Array, Array, Array]:
    """Nearest triangle of every sample.

    screen [n, 3] float32 (x, y in samples, depth > 0), uv [m, 2], textures [materials, 3] int64 (offset, width,
    height). outside: the sign of the area that triangles seen from outside have on this screen; skin and eyes are
    closed and not drawn from inside, the others after all the rest, since most are hidden by then; 0 draws everything.
    Returns triangle [H, W] int32 (-1: none), two barycentrics and depth [H, W] float32. Brows and lashes are skipped
    (see cover); hair is cut by its alpha; cloth is cut where its u is negative.
    """
    triangle, bary0, bary1, depth = fill(screen, faces, uv_faces, material, uv, flat, textures, width, height, outside)
    return triangle, bary0, bary1, depth


@kernel
def fill(
    screen: Floats,
    faces: Ints,
    uv_faces: Ints,
    material: Ints,
    uv: Floats,
    flat: Bytes,
    textures: Ints,
    width: int,
    height: int,
    outside: int,
) -> tuple[npt.NDArray[np.int32], Array, Array, Array]:
    """See rasterize."""
    triangle = np.full((height, width), -1, np.int32)
    nearness = np.zeros((height, width), np.float32)
    bary0 = np.zeros((height, width), np.float32)
    bary1 = np.zeros((height, width), np.float32)
    count, postponed, n = len(faces), 0, 0
    later = np.empty(count, np.int32)
    least = np.zeros((height // BLOCK + 1, width // BLOCK + 1), np.float32)
    while n < count + postponed:
        if n == count:
            find_least(nearness, least)
        i = n if n < count else later[n - count]
        n += 1
        m = material[i]
        if m in (BROW, LASH):
            continue
        x0, y0, x1, y1, x2, y2, area = place(screen, faces, i)
        if abs(area) < FLAT:
            continue
        if n <= count and area * outside < 0.0:
            later[postponed] = i
            postponed += m != SKIN and m != EYE
            continue
        left, right, top, bottom = box(x0, y0, x1, y1, x2, y2, width, height)
        if left > right or top > bottom:
            continue
        z0, z1, z2 = screen[faces[i, 0], 2], screen[faces[i, 1], 2], screen[faces[i, 2], 2]
        if z0 <= NEAR or z1 <= NEAR or z2 <= NEAR:
            continue
        if n > count and is_hidden(least, left, right, top, bottom, 1.0 / min(z0, z1, z2)):
            continue
        w0, w1, s0, s1, d0, d1 = weights(x0, y0, x1, y1, x2, y2, area, left + 0.5, top + 0.5)
        i0, i1, i2 = 1.0 / z0, 1.0 / z1, 1.0 / z2
        for y in range(top, bottom + 1):
            first, last = span(w0, w1, s0, s1, right - left)
            l0, l1 = w0 + first * s0, w1 + first * s1
            w0 += d0
            w1 += d1
            for x in range(left + first, left + last + 1):
                a0, a1 = l0 * i0, l1 * i1
                near = a0 + a1 + (1.0 - l0 - l1) * i2
                l0 += s0
                l1 += s1
                if near <= nearness[y, x]:
                    continue
                z = 1.0 / near
                c0, c1 = a0 * z, a1 * z
                if m in (HAIR, CLOTH, BEARD):
                    u, v = texture_place(uv, uv_faces, i, c0, c1)
                    if is_hole(m, u, v, flat, textures, x, y):
                        continue
                nearness[y, x] = near
                triangle[y, x] = i
                bary0[y, x] = c0
                bary1[y, x] = c1
    for y in range(height):
        for x in range(width):
            nearness[y, x] = 1.0 / nearness[y, x] if triangle[y, x] >= 0 else NOWHERE
    return triangle, bary0, bary1, nearness


@kernel
def cover(
    screen: Floats,
    faces: Ints,
    uv_faces: Ints,
    material: Ints,
    uv: Floats,
    flat: Bytes,
    textures: Ints,
    depth: Floats,
    gain: Floats,
) -> Floats:
    """Order-independent transmittance [H, W, 2] float32 of brows (0) and lashes (1) over the visible surface.

    gain [materials] float32 multiplies the texture alpha.
    """
    height, width = depth.shape
    out = np.ones((height, width, 2), np.float32)
    for i in range(faces.shape[0]):
        m = material[i]
        if m != BROW and m != LASH:
            continue
        x0, y0, x1, y1, x2, y2, area = place(screen, faces, i)
        z0, z1, z2 = screen[faces[i, 0], 2], screen[faces[i, 1], 2], screen[faces[i, 2], 2]
        if abs(area) < FLAT or z0 <= NEAR or z1 <= NEAR or z2 <= NEAR:
            continue
        left, right, top, bottom = box(x0, y0, x1, y1, x2, y2, width, height)
        w0, w1, s0, s1, d0, d1 = weights(x0, y0, x1, y1, x2, y2, area, left + 0.5, top + 0.5)
        i0, i1, i2 = 1.0 / z0, 1.0 / z1, 1.0 / z2
        for y in range(top, bottom + 1):
            first, last = span(w0, w1, s0, s1, right - left)
            l0, l1 = w0 + first * s0, w1 + first * s1
            w0 += d0
            w1 += d1
            for x in range(left + first, left + last + 1):
                a0, a1 = l0 * i0, l1 * i1
                z = 1.0 / (a0 + a1 + (1.0 - l0 - l1) * i2)
                l0 += s0
                l1 += s1
                if z > depth[y, x] + COVER_SLACK:
                    continue
                u, v = texture_place(uv, uv_faces, i, a0 * z, a1 * z)
                alpha = texture_alpha(flat, textures[m, 0], textures[m, 1], textures[m, 2], u, v)
                out[y, x, m - BROW] *= 1.0 - min(1.0, alpha / 255.0 * gain[m])
    return out


@kernel
def interpolate(triangle: Ints, bary0: Floats, bary1: Floats, faces: Ints, attribute: Floats, step: int) -> Floats:
    """Per-vertex attribute [n, k] float32 seen at every step-th sample: [H/step, W/step, k]; zero where empty."""
    height = triangle.shape[0] // step
    width = triangle.shape[1] // step
    size = attribute.shape[1]
    out = np.zeros((height, width, size), np.float32)
    for y in range(height):
        for x in range(width):
            sy = y * step + step // 2
            sx = x * step + step // 2
            i = triangle[sy, sx]
            if i < 0:
                continue
            c0 = bary0[sy, sx]
            c1 = bary1[sy, sx]
            c2 = 1.0 - c0 - c1
            for k in range(size):
                out[y, x, k] = (
                    c0 * attribute[faces[i, 0], k] + c1 * attribute[faces[i, 1], k] + c2 * attribute[faces[i, 2], k]
                )
    return out


@kernel
def accumulate_targets(weights: Floats, starts: Ints, vertex: Ints, value: Floats, positions: Floats) -> None:
    """Add sum_k weights[k] * target_k to positions [n, 3] in place; targets are sparse rows starts[k]:starts[k+1]."""
    for k in range(weights.shape[0]):
        w = weights[k]
        if w == 0.0:
            continue
        for j in range(starts[k], starts[k + 1]):
            v = vertex[j]
            positions[v, 0] += w * value[j, 0]
            positions[v, 1] += w * value[j, 1]
            positions[v, 2] += w * value[j, 2]


@kernel
def vertex_normals(positions: Floats, faces: Ints) -> Floats:
    """Area-weighted unit vertex normals [n, 3] float32 of a triangle mesh."""
    out = np.zeros_like(positions)
    for i in range(faces.shape[0]):
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        ux = positions[b, 0] - positions[a, 0]
        uy = positions[b, 1] - positions[a, 1]
        uz = positions[b, 2] - positions[a, 2]
        vx = positions[c, 0] - positions[a, 0]
        vy = positions[c, 1] - positions[a, 1]
        vz = positions[c, 2] - positions[a, 2]
        x = uy * vz - uz * vy
        y = uz * vx - ux * vz
        z = ux * vy - uy * vx
        for k in (a, b, c):
            out[k, 0] += x
            out[k, 1] += y
            out[k, 2] += z
    for i in range(out.shape[0]):
        length = math.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-12
        for k in range(3):
            out[i, k] /= length
    return out
