"""Colour of every material at a sample, in linear light, from textures and the person's colours. Does not light it."""

from __future__ import annotations

import math

import numpy as np

from compress.faces.fabric import weave
from compress.faces.kernel import Bytes, Floats, Ints, kernel
from compress.faces.materials import BEARD, CLOTH, EYE, GLASSES, HAIR, HEADWEAR, SCARF, SKIN, TEETH
from compress.faces.sampling import sample_texture
from compress.faces.shading import BEARD as BEARD_DENSITY
from compress.faces.shading import (
    BEARD_COLOUR,
    CARTOON,
    CLOTH_COLOUR,
    CLOTH_PATTERN,
    CLOTH_PERIOD,
    CLOTH_SECOND,
    EYE_GAIN,
    FRAME_COLOUR,
    HAIR_COLOUR,
    HEADWEAR_COLOUR,
    HEADWEAR_PATTERN,
    HEADWEAR_PERIOD,
    HEADWEAR_SECOND,
    IRIS_ZOOM,
    LAPEL,
    LENS_COLOUR,
    SCARF_COLOUR,
    SCARF_PATTERN,
    SCARF_PERIOD,
    SCARF_SECOND,
    SCLERA,
    SHIRT,
    STRANDS,
    SUIT,
    TIE,
    TIED,
)
from compress.faces.skin import skin_albedo

IRIS_EDGE, PUPIL_EDGE = 0.120, 0.046
_LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


@kernel
def decode(value: float) -> float:
    """Texel 0..255 to linear light."""
    low = int(value)
    high = min(255, low + 1)
    share = value - low
    light: float = _LINEAR[low] * (1 - share) + _LINEAR[high] * share
    return light


@kernel
def cloth_row(u: float, v: float, numbers: Floats) -> int:
    """Row of `colours` of the cloth at a depth u below the neckline and a distance v from the middle."""
    if numbers[SUIT] > 0 and v < 0.45 * max(0.0, 1 - u / numbers[LAPEL]) + 0.02:
        if numbers[TIED] > 0 and v < 0.075 + 0.03 * u and u > 0.03:
            return TIE
        return SHIRT
    return CLOTH_COLOUR


@kernel
def eye_albedo(
    rgb: Floats, u: float, v: float, flat: Bytes, place: Ints, colours: Floats, numbers: Floats, texel: Floats
) -> float:
    """Eyeball's colour in place; the iris is magnified about its centre in the texture. Returns the share of iris."""
    cu, cv = 0.295, 0.305
    if u + v > 1.0:
        cu, cv = 0.71, 0.70
    du, dv = u - cu, v - cv
    zoom = 1.0 / numbers[IRIS_ZOOM]
    r = math.sqrt(du * du + dv * dv) * zoom
    if r > IRIS_EDGE:
        zoom += (1 - zoom) * min(1.0, (r - IRIS_EDGE) / 0.06)
    iris: float = 1.0 - min(1.0, max(0.0, (r - 0.105) / 0.02))
    sample_texture(flat, place[0], place[1], place[2], cu + du * zoom, cv + dv * zoom, texel)
    for k in range(3):
        rgb[k] = decode(texel[k]) * (colours[EYE_GAIN, k] * iris + numbers[SCLERA] * (1 - iris))
    if numbers[CARTOON] > 0:
        level = (rgb[0] + rgb[1] + rgb[2]) / 3
        lift = max(0.0, 0.07 - level) if r > PUPIL_EDGE else 0.0
        for k in range(3):
            rgb[k] += iris * (0.2 * (level - rgb[k]) + lift * (1.3 - 0.45 * k))
    return iris


@kernel
def wear_albedo(rgb: Floats, m: int, u: float, v: float, colours: Floats, numbers: Floats) -> None:
    """Colour in place of clothes, headwear, scarves and spectacles."""
    if m == HEADWEAR:
        pattern = int(numbers[HEADWEAR_PATTERN])
        weave(rgb, u, v, colours[HEADWEAR_COLOUR], colours[HEADWEAR_SECOND], pattern, numbers[HEADWEAR_PERIOD])
        return
    if m == SCARF:
        pattern = int(numbers[SCARF_PATTERN])
        weave(rgb, u, v, colours[SCARF_COLOUR], colours[SCARF_SECOND], pattern, numbers[SCARF_PERIOD])
        return
    worn = LENS_COLOUR if u > 0.5 else FRAME_COLOUR
    row = worn if m == GLASSES else cloth_row(u, v, numbers)
    for k in range(3):
        rgb[k] = colours[row, k]
    if row == CLOTH_COLOUR:
        pattern = int(numbers[CLOTH_PATTERN])
        weave(rgb, u, v, colours[CLOTH_COLOUR], colours[CLOTH_SECOND], pattern, numbers[CLOTH_PERIOD])
        fold = 1 + (0.14 - 0.06 * numbers[CARTOON]) * math.sin(11.0 * u + 4.0 * math.sin(3.1 * v + 2.0 * u))
        for k in range(3):
            rgb[k] *= fold


@kernel
def albedo(
    rgb: Floats,
    m: int,
    u: float,
    v: float,
    scalp: float,
    flat: Bytes,
    textures: Ints,
    zones: Ints,
    colours: Floats,
    numbers: Floats,
    texel: Floats,
) -> float:
    """Colour [3] in place of material m; returns a trait: lip of skin 0..1, iris of an eye 0..1, strand of hair."""
    if m in (CLOTH, GLASSES, HEADWEAR, SCARF):
        wear_albedo(rgb, m, u, v, colours, numbers)
        return 0.0
    if m == EYE:
        return eye_albedo(rgb, u, v, flat, textures[EYE], colours, numbers, texel)
    sample_texture(flat, textures[m, 0], textures[m, 1], textures[m, 2], u, v, texel)
    if m in (HAIR, BEARD):
        row = HAIR_COLOUR if m == HAIR else BEARD_COLOUR
        tone = (texel[1] if numbers[CARTOON] > 0 else texel[0]) / 110.0
        strand: float = max(0.0, 1 + numbers[STRANDS] * (tone - 1))
        level = strand**1.3
        for k in range(3):
            rgb[k] = colours[row, k] * level
        return strand
    for k in range(3):
        rgb[k] = decode(texel[k])
    if m == SKIN:
        beard = 0.0
        if numbers[BEARD_DENSITY] > 0:
            sample_texture(flat, textures[BEARD, 0], textures[BEARD, 1], textures[BEARD, 2], u, v, texel)
            beard = texel[3] / 255.0
        sample_texture(flat, zones[0], zones[1], zones[2], u, v, texel)
        for k in range(4):
            texel[k] /= 255.0
        skin_albedo(rgb, texel, beard, scalp, colours, numbers)
        lip: float = texel[0]
        return lip
    if m == TEETH:
        for k in range(3):
            rgb[k] = min(0.9, rgb[k] * (1.0 + 0.12 * numbers[CARTOON]))
    return 0.0
