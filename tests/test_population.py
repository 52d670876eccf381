"""The population: shares of groups, ranges of faces, determinism; people are drawn, not rendered."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from compress.errors import InputError
from compress.faces.colouring import choose_skin, sample_hair_colour, sample_skin_tone
from compress.faces.groups import (
    AGE_SHARES,
    LEADING_FROM,
    MIXED_BELOW,
    sample_age,
    sample_ancestry,
    sample_gender,
    years,
)
from compress.faces.hairstyles import BALD, sample_style
from compress.faces.head import load_head
from compress.faces.population import Person, Population, change_clothes
from compress.faces.pose import EXPRESSIONS, PROFILE, SHOWING_TEETH, TURNED, sample_pose, sample_yaw
from compress.faces.proportions import LIMIT
from compress.judging.facts import CHILD_SHARE, SENIOR_SHARE
from compress.networks import dlibnet
from compress.networks.weights import WeightFile

COUNT = 3000
SHARE = 0.03
"""Tolerance of a share over COUNT draws: more than three deviations."""


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(load_head())


def draw(population: Population, seed: int) -> Person:
    skins = {"skin/embedded0": np.full(3, 0.6, np.float32), "skin/embedded0-old": np.full(3, 0.6, np.float32)}
    return population.sample(np.random.default_rng(seed), skins, ["eye/brown", "eye/blue"], ["brow/0"], ["lash/0"], [])


@pytest.fixture(scope="module")
def people(population: Population) -> list[Person]:
    return [draw(population, seed) for seed in range(200)]


def test_ages_follow_the_stated_shares() -> None:
    random = np.random.default_rng(1)
    drawn = [sample_age(random) for _ in range(COUNT)]
    share = Counter(
        "child" if child >= CHILD_SHARE else "senior" if old >= SENIOR_SHARE else "adult" for old, child in drawn
    )
    for name, wanted in AGE_SHARES.items():
        assert share[name] / COUNT == pytest.approx(wanted, abs=SHARE)


def test_ages_in_years_keep_to_their_groups() -> None:
    random = np.random.default_rng(2)
    for old, child in (sample_age(random) for _ in range(COUNT)):
        age = years(old, child)
        assert 10 <= age <= 18 if child else (25 <= age <= 60 if old < SENIOR_SHARE else 61 <= age <= 90)


def test_a_quarter_of_the_people_has_each_ancestry_and_a_quarter_is_mixed() -> None:
    random = np.random.default_rng(3)
    drawn = np.stack([sample_ancestry(random) for _ in range(COUNT)])
    assert np.allclose(drawn.sum(1), 1, atol=1e-5)
    leading = drawn.max(1) >= LEADING_FROM
    assert (drawn[~leading].max(1) < MIXED_BELOW).all()
    for ancestry in range(3):
        assert (leading & (drawn.argmax(1) == ancestry)).mean() == pytest.approx(0.25, abs=SHARE)


def test_genders_are_balanced_and_mostly_clear() -> None:
    random = np.random.default_rng(4)
    male = np.array([sample_gender(random) for _ in range(COUNT)])
    assert (male >= 0.5).mean() == pytest.approx(0.5, abs=SHARE)
    assert (np.abs(male - 0.5) > 0.3).mean() > 0.9


def test_an_eighth_of_the_heads_is_turned_and_some_are_profiles() -> None:
    random = np.random.default_rng(5)
    yaw = np.degrees(np.abs([sample_yaw(random) for _ in range(COUNT)]))
    assert (yaw >= TURNED[1]).mean() == pytest.approx(TURNED[0] + PROFILE[0], abs=0.02)
    assert (yaw >= PROFILE[1]).mean() == pytest.approx(PROFILE[0], abs=0.015)
    assert 50 < yaw.max() <= PROFILE[2]


def test_both_sides_are_seen_alike() -> None:
    random = np.random.default_rng(6)
    assert np.mean([sample_yaw(random) > 0 for _ in range(COUNT)]) == pytest.approx(0.5, abs=SHARE)


def test_expressions_follow_their_shares_and_a_third_shows_teeth() -> None:
    assert sum(share for share, _ in EXPRESSIONS.values()) == pytest.approx(1)
    random = np.random.default_rng(7)
    names = Counter(sample_pose(random).name for _ in range(COUNT))
    assert sum(names[name] for name in SHOWING_TEETH) / COUNT == pytest.approx(0.32, abs=SHARE)


def test_the_same_seed_draws_the_same_person(population: Population) -> None:
    first, again, other = (draw(population, seed) for seed in (8, 8, 9))
    for field in fields(Person):
        assert repr(getattr(first, field.name)) == repr(getattr(again, field.name)), field.name
    assert not np.array_equal(first.sliders, other.sliders)


def test_sliders_keep_their_range_and_differ_widely(people: list[Person]) -> None:
    sliders = np.stack([person.sliders for person in people])
    assert np.isfinite(sliders).all()
    assert np.abs(sliders).max() <= LIMIT
    assert sliders.std(0).mean() > 0.15


def test_weights_of_shapes_sum_to_one_for_every_person(population: Population, people: list[Person]) -> None:
    macro = np.array([name.startswith("m/") for name in population.head.target_names])
    for person in people[:20]:
        assert population.target_weights(person, {})[macro].sum() == pytest.approx(1, abs=1e-4)


def test_gender_moves_the_chin_of_the_population(population: Population, people: list[Person]) -> None:
    chin = population.keys.index("l/chin/chin-width")
    width = {male: np.mean([p.sliders[chin] for p in people if (p.male > 0.5) == male]) for male in (True, False)}
    assert width[True] > width[False] + 0.2


def test_children_have_no_beards_and_no_bald_heads(people: list[Person]) -> None:
    assert all(person.beard == 0 and person.stubble == 0 for person in people if person.child)
    random = np.random.default_rng(10)
    assert not {sample_style(random, 1.0, 0.0, 0.3, child=0.8).name for _ in range(200)} & {BALD, "receding"}


def test_another_day_changes_hats_but_not_the_person(people: list[Person]) -> None:
    random = np.random.default_rng(11)
    others = [change_clothes(random, person) for person in people]
    assert any(a.wear.headwear.kind != b.wear.headwear.kind for a, b in zip(people, others))
    for person, other in zip(people, others):
        assert other.sliders is person.sliders
        assert other.wear.lenses is person.wear.lenses
        assert other.wear.make_up is person.wear.make_up


def test_skin_darkens_with_melanin_and_hair_greys_with_age() -> None:
    random = np.random.default_rng(12)
    african, european = (
        np.mean([sample_skin_tone(random, np.eye(3, dtype=np.float32)[k])[1] for _ in range(50)]) for k in (0, 2)
    )
    assert african < 0.4 * european
    saturation = {
        old: np.mean(
            [np.ptp(c) / c.max() for c in (sample_hair_colour(random, 1.0, 1.0, old, 0.1) for _ in range(100))]
        )
        for old in (0.1, 0.9)
    }
    assert saturation[0.9] < 0.6 * saturation[0.1]


def test_old_people_get_worn_skins() -> None:
    skins = {"skin/embedded0": np.full(3, 0.6, np.float32), "skin/embedded0-old": np.full(3, 0.6, np.float32)}
    random, tone = np.random.default_rng(13), np.ones(3, np.float32)
    worn = {old: sum("old" in choose_skin(random, skins, tone, 0.5, old) for _ in range(200)) for old in (0.0, 0.9)}
    assert worn[0.0] < 20 < 180 < worn[0.9]


def test_missing_weights_of_dlib_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = WeightFile("no-such-package==1.0", "no_such_package", "x.dat", "CC0-1.0", "0" * 64)
    monkeypatch.setattr(dlibnet, "WEIGHTS", absent)
    with pytest.raises(InputError, match=r"kcompress\[dlib\]"):
        dlibnet.DlibFace()


def test_layers_of_a_dlib_file_are_read_in_order(tmp_path: object) -> None:
    def integer(value: int) -> bytes:
        return bytes([1, value])

    def tensor(values: list[float]) -> bytes:
        sizes = b"".join(integer(n) for n in (2, 1, len(values), 1, 1))
        return sizes + np.array(values, "<f4").tobytes()

    data = b"\x01\x05con_4" + tensor([1.0, 2.0]) + b"\x01\x07affine_" + tensor([3.0]) + b"\x01\x05fc_no con_4"
    path = tmp_path / "net.dat"  # type: ignore[operator]
    path.write_bytes(data + b"\x01\x04fc_2" + integer(1) + integer(2) + tensor([4.0, 5.0]))
    layers = dlibnet.read_layers(path)
    assert [layer.tolist() for layer in layers["con"] + layers["affine"] + layers["fc"]] == [[1, 2], [3], [4, 5]]
