"""Sampling of all of a picture but the person: expression, head pose, lights, clothes, camera jitter, film."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

EXPRESSIONS: dict[str, tuple[float, dict[str, float]]] = {
    "neutral": (3.0, {}),
    "slight": (2.5, {"mouthSmile": 0.35, "cheekSquint": 0.15}),
    "smile": (3.0, {"mouthSmile": 0.75, "cheekSquint": 0.35, "eyeSquint": 0.1}),
    "toothy": (
        4.0,
        {
            "mouthSmile": 0.8,
            "jawOpen": 0.10,
            "mouthUpperUp": 0.55,
            "mouthLowerDown": 0.35,
            "cheekSquint": 0.4,
            "eyeSquint": 0.1,
        },
    ),
    "laugh": (
        1.6,
        {
            "mouthSmile": 0.9,
            "jawOpen": 0.28,
            "mouthUpperUp": 0.5,
            "mouthLowerDown": 0.35,
            "eyeSquint": 0.3,
            "cheekSquint": 0.5,
        },
    ),
    "talk": (1.0, {"jawOpen": 0.2, "mouthFunnel": 0.25}),
    "surprise": (0.5, {"browInnerUp": 0.6, "browOuterUp": 0.6, "eyeWide": 0.5, "jawOpen": 0.3}),
    "stern": (0.5, {"browDown": 0.45, "mouthFrown": 0.3}),
    "sad": (0.3, {"browInnerUp": 0.5, "mouthFrown": 0.4}),
    "pout": (0.3, {"mouthPucker": 0.5}),
    "wink": (0.15, {"eyeBlinkLeft": 0.8, "mouthSmileLeft": 0.5}),
    "closed": (0.15, {"eyeBlink": 0.9}),
}
"""Weight in the population, and units at full strength; a unit without a side means both."""
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


@dataclass(frozen=True)
class Lighting:
    """Key and rim light (unit direction to the light, colour), irradiance harmonics [9, 3], palette of the place."""

    key: Array
    key_colour: Array
    rim: Array
    rim_colour: Array
    harmonics: Array
    palette: Array
    softness: float
    background_seed: int


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
class Film:
    """What the camera adds to the photo-like view; gloss of the skin belongs to the day, too."""

    exposure: float
    white_balance: Array
    blur: float
    noise: float
    gloss: float
    roughness: float
    contrast: float


@dataclass(frozen=True)
class Framing:
    """Field of view in degrees, and jitter of the aligned frame: scale, shift in frame sides, turn in radians."""

    field_of_view: float
    scale: float
    shift_x: float
    shift_y: float
    turn: float


def sample_pose(random: np.random.Generator) -> Pose:
    """Draw an expression with a few idle movements, a gaze and a mostly frontal head."""
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
    wide = random.random() < 0.13
    yaw = random.uniform(-0.9, 0.9) if wide else random.normal(0, 0.18)
    return Pose(
        name=name,
        units={key: float(value) for key, value in units.items()},
        yaw=float(np.clip(yaw, -0.95, 0.95)),
        pitch=float(np.clip(random.normal(0.02, 0.11), -0.32, 0.32)),
        roll=float(random.normal(0, 0.05)),
        body_yaw=float(random.normal(0, 0.2)),
    )


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


def sample_lighting(random: np.random.Generator) -> Lighting:
    """Draw a key light, a fill from six sides in the colours of the place, and a light from behind."""
    azimuth, elevation = float(random.normal(0, 0.65)), float(random.uniform(0.1, 0.95))
    warm = random.normal(0.02, 0.07)
    key_colour = np.array([1 + warm, 1, 1 - warm]) * random.uniform(0.55, 1.5)
    ambient = random.uniform(0.25, 0.65)
    level = np.exp(random.uniform(np.log(0.12), np.log(0.9)))
    palette = level * np.exp(random.normal(0, 0.2) * np.array([1, 0.1, -1]) + random.normal(0, 0.08, 3))
    palette = np.clip(palette, 0.02, 1)
    directions, colours = [], []
    for axis in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)):
        gain = ambient * np.exp(random.normal(0, 0.3)) * (1.3 if axis[1] > 0 else (0.7 if axis[1] < 0 else 1))
        tint = 0.3 * palette / palette.mean() + 0.7
        directions.append(np.array(axis, np.float32))
        colours.append(np.asarray(gain * tint * np.exp(random.normal(0, 0.04, 3)), np.float32))
    rim = towards(azimuth + math.pi + random.uniform(-0.7, 0.7), random.uniform(-0.1, 0.6))
    return Lighting(
        key=towards(azimuth, elevation),
        key_colour=key_colour.astype(np.float32),
        rim=rim,
        rim_colour=(np.exp(random.normal(0, 0.15, 3)) * max(0, random.normal(0.1, 0.4))).astype(np.float32),
        harmonics=project_harmonics(directions, colours),
        palette=palette.astype(np.float32),
        softness=float(random.uniform(1.5, 6.0)),
        background_seed=int(random.integers(1 << 31)),
    )


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


def sample_film(random: np.random.Generator) -> Film:
    """Draw exposure, tint, blur, grain and the gloss of the skin."""
    return Film(
        exposure=float(random.normal(0, 0.16)),
        white_balance=np.exp(random.normal(0, 0.035, 3)).astype(np.float32),
        blur=float(max(0, random.normal(0.1, 0.35))),
        noise=float(abs(random.normal(0.004, 0.005))),
        gloss=float(random.uniform(0.5, 1.2)),
        roughness=float(random.uniform(0.40, 0.55)),
        contrast=float(random.uniform(0.3, 0.9)),
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
