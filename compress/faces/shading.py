"""Deferred shading of rasterised samples: wrapped diffuse in three widths for skin, GGX, soft shadow, harmonics, rim.

One kernel for both views; the cartoon is a set of parameters. Colours are linear light. Does not grade (see grade.py).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from compress.faces.fabric import weave
from compress.faces.materials import CLOTH, EYE, GLASSES, HAIR, HEADWEAR, LIP_LABEL, SCARF, SKIN, TEETH, TONGUE
from compress.faces.sampling import hash01, sample_texture

# Rows of `colours` [COLOURS, 3].
SKIN_GAIN, HAIR_COLOUR, CLOTH_COLOUR, SHIRT, TIE, LIPS, EYE_GAIN, BEARD_COLOUR, FRAME_COLOUR = range(9)
LENS_COLOUR, HEADWEAR_COLOUR, HEADWEAR_SECOND, SCARF_COLOUR, SCARF_SECOND, SHADOW_COLOUR = range(9, 15)
COLOURS = 15
# Rows of `lights` [6, 3].
KEY, KEY_COLOUR, RIM, RIM_COLOUR, CAMERA, CATCH = range(6)
# Entries of `numbers`.
(
    CARTOON,
    GLOSS,
    ROUGHNESS,
    LIPSTICK,
    BLUSH,
    BEARD,
    FRECKLES,
    RIM_GAIN,
    HAIR_GLOSS,
    CATCHLIGHT,
    IRIS_ZOOM,
    SOFTNESS,
    SHADOW_SCALE,
    SHADOW_CENTRE,
    SUIT,
    LAPEL,
    TIED,
    SCLERA,
    HEADWEAR_PATTERN,
    HEADWEAR_PERIOD,
    SCARF_PATTERN,
    SCARF_PERIOD,
    EYE_SHADOW,
    LINER,
    WRAP_RED,
    WRAP_GREEN,
    WRAP_BLUE,
    STRANDS,
    SECOND_CATCHLIGHT,
) = range(29)
NUMBERS = 29

IRIS_EDGE, PUPIL_EDGE = 0.120, 0.046
SHADOW_BIAS = 0.045
SHADOW_DEPTH = 20.0

_K = np.arange(8)
_TAP_X = (np.sqrt((_K + 0.5) / 8) * np.cos(_K * 2.399963)).astype(np.float32)
_TAP_Y = (np.sqrt((_K + 0.5) / 8) * np.sin(_K * 2.399963)).astype(np.float32)
_TURN_X = np.cos(np.arange(64) * 2 * np.pi / 64).astype(np.float32)
_TURN_Y = np.sin(np.arange(64) * 2 * np.pi / 64).astype(np.float32)
_LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


@njit(cache=True, error_model="numpy")
def irradiance(harmonics, x, y, z, k):  # type: ignore[no-untyped-def]
    """Second-order harmonics of channel k in direction (x, y, z)."""
    return (
        harmonics[0, k] * 0.282095
        + 0.488603 * (harmonics[1, k] * y + harmonics[2, k] * z + harmonics[3, k] * x)
        + 1.092548 * (harmonics[4, k] * x * y + harmonics[5, k] * y * z + harmonics[7, k] * x * z)
        + harmonics[6, k] * 0.315392 * (3 * z * z - 1)
        + harmonics[8, k] * 0.546274 * (x * x - y * y)
    )


@njit(cache=True, error_model="numpy")
def decode(value):  # type: ignore[no-untyped-def]
    """Texel 0..255 to linear light."""
    low = int(value)
    high = min(255, low + 1)
    share = value - low
    return _LINEAR[low] * (1 - share) + _LINEAR[high] * share


@njit(cache=True, error_model="numpy")
def lit_share(shadow_map, frame, scale, centre, softness, px, py, pz, x, y):  # type: ignore[no-untyped-def]
    """Share of the key light that reaches a point: eight taps of the shadow map, turned at random."""
    size = shadow_map.shape[0]
    sx = (frame[0, 0] * px + frame[0, 1] * py + frame[0, 2] * pz) * scale + centre
    sy = (frame[1, 0] * px + frame[1, 1] * py + frame[1, 2] * pz) * scale + centre
    depth = SHADOW_DEPTH - (frame[2, 0] * px + frame[2, 1] * py + frame[2, 2] * pz)
    turn = int(hash01(x, y, 3) * 64.0) % 64
    ca = _TURN_X[turn]
    sa = _TURN_Y[turn]
    hidden = 0.0
    for k in range(8):
        ix = int(sx + (ca * _TAP_X[k] - sa * _TAP_Y[k]) * softness)
        iy = int(sy + (sa * _TAP_X[k] + ca * _TAP_Y[k]) * softness)
        if 0 <= ix < size and 0 <= iy < size and shadow_map[iy, ix] < depth - SHADOW_BIAS:
            hidden += 0.125
    return 1.0 - hidden


@njit(cache=True, error_model="numpy")
def skin_albedo(rgb, zone, scalp, colours, numbers):  # type: ignore[no-untyped-def]
    """Skin colour in place: tone, beard, scalp hair, blush, freckles, lips; zone is the zone texture in 0..1."""
    toon = numbers[CARTOON]
    fine = (zone[3] - 0.5) * 8.0
    for k in range(3):
        rgb[k] *= colours[SKIN_GAIN, k]
    blush = numbers[BLUSH] * zone[2]
    rgb[0] *= 1 - 0.02 * blush
    rgb[1] *= 1 - 0.28 * blush
    rgb[2] *= 1 - 0.24 * blush
    freckle = max(0.0, fine - 1.5) * numbers[FRECKLES] * (1 - toon) * (1 - zone[0])
    shade = 1 + 0.012 * fine * (1 - toon)
    rgb[0] *= shade * math.exp(-0.15 * freckle)
    rgb[1] *= shade * math.exp(-0.28 * freckle)
    rgb[2] *= shade * math.exp(-0.36 * freckle)
    lip = zone[0] * numbers[LIPSTICK]
    for k in range(3):
        rgb[k] *= 1 + lip * (colours[LIPS, k] - 1)
    beard = min(1.0, zone[1] * numbers[BEARD] * (1 + (0.10 - 0.08 * toon) * fine))
    for k in range(3):
        rgb[k] += (colours[BEARD_COLOUR, k] - rgb[k]) * beard
    cover = min(1.0, max(0.0, scalp * (1 + (0.08 - 0.07 * toon) * fine)))
    for k in range(3):
        rgb[k] += (colours[HAIR_COLOUR, k] * 0.8 + 0.004 - rgb[k]) * cover


@njit(cache=True, error_model="numpy")
def shade(  # type: ignore[no-untyped-def]
    triangle,
    bary0,
    bary1,
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

    zones [3] int64: offset, width and height of the zone texture; light_frame [3, 3]: axes of the shadow map.
    """
    height, width = triangle.shape
    out = np.zeros((height, width, 3), np.float32)
    label = np.zeros((height, width), np.uint8)
    texel = np.zeros(4, np.float64)
    zone = np.zeros(4, np.float64)
    rgb = np.zeros(3, np.float64)
    wrap = np.zeros(3, np.float64)
    toon = numbers[CARTOON]
    for y in range(height):
        for x in range(width):
            i = triangle[y, x]
            if i < 0:
                continue
            m = material[i]
            label[y, x] = m + 1
            c0 = bary0[y, x]
            c1 = bary1[y, x]
            c2 = 1 - c0 - c1
            a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
            nx = c0 * normals[a, 0] + c1 * normals[b, 0] + c2 * normals[c, 0]
            ny = c0 * normals[a, 1] + c1 * normals[b, 1] + c2 * normals[c, 1]
            nz = c0 * normals[a, 2] + c1 * normals[b, 2] + c2 * normals[c, 2]
            px = c0 * positions[a, 0] + c1 * positions[b, 0] + c2 * positions[c, 0]
            py = c0 * positions[a, 1] + c1 * positions[b, 1] + c2 * positions[c, 1]
            pz = c0 * positions[a, 2] + c1 * positions[b, 2] + c2 * positions[c, 2]
            ao = c0 * occlusion[a] + c1 * occlusion[b] + c2 * occlusion[c]
            u = c0 * uv[uv_faces[i, 0], 0] + c1 * uv[uv_faces[i, 1], 0] + c2 * uv[uv_faces[i, 2], 0]
            v = c0 * uv[uv_faces[i, 0], 1] + c1 * uv[uv_faces[i, 1], 1] + c2 * uv[uv_faces[i, 2], 1]
            length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            nx /= length
            ny /= length
            nz /= length
            vx = lights[CAMERA, 0] - px
            vy = lights[CAMERA, 1] - py
            vz = lights[CAMERA, 2] - pz
            length = math.sqrt(vx * vx + vy * vy + vz * vz)
            vx /= length
            vy /= length
            vz /= length
            facing = nx * vx + ny * vy + nz * vz
            if facing < 0.0 and (m == HEADWEAR or m == SCARF):
                nx, ny, nz, facing = -nx, -ny, -nz, -facing
            if facing < 0.02 and m != EYE:
                nx -= vx * (facing - 0.02)
                ny -= vy * (facing - 0.02)
                nz -= vz * (facing - 0.02)
                length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
                nx /= length
                ny /= length
                nz /= length
            facing = max(facing, 0.02)

            iris = 0.0
            if m == EYE:
                cu, cv = 0.295, 0.305
                if u + v > 1.0:
                    cu, cv = 0.71, 0.70
                du = u - cu
                dv = v - cv
                zoom = 1.0 / numbers[IRIS_ZOOM]
                r = math.sqrt(du * du + dv * dv) * zoom
                if r > IRIS_EDGE:
                    zoom += (1 - zoom) * min(1.0, (r - IRIS_EDGE) / 0.06)
                u = cu + du * zoom
                v = cv + dv * zoom
                iris = 1.0 - min(1.0, max(0.0, (r - 0.105) / 0.02))
            wrap[0], wrap[1], wrap[2] = 0.1, 0.1, 0.1
            strand = 0.0
            lip = 0.0
            if m == CLOTH:
                row = CLOTH_COLOUR
                if numbers[SUIT] > 0 and v < 0.45 * max(0.0, 1 - u / numbers[LAPEL]) + 0.02:
                    row = SHIRT
                    if numbers[TIED] > 0 and v < 0.075 + 0.03 * u and u > 0.03:
                        row = TIE
                for k in range(3):
                    rgb[k] = colours[row, k]
            elif m == GLASSES:
                for k in range(3):
                    rgb[k] = colours[LENS_COLOUR if u > 0.5 else FRAME_COLOUR, k]
            elif m == HEADWEAR:
                pattern = int(numbers[HEADWEAR_PATTERN])
                weave(rgb, u, v, colours[HEADWEAR_COLOUR], colours[HEADWEAR_SECOND], pattern, numbers[HEADWEAR_PERIOD])
            elif m == SCARF:
                pattern = int(numbers[SCARF_PATTERN])
                weave(rgb, u, v, colours[SCARF_COLOUR], colours[SCARF_SECOND], pattern, numbers[SCARF_PERIOD])
            else:
                sample_texture(flat, textures[m, 0], textures[m, 1], textures[m, 2], u, v, texel)
                if m == HAIR:
                    strand = 1 + numbers[STRANDS] * ((texel[1] if toon > 0 else texel[0]) / 110.0 - 1)
                    for k in range(3):
                        rgb[k] = colours[HAIR_COLOUR, k] * strand**1.3
                        wrap[k] = 0.5
                else:
                    for k in range(3):
                        rgb[k] = decode(texel[k])
            if m == SKIN:
                sample_texture(flat, zones[0], zones[1], zones[2], u, v, zone)
                for k in range(4):
                    zone[k] /= 255.0
                lip = zone[0]
                if lip > 0.5:
                    label[y, x] = LIP_LABEL
                skin_albedo(rgb, zone, c0 * scalp[a] + c1 * scalp[b] + c2 * scalp[c], colours, numbers)
                wrap[0], wrap[1], wrap[2] = numbers[WRAP_RED], numbers[WRAP_GREEN], numbers[WRAP_BLUE]
            elif m == EYE:
                for k in range(3):
                    rgb[k] *= colours[EYE_GAIN, k] * iris + numbers[SCLERA] * (1 - iris)
                if toon > 0:
                    level = (rgb[0] + rgb[1] + rgb[2]) / 3
                    lift = max(0.0, 0.07 - level) if r > PUPIL_EDGE else 0.0
                    for k in range(3):
                        rgb[k] += iris * (0.2 * (level - rgb[k]) + lift * (1.3 - 0.45 * k))
            elif m == TEETH:
                for k in range(3):
                    rgb[k] = min(0.9, rgb[k] * (1.0 + 0.12 * toon))
            elif toon > 0 and m in (CLOTH, HEADWEAR, SCARF):
                wrap[0], wrap[1], wrap[2] = 0.4, 0.4, 0.4

            lit = lit_share(
                shadow_map,
                light_frame,
                numbers[SHADOW_SCALE],
                numbers[SHADOW_CENTRE],
                numbers[SOFTNESS],
                px + nx * 0.02,
                py + ny * 0.02,
                pz + nz * 0.02,
                x,
                y,
            )
            to_key = nx * lights[KEY, 0] + ny * lights[KEY, 1] + nz * lights[KEY, 2]
            to_rim = nx * lights[RIM, 0] + ny * lights[RIM, 1] + nz * lights[RIM, 2]
            hx = lights[KEY, 0] + vx
            hy = lights[KEY, 1] + vy
            hz = lights[KEY, 2] + vz
            length = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
            half = max(0.0, (nx * hx + ny * hy + nz * hz) / length)
            view_half = max(0.0, (vx * hx + vy * hy + vz * hz) / length)
            rx = 2 * facing * nx - vx
            ry = 2 * facing * ny - vy
            rz = 2 * facing * nz - vz
            gloss = 0.0
            if m == SKIN:
                rough = numbers[ROUGHNESS] * (1 - 0.25 * lip)
                a2 = rough**4
                d = half * half * (a2 - 1) + 1
                kk = (rough + 1) ** 2 / 8
                visible = 1 / ((facing * (1 - kk) + kk) * (max(to_key, 0.05) * (1 - kk) + kk))
                fresnel = 0.04 + 0.96 * (1 - view_half) ** 5
                gloss = numbers[GLOSS] * (1 + 0.6 * lip) * a2 / (math.pi * d * d + 1e-9) * fresnel * visible * 0.25
                gloss *= max(to_key, 0.0) * lit
            glint = 0.0
            if m == EYE:
                towards = rx * lights[CATCH, 0] + ry * lights[CATCH, 1] + rz * lights[CATCH, 2]
                edge = 0.984 - 0.022 * toon
                glint = numbers[CATCHLIGHT] * min(1.0, max(0.0, (towards - edge) / 0.008)) * (0.5 + 0.5 * lit)
                # A smaller one below, opposite to the first: light that a floor or a table would throw.
                towards = rz * lights[CATCH, 2] - 0.7 * rx * lights[CATCH, 0] - 0.6 * ry * lights[CATCH, 1]
                glint += numbers[SECOND_CATCHLIGHT] * min(1.0, max(0.0, (towards - 0.975) / 0.008))
            rim = (1 - facing) ** 3 * max(0.0, 0.35 + 0.65 * to_rim) * numbers[RIM_GAIN]
            for k in range(3):
                w = wrap[k]
                diffuse = max(0.0, (to_key + w) / ((1 + w) * (1 + w)))
                shadow = lit
                if (m == SKIN or toon > 0) and 0.0 < lit < 1.0:
                    shadow = lit ** (0.65 + 0.175 * k)
                ambient = max(0.0, irradiance(harmonics, nx, ny, nz, k))
                key = lights[KEY_COLOUR, k]
                value = rgb[k] * (key * diffuse * shadow + ambient * ao)
                if m != TEETH and m != TONGUE:
                    back = max(0.0, (to_rim + w) / ((1 + w) * (1 + w)))
                    value += rgb[k] * lights[RIM_COLOUR, k] * back * ao
                if m == SKIN:
                    sheen = (0.04 + 0.96 * (1 - facing) ** 5) * 0.22 * numbers[GLOSS] * ao
                    value += key * gloss + max(0.0, irradiance(harmonics, rx, ry, rz, k)) * sheen
                elif m == HAIR:
                    shine = half**18 * 0.10 + half**60 * 0.07
                    tint = 0.35 + 0.65 * (rgb[k] / (rgb[k] + 0.1))
                    value += key * numbers[HAIR_GLOSS] * lit * shine * tint * (0.3 + 0.7 * strand)
                elif m == EYE:
                    value += key * glint + 0.03 * max(0.0, irradiance(harmonics, rx, ry, rz, k)) * ao
                elif m == GLASSES:
                    value += (key * half**30 * 0.6 * lit + 0.06 * max(0.0, irradiance(harmonics, rx, ry, rz, k))) * ao
                elif m == TEETH:
                    value = value * 0.95 + rgb[k] * key * 0.15 + key * 0.03 * half**40 * lit
                if m in (SKIN, HAIR, CLOTH, HEADWEAR, SCARF):
                    tint = min(1.0, (0.05 if m == HAIR else 0.25) + 1.6 * rgb[k])
                    value += lights[RIM_COLOUR, k] * rim * (0.4 + 0.6 * ao) * tint
                out[y, x, k] = value
    return out, label
