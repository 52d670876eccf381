"""People: ancestry, age, gender, face sliders, skin, hair, eyes, brows. Sampled from one random generator.

Does not pose them (pose.py), light them (lighting.py) or stylise them (character.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from compress.faces.colouring import (
    choose_cards,
    choose_skin,
    sample_brow_shape,
    sample_eye,
    sample_hair_colour,
    sample_skin_tone,
)
from compress.faces.groups import ANCESTRIES, sample_age, sample_ancestry, sample_gender
from compress.faces.hairstyles import HairStyle, sample_style
from compress.faces.head import Head
from compress.faces.proportions import Proportions
from compress.faces.wear import Wear, sample_frame, sample_wear

Array = npt.NDArray[np.float32]
ANCESTRY_GAIN, GENDER_GAIN = 2.0, 1.2
"""The head's shapes of ancestry and gender are averages; a person is this many times as far from their mean."""


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
        african, european = float(ancestry[0]), float(ancestry[2])
        melanin, tone = sample_skin_tone(random, ancestry)
        skin = choose_skin(random, skins, tone, male, old)
        hair = sample_style(random, male, old, african, child)
        use_cards = len(cards) > 0 and random.random() < 0.5
        hair_colour = sample_hair_colour(random, european, male, old, melanin)
        eye, eye_colour = sample_eye(random, eyes, european, melanin)
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
            skin_tone=tone,
            skin=skin,
            eye=eye,
            eye_colour=eye_colour,
            brow=brows[int(random.integers(len(brows)))],
            brow_shape=sample_brow_shape(random, male, old, child),
            lash=lashes[int(random.integers(len(lashes)))],
            hair=hair,
            hair_cards=choose_cards(random, cards, male, african) if use_cards else "",
            hair_colour=hair_colour,
            buzz=float(np.clip(random.normal(0.45, 0.25), 0, 0.85)),
            beard=man * float(np.clip((beard_kind - 0.64) * 4.5, 0, 1)),
            stubble=man * float(abs(random.normal(0, 0.22))),
            freckles=float(max(0, random.normal(-0.6, 0.7)) * (melanin < 0.3)),
            blush=float(abs(random.normal(0.08, 0.12)) + 0.8 * wear.make_up.blush),
            lipstick=0.9 * wear.make_up.lipstick,
            lip_colour=(np.array([0.95, 0.42, 0.48]) * np.exp(random.normal(0, 0.15, 3))).astype(np.float32),
            glasses=sample_frame(random, wear.lenses is not None, wear.lenses is not None and wear.lenses.opaque),
            wear=wear,
        )

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
