"""The 3D style map: from a person in a pose to the same person as an animated-film character.

A function of the 3D coefficients (details damped, traits kept and exaggerated a little, constant deltas towards the
style) and of 3D position (a smooth magnification around the eyes). Colour is in grade.py and shading.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compress.faces.population import Person, Population
from compress.faces.scene import Pose

Array = npt.NDArray[np.float32]

DAMPED = (
    (("hump", "nostrils", "septum", "compression", "greek", "curve"), 0.4),
    (("ears",), 0.6),
    (("cleft", "bag", "laugh", "eyefold", "double"), 0.3),
    (("eye-height", "eye-push"), 0.5),
)
"""Sliders whose name holds one of the words keep this share of their value; the others are exaggerated by 1.08."""
EXAGGERATION = 1.08
DELTAS = {
    "l/eyes/eye-scale": 0.15,
    "l/eyes/eye-height1": 0.0,
    "l/eyes/eye-height2": 0.08,
    "l/eyes/eye-height3": 0.05,
    "l/nose/nose-scale-horiz": -0.40,
    "l/nose/nose-scale-vert": -0.32,
    "l/nose/nose-volume": -0.25,
    "l/nose/nose-point": 0.30,
    "l/nose/nose-scale-depth": -0.15,
    "l/mouth/mouth-scale-horiz": -0.10,
    "l/mouth/mouth-lowerlip-volume": 0.20,
    "l/mouth/mouth-upperlip-volume": 0.12,
    "l/chin/chin-width": -0.32,
    "l/chin/chin-height": -0.30,
    "l/chin/chin-bones": -0.2,
    "l/cheek/cheek-volume": 0.42,
    "l/head/head-age": -0.7,
    "l/head/head-fat": 0.12,
    "l/head/head-invertedtriangular": 0.22,
    "l/head/head-scale-horiz": -0.06,
    "l/neck/neck-scale-horiz": -0.45,
    "l/neck/neck-scale-depth": -0.35,
}
AGE_KEPT = 0.4
CHILDLIKE = 0.20
HEAD_SCALE = 1.06
IRIS_ZOOM = 1.22
EYE_GROWTH = np.array([0.25, 0.28, 0.17], np.float32)
"""Magnification at an eyeball's centre along x, y, z."""
EYE_SHIFT = np.array([0.03, -0.02, -0.015], np.float32)
"""Displacement at an eyeball's centre, outwards, up and to the front, in decimetres."""
EYE_REACH = 1.75
"""Width of the magnification in eyeball radii."""


class StyleMap:
    """The linear map of a population's sliders: `kept` of each deviation from the mean, plus `delta`."""

    def __init__(self, population: Population) -> None:
        unknown = set(DELTAS) - set(population.keys)
        assert not unknown, unknown
        self.mean = population.prior
        self.kept = np.array(
            [
                next((share for words, share in DAMPED if any(word in key for word in words)), EXAGGERATION)
                for key in population.keys
            ],
            np.float32,
        )
        self.delta = np.array([DELTAS.get(key, 0.0) for key in population.keys], np.float32)


def stylise_person(person: Person, style_map: StyleMap) -> Person:
    """The character of a person: same colours and traits, other proportions."""
    mean = style_map.mean
    return replace(
        person,
        sliders=mean + (person.sliders - mean) * style_map.kept + style_map.delta,
        asymmetry=person.asymmetry * 0.5,
        old=person.old * AGE_KEPT,
        child=min(0.5, person.child + CHILDLIKE),
        glasses=person.glasses * np.array([1, 1.06, 1.08, 0.95, 1.25, 1], np.float32),
        eye_colour=np.asarray(np.maximum(person.eye_colour, 0.9) * np.array([1.2, 1.25, 1.25]), np.float32),
    )


def stylise_pose(pose: Pose) -> Pose:
    """Friendlier and more open: squints and frowns damped, brows lifted, a hint of a smile."""
    units = {}
    for name, value in pose.units.items():
        keep = 1.0
        if "browDown" in name or "Frown" in name:
            keep = 0.5
        elif "Squint" in name:
            keep = 0.45
        elif "Blink" in name and value < 0.3:
            keep = 0.3
        units[name] = value * keep
    for name, more in (
        ("mouthSmileLeft", 0.1),
        ("mouthSmileRight", 0.1),
        ("browInnerUp", 0.18),
        ("browOuterUpLeft", 0.1),
        ("browOuterUpRight", 0.1),
    ):
        units[name] = units.get(name, 0.0) + more
    return replace(pose, units=units)


def magnify_eyes(positions: Array, eyeball: Array) -> Array:
    """Displacement [n, 3] of points [n, 3] by the smooth magnification around one eyeball [k, 3]."""
    centre = eyeball.mean(0)
    radius = float(np.abs(eyeball[:, 0] - centre[0]).max())
    apart = positions - centre
    scaled = apart * np.array([1, 1.1, 0.8], np.float32)
    weight = np.exp(-(scaled**2).sum(1) / (EYE_REACH * radius) ** 2)[:, None]
    shift = EYE_SHIFT * np.array([np.sign(centre[0]), 1, 1], np.float32)
    return np.asarray(apart * weight * EYE_GROWTH + weight * shift, np.float32)
