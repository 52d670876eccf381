"""Clothes and framing of a picture. Pose is in pose.py, light in lighting.py, film in film.py."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from compress.faces.wear import CHECKED, DOTTED, PLAIN, RIBBED, STRIPED, Fabric, sample_fabric

Array = npt.NDArray[np.float32]

PATTERNS = {PLAIN: 0.6, STRIPED: 0.12, RIBBED: 0.12, CHECKED: 0.1, DOTTED: 0.06}
"""Shares of patterns of clothes that are no suits."""


@dataclass(frozen=True)
class Clothes:
    """Neckline, fabric and colours; `suit` opens on a shirt, with or without a tie."""

    suit: bool
    tie: bool
    collar: float
    neck: float
    lapel: float
    fabric: Fabric
    shirt: Array
    tie_colour: Array


@dataclass(frozen=True)
class Framing:
    """Field of view in degrees, and jitter of the aligned frame: scale, shift in frame sides, turn in radians."""

    field_of_view: float
    scale: float
    shift_x: float
    shift_y: float
    turn: float


def sample_clothes(random: np.random.Generator, male: float, child: float) -> Clothes:
    """Draw a collar, perhaps a suit, colours and a pattern."""
    suit = bool(random.random() < (0.5 if male > 0.5 else 0.3) * (child < 0.15))
    fabric = sample_fabric(random, {PLAIN: 1.0} if suit else PATTERNS)
    if suit:
        level = math.exp(random.uniform(math.log(0.008), math.log(0.15)))
        colour = level * np.array([0.9, 0.95, 1.15]) * np.exp(random.normal(0, 0.1, 3))
        fabric = replace(fabric, colour=colour.astype(np.float32))
    return Clothes(
        suit=suit,
        tie=bool(suit and random.random() < 0.75 * (male > 0.5)),
        collar=float(random.uniform(0.25, 0.55) if suit else random.uniform(0.0, 0.6)),
        neck=float(random.uniform(0.0, 0.12) if suit else random.uniform(0, 0.4) * random.uniform(0, 1)),
        lapel=float(random.uniform(0.9, 1.4)),
        fabric=fabric,
        shirt=np.clip(0.75 * np.exp(random.normal(-0.1, 0.12, 3)), 0.1, 0.85).astype(np.float32),
        tie_colour=np.clip(np.exp(random.normal(-2.3, 0.8, 3)), 0.01, 0.6).astype(np.float32),
    )


def sample_framing(random: np.random.Generator) -> Framing:
    """Draw the field of view and small errors of the alignment."""
    return Framing(
        field_of_view=float(random.uniform(14, 26)),
        scale=float(np.exp(random.normal(0, 0.035))),
        shift_x=float(random.normal(0, 0.012)),
        shift_y=float(random.normal(0, 0.012)),
        turn=float(random.normal(0, 0.025)),
    )
