"""Sampling of all of a picture but the person: expression, head pose, lights, clothes, camera jitter, film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.faces.pose import Pose as Pose
from compress.faces.pose import sample_pose as sample_pose

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clothes:
    """Neckline and colours; `suit` opens on a shirt with a tie."""

    suit: bool
    tie: bool
    collar: float
    neck: float
    lapel: float
    colour: Array
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
    """Draw a collar, perhaps a suit, and colours."""
    suit = bool(random.random() < (0.5 if male > 0.5 else 0.25) * (child < 0.15))
    colour = np.exp(random.uniform(np.log(0.02), np.log(0.7))) * np.exp(random.normal(0, 0.35, 3))
    if suit:
        colour = np.exp(random.uniform(np.log(0.012), np.log(0.12))) * np.array([0.9, 0.95, 1.15])
    return Clothes(
        suit=suit,
        tie=bool(suit and random.random() < 0.75 * (male > 0.5)),
        collar=float(random.uniform(0.25, 0.5) if suit else random.uniform(-0.1, 0.45)),
        neck=float(random.uniform(0.0, 0.12) if suit else random.uniform(0, 0.4)),
        lapel=float(random.uniform(0.9, 1.4)),
        colour=np.clip(colour, 0.008, 0.8).astype(np.float32),
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
