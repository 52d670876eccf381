"""Colours of people: skin, hair, eyes, and which of the textures at hand fits whom. All in linear light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

SKIN_NODES = (0.0, 0.35, 0.68, 1.0)
SKIN_COLOURS = np.log(
    np.array([[0.72, 0.405, 0.32], [0.50, 0.25, 0.16], [0.24, 0.110, 0.068], [0.085, 0.039, 0.028]], np.float32)
)
"""Albedo of skin over melanin 0..1, interpolated in the logarithm."""
MELANIN, MELANIN_SPREAD = np.array([0.91, 0.25, 0.05]), 0.15
"""Mean of each ancestry (African, Asian, European) and deviation."""
HAIR_COLOURS = np.array(
    [
        [0.012, 0.010, 0.009],
        [0.03, 0.018, 0.012],
        [0.06, 0.032, 0.016],
        [0.11, 0.055, 0.025],
        [0.20, 0.11, 0.05],
        [0.36, 0.23, 0.11],
        [0.50, 0.36, 0.20],
        [0.16, 0.045, 0.018],
        [0.30, 0.29, 0.28],
        [0.55, 0.54, 0.53],
    ],
    np.float32,
)
HAIR_WEIGHTS = np.array([3, 3, 2, 2, 1.4, 1.1, 0.7, 0.6, 0, 0])
GREY_WEIGHTS = np.array([0.2, 0.2, 0.1, 0.1, 0, 0, 0, 0, 1, 1.2])
DARK_HAIR = 2
"""The first colours occur in all ancestries, the others mostly in Europeans and where hair is dyed."""
GREY_FROM, GREY_SHARE, DYED_SHARE = 0.45, 0.8, 0.12
"""Old share from which hair may be grey, how often it is; how often the women's hair is dyed."""
LONG_CARDS = ("bob", "braid", "long", "ponytail")


def sample_skin_tone(random: np.random.Generator, ancestry: Array) -> tuple[float, Array]:
    """Melanin 0..1 and mean albedo [3] of a skin."""
    melanin = float(np.clip(ancestry @ MELANIN + random.normal(0, MELANIN_SPREAD), 0, 1))
    tone = np.exp([np.interp(melanin, SKIN_NODES, SKIN_COLOURS[:, c]) for c in range(3)])
    warmth = np.array([-0.1, 0.6, 1.0]) * random.normal(0, 0.1)
    return melanin, np.asarray(tone * np.exp(random.normal(0, 0.1) + warmth), np.float32)


def sample_hair_colour(random: np.random.Generator, european: float, male: float, old: float, melanin: float) -> Array:
    """Colour [3] of the hair; grey with age, dyed at times."""
    grey = old > GREY_FROM and random.random() < GREY_SHARE * (1.0 if male > 0.5 else 0.75)
    dyed = male < 0.5 and random.random() < DYED_SHARE
    fair = 1.0 if dyed else (european + 0.02) * (0.05 if melanin > 0.6 else 1)
    weights = GREY_WEIGHTS if grey else HAIR_WEIGHTS * np.where(np.arange(len(HAIR_COLOURS)) < DARK_HAIR, 1, fair)
    colour = HAIR_COLOURS[int(random.choice(len(HAIR_COLOURS), p=weights / weights.sum()))]
    return np.asarray(colour * np.exp(random.normal(0, 0.15) + random.normal(0, 0.05, 3)), np.float32)


def sample_eye(random: np.random.Generator, eyes: Sequence[str], european: float, melanin: float) -> tuple[str, Array]:
    """Texture of the eyes and gain [3] of the iris: light ones in Europeans only."""
    light = european**2 if melanin < 0.4 else 0.01
    chance = np.array([4 * (1 + 2 * (1 - european)) if "brown" in eye else light * 2.5 for eye in eyes])
    eye = eyes[int(random.choice(len(eyes), p=chance / chance.sum()))]
    dim = 1.1 if "brown" not in eye else float(np.exp(-0.7 * (1 - european)))
    return eye, np.asarray(np.exp(random.normal(0, 0.12, 3) + random.normal(0, 0.2)) * dim, np.float32)


def choose_skin(random: np.random.Generator, skins: Mapping[str, Array], tone: Array, male: float, old: float) -> str:
    """Prefer textures near in tone, and of the right gender and age where their names say so."""
    names = list(skins)
    chance = np.ones(len(names))
    for k, name in enumerate(names):
        if name.startswith("skin/embedded"):
            worn = float(np.clip((old - 0.25) / 0.35, 0.02, 0.98))
            chance[k] = worn if "old" in name else 1 - worn
            continue
        apart = float(np.abs(np.log(skins[name]) - np.log(tone)).mean())
        chance[k] = np.exp(-4 * apart) * ((male + 0.05) if "_male" in name else (1 - male + 0.05))
        chance[k] *= (old + 0.05) if "old" in name else ((0.3 + old) if "middle" in name else (1.05 - old))
    return names[int(random.choice(len(names), p=chance / chance.sum()))]


def choose_cards(random: np.random.Generator, cards: Sequence[str], male: float, african: float) -> str:
    """Hair of a folder by gender and ancestry."""
    gender = [(male * 0.02 + (1 - male)) if c.startswith(LONG_CARDS) else (male + (1 - male) * 0.3) for c in cards]
    chance = np.array(gender) * np.array([0.05 + 2 * african if c.startswith("afro") else 1.0 for c in cards])
    return cards[int(random.choice(len(cards), p=chance / chance.sum()))]


def sample_brow_shape(random: np.random.Generator, male: float, old: float, child: float) -> Array:
    """Arch, thickness, length, height over the eye and tilt of the brows, in decimetres."""
    thick = (0.045 + 0.04 * male) * (1 - 0.3 * child) * (1 - 0.3 * old * (1 - male)) * np.exp(random.normal(0, 0.3))
    return np.array(
        [
            np.clip(random.normal(0.045 - 0.025 * male, 0.022), 0.0, 0.1),
            np.clip(thick, 0.028, 0.125),
            random.uniform(0.33, 0.47),
            np.clip(random.normal(0.215 - 0.02 * male, 0.025), 0.165, 0.28),
            random.normal(-0.05, 0.022),
        ],
        np.float32,
    )
