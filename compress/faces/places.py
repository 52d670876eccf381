"""Painters of out-of-focus places behind the person, in linear light under white light of 1. Do not choose among them.

A painter takes a generator and returns [SIZE, SIZE, 3] float32; `background.paint_background` draws one by its share,
lights it and blurs it. Everything is drawn coarsely, since it will be blurred.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Generator = np.random.Generator

SIZE = 96
SURFACES = np.array(
    [
        (0.70, 0.68, 0.64),
        (0.52, 0.50, 0.47),
        (0.33, 0.34, 0.36),
        (0.55, 0.47, 0.36),
        (0.12, 0.13, 0.14),
        (0.02, 0.02, 0.022),
        (0.17, 0.24, 0.33),
        (0.10, 0.18, 0.38),
        (0.04, 0.06, 0.13),
        (0.25, 0.14, 0.07),
        (0.09, 0.045, 0.025),
        (0.30, 0.11, 0.08),
        (0.38, 0.05, 0.04),
        (0.08, 0.17, 0.15),
        (0.20, 0.21, 0.09),
        (0.60, 0.42, 0.20),
    ],
    np.float32,
)
"""Albedos of walls, wood, cloth and paint."""
LEAVES = np.array([(0.05, 0.11, 0.02), (0.10, 0.18, 0.03), (0.16, 0.20, 0.06), (0.03, 0.06, 0.02)], np.float32)
LAMPS = np.array([(1.0, 0.6, 0.25), (1.0, 0.8, 0.55), (0.6, 0.8, 1.0), (1.0, 0.25, 0.15), (0.3, 1.0, 0.6)], np.float32)

_LINE = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE


def surface(random: Generator) -> Array:
    """Colour [3] of some surface."""
    colour = SURFACES[int(random.integers(len(SURFACES)))]
    return np.asarray(colour * np.exp(random.normal(0, 0.25) + random.normal(0, 0.08, 3)), np.float32)


def filled(colour: Array) -> Array:
    """An even picture."""
    return np.ones((SIZE, SIZE, 3), np.float32) * colour.astype(np.float32)


def ramp(random: Generator) -> Array:
    """0..1 across the picture in some direction [SIZE, SIZE, 1]."""
    slope = _LINE[None] * random.normal() + _LINE[:, None] * random.normal()
    return np.asarray(((slope - slope.min()) / (np.ptp(slope) + 1e-6))[..., None], np.float32)


def smooth(random: Generator, sigma: float) -> Array:
    """Smooth noise of deviation 1 [SIZE, SIZE]."""
    side = max(8, int(2 * SIZE / sigma))
    raw = cv2.resize(random.standard_normal((side, side), np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(raw / (raw.std() + 1e-6), np.float32)


def box(
    image: Array, random: Generator, corner: tuple[float, float], extent: tuple[float, float], colour: npt.NDArray[Any]
) -> None:
    """Fill a rectangle given in shares of the side, a little darker on one side, in place."""
    x0, y0 = (max(0, int(c * SIZE)) for c in corner)
    x1, y1 = (min(SIZE, int((c + e) * SIZE)) for c, e in zip(corner, extent, strict=True))
    if x1 > x0 and y1 > y0:
        shade = np.linspace(1, random.uniform(0.7, 1), x1 - x0, dtype=np.float32)
        image[y0:y1, x0:x1] = colour * shade[None, :, None]


def disc(image: Array, x: float, y: float, radius: float, colour: npt.NDArray[Any]) -> None:
    """Draw a filled circle given in shares of the side, in place."""
    centre = (int(x * SIZE), int(y * SIZE))
    cv2.circle(image, centre, max(1, int(radius * SIZE)), tuple(float(c) for c in colour), -1, cv2.LINE_AA)


def plain(random: Generator) -> Array:
    """A studio's paper or a wall, nearly even."""
    return filled(surface(random)) * (0.85 + 0.3 * ramp(random))


