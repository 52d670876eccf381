"""Soft shadows for the compiled kernels: taps of the shadow map, and how a penumbra tints skin."""

from __future__ import annotations

import numpy as np

from compress.faces.kernel import Floats, kernel
from compress.faces.sampling import hash01

SHADOW_BIAS = 0.045
SHADOW_DEPTH = 20.0
TAPS, TURNS = 8, 64

_TAP = np.arange(TAPS)
_ANGLE = (_TAP * 2.399963)[None] + (np.arange(TURNS) * 2 * np.pi / TURNS)[:, None]
_TAP_X = (np.sqrt((_TAP + 0.5) / TAPS) * np.cos(_ANGLE)).astype(np.float32)
_TAP_Y = (np.sqrt((_TAP + 0.5) / TAPS) * np.sin(_ANGLE)).astype(np.float32)
# Share of each channel that the given number of lit taps of two sets lets through, where a shadow's edge is tinted.
_TINTED = ((np.arange(2 * TAPS + 1) / (2 * TAPS))[:, None] ** (0.65 + 0.175 * np.arange(3))).astype(np.float32)


@kernel
def lit_taps(
    shadow_map: Floats,
    frame: Floats,
    texels: tuple[float, float, float],
    point: tuple[float, float, float],
    x: int,
    y: int,
) -> int:
    """How many of the taps around a point the key light reaches; the taps are turned at random from sample to sample.

    frame [3, 3]: axes of the shadow map; texels: scale and centre (scene units to texels), radius of the taps; x, y:
    the sample, which chooses the turn.
    """
    scale, centre, softness = texels
    px, py, pz = point
    size = shadow_map.shape[0]
    sx = (frame[0, 0] * px + frame[0, 1] * py + frame[0, 2] * pz) * scale + centre
    sy = (frame[1, 0] * px + frame[1, 1] * py + frame[1, 2] * pz) * scale + centre
    depth = SHADOW_DEPTH - SHADOW_BIAS - (frame[2, 0] * px + frame[2, 1] * py + frame[2, 2] * pz)
    turn = int(hash01(x, y, 3) * TURNS) % TURNS
    lit = 0
    for k in range(TAPS):
        ix = int(sx + _TAP_X[turn, k] * softness)
        iy = int(sy + _TAP_Y[turn, k] * softness)
        inside = 0 <= ix < size and 0 <= iy < size
        lit += not (inside and shadow_map[iy, ix] < depth)
    return lit


@kernel
def tinted(taps: int, k: int) -> float:
    """Share of channel k at the edge of a shadow on skin, where red light is scattered furthest; taps: of two sets."""
    share: float = _TINTED[taps, k]
    return share
