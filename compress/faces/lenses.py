"""What clear and tinted lenses do to the light behind them: tint, and reflections of the key light and surroundings.

Opaque lenses of sunglasses are ordinary triangles (see outfit.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.faces.materials import GLASSES, MATERIALS
from compress.faces.raster import rasterize
from compress.faces.wear import Lenses

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

BASE_REFLECTION, MOST_REFLECTION = 0.03, 0.15
"""Schlick's term facing the glass, and its limit: coated lenses mirror little along their edge."""
CURVATURE = 1.0
"""Radius of the lenses' sphere, in scene units (decimetres but for the head's size)."""
MIRRORED, SOFT = 0.94, 0.05
"""The key light shows in a lens whose mirrored view is this near to it (cosine), and the width of that patch's edge."""


def lay_lenses(
    light: Array,
    depth: Array,
    screen: Array,
    faces: Ints,
    positions: Array,
    lenses: Lenses,
    lights: tuple[Array, Array, Array, Array],
) -> None:
    """Change shaded samples [H, W, 3] behind lenses in place.

    depth [H, W] of the samples; screen [n, 3] and positions [n, 3] of all vertices; faces [m, 3] of the lenses; lights:
    direction to the key light, its colour, irradiance harmonics [9, 3], position of the camera.
    """
    used, local = np.unique(faces, return_inverse=True)
    triangles = local.reshape(-1, 3).astype(np.int32)
    flat = screen[used]
    limit = np.array([depth.shape[1], depth.shape[0]])
    low = np.clip(np.floor(flat[:, :2].min(0)), 0, limit).astype(int)
    high = np.clip(np.ceil(flat[:, :2].max(0)), low, limit).astype(int)
    if (high == low).any():
        return
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    flat[:, :2] -= low
    uv, texture, places = np.zeros((len(used), 2), np.float32), np.zeros(4, np.uint8), np.ones((MATERIALS, 3), np.int64)
    material = np.full(len(triangles), GLASSES, np.int8)
    width, height = (high - low).tolist()
    hit, b0, b1, near = rasterize(flat, triangles, triangles, material, uv, texture, places, width, height)
    seen = (hit >= 0) & (near < depth[window])
    if not seen.any():
        return
    at = positions[used]
    corner = at[triangles]
    mean = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]).sum(0)
    mean = mean / (np.linalg.norm(mean) + 1e-9)
    which = hit[seen]
    weight = np.stack([b0[seen], b1[seen], 1 - b0[seen] - b1[seen]], 1)
    point = (corner[which] * weight[..., None]).sum(1)
    normal = mean + (point - corner[which, 0]) / CURVATURE
    behind = light[window]
    behind[seen] = behind[seen] * lenses.through + mirror(point, normal, lenses.reflection, lights)


def mirror(point: Array, normal: Array, reflection: float, lights: tuple[Array, Array, Array, Array]) -> Array:
    """Light [n, 3] that glass at the points [n, 3] with the given normals sends to the camera."""
    key, key_colour, harmonics, camera = lights
    view = camera - point
    view = view / np.linalg.norm(view, axis=1, keepdims=True)
    normal = normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9)
    facing = (normal * view).sum(1, keepdims=True)
    normal, facing = normal * np.sign(facing), np.abs(facing)
    towards = 2 * facing * normal - view
    fresnel = np.minimum(MOST_REFLECTION, BASE_REFLECTION + (1 - BASE_REFLECTION) * (1 - facing) ** 5)
    sky = harmonics[0] * 0.282 + 0.4886 * (towards[:, 1:2] * harmonics[1] + towards[:, 2:] * harmonics[2])
    patch = np.clip((towards @ key - MIRRORED) / SOFT, 0, 1)[:, None]
    return np.asarray(
        fresnel * np.maximum(sky, 0) + reflection * (0.02 * np.maximum(sky, 0) + 0.12 * patch * key_colour), np.float32
    )
