"""Hair styles as a few continuous numbers, so that every person has hair of their own. Geometry is in hair.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class HairStyle:
    """Numbers of one style; lengths in decimetres, angles in radians, shares 0..1."""

    name: str
    texture: str
    tilt_back: float
    tilt_side: float
    top: float
    sides: float
    quiff: float
    recede: float
    fringe: float
    hang_side: float
    hang_back: float
    curtain: float
    ridges: float
    curls: float
    wave: float
    flare: float
    seed: int


BALD = "bald"
LOWEST_FRINGE = 0.27
"""Furthest reach of a fringe below the hairline in radians about the crown: to the brows, not over the eyes."""
HAIRLINE_SPREAD, HIGHEST, LOWEST = 0.12, 0.4, -0.24
"""Deviation of people's hairlines at the front and how far they go back and forward at most, in the same unit."""
LONG = ("bob", "long", "wavy", "curly-long")


def sample_style(random: np.random.Generator, male: float, old: float, african: float, child: float = 0.0) -> HairStyle:
    """Draw a hair style that suits gender and age; the name `bald` has no sheet."""
    young = 1 - 0.8 * old
    woman = {
        "crop": 0.5 + 0.4 * old,
        "side": 0.5 + 0.3 * old,
        "bob": 2.4 + 1.2 * old,
        "long": 2.6 * young,
        "wavy": 2.2 * young,
        "curly-long": 0.7 * young,
        "tied": 1.2,
        "afro": 0.2 + 2.0 * african,
        "curly": 0.5 + 2.0 * old,
    }
    man = {
        "crop": 2.4,
        "side": 2.6,
        "quiff": 1.6,
        "curly": 0.7,
        "afro": 0.1 + 0.9 * african,
        "buzz": 0.9 + african,
        "receding": (0.3 + 1.8 * old) * (child == 0),
        BALD: (0.25 + 0.9 * old) * (child == 0),
        "bob": 0.12,
        "long": 0.12,
    }
    names = sorted(set(woman) | set(man))
    weight = np.array([woman.get(n, 0.0) * (1 - male) + man.get(n, 0.0) * male for n in names])
    name = names[int(random.choice(len(names), p=weight / weight.sum()))]
    side = float(random.choice([-1.0, 1.0]))
    u = random.uniform
    curly = name in ("afro", "curly", "curly-long") or (african > 0.6 and name in ("crop", "receding"))
    top, sides, quiff, fringe, hang_side, hang_back, curtain = u(0.10, 0.17), u(0.05, 0.09), 0.0, 0.0, 0.0, 0.0, 1.0
    ridges, curls, wave, flare, recede = (
        u(0.05, 0.15),
        u(0.0, 0.08),
        0.0,
        0.0,
        float(np.clip(random.normal(-0.04 + 0.12 * old * male, HAIRLINE_SPREAD), LOWEST, HIGHEST)),
    )
    tilt_side = side * u(0.0, 0.15)
    if name == "side":
        tilt_side, quiff, top = side * u(0.3, 0.55), u(0.03, 0.12), u(0.13, 0.22)
    elif name == "quiff":
        quiff, top = u(0.10, 0.24), u(0.12, 0.2)
    elif name == "receding":
        recede, top = u(0.15, 0.42), u(0.05, 0.1)
    elif name == "curly":
        top, sides, curls = u(0.16, 0.28), u(0.08, 0.16), u(0.15, 0.3)
    elif name == "afro":
        top, curls = u(0.22, 0.48), u(0.06, 0.14)
        sides = top * u(0.6, 0.9)
    elif name == "tied":
        top, sides, ridges = u(0.06, 0.10), u(0.045, 0.07), u(0.03, 0.08)
    if name in LONG:
        top, sides, tilt_side = u(0.14, 0.24), u(0.16, 0.24), side * u(0.05, 0.45)
        hang_back = u(0.5, 0.9) if name == "bob" else u(1.3, 2.2)
        hang_side = u(0.45, 0.85) if name == "bob" else hang_back * u(0.8, 1.0)
        curtain, flare = u(0.3, 0.9), u(0.0, 0.12)
        wave = u(0.0, 0.02) if name in ("bob", "long") else u(0.02, 0.06)
        curls = u(0.12, 0.25) if name == "curly-long" else curls
    if name in ("bob", "long", "wavy", "crop") and random.random() < (0.5 if male < 0.5 else 0.3) + 0.2 * child:
        fringe = float(np.clip(u(0.04, 0.3), 0.0, LOWEST_FRINGE + min(recede, 0.1)))
    return HairStyle(
        name=name,
        texture=f"hair/{'curly' if curly else 'straight'}{int(random.integers(3))}",
        tilt_back=u(0.25, 0.6),
        tilt_side=tilt_side,
        top=top,
        sides=sides,
        quiff=quiff,
        recede=recede,
        fringe=fringe,
        hang_side=hang_side,
        hang_back=hang_back,
        curtain=curtain,
        ridges=ridges,
        curls=curls,
        wave=wave,
        flare=flare,
        seed=int(random.integers(1 << 31)),
    )
