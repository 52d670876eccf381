"""Light on a point for the compiled kernels: surroundings, how far light wraps, what materials mirror.

All colours are linear light. Does not say what is in shadow (shadows.py) nor of what colour things are (albedo.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.faces.kernel import Floats, kernel
from compress.faces.materials import (
    CLOTH,
    EYE,
    GLASSES,
    HAIR,
    HEADWEAR,
    MATERIALS,
    SCARF,
    SKIN,
    TEETH,
)
from compress.faces.shading import (
    CARTOON,
    CATCH,
    CATCHLIGHT,
    GLOSS,
    HAIR_GLOSS,
    SECOND_CATCHLIGHT,
    WRAP_BLUE,
    WRAP_GREEN,
    WRAP_RED,
)
from compress.faces.skin import skin_gloss

Array = npt.NDArray[np.float32]
_BASIS = np.array([0.282095] + [0.488603] * 3 + [1.092548] * 2 + [0.315392, 1.092548, 0.546274])


@kernel
def irradiance(harmonics: Floats, x: float, y: float, z: float, k: int) -> float:
    """Second-order harmonics [9, 3] of channel k, times their basis factors, in direction (x, y, z); not negative."""
    flat = harmonics[0, k] + harmonics[1, k] * y + harmonics[2, k] * z + harmonics[3, k] * x
    mixed = harmonics[4, k] * (x * y) + harmonics[5, k] * (y * z) + harmonics[7, k] * (x * z)
    light: float = max(
        0.0,
        flat + mixed + harmonics[6, k] * (3 * z * z - 1) + harmonics[8, k] * (x * x - y * y),
    )
    return light


def scale_harmonics(harmonics: Array) -> Array:
    """Harmonics [9, 3] times the factors of their basis, for `irradiance`."""
    return np.asarray(harmonics * _BASIS.reshape(9, 1))


def wraps(numbers: Array) -> npt.NDArray[np.float64]:
    """How far light wraps around each material in each channel, and the gain that keeps its sum: [materials, 6]."""
    out = np.full((MATERIALS, 6), 0.1)
    out[HAIR] = 0.5
    out[SKIN, 0], out[SKIN, 1], out[SKIN, 2] = (
        numbers[WRAP_RED],
        numbers[WRAP_GREEN],
        numbers[WRAP_BLUE],
    )
    if numbers[CARTOON] > 0:
        out[CLOTH], out[HEADWEAR], out[SCARF] = 0.4, 0.4, 0.4
    out[:, 3:] = 1 / (1 + out[:, :3]) ** 2
    return out


@kernel
def eye_glint(rx: float, ry: float, rz: float, lit: float, lights: Floats, numbers: Floats) -> float:
    """Brightness of the lights that an eye mirrors in direction (rx, ry, rz)."""
    towards = rx * lights[CATCH, 0] + ry * lights[CATCH, 1] + rz * lights[CATCH, 2]
    edge = 0.984 - 0.022 * numbers[CARTOON]
    glint: float = numbers[CATCHLIGHT] * min(1.0, max(0.0, (towards - edge) / 0.008)) * (0.5 + 0.5 * lit)
    # A smaller one below, opposite to the first: light that a floor or a table would throw.
    towards = rz * lights[CATCH, 2] - 0.7 * rx * lights[CATCH, 0] - 0.6 * ry * lights[CATCH, 1]
    second: float = numbers[SECOND_CATCHLIGHT] * min(1.0, max(0.0, (towards - 0.975) / 0.008))
    return glint + second


@kernel
def highlight(
    m: int,
    trait: float,
    lit: float,
    ao: float,
    facing: float,
    half: float,
    view_half: float,
    to_key: float,
    glint: float,
    numbers: Floats,
) -> tuple[float, float]:
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
