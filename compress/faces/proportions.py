"""How far faces differ: spreads and means of the head's sliders, and traits that move several of them together.

Calibrated with `benchmarks/population.py` so that rendered people are as far apart as real ones. Macros (ancestry, age,
gender, weight) and colours are in population.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

WIDTH = 1.0
"""Factor on all spreads below."""
TAIL = 7.0
"""Degrees of freedom of the t distribution that sliders follow."""
DISTINCT = 0.22
"""Deviation, over people, of the logarithm of how distinct a face is: some are plain, some are not."""
LIMIT, SOFT = 1.25, 0.75
"""Largest slider, and from where values are compressed towards it."""
FACE_SHAPES = ("oval", "round", "square", "rectangular", "triangular", "diamond", "invertedtriangular")
SPREADS = (
    ("forehead", 0.16),
    ("head-scale-vert", 0.15),
    ("head-scale-horiz", 0.18),
    ("head-scale", 0.13),
    ("head-trans", 0.03),
    ("head-angle", 0.08),
    ("head-age", 0.2),
    ("eyebrows", 0.33),
    ("eye-trans", 0.25),
    ("eye-bag", 0.25),
    ("eye", 0.31),
    ("chin-jaw", 0.12),
    ("chin-height", 0.24),
    ("chin-cleft", 0.2),
    ("chin", 0.2),
    ("neck", 0.2),
    ("ears", 0.25),
    ("nose-trans", 0.2),
    ("compress", 0.12),
    ("septum", 0.2),
    ("nose", 0.29),
    ("mouth-trans", 0.2),
    ("mouth-angles", 0.3),
    ("mouth", 0.24),
)
"""Deviation of the sliders whose name holds the word, the first that fits; 0.23 of all others."""

MEANS = {
    "l/cheek/cheek-bones": -0.05,
    "l/cheek/cheek-inner": -0.03,
    "l/cheek/cheek-trans": -0.06,
    "l/cheek/cheek-volume": -0.39,
    "l/chin/chin-bones": -0.22,
    "l/chin/chin-prognathism": 0.09,
    "l/chin/chin-width": 0.15,
    "l/eyebrows/eyebrows-trans": -0.30,
    "l/eyes/eye-bag": 0.12,
    "l/eyes/eye-bag-height": 0.10,
    "l/eyes/eye-corner2": 0.05,
    "l/eyes/eye-epicanthus": -0.03,
    "l/eyes/eye-eyefold": -0.03,
    "l/eyes/eye-height1": -0.05,
    "l/eyes/eye-height2": 0.28,
    "l/eyes/eye-height3": 0.10,
    "l/eyes/eye-push1": 0.29,
    "l/eyes/eye-push2": -0.26,
    "l/eyes/eye-scale": -0.05,
    "l/eyes/eye-trans": 0.44,
    "l/forehead/forehead-scale-vert": 0.06,
    "l/forehead/forehead-trans": 0.14,
    "l/head/head-age": -0.29,
    "l/head/head-angle": 0.19,
    "l/head/head-fat": -0.21,
    "l/head/head-oval": -0.23,
    "l/head/head-rectangular": -0.06,
    "l/head/head-round": -0.23,
    "l/head/head-scale-depth": -0.13,
    "l/head/head-scale-horiz": -0.10,
    "l/head/head-scale-vert": -0.19,
    "l/head/head-trans": -0.10,
    "l/head/head-triangular": -0.29,
    "l/mouth/mouth-angles": 0.18,
    "l/mouth/mouth-scale-vert": -0.04,
    "l/nose/nose-base": 0.29,
    "l/nose/nose-curve": 0.12,
    "l/nose/nose-flaring": 0.13,
    "l/nose/nose-hump": -0.12,
    "l/nose/nose-nostrils-angle": -0.04,
    "l/nose/nose-nostrils-width": 0.04,
    "l/nose/nose-point": 0.35,
    "l/nose/nose-point-width": -0.12,
    "l/nose/nose-scale-depth": 0.12,
    "l/nose/nose-scale-horiz": -0.13,
    "l/nose/nose-scale-vert": -0.27,
    "l/nose/nose-trans": 0.23,
    "l/nose/nose-volume": -0.38,
    "l/nose/nose-width1": -0.13,
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


SHIFTS: Mapping[str, Mapping[str, float]] = {
    "female": {
        "chin/chin-width": -0.35,
        "chin/chin-bones": -0.3,
        "chin/chin-height": -0.15,
        "head/head-square": -0.15,
        "head/head-oval": 0.2,
        "eyes/eye-scale": 0.15,
        "eyes/eye-height2": 0.12,
        "nose/nose-scale-horiz": -0.2,
        "nose/nose-scale-vert": -0.15,
        "nose/nose-volume": -0.15,
        "nose/nose-hump": -0.2,
        "nose/nose-point": 0.12,
        "mouth/mouth-upperlip-volume": 0.2,
        "mouth/mouth-lowerlip-volume": 0.2,
        "cheek/cheek-bones": 0.1,
        "eyebrows/eyebrows-trans": 0.25,
        "neck/neck-scale-horiz": -0.3,
    },
    "male": {
        "chin/chin-width": 0.1,
        "chin/chin-bones": 0.15,
        "chin/chin-prominent": 0.15,
        "head/head-square": 0.1,
        "eyes/eye-height2": -0.1,
        "nose/nose-scale-vert": 0.1,
        "nose/nose-volume": 0.1,
        "mouth/mouth-upperlip-volume": -0.12,
        "eyebrows/eyebrows-trans": -0.2,
    },
    "child": {
        "eyes/eye-scale": 0.25,
        "nose/nose-scale-vert": -0.25,
        "nose/nose-scale-horiz": -0.2,
        "nose/nose-scale-depth": -0.2,
        "nose/nose-point": 0.2,
        "chin/chin-height": -0.25,
        "chin/chin-width": -0.2,
        "cheek/cheek-volume": 0.3,
        "head/head-round": 0.25,
        "mouth/mouth-scale-horiz": -0.15,
        "eyebrows/eyebrows-trans": 0.15,
        "neck/neck-scale-horiz": -0.4,
    },
    "old": {
        "eyes/eye-bag": 0.5,
        "eyes/eye-height2": -0.2,
        "mouth/mouth-laugh-lines": 0.6,
        "mouth/mouth-upperlip-volume": -0.35,
        "mouth/mouth-lowerlip-volume": -0.2,
        "mouth/mouth-angles": -0.15,
        "cheek/cheek-volume": -0.2,
        "cheek/cheek-inner": -0.25,
        "neck/neck-double": 0.3,
        "nose/nose-scale-vert": 0.2,
        "nose/nose-volume": 0.15,
        "ears/ear-scale": 0.3,
        "head/head-age": 0.45,
    },
    "african": {
        "nose/nose-width3": 0.25,
        "nose/nose-flaring": 0.2,
        "nose/nose-scale-depth": -0.1,
        "mouth/mouth-upperlip-volume": 0.25,
        "mouth/mouth-lowerlip-volume": 0.25,
        "mouth/mouth-scale-depth": 0.1,
    },
    "asian": {
        "eyes/eye-epicanthus": 0.45,
        "eyes/eye-corner2": 0.2,
        "eyes/eye-height2": -0.2,
        "nose/nose-scale-depth": -0.15,
        "cheek/cheek-bones": 0.25,
        "head/head-round": 0.15,
        "eyebrows/eyebrows-trans": 0.1,
    },
    "european": {
        "nose/nose-scale-depth": 0.15,
        "nose/nose-hump": 0.15,
        "nose/nose-width1": -0.15,
        "nose/nose-width2": -0.2,
        "mouth/mouth-upperlip-volume": -0.1,
    },
}
"""What a gender, an age and an ancestry bring beside their own shapes, at their full share."""


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
        self.traits = self._rows(TRAITS, keys)
        self.shifts = dict(zip(SHIFTS, self._rows(SHIFTS, keys)))

    @staticmethod
    def _rows(table: Mapping[str, Mapping[str, float]], keys: list[str]) -> Array:
        """A table of named sliders as an array [rows, K]."""
        out = np.zeros((len(table), len(keys)), np.float32)
        for row, moved in zip(out, table.values()):
            for key, amount in moved.items():
                row[keys.index("l/" + key)] = amount
        return out

    def sample(self, random: np.random.Generator, shares: Mapping[str, float]) -> Array:
        """Sliders [K] of one person, in -LIMIT..LIMIT, around the means; shares 0..1 of the groups in SHIFTS."""
        distinct = np.exp(random.normal(0, DISTINCT))
        own = random.standard_t(TAIL, len(self.spread)) * self.spread
        value = (own + random.normal(0, 0.7, len(self.traits)) @ self.traits) * distinct
        value = np.where(self.one_sided, np.abs(value), value) + self.mean
        for name, share in shares.items():
            value = value + share * self.shifts[name]
        over = np.maximum(np.abs(value) - SOFT, 0)
        room = LIMIT - SOFT
        bent = np.minimum(np.abs(value), SOFT) + room * (1 - np.exp(-over / room))
        return np.asarray(np.sign(value) * bent, np.float32)
