"""Colour of fabrics and lenses in the shading kernel: patterns in decimetres of cloth. Does not light them."""

from __future__ import annotations

import math

from compress.faces.kernel import Floats, kernel
from compress.faces.wear import BANDED, CHECKED, DOTTED, RIBBED, STRIPED, TRIMMED

RIBBON = 0.24
"""Height of a hat's ribbon over the brim, in decimetres."""


@kernel
def weave(rgb: Floats, u: float, v: float, first: Floats, second: Floats, pattern: int, period: float) -> None:
    """Colour in place of a fabric at (u, v) decimetres: rows `first` and `second` [3], pattern, period."""
    share = 0.0
    a = u / period
    b = v / period
    a -= math.floor(a)
    b -= math.floor(b)
    if pattern == STRIPED:
        share = 1.0 if b < 0.5 else 0.0
    elif pattern == RIBBED:
        rib = 3.0 * u / period
        share = (0.5 - 0.5 * math.cos(2 * math.pi * rib)) ** 2
    elif pattern == CHECKED:
        share = (0.5 if a < 0.4 else 0.0) + (0.5 if b < 0.4 else 0.0)
    elif pattern == DOTTED:
        share = 1.0 if (a - 0.5) ** 2 + (b - 0.5) ** 2 < 0.06 else 0.0
    elif pattern == BANDED:
        share = 1.0 if -RIBBON < v < 0.0 else 0.0
    elif pattern == TRIMMED:
        share = 1.0 if v > 0.005 else 0.0
    for k in range(3):
        rgb[k] = first[k] + (second[k] - first[k]) * share
