"""Light of a picture under named conditions: studio, room, sun, shade, dusk, stage. Does not paint the background.

`sample_lighting` draws a condition by the shares of CONDITIONS, then a key light, a fill from six sides and a light
from behind. Leaves between the sun and the person are holes in the shadow map, see `dapple`.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.conditions import CONDITIONS

Array = npt.NDArray[np.float32]

EVEN = 1.6
"""Strongest key light over the fill that an animated film leaves as it is."""
AXES = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))


@dataclass(frozen=True)
class Lighting:
    """Key and rim light (unit direction to the light, colour), irradiance harmonics [9, 3], palette of the place.

    condition: its name. softness: width of shadow edges. stops: the photographer's correction. leaves: seed of the
    dapples, 0 without.
    """

    key: Array
    key_colour: Array
    rim: Array
    rim_colour: Array
    harmonics: Array
    palette: Array
    softness: float
    background_seed: int
    condition: str = "room"
    stops: float = 0.0
    leaves: int = 0


def project_harmonics(directions: list[Array], colours: list[Array]) -> Array:
    """Cosine-convolved second-order harmonics [9, 3] of equal lobes; white light of radiance 1 gives irradiance 1.

    Source: Ramamoorthi and Hanrahan 2001.
    """
    out = np.zeros((9, 3))
    for direction, colour in zip(directions, colours, strict=True):
        x, y, z = direction / np.linalg.norm(direction)
        band = [
            0.282095,
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ]
        out += np.array(band)[:, None] * colour[None] * 4 * math.pi / len(directions)
    return np.asarray(out * np.array([1] + [2 / 3] * 3 + [1 / 4] * 5)[:, None], np.float32)


def towards(azimuth: float, elevation: float) -> Array:
    """Unit direction to a light: azimuth 0 is the camera, elevation 0 the horizon."""
    return np.array(
        [math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)],
        np.float32,
    )


def tint(warmth: float) -> npt.NDArray[np.float64]:
    """Colour [3] of light of about luminance 1: -1 blue shade, 0 white, 1 candle."""
    colour = np.exp(warmth * np.array([0.42, 0.0, -0.75]))
    return np.asarray(colour / (colour @ np.array([0.3, 0.6, 0.1])), np.float64)


def sample_lighting(random: np.random.Generator) -> Lighting:
    """Draw a condition by its share, then its lights."""
    names = list(CONDITIONS)
    shares = np.array([CONDITIONS[name].share for name in names])
    return light_up(random, names[int(random.choice(len(names), p=shares / shares.sum()))])


def light_up(random: np.random.Generator, name: str) -> Lighting:
    """Draw the lights of the named condition. Raises KeyError for a name that CONDITIONS lacks."""
    now = CONDITIONS[name]
    azimuth = float(random.uniform(*now.azimuth) * random.choice([-1.0, 1.0]))
    elevation = float(random.uniform(*now.elevation))
    key_colour = tint(random.uniform(*now.warmth)) * random.uniform(*now.key)
    fill = random.uniform(*now.fill)
    fill_tint = tint(random.uniform(*now.fill_warmth))
    behind = tint(random.uniform(*now.warmth)) * random.uniform(*now.behind) * random.uniform(0.3, 1)
    if now.tinted:
        key_colour = key_colour.mean() * _gel(random, 0.6)
        behind = behind.mean() * _gel(random, 0.85)
    palette = fill_tint * np.exp(random.normal(0, 0.08, 3))
    palette = palette * random.uniform(*now.scenery) * math.exp(random.normal(0, 0.25))
    directions, colours = [], []
    for axis in AXES:
        gain = fill * math.exp(random.normal(0, 0.45)) * (1.45 if axis[1] > 0 else (0.55 if axis[1] < 0 else 1))
        place = 0.25 * palette / palette.mean() + 0.75
        directions.append(np.array(axis, np.float32))
        colours.append(np.asarray(gain * fill_tint * place * np.exp(random.normal(0, 0.04, 3)), np.float32))
    harmonics = project_harmonics(directions, colours)
    balance = white_balance(random, key_colour, harmonics)
    rim = towards(azimuth + math.pi + random.uniform(-0.7, 0.7), random.uniform(-0.1, 0.6))
    return Lighting(
        key=towards(azimuth, elevation),
        key_colour=(key_colour * balance).astype(np.float32),
        rim=rim,
        rim_colour=(behind * balance).astype(np.float32),
        harmonics=np.asarray(harmonics * balance, np.float32),
        palette=np.clip(palette * balance, 0.02, 2.6).astype(np.float32),
        softness=float(random.uniform(*now.softness)),
        background_seed=int(random.integers(1 << 31)),
        condition=name,
        stops=float(random.uniform(*now.exposure)),
        leaves=int(random.integers(1, 1 << 31)) if now.dappled else 0,
    )


def white_balance(random: np.random.Generator, key: npt.NDArray[Any], harmonics: Array) -> npt.NDArray[np.float64]:
    """Gains [3] of a camera that takes away most of the colour of the light; a photographer leaves some of it."""
    level = key * 0.42 + harmonics[0] * 0.2821 * 0.8
    return np.asarray((level.mean() / level) ** random.uniform(0.4, 0.95), np.float64)


def _gel(random: np.random.Generator, most: float) -> npt.NDArray[np.float64]:
    """Colour [3] of a stage lamp, of mean 1."""
    colour = np.array(colorsys.hsv_to_rgb(random.random(), random.uniform(0.3, most), 1.0)) ** 2.2
    return np.asarray(colour / colour.mean(), np.float64)


def dapple(shadow_map: Array, leaves: int) -> None:
    """Let leaves near the light hide it in places: `shadow_map` [n, n] of depths, in place; nothing for seed 0."""
    if leaves == 0:
        return
    random = np.random.default_rng(leaves)
    side = shadow_map.shape[0]
    coarse = random.standard_normal((side // 8, side // 8)).astype(np.float32)
    grown = cv2.resize(cv2.GaussianBlur(coarse, (0, 0), 1.2), (side, side), interpolation=cv2.INTER_CUBIC)
    shadow_map[grown > np.quantile(grown[::8, ::8], random.uniform(0.45, 0.75))] = 0


def even(lighting: Lighting) -> Lighting:
    """The light with reflectors for a film set: what the key light has beyond EVEN of the fill comes from all sides."""
    fill = float(lighting.harmonics[0].mean()) * 0.2821
    strength = float(lighting.key_colour.mean())
    over = max(0.0, 1 - EVEN * fill / max(strength, 1e-6)) * 0.5
    harmonics = lighting.harmonics.copy()
    harmonics[0] += lighting.key_colour * (over * 0.42 / 0.2821)
    return replace(lighting, key_colour=lighting.key_colour * (1 - over), harmonics=harmonics)
