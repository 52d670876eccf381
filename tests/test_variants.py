"""Small changes of a photo: each is the transform that its matrix says, repeatable, and of the documented strength."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from compress import plan
from compress.judging import variants
from compress.judging.variants import KINDS, MOVED, PICTURED, change
from compress.photographs.alignment import inverse, transform

SIZE = 64
DOT_ERROR = 0.1  # pixels, of the centre of gravity of a blurred dot


def dots(places: np.ndarray) -> np.ndarray:
    """A picture of bright round dots on black at places [K, 2]."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    picture = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / 4) for u, v in places)
    return np.repeat((200 * np.minimum(picture, 1))[..., None], 3, axis=2).astype(np.uint8)


def centre(picture: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Centre of gravity of the light around a place."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    light = picture[..., 0] * ((x - near[0]) ** 2 + (y - near[1]) ** 2 < 36)
    return np.array([(light * x).sum(), (light * y).sum()]) / light.sum()


def scene() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)


@pytest.mark.parametrize("kind", MOVED)
@pytest.mark.parametrize("seed", range(3))
def test_change_moves_points_by_its_matrix(kind: str, seed: int) -> None:
    places = np.array([[22.0, 24.5], [40.25, 30.0], [30.0, 43.5]])
    changed = change(dots(places), kind, np.random.default_rng(seed))
    for place in transform(places, changed.matrix):
        assert centre(changed.photo, place) == pytest.approx(place, abs=DOT_ERROR)


@pytest.mark.parametrize("kind", KINDS)
def test_change_follows_from_the_generator_alone(kind: str) -> None:
    one, again, *others = (change(scene(), kind, np.random.default_rng(seed)) for seed in (4, 4, 5, 6, 7))
    assert np.array_equal(one.photo, again.photo) and np.array_equal(one.matrix, again.matrix)
    assert not all(np.array_equal(one.photo, other.photo) for other in others)
    assert one.photo.shape == (SIZE, SIZE, 3) and one.photo.dtype == np.uint8


@pytest.mark.parametrize("kind", PICTURED)
def test_change_of_pixels_moves_nothing(kind: str) -> None:
    changed = change(scene(), kind, np.random.default_rng(0))
    assert np.array_equal(changed.matrix, [[1, 0, 0], [0, 1, 0]])
    assert 0 < np.abs(changed.photo.astype(float) - scene()).mean() < 12


def test_shifts_are_half_and_whole_pixels_up_to_two() -> None:
    random = np.random.default_rng(0)
    steps = np.array([variants.shift(SIZE, random)[:, 2] for _ in range(200)])
    assert set(np.unique(np.abs(steps)).tolist()) == {0.5, 1.0, 1.5, 2.0} and steps.min() == -2


def test_crop_lies_within_the_picture() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        matrix = variants.crop(SIZE, random)
        corners = transform(np.array([[0, 0], [SIZE, SIZE]]), inverse(matrix))
        assert 1.05 <= matrix[0, 0] <= 1.15 and corners.min() >= -1e-4 and corners.max() <= SIZE + 1e-4


def test_rotation_is_small_and_about_the_middle() -> None:
    random = np.random.default_rng(0)
    matrices = [variants.rotation(SIZE, random) for _ in range(50)]
    angles = [math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])) for matrix in matrices]
    assert min(map(abs, angles)) >= 2 and max(map(abs, angles)) <= 6 and min(angles) < 0 < max(angles)
    assert transform(np.array([[SIZE / 2, SIZE / 2]]), matrices[0])[0] == pytest.approx([SIZE / 2, SIZE / 2])


def test_jpeg_is_one_of_the_documented_quality() -> None:
    def written(quality: int) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(scene()).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    changed = variants.jpeg(scene(), np.random.default_rng(0))
    assert any(np.array_equal(changed, written(quality)) for quality in range(75, 86))


@pytest.mark.parametrize("level", [40, 160])
def test_noise_grows_with_the_light(level: int) -> None:
    grey = np.full((SIZE, SIZE, 3), level, np.uint8)
    apart = variants.noise(grey, np.random.default_rng(0)).astype(float) - level
    assert apart.var() == pytest.approx(1.5**2 + 0.06 * level + 1 / 12, rel=0.06)


def test_plan_counts_the_changes_that_exist() -> None:
    assert len(KINDS) == plan.VARIANTS
