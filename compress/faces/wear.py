"""What people wear on head and neck, on their eyes and as make-up: drawn here, built in headwear.py and neckwear.py.

Shares of adults: HEADWEAR_SHARE, SCARF_SHARE, GLASSES_SHARE, SUNGLASSES_SHARE; about half of the women are made up.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

HEADWEAR_SHARE, SCARF_SHARE, GLASSES_SHARE, SUNGLASSES_SHARE = 0.18, 0.08, 0.25, 0.02
"""Sunglasses are part of the glasses' share."""
MADE_UP_SHARE = 0.5
BEARD_WEIGHTS = {"full": 0.45, "long": 0.1, "goatee": 0.15, "circle": 0.15, "moustache": 0.15}
NONE, CAP, BEANIE, HAT, HEADSCARF, HEADBAND = "none", "cap", "beanie", "hat", "headscarf", "headband"
HEADWEAR = (NONE, CAP, BEANIE, HAT, HEADSCARF, HEADBAND)
COVERS_HAIR = (CAP, BEANIE, HAT, HEADSCARF)
PLAIN, STRIPED, RIBBED, CHECKED, DOTTED, BANDED, TRIMMED = range(7)
"""Patterns of fabrics; BANDED is a hat's ribbon, TRIMMED a cap's visor in the second colour."""


@dataclass(frozen=True)
class Fabric:
    """Two colours (linear light), a pattern and the length of its period in decimetres."""

    colour: Array
    second: Array
    pattern: int
    period: float


@dataclass(frozen=True)
class Headwear:
    """Kind (one of HEADWEAR); lengths in decimetres: front and back of the rim above the usual, crown, brim; tilt in
    radians to a side."""

    kind: str
    fabric: Fabric
    front: float
    back: float
    crown: float
    brim: float
    tilt: float


@dataclass(frozen=True)
class Lenses:
    """Colour that comes through [3] (1: clear), strength of the reflection, and whether they hide the eyes."""

    through: Array
    reflection: float
    opaque: bool


@dataclass(frozen=True)
class MakeUp:
    """Eye shadow's colour (linear light); strengths 0..1 of eye shadow, eyeliner, lipstick and blush."""

    shadow_colour: Array
    shadow: float
    liner: float
    lipstick: float
    blush: float


@dataclass(frozen=True)
class Wear:
    """All that a person has put on; `lenses` and `scarf` are None where not worn. `beard`: a style, should one grow."""

    headwear: Headwear
    scarf: Fabric | None
    lenses: Lenses | None
    make_up: MakeUp
    beard: str


def sample_fabric(random: np.random.Generator, patterns: dict[int, float]) -> Fabric:
    """Draw colours that occur in wardrobes, and one of the weighted patterns."""
    names = list(patterns)
    weight = np.array([patterns[name] for name in names])
    pattern = names[int(random.choice(len(names), p=weight / weight.sum()))]
    first, second = (_dye(random) for _ in range(2))
    if pattern == RIBBED:
        second = first * 0.72
    elif pattern == BANDED:
        second = first * 0.25
    return Fabric(first, second.astype(np.float32), pattern, float(random.uniform(0.14, 0.34)))


def _dye(random: np.random.Generator) -> Array:
    """One colour in linear light: a third are greys and blacks, the others muted or bright."""
    value = float(np.exp(random.uniform(math.log(0.12), math.log(0.9))))
    vivid = 0.08 if random.random() < 0.35 else float(random.beta(2, 2)) * 0.9
    colour = np.array(colorsys.hsv_to_rgb(float(random.random()), vivid, value))
    return np.clip(colour**2.2, 0.006, 0.8).astype(np.float32)


