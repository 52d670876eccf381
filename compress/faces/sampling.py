"""Look-ups that the compiled kernels share: textures and repeatable random numbers of places."""

from __future__ import annotations

import numpy as np

from compress.faces.kernel import Bytes, Floats, kernel


@kernel
def hash01(x: int, y: int, s: int) -> np.float32:
    """A repeatable pseudo-random number in [0, 1) of three integers."""
    h = np.uint32(x * 374761393 + y * 668265263 + s * 2246822519)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = h ^ (h >> np.uint32(16))
    return np.float32(h & np.uint32(0xFFFFFF)) / np.float32(16777216.0)


@kernel
def sample_texture(flat: Bytes, offset: int, width: int, height: int, u: float, v: float, out: Floats) -> None:
    """Bilinear RGBA look-up into the flat uint8 atlas; v points up; out [4] gets 0..255."""
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max((1.0 - v) * height - 0.5, 0.0), height - 1.001)
    ix = int(x)
    iy = int(y)
    fx = x - ix
    fy = y - iy
    o = offset + (iy * width + ix) * 4
    for k in range(4):
        top = flat[o + k] * (1 - fx) + flat[o + 4 + k] * fx
        bottom = flat[o + width * 4 + k] * (1 - fx) + flat[o + width * 4 + 4 + k] * fx
        out[k] = top * (1 - fy) + bottom * fy


@kernel
def texture_alpha(flat: Bytes, offset: int, width: int, height: int, u: float, v: float) -> float:
    """Bilinear look-up of the alpha channel alone, 0..255; see sample_texture."""
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max((1.0 - v) * height - 0.5, 0.0), height - 1.001)
    ix = int(x)
    iy = int(y)
    fx = x - ix
    fy = y - iy
    o = offset + (iy * width + ix) * 4 + 3
    top = flat[o] * (1 - fx) + flat[o + 4] * fx
    bottom = flat[o + width * 4] * (1 - fx) + flat[o + width * 4 + 4] * fx
    alpha: float = top * (1 - fy) + bottom * fy
    return alpha
