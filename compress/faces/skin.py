"""Skin in the compiled kernels: its colour from texture, zones and make-up, and its gloss. Does not light it."""

from __future__ import annotations

import math

from compress.faces.kernel import Floats, kernel
from compress.faces.shading import (
    BEARD,
    BEARD_COLOUR,
    BLUSH,
    CARTOON,
    EYE_SHADOW,
    FRECKLES,
    GLOSS,
    HAIR_COLOUR,
    LINER,
    LIPS,
    LIPSTICK,
    ROUGHNESS,
    SHADOW_COLOUR,
    SKIN_GAIN,
)
from compress.faces.skin_textures import LINE


@kernel
def skin_albedo(rgb: Floats, zone: Floats, beard: float, scalp: float, colours: Floats, numbers: Floats) -> None:
    """Skin colour in place: tone, make-up, freckles, lips, beard, scalp hair; zone is the zone texture in 0..1."""
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
    for k in range(3):
        rgb[k] *= shade
    if freckle > 0:
        rgb[0] *= math.exp(-0.15 * freckle)
        rgb[1] *= math.exp(-0.28 * freckle)
        rgb[2] *= math.exp(-0.36 * freckle)
    lip = zone[0] * numbers[LIPSTICK]
    for k in range(3):
        rgb[k] *= 1 + lip * (colours[LIPS, k] - 1)
    shadow = 0.8 * min(1.0, zone[1] / LINE) * numbers[EYE_SHADOW]
    liner = 0.9 * max(0.0, zone[1] - LINE) / (1 - LINE) * numbers[LINER]
    for k in range(3):
        rgb[k] = (rgb[k] + (colours[SHADOW_COLOUR, k] - rgb[k]) * shadow) * (1 - liner)
    beard = min(1.0, beard * numbers[BEARD] * (1 + (0.10 - 0.08 * toon) * fine))
    for k in range(3):
        rgb[k] += (colours[BEARD_COLOUR, k] - rgb[k]) * beard
    cover = min(1.0, max(0.0, scalp * (1 + (0.08 - 0.07 * toon) * fine)))
    for k in range(3):
        rgb[k] += (colours[HAIR_COLOUR, k] * 0.8 + 0.004 - rgb[k]) * cover


@kernel
def skin_gloss(lip: float, facing: float, half: float, view_half: float, to_key: float, numbers: Floats) -> float:
    """Share of the key light that skin mirrors to the camera: GGX (Walter et al. 2007), glossier lips."""
    rough = numbers[ROUGHNESS] * (1 - 0.25 * lip)
    a2 = rough**4
    d = half * half * (a2 - 1) + 1
    kk = (rough + 1) ** 2 / 8
    visible = 1 / ((facing * (1 - kk) + kk) * (max(to_key, 0.05) * (1 - kk) + kk))
    fresnel = 0.04 + 0.96 * (1 - view_half) ** 5
    share: float = (
        numbers[GLOSS] * (1 + 0.6 * lip) * a2 / (math.pi * d * d + 1e-9) * fresnel * visible * 0.25 * max(to_key, 0.0)
    )
    return share
