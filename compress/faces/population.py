"""People: ancestry, age, gender, face sliders, skin, hair, eyes, brows. Sampled from one random generator.

Does not pose or light them (scene.py) nor stylise them (style.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from compress.faces.hairstyles import HairStyle, sample_style
from compress.faces.head import Head
from compress.faces.proportions import Proportions
from compress.faces.wear import Wear, sample_frame, sample_wear

Array = npt.NDArray[np.float32]
ANCESTRIES = ("african", "asian", "caucasian")
LEADING_FROM, MIXED_BELOW = 0.72, 0.58
"""A quarter of the people each has one ancestry from the first share up; the last quarter has all below the second."""
ANCESTRY_GAIN, GENDER_GAIN = 1.6, 1.2
"""The head's shapes of ancestry and gender are averages; a person is this many times as far from their mean."""
AGE_SHARES = {"child": 0.2, "adult": 0.5, "senior": 0.3}
CHILD_RANGE, ADULT_RANGE, SENIOR_RANGE = (0.25, 0.85), (0.0, 0.54), (0.56, 0.98)
"""Shares of the child's and the old shapes: from 25 years, a child's share of 1 takes 15 off, an old one adds 65."""

SKIN_NODES = (0.0, 0.35, 0.68, 1.0)
SKIN_COLOURS = np.log(
    np.array([[0.72, 0.405, 0.32], [0.50, 0.25, 0.16], [0.24, 0.110, 0.068], [0.085, 0.039, 0.028]], np.float32)
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
    wear: Wear

    @property
    def ages(self) -> dict[str, float]:
        """Weights of the age targets."""
        adult = 1 - self.child
        return {"young": (1 - self.old) * adult, "old": self.old * adult, "child": self.child}


def sample_ancestry(random: np.random.Generator) -> Array:
    """Shares [3] of the ancestries' shapes: one leads in equal parts of the people, in the others none does."""
    kind = int(random.integers(4))
    if kind == 3:
        while True:
            shares = random.dirichlet([1.2, 1.2, 1.2])
            if shares.max() < MIXED_BELOW:
                return shares.astype(np.float32)
    rest = random.beta(1.0, 2.5) * (1 - LEADING_FROM)
    shares = random.dirichlet([1.0, 1.0, 1.0]) * rest
    shares[kind] += 1 - rest
    return shares.astype(np.float32)


def sample_gender(random: np.random.Generator) -> float:
    """Share of the male shapes: women and men in equal parts, few in between."""
    distance = float(random.beta(0.8, 6.0)) * 0.49
    return 1 - distance if random.random() < 0.5 else distance


def sample_age(random: np.random.Generator) -> tuple[float, float]:
    """Shares of the old and of the child's shapes by AGE_SHARES."""
    group = random.random()
    if group < AGE_SHARES["child"]:
        return 0.0, float(random.uniform(*CHILD_RANGE))
    if group < AGE_SHARES["child"] + AGE_SHARES["adult"]:
        return float(random.uniform(*ADULT_RANGE)), 0.0
    return float(random.uniform(*SENIOR_RANGE)), 0.0


class Population:
    """Draws people for a head and the textures at hand."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.keys = list(head.sliders)
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
        self.proportions = Proportions(self.keys, self.one_sided)
        self.prior = self.proportions.mean

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
        ancestry, male = sample_ancestry(random), sample_gender(random)
        old, child = sample_age(random)
        weight = random.dirichlet([0.9, 1.5, 0.5]).astype(np.float32)
        groups = {"female": 1 - male, "male": male, "child": child, "old": old}
        groups |= dict(zip(("african", "asian", "european"), map(float, ancestry), strict=True))
        sliders = self.proportions.sample(random, groups)
        asymmetry = random.normal(0, 0.045, len(self.keys))
        melanin = float(np.clip(ancestry @ np.array([0.88, 0.28, 0.07]) + random.normal(0, 0.13), 0, 1))
        tone = np.exp([np.interp(melanin, SKIN_NODES, SKIN_COLOURS[:, c]) for c in range(3)])
        tone = tone * np.exp(random.normal(0, 0.1) + np.array([-0.1, 0.6, 1.0]) * random.normal(0, 0.1))
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
        wear = sample_wear(random, male, child, old)
        beard_kind = random.random()
        man = 1.0 if male > 0.6 and child < 0.1 else 0.0
        return Person(
            ancestry=ancestry,
            male=male,
            old=old,
            child=child,
            weight=weight,
            sliders=sliders,
            asymmetry=asymmetry.astype(np.float32),
            melanin=melanin,
            skin_tone=tone.astype(np.float32),
            skin=skin,
            eye=eye,
            eye_colour=(np.exp(random.normal(0, 0.12, 3) + random.normal(0, 0.2)) * dim).astype(np.float32),
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
            blush=float(abs(random.normal(0.08, 0.12)) + 0.8 * wear.make_up.blush),
            lipstick=0.9 * wear.make_up.lipstick,
            lip_colour=(np.array([0.95, 0.42, 0.48]) * np.exp(random.normal(0, 0.15, 3))).astype(np.float32),
            glasses=sample_frame(random, wear.lenses is not None, wear.lenses is not None and wear.lenses.opaque),
            wear=wear,
        )

    @staticmethod
    def _brow_shape(random: np.random.Generator, male: float) -> Array:
        """Arch, thickness, length, height over the eye and tilt of the brows, in decimetres."""
        thick = (0.045 + 0.04 * male) * np.exp(random.normal(0, 0.28))
        return np.array(
            [
                np.clip(random.normal(0.045 - 0.025 * male, 0.022), 0.0, 0.1),
                np.clip(thick, 0.028, 0.125),
                random.uniform(0.33, 0.47),
                np.clip(random.normal(0.24 - 0.02 * male, 0.025), 0.185, 0.3),
                random.normal(-0.05, 0.022),
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
                worn = float(np.clip((old - 0.25) / 0.35, 0.02, 0.98))
                chance[k] = worn if "old" in name else 1 - worn
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

    def target_weights(self, person: Person, expression: dict[str, float]) -> Array:
        """Weights [K] of all targets of a person with an expression; linear in the coefficients."""
        index = self.index
        out = np.zeros(len(index), np.float32)
        male = 0.5 + GENDER_GAIN * (person.male - 0.5)
        ancestry = 1 / 3 + ANCESTRY_GAIN * (person.ancestry - 1 / 3)
        for gender, share in (("female", 1 - male), ("male", male)):
            for age, age_share in person.ages.items():
                for race, race_share in zip(ANCESTRIES, ancestry, strict=True):
                    out[index[f"m/{race}-{gender}-{age}"]] += share * age_share * race_share
                for name, weight_share in zip(("min", "average", "max"), person.weight, strict=True):
                    out[index[f"u/{gender}-{age}-{name}weight"]] += share * age_share * weight_share
        value = person.sliders[self.side_slider] + self.side_sign * person.asymmetry[self.side_slider]
        chosen = np.where(value >= 0, self.side_positive, self.side_negative)
        np.add.at(out, chosen[chosen >= 0], np.abs(value)[chosen >= 0])
        for name, amount in expression.items():
            out[index["e/" + name]] += amount
        return out


def change_clothes(random: np.random.Generator, person: Person) -> Person:
    """The same person on another day: other headwear and scarf; glasses, make-up, hair and beard stay."""
    other = sample_wear(random, person.male, person.child, person.old)
    return replace(person, wear=replace(person.wear, headwear=other.headwear, scarf=other.scarf))
