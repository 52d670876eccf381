"""Deferred shading of rasterised samples, in one kernel for photo and cartoon, which is a set of parameters.

What the parameters are is in shading.py; colours in albedo.py and skin.py, light in radiance.py and shadows.py. Does
not grade (see grade.py, film.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from compress.faces.albedo import albedo
from compress.faces.kernel import Bytes, Floats, Ints, kernel
from compress.faces.materials import (
    CLOTH,
    EYE,
    HAIR,
    HEADWEAR,
    LIP_LABEL,
    SCARF,
    SKIN,
    TEETH,
    TONGUE,
)
from compress.faces.normals import blend, face_camera, unit
from compress.faces.radiance import (
    eye_glint,
    highlight,
    irradiance,
    scale_harmonics,
    wraps,
)
from compress.faces.shading import (
    CAMERA,
    CARTOON,
    KEY,
    KEY_COLOUR,
    RIM,
    RIM_COLOUR,
    RIM_GAIN,
    SHADOW_CENTRE,
    SHADOW_SCALE,
    SOFTNESS,
)
from compress.faces.shadows import TAPS, lit_taps, tinted
from compress.faces.triangles import texture_place

Array = npt.NDArray[np.float32]
SMOOTH = 0.04
"""The samples of a pixel show one surface if their depths differ by less, in scene units."""
HOLLOW = 0.7
"""Share of the key light, too, that is kept from hollows of skin: it is wide, and shadow maps are coarse."""
LIFT = 0.02
"""Points are lifted off their surface by this before they are looked up in the shadow map, in scene units."""


@kernel
def surface(triangle: Ints, depth: Floats, material: Ints, y: int, x: int) -> int:
    """Material of the one surface that the four samples of a pixel show, so that fewer shadings do; -1 for several."""
    shown = material[triangle[y, x]] if triangle[y, x] >= 0 else -1
    for row in range(y, y + 2):
        for column in range(x, x + 2):
            i = triangle[row, column]
            if i < 0 or material[i] != shown or abs(depth[row, column] - depth[y, x]) > SMOOTH:
                return -1
    return shown


def shade(*samples: Any) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Colour and label of every sample; arguments and results as of `shade_samples`, but harmonics as they are."""
    *before, harmonics, colours, numbers = samples
    kernel: Any = shade_samples  # numba types its kernels as callables of nothing
    image, label = kernel(*before, scale_harmonics(harmonics), colours, numbers, wraps(numbers))
    return image, label


