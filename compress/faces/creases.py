"""Creases of a face as depths in texture space: folds at nose and mouth, lines of forehead and eyes. No colours.

Lines are drawn on the front of the mean head, in decimetres, so that they move with the face they are painted on.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Line = tuple[tuple[float, float], ...]

FOREHEAD: tuple[Line, ...] = (
    ((0.0, 7.66), (0.22, 7.69), (0.46, 7.65)),
    ((0.0, 7.76), (0.24, 7.79), (0.48, 7.74)),
    ((0.0, 7.86), (0.22, 7.89), (0.40, 7.86)),
)
FROWN: tuple[Line, ...] = (((0.05, 7.46), (0.06, 7.56)),)
EYES: tuple[Line, ...] = (
    ((0.17, 7.27), (0.26, 7.215), (0.38, 7.23), (0.46, 7.29)),
    ((0.50, 7.37), (0.60, 7.42)),
    ((0.50, 7.345), (0.62, 7.345)),
    ((0.49, 7.32), (0.60, 7.27)),
)
FOLDS: tuple[Line, ...] = (((0.17, 7.06), (0.23, 6.97), (0.295, 6.84), (0.315, 6.72), (0.30, 6.63)),)
CORNERS: tuple[Line, ...] = (((0.25, 6.64), (0.285, 6.55), (0.28, 6.48)),)
WIDTHS = {"forehead": 0.016, "frown": 0.014, "eyes": 0.013, "folds": 0.028, "corners": 0.022}
"""Half widths of the lines in decimetres."""


REACH = 3.5
"""The soft shade beside a line is this many times as wide as the line."""


def distance(points: Array, line: Line) -> Array:
    """Squared distance [n] of points (x, y) [n, 2] to a line of straight pieces."""
    nearest = np.full(len(points), np.inf, np.float32)
    for first, last in itertools.pairwise(line):
        dx, dy = np.float32(last[0] - first[0]), np.float32(last[1] - first[1])
        x, y = points[:, 0] - np.float32(first[0]), points[:, 1] - np.float32(first[1])
        along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy), 0, 1)
        nearest = np.minimum(nearest, (x - along * dx) ** 2 + (y - along * dy) ** 2)
    return nearest


def crease(position: Array, random: np.random.Generator) -> Array:
    """Depth of creases 0..1 of one person in texture space: positions on the mean head [H, W, 3] to [H, W].

    Kinds and sides differ in strength. A line casts a soft shade beside it, too.
    """
    face = (position[..., 2] > 0.75) & (position[..., 1] > 6.35) & (position[..., 1] < 8.0)
    x, y, z = position[face].T
    wobble = 0.012 * np.sin(x * random.uniform(9, 16) + random.uniform(0, 6))
    points = np.stack([np.abs(x), y + wobble], 1).astype(np.float32)
    depth = np.zeros(len(points), np.float32)
    kinds = {"forehead": FOREHEAD, "frown": FROWN, "eyes": EYES, "folds": FOLDS, "corners": CORNERS}
    for kind, lines in kinds.items():
        strength = random.uniform(0.3, 1.0)
        for line in lines:
            side = 1 + 0.25 * float(random.normal()) * np.sign(x)
            strength_here = np.float32(strength * random.uniform(0.6, 1.0))
            apart = distance(points, line) / np.float32(WIDTHS[kind] ** 2)
            drawn = 0.7 * np.exp(-apart) + 0.3 * np.exp(-apart / REACH**2)
            depth = np.maximum(depth, drawn * side * strength_here)
    out = np.zeros(position.shape[:2], np.float32)
    out[face] = np.clip(depth * np.clip((z - 0.75) / 0.3, 0, 1), 0, 1)
    return out
