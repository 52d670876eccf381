"""Expressions and turns of the head. All shares of the population's poses stand here; people are in population.py."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

EXPRESSIONS: dict[str, tuple[float, dict[str, float]]] = {
    "neutral": (0.17, {}),
    "slight": (0.15, {"mouthSmile": 0.35, "cheekSquint": 0.15}),
    "smile": (0.16, {"mouthSmile": 0.75, "cheekSquint": 0.35, "eyeSquint": 0.1}),
    "toothy": (
        0.20,
        {
            "mouthSmile": 0.9,
            "jawOpen": 0.14,
            "mouthUpperUp": 1.2,
            "mouthLowerDown": 0.5,
            "cheekSquint": 0.4,
            "eyeSquint": 0.1,
        },
    ),
    "laugh": (
        0.12,
        {
            "mouthSmile": 1.0,
            "jawOpen": 0.42,
            "mouthUpperUp": 1.0,
            "mouthLowerDown": 0.6,
            "eyeSquint": 0.3,
            "cheekSquint": 0.5,
        },
    ),
    "talk": (0.07, {"jawOpen": 0.35, "mouthFunnel": 0.35, "mouthUpperUp": 0.4}),
    "surprise": (0.04, {"browInnerUp": 0.6, "browOuterUp": 0.6, "eyeWide": 0.5, "jawOpen": 0.6, "mouthFunnel": 0.3}),
    "stern": (0.03, {"browDown": 0.45, "mouthFrown": 0.3}),
    "sad": (0.02, {"browInnerUp": 0.5, "mouthFrown": 0.4}),
    "pout": (0.02, {"mouthPucker": 0.5}),
    "wink": (0.01, {"eyeBlinkLeft": 0.8, "mouthSmileLeft": 0.5}),
    "closed": (0.01, {"eyeBlink": 0.9}),
}
"""Share in the population, and units at full strength; a unit without a side means both."""
SHOWING_TEETH = ("toothy", "laugh")
OPEN = (*SHOWING_TEETH, "talk", "surprise")
"""Expressions with an open mouth, 0.43 of all pictures; teeth show in 0.32."""
FRONTAL_SPREAD, TURNED, PROFILE = 13.0, (0.07, 30.0, 42.0), (0.03, 42.0, 58.0)
"""Degrees of yaw: deviation of most heads (within 30), then share and range of the turned ones and of the profiles."""
PITCH_SPREAD, STEEPEST = 0.10, 0.26
"""Deviation and largest angle of the pitch in radians."""
PAIRED = (
    "mouthSmile",
    "cheekSquint",
    "eyeSquint",
    "mouthUpperUp",
    "mouthLowerDown",
    "browOuterUp",
    "eyeWide",
    "browDown",
    "mouthFrown",
    "eyeBlink",
)


@dataclass(frozen=True)
class Pose:
    """Expression units and head angles in radians."""

    name: str
    units: dict[str, float]
    yaw: float
    pitch: float
    roll: float
    body_yaw: float


def sample_pose(random: np.random.Generator) -> Pose:
    """Draw an expression with a few idle movements, a gaze and a turn of the head."""
    names = list(EXPRESSIONS)
    weight = np.array([EXPRESSIONS[name][0] for name in names])
    name = names[int(random.choice(len(names), p=weight / weight.sum()))]
    strength = float(random.uniform(0.9, 1.0) if name in ("closed", "wink") else random.uniform(0.45, 1.0))
    units: dict[str, float] = {}
    for unit, value in EXPRESSIONS[name][1].items():
        for key in (unit + "Left", unit + "Right") if unit in PAIRED else (unit,):
            units[key] = units.get(key, 0.0) + value * strength * float(random.uniform(0.9, 1.1))
    idle = (
        "browInnerUp",
        "browOuterUpLeft",
        "browOuterUpRight",
        "mouthLeft",
        "mouthRight",
        "mouthPressLeft",
        "mouthPressRight",
        "mouthRollLower",
    )
    for key in idle:
        units[key] = units.get(key, 0.0) + float(abs(random.normal(0, 0.05)))
    blink = float(max(0, random.normal(-0.03, 0.06)))
    for side in ("Left", "Right"):
        units["eyeWide" + side] = units.get("eyeWide" + side, 0.0) + 0.15
        units["eyeBlink" + side] = units.get("eyeBlink" + side, 0.0) + blink
    across, up = random.normal(0, 0.16), random.normal(0, 0.10)
    if name == "closed":
        across, up = 0.0, 0.0
    units |= {"eyeLookOutLeft": max(across, 0), "eyeLookInRight": max(across, 0)}
    units |= {"eyeLookInLeft": max(-across, 0), "eyeLookOutRight": max(-across, 0)}
    for side in ("Left", "Right"):
        units["eyeLookUp" + side] = 0.6 * max(up, 0)
        units["eyeLookDown" + side] = 0.6 * max(-up, 0)
    return Pose(
        name=name,
        units={key: float(value) for key, value in units.items()},
        yaw=sample_yaw(random),
        pitch=float(np.clip(random.normal(0.02, PITCH_SPREAD), -STEEPEST, STEEPEST)),
        roll=float(random.normal(0, 0.06)),
        body_yaw=float(random.normal(0, 0.2)),
    )


def sample_yaw(random: np.random.Generator) -> float:
    """Angle of the head about the vertical in radians, positive to the person's left."""
    kind, side = random.random(), float(random.choice([-1.0, 1.0]))
    for share, low, high in (PROFILE, TURNED):
        if kind < share:
            return side * math.radians(random.uniform(low, high))
        kind -= share
    yaw = 2 * TURNED[1]
    while abs(yaw) >= TURNED[1]:
        yaw = random.normal(0, FRONTAL_SPREAD)
    return math.radians(yaw)
