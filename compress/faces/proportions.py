"""How far faces differ: spreads and means of the head's sliders, and traits that move several of them together.

Calibrated with `benchmarks/population.py` so that rendered people are as far apart as real ones. Macros (ancestry, age,
gender, weight) and colours are in population.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

WIDTH = 1.15
"""Factor on all spreads below."""
TAIL = 7.0
"""Degrees of freedom of the t distribution that sliders follow."""
DISTINCT = 0.22
"""Deviation, over people, of the logarithm of how distinct a face is: some are plain, some are not."""
LIMIT, SOFT = 1.25, 0.75
"""Largest slider, and from where values are compressed towards it."""
FACE_SHAPES = ("oval", "round", "square", "rectangular", "triangular", "diamond", "invertedtriangular")
SPREADS = (
    ("forehead", 0.11),
    ("head-scale-vert", 0.10),
    ("eyebrows", 0.16),
    ("head-scale", 0.11),
    ("chin-jaw", 0.18),
    ("chin-width", 0.18),
    ("head-trans", 0.03),
    ("head-angle", 0.05),
    ("head-age", 0.15),
    ("neck", 0.2),
    ("ears", 0.22),
    ("nose-trans", 0.17),
    ("mouth-trans", 0.17),
    ("eye-trans", 0.17),
    ("compress", 0.12),
    ("septum", 0.12),
    ("cleft", 0.2),
    ("asym", 0.1),
    ("eye-height", 0.2),
    ("mouth", 0.19),
    ("nose", 0.27),
)
"""Deviation of the sliders whose name holds the word, the first that fits; 0.23 of all others."""

MEANS = {
    "l/eyes/eye-height1": 0.25,
    "l/eyes/eye-height2": 0.45,
    "l/eyes/eye-height3": 0.25,
    "l/eyes/eye-scale": 0.08,
    "l/head/head-scale-horiz": -0.12,
    "l/cheek/cheek-volume": -0.10,
}
"""Means of sliders: the base head squints and is broad; people in photographs are not."""

TRAITS: Mapping[str, Mapping[str, float]] = {
    "long": {
        "head/head-scale-vert": 0.14,
        "head/head-scale-horiz": -0.12,
        "chin/chin-height": 0.3,
        "nose/nose-scale-vert": 0.2,
    },
    "fleshy": {"cheek/cheek-volume": 0.35, "head/head-fat": 0.35, "neck/neck-double": 0.25, "nose/nose-volume": 0.15},
    "jaw": {"chin/chin-width": 0.25, "chin/chin-bones": 0.3, "head/head-square": 0.25, "chin/chin-prominent": 0.25},
    "bones": {
        "cheek/cheek-bones": 0.4,
        "cheek/cheek-inner": -0.25,
        "cheek/cheek-volume": -0.2,
        "head/head-diamond": 0.2,
    },
    "large nose": {
        "nose/nose-scale-vert": 0.2,
        "nose/nose-scale-horiz": 0.22,
        "nose/nose-scale-depth": 0.3,
        "nose/nose-point-width": 0.2,
    },
    "wide nose": {
        "nose/nose-width1": 0.25,
        "nose/nose-width2": 0.3,
        "nose/nose-width3": 0.35,
        "nose/nose-nostrils-width": 0.25,
        "nose/nose-flaring": 0.2,
    },
    "hooked nose": {"nose/nose-hump": 0.35, "nose/nose-point": -0.3, "nose/nose-curve": 0.3, "nose/nose-greek": 0.2},
    "full lips": {
        "mouth/mouth-upperlip-volume": 0.3,
        "mouth/mouth-lowerlip-volume": 0.3,
        "mouth/mouth-upperlip-height": 0.25,
        "mouth/mouth-lowerlip-height": 0.25,
    },
    "wide mouth": {
        "mouth/mouth-scale-horiz": 0.3,
        "mouth/mouth-lowerlip-width": 0.2,
        "mouth/mouth-upperlip-width": 0.2,
    },
    "large eyes": {"eyes/eye-scale": 0.3, "eyes/eye-height2": 0.2, "eyes/eye-height1": 0.1, "eyes/eye-height3": 0.1},
    "slanted eyes": {"eyes/eye-corner1": -0.3, "eyes/eye-corner2": 0.35, "eyebrows/eyebrows-angle": 0.2},
    "heavy lids": {
        "eyes/eye-eyefold": 0.4,
        "eyes/eye-height2": -0.2,
        "eyes/eye-bag": 0.25,
        "eyebrows/eyebrows-trans": -0.2,
    },
    "wide set": {"eyes/eye-trans": 0.25, "nose/nose-width1": 0.15},
    "high brow": {"forehead/forehead-scale-vert": 0.16, "forehead/forehead-trans": 0.1, "eyebrows/eyebrows-trans": 0.2},
}
"""Traits of a face and how far each moves the sliders named."""


def spread(key: str) -> float:
    """Standard deviation of a slider in the population before traits."""
    leaf = key.rsplit("/", 1)[1]
    if leaf.startswith("head-") and leaf[5:] in FACE_SHAPES:
        return WIDTH * 0.22
    return WIDTH * next((value for part, value in SPREADS if part in key), 0.23)


class Proportions:
    """Draws sliders; keys are the head's sliders, `one_sided` those without a negative side."""

    def __init__(self, keys: list[str], one_sided: npt.NDArray[np.bool_]) -> None:
        self.one_sided = one_sided
        self.spread = np.array([spread(key) for key in keys], np.float32)
        self.mean = np.array([MEANS.get(key, 0.0) for key in keys], np.float32)
        number = {key: k for k, key in enumerate(keys)}
        self.traits = np.zeros((len(TRAITS), len(keys)), np.float32)
        for row, moved in zip(self.traits, TRAITS.values()):
            for key, amount in moved.items():
                row[number["l/" + key]] = amount

    def sample(self, random: np.random.Generator) -> Array:
        """Sliders [K] of one person, in -LIMIT..LIMIT, around the means."""
        distinct = np.exp(random.normal(0, DISTINCT))
        own = random.standard_t(TAIL, len(self.spread)) * self.spread
        value = (own + random.normal(0, 0.7, len(self.traits)) @ self.traits) * distinct
        value = np.where(self.one_sided, np.abs(value), value) + self.mean
        over = np.maximum(np.abs(value) - SOFT, 0)
        room = LIMIT - SOFT
        bent = np.minimum(np.abs(value), SOFT) + room * (1 - np.exp(-over / room))
        return np.asarray(np.sign(value) * bent, np.float32)
