"""Light, film, places and teeth of the rendered photographs: shares, physics, ageing, ranges."""

from __future__ import annotations

import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest

from compress.faces.background import paint_background
from compress.faces.conditions import CONDITIONS
from compress.faces.creases import crease, distance
from compress.faces.film import FILMS, Film, develop_photo, follow_film, sample_film, through_file, through_lens
from compress.faces.grade import develop_cartoon
from compress.faces.head import load_head
from compress.faces.lighting import Lighting, dapple, even, light_up, sample_lighting, tint, white_balance
from compress.faces.look import Look
from compress.faces.places import PLACES, SIZE
from compress.faces.teeth import COLUMNS, build_teeth, gap, paint_teeth

SAMPLES = 300


def lamp(name: str, seed: int = 0) -> Lighting:
    return light_up(np.random.default_rng(seed), name)


def plain_film(**changes: object) -> Film:
    film = sample_film(np.random.default_rng(0))
    neutral = replace(
        film,
        exposure=0.0,
        white_balance=np.ones(3, np.float32),
        blur=0.0,
        noise=0.0,
        saturation=1.0,
        fade=0.0,
        paper=np.ones(3, np.float32),
        motion=(0.0, 0.0),
        resolution=1.0,
        quality=100,
        vignette=0.0,
    )
    return replace(neutral, **changes)  # type: ignore[arg-type]


