"""Triangle rasterisation on the CPU: z-buffer, alpha tests, soft coverage, vertex normals, attribute look-up.

Compiled by numba with an on-disk cache. Does not shade (see shading.py) and knows nothing of faces but their materials.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from compress.faces.materials import BROW, CLOTH, HAIR, LASH

NEAR = 0.05
"""Triangles with a vertex nearer than this depth are dropped."""
COVER_SLACK = 0.035
"""Brows and lashes may lie this far behind the surface and still cover it."""


@njit(cache=True, error_model="numpy")
def accumulate_targets(weights, starts, vertex, value, positions):  # type: ignore[no-untyped-def]
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


@njit(cache=True, error_model="numpy")
def vertex_normals(positions, faces):  # type: ignore[no-untyped-def]
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


@njit(cache=True, error_model="numpy")
def hash01(x, y, s):  # type: ignore[no-untyped-def]
    """A repeatable pseudo-random number in [0, 1) of three integers."""
    h = np.uint32(x * 374761393 + y * 668265263 + s * 2246822519)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = h ^ (h >> np.uint32(16))
    return np.float32(h & np.uint32(0xFFFFFF)) / np.float32(16777216.0)


@njit(cache=True, error_model="numpy")
def sample_texture(flat, offset, width, height, u, v, out):  # type: ignore[no-untyped-def]
    """Bilinear RGBA look-up into the flat uint8 atlas; v points up; out [4] gets 0..255."""
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max((1.0 - v) * height - 0.5, 0.0), height - 1.001)
    ix = int(x)
    iy = int(y)
    fx = x - ix
    fy = y - iy
    o = offset + (iy * width + ix) * 4
    for k in range(4):
        top = flat[o + k] * (1 - fx) + flat[o + 4 + k] * fx
        bottom = flat[o + width * 4 + k] * (1 - fx) + flat[o + width * 4 + 4 + k] * fx
        out[k] = top * (1 - fy) + bottom * fy


@njit(cache=True, error_model="numpy")
def rasterize(screen, faces, uv_faces, material, uv, flat, textures, width, height):  # type: ignore[no-untyped-def]
    """Nearest triangle of every sample.

    screen [n, 3] float32 (x, y in samples, depth > 0), uv [m, 2], textures [materials, 3] int64 (offset, width,
    height). Returns triangle [H, W] int32 (-1: none), two barycentrics and depth [H, W] float32. Brows and lashes are
    skipped (see cover); hair is cut by its alpha with a little hashed dither; cloth is cut where its u is negative.
    """
    triangle = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), 1e9, np.float32)
    bary0 = np.zeros((height, width), np.float32)
    bary1 = np.zeros((height, width), np.float32)
    for i in range(faces.shape[0]):
        m = material[i]
        if m in (BROW, LASH):
            continue
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        x0, y0, z0 = screen[a, 0], screen[a, 1], screen[a, 2]
        x1, y1, z1 = screen[b, 0], screen[b, 1], screen[b, 2]
        x2, y2, z2 = screen[c, 0], screen[c, 1], screen[c, 2]
        if z0 <= NEAR or z1 <= NEAR or z2 <= NEAR:
            continue
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left = max(0, math.ceil(min(x0, x1, x2) - 0.5))
        right = min(width - 1, math.floor(max(x0, x1, x2) - 0.5))
        top = max(0, math.ceil(min(y0, y1, y2) - 0.5))
        bottom = min(height - 1, math.floor(max(y0, y1, y2) - 0.5))
        inverse = 1.0 / area
        i0 = 1.0 / z0
        i1 = 1.0 / z1
        i2 = 1.0 / z2
        ua, ub, uc = uv_faces[i, 0], uv_faces[i, 1], uv_faces[i, 2]
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                l0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * inverse
                l1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * inverse
                l2 = 1.0 - l0 - l1
                if l0 < 0 or l1 < 0 or l2 < 0:
                    continue
                z = 1.0 / (l0 * i0 + l1 * i1 + l2 * i2)
                if z >= depth[y, x]:
                    continue
                c0 = l0 * i0 * z
                c1 = l1 * i1 * z
                c2 = 1.0 - c0 - c1
                if m == CLOTH:
                    if c0 * uv[ua, 0] + c1 * uv[ub, 0] + c2 * uv[uc, 0] < 0:
                        continue
                elif m == HAIR:
                    u = c0 * uv[ua, 0] + c1 * uv[ub, 0] + c2 * uv[uc, 0]
                    v = c0 * uv[ua, 1] + c1 * uv[ub, 1] + c2 * uv[uc, 1]
                    tw = textures[m, 1]
                    th = textures[m, 2]
                    tx = min(tw - 1, max(0, int(u * tw)))
                    ty = min(th - 1, max(0, int((1.0 - v) * th)))
                    alpha = flat[textures[m, 0] + (ty * tw + tx) * 4 + 3] / 255.0
                    if alpha < 0.30 + 0.4 * hash01(x, y, 7):
                        continue
                depth[y, x] = z
                triangle[y, x] = i
                bary0[y, x] = c0
                bary1[y, x] = c1
    return triangle, bary0, bary1, depth


@njit(cache=True, error_model="numpy")
def cover(screen, faces, uv_faces, material, uv, flat, textures, depth, gain):  # type: ignore[no-untyped-def]
    """Order-independent transmittance [H, W, 2] float32 of brows (0) and lashes (1) over the visible surface.

    gain [materials] float32 multiplies the texture alpha.
    """
    height, width = depth.shape
    out = np.ones((height, width, 2), np.float32)
    texel = np.zeros(4, np.float64)
    for i in range(faces.shape[0]):
        m = material[i]
        if m != BROW and m != LASH:
            continue
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        x0, y0, z0 = screen[a, 0], screen[a, 1], screen[a, 2]
        x1, y1, z1 = screen[b, 0], screen[b, 1], screen[b, 2]
        x2, y2, z2 = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9 or z0 <= NEAR or z1 <= NEAR or z2 <= NEAR:
            continue
        left = max(0, math.ceil(min(x0, x1, x2) - 0.5))
        right = min(width - 1, math.floor(max(x0, x1, x2) - 0.5))
        top = max(0, math.ceil(min(y0, y1, y2) - 0.5))
        bottom = min(height - 1, math.floor(max(y0, y1, y2) - 0.5))
        inverse = 1.0 / area
        i0 = 1.0 / z0
        i1 = 1.0 / z1
        i2 = 1.0 / z2
        ua, ub, uc = uv_faces[i, 0], uv_faces[i, 1], uv_faces[i, 2]
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                l0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * inverse
                l1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * inverse
                l2 = 1.0 - l0 - l1
                if l0 < 0 or l1 < 0 or l2 < 0:
                    continue
                z = 1.0 / (l0 * i0 + l1 * i1 + l2 * i2)
                if z > depth[y, x] + COVER_SLACK:
                    continue
                c0 = l0 * i0 * z
                c1 = l1 * i1 * z
                c2 = 1.0 - c0 - c1
                u = c0 * uv[ua, 0] + c1 * uv[ub, 0] + c2 * uv[uc, 0]
                v = c0 * uv[ua, 1] + c1 * uv[ub, 1] + c2 * uv[uc, 1]
                sample_texture(flat, textures[m, 0], textures[m, 1], textures[m, 2], u, v, texel)
                out[y, x, m - BROW] *= 1.0 - min(1.0, texel[3] / 255.0 * gain[m])
    return out


@njit(cache=True, error_model="numpy")
def interpolate(triangle, bary0, bary1, faces, attribute, step):  # type: ignore[no-untyped-def]
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
