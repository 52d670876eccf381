"""Colour of local means: what a cast, a gamma or a wrong normalisation moves, and a blur does not.

A picture's values are averaged over a grid of 8 x 8 fields (as they are stored: a mean of light would move with a blur)
and each field is compared by CIEDE2000. Not covered: colour of single pixels, for which PSNR exists.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

GRID = 8
# Linear sRGB to XYZ. Source: IEC 61966-2-1.
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _XYZ.sum(axis=1)


def fields(images: Bytes) -> Floats:
    """CIE Lab (D65) of the mean of each of 8 x 8 fields: uint8 sRGB [N, H, W, 3] -> [N, 8, 8, 3].

    Fields differ by a pixel where the side is no multiple of 8. Raises ValueError for images below 8 px.
    """
    height, width = images.shape[1:3]
    if min(height, width) < GRID:
        raise ValueError(f"colour of {height} x {width} px needs at least {GRID} px")
    sums: NDArray[np.generic] = images
    for axis, size in ((1, height), (2, width)):
        sums = np.add.reduceat(sums, np.arange(GRID) * size // GRID, axis=axis, dtype=np.uint32)
    sizes = [np.diff([*(np.arange(GRID) * size // GRID), size]) for size in (height, width)]
    return lab(linear(sums / np.outer(*sizes)[:, :, None] / 255))


def linear(values: Floats) -> Floats:
    """sRGB values in 0..1 to linear light. Source: IEC 61966-2-1."""
    light: Floats = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return light


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
