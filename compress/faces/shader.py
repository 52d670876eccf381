"""Deferred shading of rasterised samples: wrapped diffuse in three widths for skin, GGX, soft shadow, harmonics, rim.

One kernel for photo and cartoon; the cartoon is a set of parameters (see shading.py). Colours are linear light. Does
not grade (see grade.py, film.py).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from compress.faces.albedo import albedo
from compress.faces.materials import (
    CLOTH,
    EYE,
    GLASSES,
    HAIR,
    HEADWEAR,
    LIP_LABEL,
    MATERIALS,
    SCARF,
    SKIN,
    TEETH,
    TONGUE,
)
from compress.faces.shading import (
    CAMERA,
    CARTOON,
    CATCH,
    CATCHLIGHT,
    GLOSS,
    HAIR_GLOSS,
    KEY,
    KEY_COLOUR,
    RIM,
    RIM_COLOUR,
    RIM_GAIN,
    SECOND_CATCHLIGHT,
    SHADOW_CENTRE,
    SHADOW_SCALE,
    SOFTNESS,
    WRAP_BLUE,
    WRAP_GREEN,
    WRAP_RED,
)
from compress.faces.shadows import TAPS, lit_taps, tinted
from compress.faces.skin import skin_gloss
from compress.faces.triangles import texture_place

SMOOTH = 0.04
"""The samples of a pixel show one surface if their depths differ by less, in scene units."""
GRAZING = 0.02
"""Normals that turn from the camera are bent back to this cosine."""
_BASIS = np.array([0.282095] + [0.488603] * 3 + [1.092548] * 2 + [0.315392, 1.092548, 0.546274])


@njit(cache=True, error_model="numpy")
def irradiance(harmonics, x, y, z, k):  # type: ignore[no-untyped-def]
    """Second-order harmonics [9, 3] of channel k, times their basis factors, in direction (x, y, z); not negative."""
    flat = harmonics[0, k] + harmonics[1, k] * y + harmonics[2, k] * z + harmonics[3, k] * x
    mixed = harmonics[4, k] * (x * y) + harmonics[5, k] * (y * z) + harmonics[7, k] * (x * z)
    return max(0.0, flat + mixed + harmonics[6, k] * (3 * z * z - 1) + harmonics[8, k] * (x * x - y * y))


@njit(cache=True, error_model="numpy")
def scale_harmonics(harmonics):  # type: ignore[no-untyped-def]
    """Harmonics [9, 3] times the factors of their basis, for `irradiance`."""
    return harmonics * _BASIS.reshape(9, 1)


@njit(cache=True, error_model="numpy")
def wraps(numbers):  # type: ignore[no-untyped-def]
    """How far light wraps around each material in each channel [materials, 3]; cartoons are softer."""
    out = np.full((MATERIALS, 3), 0.1)
    out[HAIR] = 0.5
    out[SKIN, 0], out[SKIN, 1], out[SKIN, 2] = numbers[WRAP_RED], numbers[WRAP_GREEN], numbers[WRAP_BLUE]
    if numbers[CARTOON] > 0:
        out[CLOTH], out[HEADWEAR], out[SCARF] = 0.4, 0.4, 0.4
    return out


@njit(cache=True, error_model="numpy")
def unit(x, y, z):  # type: ignore[no-untyped-def]
    """A vector divided by its length."""
    inverse = 1.0 / (math.sqrt(x * x + y * y + z * z) + 1e-9)
    return x * inverse, y * inverse, z * inverse


@njit(cache=True, error_model="numpy")
def blend(values, faces, i, c0, c1):  # type: ignore[no-untyped-def]
    """Vector [n, 3] of the vertices at two barycentrics of triangle i."""
    a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
    c2 = 1 - c0 - c1
    return (
        c0 * values[a, 0] + c1 * values[b, 0] + c2 * values[c, 0],
        c0 * values[a, 1] + c1 * values[b, 1] + c2 * values[c, 1],
        c0 * values[a, 2] + c1 * values[b, 2] + c2 * values[c, 2],
    )


@njit(cache=True, error_model="numpy")
def face_camera(m, nx, ny, nz, vx, vy, vz):  # type: ignore[no-untyped-def]
    """A unit normal that does not turn from the camera, and its cosine; cloth has two sides."""
    nx, ny, nz = unit(nx, ny, nz)
    facing = nx * vx + ny * vy + nz * vz
    if facing < 0.0 and m in (HEADWEAR, SCARF):
        nx, ny, nz, facing = -nx, -ny, -nz, -facing
    if facing < GRAZING and m != EYE:
        bend = facing - GRAZING
        nx, ny, nz = unit(nx - vx * bend, ny - vy * bend, nz - vz * bend)
    return nx, ny, nz, max(facing, GRAZING)


@njit(cache=True, error_model="numpy")
def eye_glint(rx, ry, rz, lit, lights, numbers):  # type: ignore[no-untyped-def]
    """Brightness of the lights that an eye mirrors in direction (rx, ry, rz)."""
    towards = rx * lights[CATCH, 0] + ry * lights[CATCH, 1] + rz * lights[CATCH, 2]
    edge = 0.984 - 0.022 * numbers[CARTOON]
    glint = numbers[CATCHLIGHT] * min(1.0, max(0.0, (towards - edge) / 0.008)) * (0.5 + 0.5 * lit)
    # A smaller one below, opposite to the first: light that a floor or a table would throw.
    towards = rz * lights[CATCH, 2] - 0.7 * rx * lights[CATCH, 0] - 0.6 * ry * lights[CATCH, 1]
    return glint + numbers[SECOND_CATCHLIGHT] * min(1.0, max(0.0, (towards - 0.975) / 0.008))


@njit(cache=True, error_model="numpy")
def highlight(m, trait, lit, ao, facing, half, view_half, to_key, glint, numbers):  # type: ignore[no-untyped-def]
    """Shares that a material mirrors: of the key light, of the light of the direction that it mirrors."""
    if m == SKIN:
        sheen = (0.04 + 0.96 * (1 - facing) ** 5) * 0.22 * numbers[GLOSS] * ao
        return skin_gloss(trait, facing, half, view_half, to_key, numbers) * lit, sheen
    if m == HAIR:
        shine = half**18 * 0.10 + half**60 * 0.07
        return numbers[HAIR_GLOSS] * lit * shine * (0.3 + 0.7 * trait), 0.0
    if m == EYE:
        return glint, 0.03 * ao
    if m == GLASSES:
        return half**30 * 0.6 * lit * ao, 0.06 * ao
    if m == TEETH:
        return 0.03 * half**40 * lit, 0.0
    return 0.0, 0.0


@njit(cache=True, error_model="numpy")
def is_smooth(triangle, depth, material, y, x):  # type: ignore[no-untyped-def]
    """Whether the four samples of a pixel show one surface of skin, so that one shading does for them."""
    for row in range(y, y + 2):
        for column in range(x, x + 2):
            i = triangle[row, column]
            if i < 0 or material[i] != SKIN or abs(depth[row, column] - depth[y, x]) > SMOOTH:
                return False
    return True


@njit(cache=True, error_model="numpy")
def shade(  # type: ignore[no-untyped-def]
    triangle,
    bary0,
    bary1,
    depth,
    faces,
    uv_faces,
    material,
    uv,
    positions,
    normals,
    occlusion,
    scalp,
    flat,
    textures,
    zones,
    shadow_map,
    light_frame,
    lights,
    harmonics,
    colours,
    numbers,
):
    """Colour of every sample [H, W, 3] float32 (linear light) and its label [H, W] uint8.

    Pixels that show nothing but one surface of skin are shaded once, at the sample that stands for the pixel in the
    ground truth. zones [3] int64: offset, width and height of the zone texture; light_frame [3, 3]: axes of the shadow
    map.
    """
    height, width = triangle.shape
    out = np.zeros((height, width, 3), np.float32)
    label = np.zeros((height, width), np.uint8)
    texel, rgb = np.zeros(4), np.zeros(3)
    toon = numbers[CARTOON]
    wrap, sky = wraps(numbers), scale_harmonics(harmonics)
    kx, ky, kz = lights[KEY, 0], lights[KEY, 1], lights[KEY, 2]
    for block in range(height // 2 * (width // 2)):
        top, left = block // (width // 2) * 2, block % (width // 2) * 2
        smooth = is_smooth(triangle, depth, material, top, left)
        for n in range(3 if smooth else 0, 4):
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

            near = px + nx * 0.02, py + ny * 0.02, pz + nz * 0.02
            scale, centre, softness = numbers[SHADOW_SCALE], numbers[SHADOW_CENTRE], numbers[SOFTNESS]
            taps = lit_taps(shadow_map, light_frame, scale, centre, softness, near[0], near[1], near[2], x, y)
            if smooth:
                taps += lit_taps(shadow_map, light_frame, scale, centre, softness, near[0], near[1], near[2], left, top)
            else:
                taps *= 2
            lit = taps / (2 * TAPS)
            to_key = nx * kx + ny * ky + nz * kz
            to_rim = nx * lights[RIM, 0] + ny * lights[RIM, 1] + nz * lights[RIM, 2]
            hx, hy, hz = unit(kx + vx, ky + vy, kz + vz)
            half = max(0.0, nx * hx + ny * hy + nz * hz)
            view_half = max(0.0, vx * hx + vy * hy + vz * hz)
            rx, ry, rz = 2 * facing * nx - vx, 2 * facing * ny - vy, 2 * facing * nz - vz
            glint = eye_glint(rx, ry, rz, lit, lights, numbers) if m == EYE else 0.0
            direct, mirrored = highlight(m, trait, lit, ao, facing, half, view_half, to_key, glint, numbers)
            rim = 0.0
            if m in (SKIN, HAIR, CLOTH, HEADWEAR, SCARF):
                rim = (1 - facing) ** 3 * max(0.0, 0.35 + 0.65 * to_rim) * numbers[RIM_GAIN] * (0.4 + 0.6 * ao)
            tint_edge = m == SKIN or toon > 0
            behind = 0.0 if m in (TEETH, TONGUE) else ao
            for k in range(3):
                w = wrap[m, k]
                spread = 1 / ((1 + w) * (1 + w))
                key = lights[KEY_COLOUR, k]
                shadow = tinted(taps, k) if tint_edge else lit
                diffuse = key * max(0.0, to_key + w) * spread * shadow + irradiance(sky, nx, ny, nz, k) * ao
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
        if smooth:
            for n in range(3):
                y, x = top + n // 2, left + n % 2
                label[y, x] = label[top + 1, left + 1]
                for k in range(3):
                    out[y, x, k] = out[top + 1, left + 1, k]
    return out, label
