"""People: ancestry, age, gender, face sliders, skin, hair, eyes, brows. Sampled from one random generator.

Does not pose or light them (scene.py) nor stylise them (style.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.faces.hairstyles import HairStyle, sample_style
from compress.faces.head import Head

Array = npt.NDArray[np.float32]
ANCESTRIES = ("african", "asian", "caucasian")

SKIN_NODES = (0.0, 0.35, 0.68, 1.0)
SKIN_COLOURS = np.log(
    np.array([[0.72, 0.405, 0.32], [0.50, 0.25, 0.16], [0.27, 0.108, 0.062], [0.095, 0.039, 0.026]], np.float32)
)
"""Linear-light albedo of skin over melanin 0..1, interpolated in the logarithm."""
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


@dataclass(frozen=True)
class Person:
    """One identity: coefficients of the head and colours (linear light) of its parts."""

    ancestry: Array
    male: float
    old: float
    child: float
    weight: Array
    sliders: Array
    asymmetry: Array
    melanin: float
    skin_tone: Array
    skin: str
    eye: str
    eye_colour: Array
    brow: str
    brow_shape: Array
    lash: str
    hair: HairStyle
    hair_cards: str
    hair_colour: Array
    buzz: float
    beard: float
    stubble: float
    freckles: float
    blush: float
    lipstick: float
    lip_colour: Array
    glasses: Array

    @property
    def ages(self) -> dict[str, float]:
        """Weights of the age targets."""
        adult = 1 - self.child
        return {"young": (1 - self.old) * adult, "old": self.old * adult, "child": self.child}


def slider_spread(key: str) -> float:
    """Standard deviation of a slider in the population."""
    leaf = key.rsplit("/", 1)[1]
    if leaf.startswith("head-") and leaf[5:] in (
        "oval",
        "round",
        "square",
        "rectangular",
        "triangular",
        "diamond",
        "invertedtriangular",
    ):
        return 0.24
    rules = (
        ("forehead", 0.11),
        ("head-scale-vert", 0.10),
        ("eyebrows", 0.12),
        ("head-scale", 0.13),
        ("chin-jaw", 0.18),
        ("chin-width", 0.18),
        ("head-trans", 0.05),
        ("head-angle", 0.05),
        ("head-age", 0.15),
        ("neck", 0.25),
        ("ears", 0.25),
        ("nose-trans", 0.15),
        ("mouth-trans", 0.15),
        ("eye-trans", 0.15),
        ("compress", 0.12),
        ("septum", 0.12),
        ("cleft", 0.2),
        ("asym", 0.1),
        ("mouth", 0.17),
        ("nose", 0.27),
    )
    for part, spread in rules:
        if part in key:
            return spread
    return 0.23


SLIDER_MEANS = {
    "l/eyes/eye-height1": 0.25,
    "l/eyes/eye-height2": 0.45,
    "l/eyes/eye-height3": 0.25,
    "l/eyes/eye-scale": 0.08,
    "l/head/head-scale-horiz": -0.12,
    "l/cheek/cheek-volume": -0.10,
}
"""Means of sliders: the base head squints and is broad; people in photographs are not."""


class Population:
    """Draws people for a head and the textures at hand."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.keys = list(head.sliders)
        self.spread = np.array([slider_spread(key) for key in self.keys], np.float32)
        self.one_sided = np.array([all(s.negative < 0 for s in head.sliders[key]) for key in self.keys])
        self.index = {name: k for k, name in enumerate(head.target_names)}
        sides = [
            (k, 0.0 if len(head.sliders[key]) == 1 else 1.0 - 2.0 * number, side)
            for k, key in enumerate(self.keys)
            for number, side in enumerate(head.sliders[key])
        ]
        self.side_slider = np.array([k for k, _, _ in sides])
        self.side_sign = np.array([sign for _, sign, _ in sides], np.float32)
        self.side_positive = np.array([side.positive for _, _, side in sides])
        self.side_negative = np.array([side.negative for _, _, side in sides])
        self.prior = np.array([SLIDER_MEANS.get(key, 0.0) for key in self.keys], np.float32)

    def sample(
        self,
        random: np.random.Generator,
        skins: dict[str, Array],
        eyes: list[str],
        brows: list[str],
        lashes: list[str],
        cards: list[str],
    ) -> Person:
        """Draw a person; skins maps texture name to its mean linear colour, cards names hair of the folder."""
        ancestry = random.dirichlet([0.22, 0.22, 0.32]).astype(np.float32)
        male = float(np.clip(random.choice([0.05, 0.95]) + random.normal(0, 0.07), 0, 1))
        old = float(random.beta(1.1, 1.9))
        child = min(0.35, max(0.0, float(random.normal(-0.15, 0.15)))) * (1 - old)
        weight = random.dirichlet([1.4, 3, 0.4]).astype(np.float32)
        sliders = random.normal(0, 1, len(self.keys)) * self.spread
        sliders = np.where(self.one_sided, np.abs(sliders), sliders) + self.prior
        asymmetry = random.normal(0, 0.035, len(self.keys))
        melanin = float(np.clip(ancestry @ np.array([0.80, 0.27, 0.12]) + random.normal(0, 0.11), 0, 1))
        tone = np.exp([np.interp(melanin, SKIN_NODES, SKIN_COLOURS[:, c]) for c in range(3)])
        tone = tone * np.exp(random.normal(0, 0.06) + np.array([-0.1, 0.6, 1.0]) * random.normal(0, 0.07))
        skin = self._choose_skin(random, skins, tone, male, old)
        hair = sample_style(random, male, old, float(ancestry[0]))
        use_cards = len(cards) > 0 and random.random() < 0.5
        grey = old > 0.55 and random.random() < 0.65
        dark_only = np.where(np.arange(10) < 2, 1, (ancestry[2] + 0.02) * (0.05 if melanin > 0.6 else 1))
        colours = GREY_WEIGHTS if grey else HAIR_WEIGHTS * dark_only
        hair_colour = HAIR_COLOURS[int(random.choice(10, p=colours / colours.sum()))]
        hair_colour = hair_colour * np.exp(random.normal(0, 0.15) + random.normal(0, 0.05, 3))
        light_eyes = ancestry[2] ** 2 if melanin < 0.4 else 0.01
        chance = np.array([4 * (1 + 2 * (1 - ancestry[2])) if "brown" in e else light_eyes * 2.5 for e in eyes])
        eye = eyes[int(random.choice(len(eyes), p=chance / chance.sum()))]
        dim = 1.1 if "brown" not in eye else 1.0 * float(np.exp(-0.7 * (1 - ancestry[2])))
        beard_kind = random.random()
        man = 1.0 if male > 0.6 and child < 0.1 else 0.0
        return Person(
            ancestry=ancestry,
            male=male,
            old=old,
            child=child,
            weight=weight,
            sliders=np.clip(sliders, -0.95, 0.95).astype(np.float32),
            asymmetry=asymmetry.astype(np.float32),
            melanin=melanin,
            skin_tone=tone.astype(np.float32),
            skin=skin,
            eye=eye,
            eye_colour=(np.exp(random.normal(0, 0.1, 3)) * dim).astype(np.float32),
            brow=brows[int(random.integers(len(brows)))],
            brow_shape=self._brow_shape(random, male),
            lash=lashes[int(random.integers(len(lashes)))],
            hair=hair,
            hair_cards=self._choose_cards(random, cards, male, float(ancestry[0])) if use_cards else "",
            hair_colour=hair_colour.astype(np.float32),
            buzz=float(np.clip(random.normal(0.45, 0.25), 0, 0.85)),
            beard=man * float(np.clip((beard_kind - 0.72) * 4.5, 0, 1)),
            stubble=man * float(abs(random.normal(0, 0.22))),
            freckles=float(max(0, random.normal(-0.6, 0.7)) * (melanin < 0.3)),
            blush=float(abs(random.normal(0.15, 0.2))),
            lipstick=float(np.clip(random.normal(0.3, 0.3), 0, 0.75) * (male < 0.4)),
            lip_colour=(np.array([0.95, 0.42, 0.48]) * np.exp(random.normal(0, 0.15, 3))).astype(np.float32),
            glasses=self._glasses(random),
        )

    @staticmethod
    def _brow_shape(random: np.random.Generator, male: float) -> Array:
        """Arch, thickness, length, height over the eye and tilt of the brows, in decimetres."""
        thick = random.uniform(0.05, 0.085) * (0.8 + 0.35 * male)
        return np.array(
            [
                random.uniform(0.005, 0.045),
                thick,
                random.uniform(0.36, 0.44),
                random.uniform(0.205, 0.25),
                random.uniform(-0.06, 0.005),
            ],
            np.float32,
        )

    @staticmethod
    def _choose_skin(random: np.random.Generator, skins: dict[str, Array], tone: Array, male: float, old: float) -> str:
        """Prefer textures near in tone, and of the right gender and age where their names say so."""
        names = list(skins)
        chance = np.ones(len(names))
        for k, name in enumerate(names):
            if name.startswith("skin/embedded"):
                continue
            apart = float(np.abs(np.log(skins[name]) - np.log(tone)).mean())
            chance[k] = np.exp(-4 * apart) * ((male + 0.05) if "_male" in name else (1 - male + 0.05))
            chance[k] *= (old + 0.05) if "old" in name else ((0.3 + old) if "middle" in name else (1.05 - old))
        return names[int(random.choice(len(names), p=chance / chance.sum()))]

    @staticmethod
    def _choose_cards(random: np.random.Generator, cards: list[str], male: float, african: float) -> str:
        """Hair of the folder by gender."""
        long = ("bob", "braid", "long", "ponytail")
        chance = np.array(
            [(male * 0.02 + (1 - male)) if c.startswith(long) else (male + (1 - male) * 0.3) for c in cards]
        ) * np.array([0.05 + 2 * african if c.startswith("afro") else 1.0 for c in cards])
        return cards[int(random.choice(len(cards), p=chance / chance.sum()))]

    @staticmethod
    def _glasses(random: np.random.Generator) -> Array:
        """(worn 0 or 1, width, height, roundness, wire radius, brightness) of spectacles."""
        return np.array(
            [
                random.random() < 0.22,
                random.uniform(0.92, 1.12),
                random.uniform(0.8, 1.2),
                random.uniform(2, 4.5),
                random.uniform(0.011, 0.026),
                np.exp(random.uniform(-4.2, -1.0)),
            ],
            np.float32,
        )

    def target_weights(self, person: Person, expression: dict[str, float]) -> Array:
        """Weights [K] of all targets of a person with an expression; linear in the coefficients."""
        index = self.index
        out = np.zeros(len(index), np.float32)
        for gender, share in (("female", 1 - person.male), ("male", person.male)):
            for age, age_share in person.ages.items():
                for race, race_share in zip(ANCESTRIES, person.ancestry, strict=True):
                    out[index[f"m/{race}-{gender}-{age}"]] += share * age_share * race_share
                for name, weight_share in zip(("min", "average", "max"), person.weight, strict=True):
                    out[index[f"u/{gender}-{age}-{name}weight"]] += share * age_share * weight_share
        value = person.sliders[self.side_slider] + self.side_sign * person.asymmetry[self.side_slider]
        chosen = np.where(value >= 0, self.side_positive, self.side_negative)
        np.add.at(out, chosen[chosen >= 0], np.abs(value)[chosen >= 0])
        for name, amount in expression.items():
            out[index["e/" + name]] += amount
        return out