def gradient(random: Generator) -> Array:
    """Painted canvas with a spot of light behind the person."""
    first, second = surface(random), surface(random)
    second = first * float(random.uniform(0.2, 0.6)) if random.random() < 0.6 else second
    x, y = random.uniform(0.2, 0.8), random.uniform(0.2, 0.9)
    spot = np.exp(-((_LINE[None] - x) ** 2 + (_LINE[:, None] - y) ** 2) / random.uniform(0.08, 0.4))[..., None]
    return np.asarray(second + (first - second) * spot * (1 + 0.06 * smooth(random, 20)[..., None]), np.float32)


def room(random: Generator) -> Array:
    """Wall, furniture, shelves, a picture or a window."""
    image = filled(surface(random)) * (0.8 + 0.4 * ramp(random))
    for _ in range(int(random.integers(2, 8))):
        corner = (float(random.uniform(-0.2, 1)), float(random.uniform(0, 1)))
        box(image, random, corner, (float(random.uniform(0.08, 0.5)), float(random.uniform(0.1, 0.8))), surface(random))
    if random.random() < 0.35:
        x, y, wide = random.uniform(-0.1, 0.8), random.uniform(0, 0.5), random.uniform(0.2, 0.4)
        for k in range(int(random.integers(6, 18))):
            box(image, random, (x + wide * k / 12, y), (wide / 13, float(random.uniform(0.1, 0.2))), surface(random))
    if random.random() < 0.3:
        corner = (float(random.uniform(-0.2, 0.9)), float(random.uniform(-0.3, 0.3)))
        light = np.asarray(np.array([1.0, 1.05, 1.15]) * random.uniform(1.2, 2.5), np.float32)
        box(image, random, corner, (float(random.uniform(0.15, 0.4)), float(random.uniform(0.3, 0.7))), light)
    return image


def foliage(random: Generator) -> Array:
    """Leaves near and far, gaps of sky between them, perhaps a lawn or a trunk."""
    image = filled(LEAVES[int(random.integers(4))]) * np.exp(0.35 * smooth(random, 24))[..., None]
    number = int(random.integers(25, 70))
    spots, gains = random.random((number, 2)), random.uniform(0.4, 2.2, number)
    for (x, y), gain, leaf in zip(spots, gains, random.integers(0, 4, number), strict=True):
        disc(image, x, y, 0.01 + 0.028 * gain, LEAVES[leaf] * gain)
    for _ in range(int(random.integers(0, 16))):
        light = np.array([0.9, 1.0, 0.85]) * random.uniform(0.4, 1.6)
        disc(image, random.random(), random.random() ** 1.5, random.uniform(0.01, 0.04), light)
    if random.random() < 0.3:
        corner = (float(random.uniform(0, 0.9)), 0.0)
        box(image, random, corner, (float(random.uniform(0.03, 0.15)), 1.0), np.array([0.08, 0.06, 0.04], np.float32))
    if random.random() < 0.3:
        image[int(random.uniform(0.5, 0.9) * SIZE) :] = np.array([0.14, 0.20, 0.05]) * random.uniform(0.7, 1.6)
    return np.asarray(image, np.float32)


def sky(random: Generator) -> Array:
    """Sky from blue to grey with clouds; land, sea or houses below."""
    blue = np.array([0.22, 0.42, 0.85]) + random.uniform(0, 1) * np.array([0.5, 0.35, 0.0])
    down = _LINE[:, None, None] * random.uniform(0.3, 1)
    clear = (blue + (np.array([0.85, 0.92, 1.0]) - blue) * down) * np.ones((1, SIZE, 1))
    clouds = np.clip(smooth(random, 26) + random.normal(0, 0.8), 0, 1.5)[..., None] * 0.5
    image = np.asarray(clear * (1 - clouds) + clouds, np.float32)
    horizon = random.uniform(0.45, 1.2)
    if random.random() < 0.4:
        for _ in range(int(random.integers(3, 9))):
            tall = float(random.uniform(0.1, 0.5))
            where = (float(random.uniform(-0.1, 1)), float(horizon - tall))
            box(image, random, where, (float(random.uniform(0.08, 0.3)), 1.0), surface(random))
    ground = surface(random) if random.random() < 0.5 else np.asarray(LEAVES[int(random.integers(4))] * 1.5, np.float32)
    image[int(min(1, horizon) * SIZE) :] = ground
    return np.asarray(image, np.float32)


