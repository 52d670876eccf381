"""What people wear: stated shares, fit on any head, hair below hats, lenses, make-up, beards, labels of both views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from compress.faces import PairRenderer, mesh
from compress.faces.beards import BEARDS, LEAST_SHELL, Barber
from compress.faces.fabric import weave
from compress.faces.garments import LEAST_ROOM
from compress.faces.hair import HairSheet, grow_sheet
from compress.faces.head import load_head
from compress.faces.headwear import Hatter
from compress.faces.lenses import lay_lenses
from compress.faces.materials import BEARD, GLASSES, HEADWEAR, LABELS, MATERIALS, SCARF
from compress.faces.population import Person
from compress.faces.view import View
from compress.faces.wear import (
    BANDED,
    BEANIE,
    CAP,
    GLASSES_SHARE,
    HAT,
    HEADBAND,
    HEADSCARF,
    HEADWEAR_SHARE,
    MADE_UP_SHARE,
    NONE,
    PLAIN,
    SCARF_SHARE,
    SUNGLASSES_SHARE,
    Fabric,
    Headwear,
    Lenses,
    sample_frame,
    sample_wear,
)

RIMMED = (CAP, BEANIE, HAT, HEADBAND)
SIZE = 64
CLOTH = Fabric(np.full(3, 0.3, np.float32), np.full(3, 0.1, np.float32), PLAIN, 0.2)


@pytest.fixture(scope="module")
def renderer() -> PairRenderer:
    return PairRenderer(SIZE, styles=("fairy-tale",))


@pytest.fixture(scope="module")
def people(renderer: PairRenderer) -> list[Person]:
    return [renderer.subject(3, index).person for index in range(12)]


def bare(person: Person) -> Person:
    """The person with nothing on, no beard."""
    wear = replace(person.wear, headwear=replace(person.wear.headwear, kind=NONE), scarf=None, lenses=None)
    return replace(person, wear=wear, glasses=np.zeros(6, np.float32), beard=0.0, stubble=0.0)


def with_hat(person: Person, kind: str) -> Person:
    return replace(person, wear=replace(person.wear, headwear=replace(person.wear.headwear, kind=kind)))


def views(renderer: PairRenderer, index: int, person: Person) -> list[View]:
    """Photo and cartoon of a sample with another person in its place."""
    subject = renderer.subject(3, index)
    topology = renderer.modeller.topology(person, subject.scene.clothes, None)
    posed = renderer.modeller.pose(person, subject.pose, topology, None)
    subject = replace(subject, person=person, topology=topology, posed=posed)
    return [renderer.photograph(subject), renderer.draw(subject, renderer.style_maps[0])[1]]


def share_of(views: list[View], label: str) -> list[float]:
    return [float((view.label == LABELS[label]).mean()) for view in views]


def test_shares_of_wear_are_as_stated() -> None:
    random = np.random.default_rng(0)
    women = [sample_wear(random, 0.0, 0.0, 0.3) for _ in range(1500)]
    men = [sample_wear(random, 1.0, 0.0, 0.3) for _ in range(1500)]
    both = women + men
    assert np.mean([w.headwear.kind != NONE for w in both]) == pytest.approx(HEADWEAR_SHARE, abs=0.025)
    assert np.mean([w.scarf is not None for w in both]) == pytest.approx(SCARF_SHARE, abs=0.02)
    assert np.mean([w.lenses is not None for w in both]) == pytest.approx(GLASSES_SHARE, abs=0.03)
    assert np.mean([w.lenses is not None and w.lenses.opaque for w in both]) == pytest.approx(
        SUNGLASSES_SHARE, abs=0.012
    )
    assert np.mean([w.make_up.liner > 0 for w in women]) == pytest.approx(MADE_UP_SHARE, abs=0.04)
    assert np.mean([w.make_up.liner > 0 for w in men]) < 0.03
    assert {w.headwear.kind for w in women} == {NONE, HEADSCARF, *RIMMED}
    assert HEADSCARF not in {w.headwear.kind for w in men}


def test_children_wear_no_make_up_and_the_same_seed_gives_the_same_wear() -> None:
    children = [sample_wear(np.random.default_rng(seed), 0.0, 0.5, 0.0) for seed in range(200)]
    assert max(w.make_up.shadow + w.make_up.liner + w.make_up.lipstick for w in children) == 0
    again = sample_wear(np.random.default_rng(7), 0.0, 0.5, 0.0)
    assert repr(again) == repr(children[7])
    assert sample_frame(np.random.default_rng(1), False, False)[0] == 0


@pytest.mark.parametrize("kind", RIMMED)
def test_hats_stay_outside_every_head(renderer: PairRenderer, people: list[Person], kind: str) -> None:
    head, outfitter = renderer.head, renderer.modeller.outfitter
    for person in people:
        sheet = outfitter.hatter.build(replace(person.wear.headwear, kind=kind))
        assert len(sheet.faces) < 800
        assert sheet.faces.max() < len(sheet.index)
        assert sheet.outwards is not None
        body = head.shape(renderer.population.target_weights(person, {}))
        bound = (body[sheet.index] * sheet.weight[..., None]).sum(1)
        room = ((sheet.place(body, head.mean, 1.0) - bound) * sheet.outwards).sum(1)
        meant = (sheet.offset * sheet.outwards).sum(1)
        assert room[meant >= LEAST_ROOM].min() > LEAST_ROOM - 1e-4
        assert room.max() < 1.6


def thickest_inside(hatter: Hatter, wear: Headwear, hair: HairSheet, mean: npt.NDArray[np.float32]) -> float:
    """Largest distance from the skull of hair inside the hat."""
    points = (mean[hair.index] * hair.weight[..., None]).sum(1) + hair.offset - hatter.centre
    far = np.linalg.norm(points, axis=1)
    skull = hatter.scalp.look_up(hatter.scalp.radius, (points / far[:, None]).astype(np.float32))
    on_skull = hatter.centre + points / far[:, None] * skull[:, None]
    inside = hatter.inside(wear, on_skull.astype(np.float32)) > 0
    return float((far - skull)[inside].max())


@pytest.mark.parametrize("kind", RIMMED)
def test_hair_stays_below_hats(renderer: PairRenderer, people: list[Person], kind: str) -> None:
    hatter, mean = renderer.modeller.outfitter.hatter, renderer.head.mean
    for person in people:
        if person.hair.name in mesh.PAINTED:
            continue
        wear = replace(person.wear.headwear, kind=kind)
        hair = grow_sheet(hatter.scalp, person.hair)
        pressed = hatter.press(wear, hair)

        assert thickest_inside(hatter, wear, pressed, mean) < 0.045
        assert thickest_inside(hatter, wear, hair, mean) > 0.045
        if kind != HEADBAND:
            assert len(pressed.faces) < len(hair.faces)


def test_headscarf_leaves_the_face_open_and_hides_hair_and_ears(renderer: PairRenderer, people: list[Person]) -> None:
    person = bare(people[0])
    before, after = views(renderer, 0, person), views(renderer, 0, with_hat(person, HEADSCARF))
    for was, now in zip(before, after, strict=True):
        assert (now.label == LABELS["hair"]).sum() == 0
        assert (now.label == LABELS["headwear"]).mean() > 0.05
        for label in ("eye", "lips", "brow"):
            assert (now.label == LABELS[label]).sum() > 0.75 * (was.label == LABELS[label]).sum(), label


@pytest.mark.parametrize("kind", [*RIMMED, HEADSCARF])
def test_headwear_shows_in_both_views(renderer: PairRenderer, people: list[Person], kind: str) -> None:
    person = bare(people[3])
    assert share_of(views(renderer, 3, person), "headwear") == [0, 0]
    shown = views(renderer, 3, with_hat(person, kind))
    assert min(share_of(shown, "headwear")) > 0.002
    assert min(share_of(shown, "eye")) > 0


def test_nothing_worn_adds_no_triangles(renderer: PairRenderer, people: list[Person]) -> None:
    person = bare(people[2])
    topology = renderer.modeller.topology(person, renderer.subject(3, 2).scene.clothes, None)
    assert not np.isin(topology.material, (GLASSES, HEADWEAR, SCARF, BEARD)).any()
    assert topology.lenses is None
    assert topology.outfit_start == topology.hair_start


def test_scarf_glasses_and_beard_show_in_both_views(renderer: PairRenderer, people: list[Person]) -> None:
    person = bare(people[1])
    clear = Lenses(np.full(3, 0.9, np.float32), 0.3, False)
    worn = replace(
        person,
        male=0.95,
        child=0.0,
        beard=0.8,
        glasses=sample_frame(np.random.default_rng(0), True, False),
        wear=replace(person.wear, scarf=CLOTH, lenses=clear, beard="full"),
    )
    shown = views(renderer, 1, worn)
    for label in ("scarf", "glasses", "beard"):
        assert share_of(views(renderer, 1, person), label) == [0, 0]
        assert min(share_of(shown, label)) > 0.003, label
    assert min(share_of(shown, "eye")) > 0
    dark = replace(worn, wear=replace(worn.wear, lenses=replace(clear, opaque=True)))
    assert max(share_of(views(renderer, 1, dark), "eye")) < 0.4 * min(share_of(shown, "eye"))


def test_brows_and_lashes_are_labelled_in_both_views(renderer: PairRenderer, people: list[Person]) -> None:
    shown = [views(renderer, index, replace(bare(people[index]), male=0.05)) for index in range(6)]
    for label in ("brow", "lash"):
        for side in (0, 1):
            assert max(share_of(pair, label)[side] for pair in shown) > 0.0005, (label, side)


def test_labels_are_all_different() -> None:
    assert sorted(LABELS.values()) == list(range(MATERIALS + 2))


def test_beards_grow_where_their_style_says(renderer: PairRenderer) -> None:
    head = load_head()
    barber = Barber(head)
    mouth = float(head.mean[head.landmarks[[9, 10]], 1].mean())
    assert barber.grow("full", LEAST_SHELL - 0.01) is None
    lowest = {}
    for style in BEARDS:
        shell = barber.grow(style, 1.0)
        assert shell is not None
        at = head.mean[shell.index[:, 0]] + shell.offset
        grown = barber.density[style][shell.index[:, 0]] > 0.5
        lowest[style] = float(at[grown, 1].min())
        assert np.abs(at[:, 0]).max() < 0.9
    assert lowest["moustache"] > mouth - 0.15
    assert lowest["long"] < lowest["full"] - 0.1
    assert lowest["goatee"] < mouth - 0.2


def test_make_up_darkens_the_lids(renderer: PairRenderer, people: list[Person]) -> None:
    person = replace(bare(people[1]), male=0.05)
    plain = replace(person.wear.make_up, shadow=0.0, liner=0.0)
    bold = replace(plain, shadow=1.0, liner=1.0, shadow_colour=np.full(3, 0.02, np.float32))
    pictures = [
        views(renderer, 1, replace(person, wear=replace(person.wear, make_up=m)))[0].image.astype(int)
        for m in (plain, bold)
    ]
    change = pictures[0].sum(2) - pictures[1].sum(2)
    rows, _ = np.nonzero(change > 60)
    assert 4 < len(rows) < 0.05 * SIZE * SIZE
    assert rows.max() < 0.65 * SIZE


def test_patterns_use_both_colours() -> None:
    first, second = np.zeros(3), np.ones(3)
    rgb = np.zeros(3)
    for pattern in range(BANDED + 2):
        seen = set()
        for u in np.linspace(0, 1, 41):
            for v in np.linspace(-0.5, 0.5, 21):
                weave(rgb, u, v, first, second, pattern, 0.2)
                seen.add(round(float(rgb[0]), 1))
        assert (len(seen) > 1) == (pattern != PLAIN)


def test_lenses_tint_what_is_behind_and_mirror_the_key_light() -> None:
    disc = np.array([[0, 0, 1], [10, 0, 1], [10, 10, 1], [0, 10, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    place = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * 0.1
    camera, key = np.array([0, 0, 8], np.float32), np.array([0, 0, 1], np.float32)
    dark = np.zeros((9, 3), np.float32)
    lens = Lenses(np.array([0.5, 0.6, 0.7], np.float32), 0.0, False)
    for depth, factor in ((2.0, 0.5), (0.5, 1.0)):
        light = np.ones((10, 10, 3), np.float32)
        lay_lenses(
            light, np.full((10, 10), depth, np.float32), disc, faces, place, lens,
            (key, np.ones(3, np.float32), dark, camera),
        )  # fmt: skip
        assert light[5, 5, 0] == pytest.approx(factor, abs=1e-3)
    glaring = replace(lens, reflection=1.0)
    levels = []
    for towards in (key, -key):
        light = np.zeros((10, 10, 3), np.float32)
        lay_lenses(
            light, np.full((10, 10), 2, np.float32), disc, faces, place, glaring,
            (towards, np.ones(3, np.float32), dark, camera),
        )  # fmt: skip
        levels.append(float(light.max()))
    assert levels[0] > 0.05 > levels[1]
