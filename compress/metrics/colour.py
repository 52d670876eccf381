"""Colour of local means: what a cast, a gamma or a wrong normalisation moves, and a blur does not.

A picture is averaged in linear light over a grid of 8 x 8 fields, and each field is compared by CIEDE2000. Not covered:
colour of single pixels and of fine texture, for which PSNR and texture distances exist.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

GRID = 8
_LEVELS = np.arange(256) / 255
# IEC 61966-2-1: sRGB values to linear light, and linear sRGB to XYZ.
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ.sum(axis=1)


def fields(images: Bytes) -> Floats:
    """CIE Lab (D65) of the mean linear light of each of 8 x 8 fields: uint8 sRGB [N, H, W, 3] -> [N, 8, 8, 3].

    Fields differ by a pixel where the side is no multiple of 8. Raises ValueError for images below 8 px.
    """
    height, width = images.shape[1:3]
    if min(height, width) < GRID:
        raise ValueError(f"colour of {height} x {width} px needs at least {GRID} px")
    light: Floats = _LINEAR[images]
    for axis, size in ((1, height), (2, width)):
        starts = np.arange(GRID) * size // GRID
        counts = np.diff([*starts, size])
        light = np.add.reduceat(light, starts, axis=axis) / counts.reshape([-1 if a == axis else 1 for a in range(4)])
    return lab(light)


def lab(light: Floats) -> Floats:
    """CIE Lab of linear sRGB [..., 3] in 0..1 for the white of D65: L 0..100. Source: CIE 15:2004, section 8.2.1."""
    t = light @ _XYZ.T / _WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(first: Floats, second: Floats) -> Floats:
    """Colour difference of Lab values [..., 3] -> [...]; about 1 is just visible side by side.

    Source: Sharma, Wu and Dalal, Color Research and Application 30(1), 2005, equations 2 to 22.
    """
    l1, l2 = first[..., 0], second[..., 0]
    c_mean = (np.hypot(first[..., 1], first[..., 2]) + np.hypot(second[..., 1], second[..., 2])) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7)))
    c1, c2 = (np.hypot(stretch * lab[..., 1], lab[..., 2]) for lab in (first, second))
    h1, h2 = (np.degrees(np.arctan2(lab[..., 2], stretch * lab[..., 1])) % 360 for lab in (first, second))
    grey = c1 * c2 == 0
    turn = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)
    # Half a circle apart is +180, whichever comes first: it decides between two hues for the mean below.
    turn = np.where(np.isclose(turn, -180, rtol=0, atol=1e-9) & (h2 > h1), 180, turn)
    hue_step = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    hue = np.where(grey, h1 + h2, np.where(np.abs(h1 - h2) <= 180, (h1 + h2) / 2, (h1 + h2 + 360) / 2 % 360))
    return _weighted(l2 - l1, c2 - c1, hue_step, lightness, chroma, hue)


def _weighted(dl: Floats, dc: Floats, dh: Floats, lightness: Floats, chroma: Floats, hue: Floats) -> Floats:
    """The three differences, weighted by where in the colour space they lie, and the two of chroma and hue rotated."""
    cosine = 1 + sum(
        factor * np.cos(np.radians(times * hue + shift))
        for factor, times, shift in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    )
    from_middle = np.square(lightness - 50)
    s_l = 1 + 0.015 * from_middle / np.sqrt(20 + from_middle)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * cosine
    around_blue = 30 * np.exp(-np.square((hue - 275) / 25))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(2 * around_blue))
    l_, c_, h_ = dl / s_l, dc / s_c, dh / s_h
    difference: Floats = np.sqrt(np.maximum(l_**2 + c_**2 + h_**2 + rotation * c_ * h_, 0))
    return difference


def shift(student: Floats, teacher: Floats) -> Floats:
    """CIEDE2000 between the `fields` of student and teacher [N, 8, 8, 3], mean over fields, [N]."""
    each: Floats = ciede2000(student, teacher).mean(axis=(1, 2))
    return each