def night(random: Generator) -> Array:
    """Dark street or hall with lamps out of focus."""
    image = filled(surface(random) * 0.15) * (0.5 + ramp(random))
    radius, hue = random.uniform(0.015, 0.07), int(random.integers(len(LAMPS)))
    for _ in range(int(random.integers(8, 40))):
        colour = LAMPS[hue if random.random() < 0.6 else int(random.integers(len(LAMPS)))]
        at = random.random(), random.random()
        disc(image, at[0], at[1], radius * random.uniform(0.7, 1.2), colour * random.uniform(0.2, 1.8))
    return image


def wall(random: Generator) -> Array:
    """Curtain, boards, bricks or stripes."""
    first, second = surface(random), surface(random)
    across = _LINE[None] if random.random() < 0.6 else _LINE[:, None]
    number, phase = random.uniform(4, 22), random.uniform(0, 7)
    kind = random.random()
    if kind < 0.4:  # folds
        wave = 0.75 + 0.35 * np.sin(across * number * 6.3 + phase + 1.5 * np.sin(across * 9 + phase))
        return np.asarray(filled(first) * (wave * np.ones((SIZE, SIZE)))[..., None], np.float32)
    if kind < 0.6:  # bricks
        row = np.floor(_LINE[:, None] * number)
        joint = ((_LINE[:, None] * number) % 1 < 0.14) | ((_LINE[None] * number * 0.45 + 0.5 * (row % 2)) % 1 < 0.06)
        image = filled(SURFACES[11] * random.uniform(0.6, 1.6)) * (1 + 0.12 * smooth(random, 6)[..., None])
        image[joint] = SURFACES[1] * random.uniform(0.5, 1)
        return np.asarray(image, np.float32)
    mark = ((across * number + phase) % 1 < random.uniform(0.05, 0.5)) * np.ones((SIZE, SIZE))
    second = first * 0.55 if kind < 0.85 else second  # gaps between boards, or paint
    return np.asarray(first + (second - first) * mark[..., None], np.float32)


def crowd(random: Generator) -> Array:
    """Other people far out of focus: heads with hair over shoulders in clothes."""
    image = room(random) if random.random() < 0.5 else foliage(random)
    for _ in range(int(random.integers(1, 6))):
        x, y, radius = random.random(), random.uniform(0.15, 0.7), random.uniform(0.05, 0.14)
        skin = np.array([0.45, 0.26, 0.18]) * random.uniform(0.25, 1.3)
        centre = (int(x * SIZE), int((y + 3.1 * radius) * SIZE))
        axes = (max(1, int(1.9 * radius * SIZE)), max(1, int(1.9 * radius * SIZE)))
        cv2.ellipse(image, centre, axes, 0, 0, 360, tuple(float(c) for c in surface(random)), -1)
        disc(image, x, y - 0.25 * radius, 1.05 * radius, surface(random) * 0.3)
        disc(image, x, y + 0.2 * radius, 0.85 * radius, skin)
    return image


PLACES: dict[str, tuple[float, Callable[[Generator], Array]]] = {
    "plain": (0.18, plain),
    "gradient": (0.20, gradient),
    "room": (0.18, room),
    "foliage": (0.13, foliage),
    "sky": (0.07, sky),
    "night": (0.07, night),
    "wall": (0.10, wall),
    "crowd": (0.07, crowd),
}
"""Stated shares, which sum to 1, and painters."""
