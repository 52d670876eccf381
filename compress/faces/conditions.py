"""Kinds of light and how often each occurs. Drawing from them is in lighting.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """Ranges of one kind of light; a pair is the lower and upper end of a uniform draw.

    share: of all pictures. azimuth (from the camera, to either side) and elevation of the key light in radians. key:
    its strength. warmth: -1 blue shade to 1 candle; fill_warmth: that of the light from all sides. fill: its strength.
    softness: width of shadow edges in texels of the shadow map. behind: strength of the light from behind.
    scenery: brightness of the background against the fill. exposure: what the photographer adds, in stops.
    """

    share: float
    azimuth: tuple[float, float]
    elevation: tuple[float, float]
    key: tuple[float, float]
    warmth: tuple[float, float]
    fill: tuple[float, float]
    fill_warmth: tuple[float, float]
    softness: tuple[float, float]
    behind: tuple[float, float]
    scenery: tuple[float, float]
    exposure: tuple[float, float] = (-0.3, 0.3)
    tinted: bool = False
    dappled: bool = False


CONDITIONS: dict[str, Condition] = {
    "studio": Condition(
        0.24, (0.1, 0.9), (0.15, 0.8), (0.7, 1.3), (-0.1, 0.15), (0.3, 0.6), (-0.1, 0.1), (3, 8), (0.0, 0.6), (0.2, 1.2)
    ),
    "room": Condition(
        0.20, (0.0, 1.3), (0.1, 0.95), (0.5, 1.2), (-0.2, 0.3), (0.3, 0.7), (-0.1, 0.3), (2, 6), (0.0, 0.5), (0.3, 1.2)
    ),
    "sun": Condition(
        0.11,
        (0.2, 1.4),
        (0.4, 1.2),
        (1.6, 2.6),
        (0.0, 0.25),
        (0.3, 0.6),
        (-0.35, 0.0),
        (0.7, 1.6),
        (0, 0.3),
        (0.7, 1.6),
    ),
    "shade": Condition(
        0.11, (0.0, 1.0), (0.5, 1.3), (0.1, 0.4), (-0.3, 0.0), (0.7, 1.1), (-0.45, -0.1), (6, 11), (0, 0.3), (0.5, 1.8)
    ),
    "side": Condition(
        0.08,
        (1.1, 1.75),
        (0.0, 0.6),
        (1.0, 1.9),
        (-0.25, 0.3),
        (0.12, 0.35),
        (-0.2, 0.2),
        (1.2, 5),
        (0, 0.3),
        (0.2, 0.9),
    ),
    "back": Condition(
        0.07, (0.0, 1.0), (0.3, 0.9), (0.1, 0.4), (-0.2, 0.2), (0.5, 0.8), (-0.3, 0.2), (4, 9), (1.2, 2.8), (1.0, 2.6)
    ),
    "bulbs": Condition(
        0.06, (0.1, 1.5), (0.2, 1.2), (0.6, 1.3), (0.45, 0.9), (0.2, 0.45), (0.3, 0.7), (1.5, 5), (0, 0.5), (0.2, 0.8)
    ),
    "flash": Condition(
        0.05,
        (0.0, 0.12),
        (0.02, 0.2),
        (1.3, 2.0),
        (-0.1, 0.1),
        (0.1, 0.25),
        (0.0, 0.5),
        (0.7, 1.5),
        (0, 0.1),
        (0.1, 0.5),
    ),
    "dappled": Condition(
        0.04,
        (0.2, 1.2),
        (0.5, 1.2),
        (1.3, 2.2),
        (0.0, 0.2),
        (0.4, 0.7),
        (-0.3, 0.0),
        (1.2, 3),
        (0, 0.5),
        (0.5, 1.4),
        dappled=True,
    ),
    "dusk": Condition(
        0.03,
        (0.2, 1.5),
        (0.0, 0.4),
        (0.3, 0.9),
        (0.3, 0.8),
        (0.3, 0.6),
        (-0.6, -0.2),
        (3, 8),
        (0, 0.8),
        (0.2, 0.8),
        exposure=(-0.9, -0.2),
    ),
    "stage": Condition(
        0.01,
        (0.2, 1.4),
        (0.3, 1.1),
        (0.8, 1.6),
        (0.0, 0.3),
        (0.12, 0.3),
        (0.0, 0.3),
        (1, 3),
        (0.5, 1.6),
        (0.05, 0.4),
        exposure=(-0.5, 0.2),
        tinted=True,
    ),
}
"""Stated shares of light; they sum to 1."""