@kernel
def shade_samples(
    triangle: Ints,
    bary0: Floats,
    bary1: Floats,
    depth: Floats,
    faces: Ints,
    uv_faces: Ints,
    material: Ints,
    uv: Floats,
    positions: Floats,
    normals: Floats,
    occlusion: Floats,
    scalp: Floats,
    flat: Bytes,
    textures: Ints,
    zones: Ints,
    shadow_map: Floats,
    light_frame: Floats,
    lights: Floats,
    sky: Floats,
    colours: Floats,
    numbers: Floats,
    wrap: Floats,
) -> tuple[Floats, Bytes]:
    """Colour of every sample [H, W, 3] float32 (linear light) and its label [H, W] uint8.

    Pixels that show nothing but one surface of skin are shaded once, at the sample that stands for the pixel in the
    ground truth; those of hair or cloth twice, on the diagonal. zones [3] int64: offset, width and height of the zone
    texture; light_frame [3, 3]: axes of the shadow map; sky, wrap: see radiance.py.
    """
    height, width = triangle.shape
    out = np.zeros((height, width, 3), np.float32)
    label = np.zeros((height, width), np.uint8)
    texel, rgb = np.zeros(4), np.zeros(3)
    toon = numbers[CARTOON]
    kx, ky, kz = lights[KEY, 0], lights[KEY, 1], lights[KEY, 2]
    for block in range(height // 2 * (width // 2)):
        top, left = block // (width // 2) * 2, block % (width // 2) * 2
        shown = surface(triangle, depth, material, top, left)
        smooth, woven = shown == SKIN, shown in (HAIR, CLOTH)
        for n in range(3 if smooth else 0, 4, 3 if woven else 1):
            y, x = top + n // 2, left + n % 2
            i = triangle[y, x]
            if i < 0:
                continue
            m = material[i]
            c0, c1 = bary0[y, x], bary1[y, x]
            c2 = 1 - c0 - c1
            px, py, pz = blend(positions, faces, i, c0, c1)
            nx, ny, nz = blend(normals, faces, i, c0, c1)
            vx, vy, vz = unit(lights[CAMERA, 0] - px, lights[CAMERA, 1] - py, lights[CAMERA, 2] - pz)
            nx, ny, nz, facing = face_camera(m, nx, ny, nz, vx, vy, vz)
            a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
            ao = c0 * occlusion[a] + c1 * occlusion[b] + c2 * occlusion[c]
            covered = c0 * scalp[a] + c1 * scalp[b] + c2 * scalp[c]
            u, v = texture_place(uv, uv_faces, i, c0, c1)
            trait = albedo(rgb, m, u, v, covered, flat, textures, zones, colours, numbers, texel)
            label[y, x] = LIP_LABEL if m == SKIN and trait > 0.5 else m + 1

            near = px + nx * LIFT, py + ny * LIFT, pz + nz * LIFT
            texels = numbers[SHADOW_SCALE], numbers[SHADOW_CENTRE], numbers[SOFTNESS]
            taps = lit_taps(shadow_map, light_frame, texels, near, x, y)
            if smooth:
                taps += lit_taps(shadow_map, light_frame, texels, near, left, top)
            else:
                taps *= 2
            lit = taps / (2 * TAPS)
            to_key = nx * kx + ny * ky + nz * kz
            to_rim = nx * lights[RIM, 0] + ny * lights[RIM, 1] + nz * lights[RIM, 2]
            hx, hy, hz = unit(kx + vx, ky + vy, kz + vz)
            half = max(0.0, nx * hx + ny * hy + nz * hz)
            view_half = max(0.0, vx * hx + vy * hy + vz * hz)
            rx, ry, rz = (
                2 * facing * nx - vx,
                2 * facing * ny - vy,
                2 * facing * nz - vz,
            )
            glint = eye_glint(rx, ry, rz, lit, lights, numbers) if m == EYE else 0.0
            direct, mirrored = highlight(m, trait, lit, ao, facing, half, view_half, to_key, glint, numbers)
            rim = 0.0
            if m in (SKIN, HAIR, CLOTH, HEADWEAR, SCARF):
                rim = (1 - facing) ** 3 * max(0.0, 0.35 + 0.65 * to_rim) * numbers[RIM_GAIN] * (0.4 + 0.6 * ao)
            tint_edge = m == SKIN or toon > 0
            behind = 0.0 if m in (TEETH, TONGUE) else ao
            reached = 1 - HOLLOW * (1 - ao) if m == SKIN and toon == 0 else 1.0
            for k in range(3):
                w, spread = wrap[m, k], wrap[m, 3 + k]
                key = lights[KEY_COLOUR, k]
                shadow = tinted(taps, k) if tint_edge else lit
                diffuse = key * max(0.0, to_key + w) * spread * shadow * reached + irradiance(sky, nx, ny, nz, k) * ao
                diffuse += lights[RIM_COLOUR, k] * max(0.0, to_rim + w) * spread * behind
                if m == TEETH:
                    diffuse = diffuse * 0.95 + key * 0.15
                value = rgb[k] * diffuse + lights[RIM_COLOUR, k] * rim * min(
                    1.0, (0.05 if m == HAIR else 0.25) + 1.6 * rgb[k]
                )
                value += key * direct * (0.35 + 0.65 * (rgb[k] / (rgb[k] + 0.1)) if m == HAIR else 1.0)
                if mirrored > 0:
                    value += mirrored * irradiance(sky, rx, ry, rz, k)
                out[y, x, k] = value
        if smooth or woven:
            for n in range(1 if woven else 0, 3):
                y, x = top + n // 2, left + n % 2
                row, column = (top, left) if woven and n == 1 else (top + 1, left + 1)
                label[y, x] = label[row, column]
                for k in range(3):
                    out[y, x, k] = out[row, column, k]
    return out, label