def sample_headwear(random: np.random.Generator, male: float, child: float, old: float) -> Headwear:
    """Draw headwear for HEADWEAR_SHARE of the people; headscarves and headbands are women's here."""
    woman = male < 0.5
    weight = {
        CAP: (1.1 if woman else 2.2) * (1.2 - 0.8 * old),
        BEANIE: 1.6,
        HAT: (0.8 if woman else 0.9) * (0.4 + 1.2 * old) * (child < 0.15),
        HEADSCARF: (1.5 if woman else 0.0) * (child < 0.2),
        HEADBAND: 0.8 if woman else 0.12,
    }
    chance = np.array(list(weight.values()))
    kind = list(weight)[int(random.choice(len(weight), p=chance / chance.sum()))]
    if random.random() >= HEADWEAR_SHARE:
        kind = NONE
    patterns = {
        CAP: {PLAIN: 1.0, TRIMMED: 0.8},
        BEANIE: {RIBBED: 2.5, STRIPED: 1.0, PLAIN: 0.5},
        HAT: {BANDED: 1.0},
        HEADSCARF: {PLAIN: 2.0, DOTTED: 0.4, STRIPED: 0.3},
        HEADBAND: {PLAIN: 1.0, RIBBED: 0.5, DOTTED: 0.4},
    }
    return Headwear(
        kind=kind,
        fabric=sample_fabric(random, patterns.get(kind, {PLAIN: 1.0})),
        front=float(random.uniform(-0.05, 0.1)),
        back=float(random.uniform(-0.1, 0.1)),
        crown=float(random.uniform(0.0, 1.0)),
        brim=float(random.uniform(0.3, 0.6)),
        tilt=float(np.clip(random.normal(0, 0.05), -0.12, 0.12)),
    )


def sample_lenses(random: np.random.Generator, child: float) -> Lenses | None:
    """Draw glasses for GLASSES_SHARE of the people, sunglasses among them."""
    draw = random.random()
    if draw >= GLASSES_SHARE or (child > 0.2 and draw >= GLASSES_SHARE / 2):
        return None
    reflection = float(np.clip(random.gamma(1.5, 0.2), 0.0, 1.0))
    if draw < SUNGLASSES_SHARE:
        return Lenses(np.exp(random.uniform(-4.5, -3.0) + random.normal(0, 0.2, 3)).astype(np.float32), 1.0, True)
    tinted = random.random() < 0.08
    through = np.exp(-abs(random.normal(0, 0.25, 3))) if tinted else np.full(3, 0.96)
    return Lenses(through.astype(np.float32), reflection, False)


def sample_make_up(random: np.random.Generator, male: float, child: float) -> MakeUp:
    """Draw make-up: none for children, half of the women in varying strength, hardly any men."""
    share = MADE_UP_SHARE if male < 0.5 else 0.01
    strength = float(random.beta(1.6, 1.6)) * (random.random() < share) * (child < 0.12)
    hue = float(random.choice([0.04, 0.07, 0.95, 0.85, 0.75, 0.6, 0.45], p=[0.3, 0.25, 0.15, 0.1, 0.08, 0.07, 0.05]))
    colour = np.array(colorsys.hsv_to_rgb(hue, random.uniform(0.25, 0.7), random.uniform(0.25, 0.65))) ** 2.2
    use = random.uniform(0.2, 1.2, 4)
    shadow, liner, lipstick, blush = (float(np.clip(strength * x, 0, 1)) for x in use)
    return MakeUp(colour.astype(np.float32), shadow * float(random.random() < 0.75), liner, lipstick, blush)


def sample_wear(random: np.random.Generator, male: float, child: float, old: float) -> Wear:
    """Draw everything worn by a person: male, child and old in 0..1 as of Person."""
    headwear = sample_headwear(random, male, child, old)
    scarf = random.random() < SCARF_SHARE and headwear.kind != HEADSCARF
    fabric = sample_fabric(random, {PLAIN: 1.5, STRIPED: 1.0, RIBBED: 1.2, CHECKED: 1.0})
    lenses, make_up = sample_lenses(random, child), sample_make_up(random, male, child)
    style = str(random.choice(list(BEARD_WEIGHTS), p=list(BEARD_WEIGHTS.values())))
    return Wear(headwear, fabric if scarf else None, lenses, make_up, style)


def sample_frame(random: np.random.Generator, worn: bool, opaque: bool) -> Array:
    """(worn 0 or 1, width, height, roundness, wire radius, brightness) of spectacles.

    Dark lenses are smaller, since a face is hardly found below large ones.
    """
    large = -0.08 if opaque else 0.0
    return np.array(
        [
            worn,
            random.uniform(0.92, 1.12) + large,
            random.uniform(0.8, 1.2) + large,
            random.uniform(2, 4.5),
            random.uniform(0.011, 0.026),
            np.exp(random.uniform(-4.2, -1.0)),
        ],
        np.float32,
    )