def checks(size: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[0:size, 0:size] // 4
    return np.repeat(((rows + columns) % 2)[..., None].astype(np.float32), 3, 2)


@pytest.mark.parametrize("shares", [CONDITIONS, FILMS], ids=["conditions", "films"])
def test_stated_shares_sum_to_one(shares: dict[str, object]) -> None:
    assert sum(entry.share for entry in shares.values()) == pytest.approx(1)  # type: ignore[attr-defined]


def test_shares_of_places_sum_to_one() -> None:
    assert sum(share for share, _ in PLACES.values()) == pytest.approx(1)


def test_drawn_conditions_follow_their_shares() -> None:
    random = np.random.default_rng(1)
    drawn = [sample_lighting(random).condition for _ in range(SAMPLES)]
    for name, condition in CONDITIONS.items():
        spread = np.sqrt(condition.share * (1 - condition.share) / SAMPLES)
        assert abs(drawn.count(name) / SAMPLES - condition.share) < 4 * spread, name


@pytest.mark.parametrize("name", CONDITIONS)
def test_lights_are_positive_and_directed(name: str) -> None:
    light = lamp(name)
    assert np.linalg.norm(light.key) == pytest.approx(1, abs=1e-5)
    assert light.key_colour.min() > 0 and light.palette.min() > 0 and light.harmonics[0].min() > 0


def test_same_seed_gives_the_same_light() -> None:
    first, second = (sample_lighting(np.random.default_rng(5)) for _ in range(2))
    assert first.condition == second.condition
    np.testing.assert_array_equal(first.harmonics, second.harmonics)


def test_sun_casts_sharper_and_stronger_shadows_than_shade() -> None:
    def contrast(name: str) -> float:
        light = lamp(name)
        return float(light.key_colour.mean() / (light.harmonics[0].mean() * 0.2821))

    assert lamp("sun").softness < lamp("shade").softness
    assert contrast("sun") > 3 * contrast("shade")


def test_warm_light_is_redder_and_as_bright() -> None:
    assert tint(0.5)[0] > tint(0)[0] > tint(-0.5)[0]
    assert tint(0.5) @ [0.3, 0.6, 0.1] == pytest.approx(1)


def test_white_balance_takes_colour_away_and_not_light() -> None:
    light = lamp("bulbs")
    warm = light.key_colour * np.array([1.5, 1.0, 0.5], np.float32)
    gains = white_balance(np.random.default_rng(0), warm, light.harmonics)
    before, after = warm / warm.mean(), warm * gains / (warm * gains).mean()
    assert np.abs(after - 1).max() < np.abs(before - 1).max()


def test_leaves_hide_a_part_of_the_light_and_none_without() -> None:
    depths = np.full((64, 64), 5.0, np.float32)
    dapple(depths, 0)
    assert (depths == 5).all()
    dapple(depths, 3)
    assert 0.1 < (depths == 0).mean() < 0.7


def test_film_set_evens_hard_light_and_keeps_soft_light() -> None:
    hard, soft = lamp("side"), lamp("shade")
    assert even(hard).key_colour.mean() < 0.9 * hard.key_colour.mean()
    assert even(hard).harmonics[0].mean() > hard.harmonics[0].mean()
    np.testing.assert_allclose(even(soft).key_colour, soft.key_colour)


def test_black_and_white_film_and_its_cartoon_have_no_colour() -> None:
    image = checks() * np.array([0.9, 0.3, 0.1], np.float32)
    cover = np.ones(image.shape[:2], np.float32)
    film = plain_film(saturation=0.0, noise=0.02)
    photo = develop_photo(image, cover, lamp("studio"), film)
    cartoon = follow_film((image * 255).astype(np.uint8), film)
    assert np.ptp(photo.astype(int), axis=2).max() <= 1
    assert np.ptp(cartoon.astype(int), axis=2).max() <= 1


def test_colour_film_leaves_the_cartoon_alone() -> None:
    picture = (checks() * 255).astype(np.uint8)
    assert follow_film(picture, plain_film()) is picture


@pytest.mark.parametrize("change", [{"blur": 1.5}, {"motion": (6.0, 0.0)}])
def test_lens_takes_detail_and_keeps_light(change: dict[str, object]) -> None:
    image = checks()
    seen = through_lens(image, plain_film(**change))
    assert seen.std() < 0.9 * image.std()
    assert seen.mean() == pytest.approx(image.mean(), rel=0.02)


def test_horizontal_shake_blurs_only_across() -> None:
    bars = np.repeat(np.repeat((np.arange(64) // 4 % 2).astype(np.float32)[:, None, None], 64, 1), 3, 2)
    film = plain_film(motion=(6.0, 0.0))
    np.testing.assert_allclose(through_lens(bars, film), bars, atol=1e-5)
    assert through_lens(bars.transpose(1, 0, 2).copy(), film).std() < 0.9 * bars.std()


def test_vignette_darkens_corners_and_not_the_middle() -> None:
    seen = through_lens(np.ones((64, 64, 3), np.float32), plain_film(vignette=0.4))
    assert seen[32, 32, 0] > 0.99
    assert seen[0, 0, 0] == pytest.approx(0.6, abs=0.02)


def test_small_and_compressed_files_lose_detail_but_not_colour() -> None:
    random = np.random.default_rng(0)
    picture = np.repeat(random.integers(0, 256, (64, 64, 1), np.uint8), 3, 2)
    picture[..., 2] //= 2
    for change in ({"quality": 30}, {"resolution": 0.5}):
        seen = through_file(picture, plain_film(**change))
        assert seen.shape == picture.shape
        assert np.abs(seen.astype(int) - picture).mean() > 4
        np.testing.assert_allclose(seen.mean((0, 1)), picture.mean((0, 1)), atol=12)


def test_faded_prints_have_no_black() -> None:
    image, cover = np.zeros((32, 32, 3), np.float32), np.zeros((32, 32), np.float32)
    faded = develop_photo(image, cover, lamp("studio"), plain_film(fade=0.1))
    assert faded.min() >= 20


@pytest.mark.parametrize("name", PLACES)
def test_places_are_pictures_of_light(name: str) -> None:
    pictures = [PLACES[name][1](np.random.default_rng(seed)) for seed in range(3)]
    for picture in pictures:
        assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.float32
        assert np.isfinite(picture).all() and picture.max() < 4
    assert np.abs(pictures[0] - pictures[1]).mean() > 0.005


def test_background_depends_on_the_light_alone() -> None:
    light = lamp("room")
    np.testing.assert_array_equal(paint_background(light), paint_background(light))
    brighter = replace(light, palette=light.palette * 1.5)
    assert paint_background(brighter).mean() == pytest.approx(1.5 * paint_background(light).mean(), rel=1e-4)


def test_teeth_follow_skull_and_jaw_without_bending() -> None:
    head = load_head()
    teeth = build_teeth(head)
    rest = teeth.place(head.mean)
    moved = head.mean.copy()
    upper, lower = (np.unique(head.faces[f"helper-{arch}-teeth"]) for arch in ("upper", "lower"))
    moved[lower] += np.array([0.0, -0.2, 0.05], np.float32)
    moved[upper] += np.random.default_rng(0).normal(0, 0.01, (len(upper), 3)).astype(np.float32)
    now = teeth.place(moved)
    np.testing.assert_allclose(now[2 * COLUMNS :] - rest[2 * COLUMNS :], [[0, -0.2, 0.05]] * (2 * COLUMNS), atol=1e-3)
    shake = (now - rest)[: 2 * COLUMNS]
    assert np.abs(np.diff(shake[COLUMNS : 2 * COLUMNS], axis=0)).max() < 0.003  # smooth, though its riders are not


def test_teeth_are_white_with_darker_gaps_and_gums() -> None:
    texture = paint_teeth().astype(int)
    crown, gum = texture[48:62].mean((0, 1)), texture[2:10].mean((0, 1))
    assert crown[0] > 210 and crown[0] - crown[2] < 40
    assert gum[0] - gum[1] > 50
    along = np.linspace(-1, 1, texture.shape[1])
    line = texture[50].mean(1)
    assert line[gap("upper", along) > 0.97].mean() < line[gap("upper", along) < 0.5].mean() - 10


def test_creases_lie_on_the_front_of_the_face_alone() -> None:
    line = ((0.0, 0.0), (2.0, 0.0))
    np.testing.assert_allclose(distance(np.array([[1, 0.5], [3, 0], [-1, 1]], np.float32), line), [0.25, 1, 2])
    y, x = np.mgrid[8.2:6.2:64j, -0.7:0.7:64j].astype(np.float32)
    front, back = (np.stack([x, y, np.full_like(x, z)], -1) for z in (1.3, -0.5))
    depth = crease(front, np.random.default_rng(0))
    assert 0.2 < depth.max() <= 1 and depth.mean() < 0.3
    assert depth[y < 6.35].max() == 0 and crease(back, np.random.default_rng(0)).max() == 0


def test_black_stays_black_where_the_exponential_is_above_one(monkeypatch: pytest.MonkeyPatch) -> None:
    black, cover = np.zeros((32, 32, 3), np.float32), np.zeros((32, 32), np.float32)
    monkeypatch.setattr(cv2, "exp", lambda image: np.exp(image) + np.float32(1e-6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cartoon = develop_cartoon(black, cover, lamp("studio"), np.full(3, 0.3, np.float32), Look(shadows=(0, 0, 0)))
        photo = develop_photo(black, cover, lamp("studio"), plain_film(fade=0.0, noise=0.0, quality=100))
    assert cartoon.max() == 0
    assert photo.max() == 0
