"""Shading: fewer samples do for a pixel that shows one surface; where several things show, all four are shaded."""

from __future__ import annotations

import numpy as np
import pytest

from compress.faces import PairRenderer, shader, view
from compress.faces.albedo import albedo
from compress.faces.lashes import LASH_COLOUR, cover_samples
from compress.faces.materials import BROW, GLASSES, HAIR, HEADWEAR, LASH, MATERIALS, SKIN
from compress.faces.shader import surface
from compress.faces.shading import CARTOON, COLOURS, NUMBERS, STRANDS
from compress.faces.shadows import TAPS, lit_taps

MEAN_LEVELS, OFTEN_LEVELS = 1.0, 8
"""Of 255: mean difference to shading every sample, and the difference that 99 of 100 values keep."""


def test_pictures_hardly_change_with_one_sample_for_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = PairRenderer(128, styles=("fairy-tale",))
    subject = renderer.subject(5, 3)
    quick = renderer.photograph(subject)

    def every_sample(triangle: object, bary0: object, bary1: object, depth: object, *rest: object) -> object:
        apart = np.arange(np.shape(depth)[0], dtype=np.float32)  # neighbours no longer share a depth
        return shader.shade(triangle, bary0, bary1, np.asarray(depth) + apart, *rest)

    monkeypatch.setattr(view, "shade", every_sample)
    slow = renderer.photograph(subject)
    error = np.abs(quick.image.astype(int) - slow.image)
    assert 0 < error.mean() < MEAN_LEVELS
    assert np.quantile(error, 0.99) <= OFTEN_LEVELS
    assert np.array_equal(quick.label[1::2, 1::2], slow.label[1::2, 1::2])


def test_one_surface_is_of_one_material_and_depth() -> None:
    material = np.array([SKIN, HAIR], np.int8)
    triangle, depth = np.zeros((2, 2), np.int32), np.full((2, 2), 5, np.float32)
    assert surface(triangle, depth, material, 0, 0) == SKIN
    assert surface(triangle + 1, depth, material, 0, 0) == HAIR
    assert surface(triangle, depth + np.array([[0, 0], [0, 1]], np.float32), material, 0, 0) == -1
    assert surface(triangle - 1, depth, material, 0, 0) == -1
    for other in (1, -1):
        triangle[1, 0] = other
        assert surface(triangle, depth, material, 0, 0) == -1


def test_shadow_counts_the_taps_that_are_hidden() -> None:
    shadow_map = np.full((40, 40), 1e9, np.float32)
    shadow_map[:, 20:] = 10.0
    frame, (scale, centre, softness) = np.eye(3, dtype=np.float32), np.array([1, 0, 4], np.float32)
    lit, edge, dark = (
        lit_taps(shadow_map, frame, (scale, centre, softness), (x, 20.0, 0.0), 3, 5) for x in (8.0, 20.0, 32.0)
    )
    assert lit == TAPS
    assert 0 < edge < TAPS
    assert dark == 0


def test_darkest_strands_are_black_however_strong_their_contrast() -> None:
    rgb, texel, black = np.ones(3), np.zeros(4), np.zeros(16, np.uint8)
    textures = np.full((MATERIALS, 3), (0, 2, 2), np.int64)
    colours, numbers = np.ones((COLOURS, 3), np.float32), np.zeros(NUMBERS, np.float32)
    numbers[[CARTOON, STRANDS]] = 1, 1.2
    assert albedo(rgb, HAIR, 0.5, 0.5, 0.0, black, textures, textures[0], colours, numbers, texel) == 0
    assert rgb.tolist() == [0, 0, 0]


def test_hairs_take_the_light_of_the_skin_below_and_spare_what_is_before_them() -> None:
    labels = [SKIN + 1, SKIN + 1, HEADWEAR + 1, GLASSES + 1, 0, SKIN + 1, SKIN + 1]
    label = np.array([labels], np.uint8)
    light = np.full((1, 7, 3), 0.5, np.float32)
    light[0, 1] = 0.25
    through = np.zeros((1, 7, 2), np.float32)
    through[..., 1] = 1  # brows that nothing shines through, no lashes
    through[0, 5] = 1, 0
    through[0, 6] = 0.75, 0.75
    brow = np.array([0.1, 0.2, 0.3], np.float32)
    cover_samples(light, label, through, brow, 0.5)
    assert light[0, 0] == pytest.approx(brow)
    assert light[0, 1] == pytest.approx(brow / 2)
    assert light[0, 2:5] == pytest.approx(np.full((3, 3), 0.5))
    assert light[0, 5] == pytest.approx(np.full(3, LASH_COLOUR))
    assert light[0, 6] == pytest.approx(0.75 * (0.75 * 0.5 + 0.25 * brow) + 0.25 * LASH_COLOUR)
    assert label[0].tolist() == [BROW + 1, BROW + 1, *labels[2:5], LASH + 1, SKIN + 1]
