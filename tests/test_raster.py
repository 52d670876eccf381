"""Rasteriser: backs and hidden triangles are skipped without a trace, spans leave no gaps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from compress.faces.materials import HAIR, HEADWEAR, MATERIALS, SKIN
from compress.faces.raster import BLOCK, NOWHERE, rasterize

SIZE = 48
Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


def draw(screen: Array, faces: Ints, material: int, outside: int) -> tuple[Ints, Array]:
    """Triangles and depths of a mesh of one opaque material."""
    flat, textures = np.full(4, 255, np.uint8), np.ones((MATERIALS, 3), np.int64)
    textures[:, 0] = 0
    number = np.full(len(faces), material, np.int8)
    uv = np.full((len(screen), 2), 0.5, np.float32)
    triangle, _, _, depth = rasterize(screen, faces, faces, number, uv, flat, textures, SIZE, SIZE, outside)
    return triangle, depth


def sphere(steps: int = 16) -> tuple[Array, Ints]:
    """A closed sphere before the camera and its triangles, seen counter-clockwise from outside."""
    polar, around = np.meshgrid(np.linspace(0, np.pi, steps), np.linspace(0, 2 * np.pi, steps), indexing="ij")
    x, y, z = np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)
    screen = np.stack([SIZE / 2 + 20 * x, SIZE / 2 - 20 * y, 10 - 3 * z], -1).reshape(-1, 3).astype(np.float32)
    row, column = (a.ravel() for a in np.meshgrid(np.arange(steps - 1), np.arange(steps - 1), indexing="ij"))
    a = row * steps + column
    faces = np.concatenate([np.stack([a, a + 1, a + steps], 1), np.stack([a + 1, a + steps + 1, a + steps], 1)])
    return screen, faces.astype(np.int32)


def test_sphere_is_the_same_without_its_back() -> None:
    screen, faces = sphere()
    one, other = (screen[faces[:, k], :2] - screen[faces[:, 0], :2] for k in (1, 2))
    area = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    near = screen[faces, 2].mean(1) < 10
    sign = int(np.sign(area[near].sum()))
    whole, culled = draw(screen, faces, SKIN, 0), draw(screen, faces, SKIN, sign)
    assert np.array_equal(whole[0], culled[0])
    assert np.array_equal(whole[1], culled[1])
    assert draw(screen, faces, SKIN, -sign)[1].min() > culled[1].min() + 1  # from the wrong side only the back is left


@pytest.mark.parametrize("material", [HAIR, HEADWEAR])
def test_open_surfaces_show_their_backs_and_hide_what_is_behind(material: int) -> None:
    random = np.random.default_rng(3)
    corner = random.uniform(-8, SIZE + 8, (60, 1, 2))
    screen = np.concatenate([corner + random.normal(0, 9, (60, 3, 2)), random.uniform(4, 9, (60, 3, 1))], 2)
    wall = np.array([[0, 0, 6], [SIZE, 0, 6], [0, SIZE, 6], [SIZE, SIZE, 6]])
    screen = np.concatenate([wall, screen.reshape(-1, 3)]).astype(np.float32)
    faces = np.concatenate([[[0, 1, 2], [1, 3, 2]], np.arange(4, 184).reshape(-1, 3)]).astype(np.int32)
    plain = draw(screen, faces, material, 0)
    for outside in (-1, 1):
        found = draw(screen, faces, material, outside)
        assert np.array_equal(plain[0], found[0])
        assert np.array_equal(plain[1], found[1])
    assert len(np.unique(plain[0])) > 20


def test_neighbours_leave_no_gap_and_nothing_lies_outside() -> None:
    random = np.random.default_rng(4)
    side = np.linspace(-5, SIZE + 5, 12)
    x, y = np.meshgrid(side, side)
    inner = np.zeros_like(x)
    inner[1:-1, 1:-1] = 1
    at = np.stack([x + inner * random.uniform(-2, 2, x.shape), y + inner * random.uniform(-2, 2, y.shape)], -1)
    screen = np.concatenate([at.reshape(-1, 2), np.full((144, 1), 5.0)], 1).astype(np.float32)
    row, column = (a.ravel() for a in np.meshgrid(np.arange(11), np.arange(11), indexing="ij"))
    a = row * 12 + column
    faces = np.concatenate([np.stack([a, a + 1, a + 12], 1), np.stack([a + 1, a + 13, a + 12], 1)]).astype(np.int32)
    triangle, depth = draw(screen, faces, HEADWEAR, 0)
    assert (triangle >= 0).all()
    assert depth == pytest.approx(5, rel=1e-5)
    assert (draw(screen + np.array([SIZE + 20, 0, 0], np.float32), faces, HEADWEAR, 0)[1] == NOWHERE).all()


def test_blocks_divide_the_usual_sizes() -> None:
    assert all(size % BLOCK == 0 for size in (128, 256, 320, 512))
