"""Rendered pairs: determinism, ground truth against independent geometry, the detector's view, contact sheets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from compress.cli import main
from compress.errors import InputError
from compress.faces import PairRenderer, render_many
from compress.faces.materials import LABELS
from compress.faces.sheet import arrange, render_sheet
from compress.faces.styles import STYLES
from compress.photographs import photos

Sample = dict[str, npt.NDArray[Any]]
SIZE, K = 64, len(STYLES)
PIXEL_ERROR = 0.06
"""Of a projected surface point, in pixels: float16 positions of about 1 are good to 0.0005 of 20 pixels a unit."""


@pytest.fixture(scope="module")
def renderer() -> PairRenderer:
    return PairRenderer(SIZE)


@pytest.fixture(scope="module")
def samples(renderer: PairRenderer) -> list[Sample]:
    return [renderer.pair(21, index) for index in range(12)]


def digest(sample: Sample) -> bytes:
    return b"".join(sample[name].tobytes() for name in sorted(sample))


def project(sample: Sample, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    distance, focal, zoom, x, y = sample["camera"].astype(np.float64)
    flat = points[..., :2] * [1, -1] * focal / (distance - points[..., 2:])
    return np.asarray(((flat - [x, y]) * zoom + 0.5) * SIZE)


def test_pair_has_the_documented_fields(samples: list[Sample]) -> None:
    shapes = {"photo": (SIZE, SIZE, 3), "cartoon": (K, SIZE, SIZE, 3), "flow": (K, SIZE, SIZE, 2),
              "visible": (K, SIZE, SIZE), "labels_photo": (SIZE, SIZE), "labels_cartoon": (K, SIZE, SIZE),
              "depth": (SIZE, SIZE), "position": (SIZE, SIZE, 3), "landmarks_photo": (24, 2),
              "landmarks_cartoon": (K, 24, 2), "points": (5, 2), "rotation": (3, 3), "light": (9, 3)}  # fmt: skip
    assert {name: samples[0][name].shape for name in shapes} == shapes
    assert samples[0]["photo"].dtype == samples[0]["labels_cartoon"].dtype == np.uint8
    assert all(np.isfinite(value).all() for sample in samples for value in sample.values())


def test_pair_does_not_depend_on_the_order(renderer: PairRenderer, samples: list[Sample]) -> None:
    for index in (7, 0, 3):
        assert digest(renderer.pair(21, index)) == digest(samples[index])
    assert digest(renderer.pair(22, 0)) != digest(samples[0])


def test_processes_give_the_same_samples_in_order(samples: list[Sample]) -> None:
    got = list(render_many(21, [2, 0, 1], SIZE, processes=2))
    assert [digest(sample) for sample in got] == [digest(samples[index]) for index in (2, 0, 1)]


def test_photo_alone_is_the_photo_of_the_pair(renderer: PairRenderer, samples: list[Sample]) -> None:
    sample = renderer.photo(21, 4)
    assert all(np.array_equal(sample[name], samples[4][name]) for name in ("photo", "points", "facts"))


def test_photo_tells_pose_and_light_as_the_pair_does(renderer: PairRenderer, samples: list[Sample]) -> None:
    for index in range(4):
        sample, rotation = renderer.photo(21, index), samples[index]["rotation"]
        ahead = rotation @ [0, 0, 1]
        assert np.degrees(np.arctan2(ahead[0], ahead[2])) == pytest.approx(
            sample["yaw"], abs=2
        )  # 2: the frame is level
        assert rotation @ sample["key_light"][0] == pytest.approx(samples[index]["key_light"][0], abs=1e-5)
        assert sample["glasses"] == (LABELS["glasses"] in samples[index]["labels_photo"])


def test_position_and_pose_project_to_their_own_pixels(samples: list[Sample]) -> None:
    apart = []
    for sample in samples:
        eyes = np.argwhere(sample["labels_photo"] == LABELS["eye"])
        at = sample["position"][eyes[:, 0], eyes[:, 1]].astype(np.float64)
        scene = 1.1 * at @ sample["rotation"].astype(np.float64).T + sample["translation"]
        # The sample of a pixel lies in the middle of its lower right quarter.
        apart.append(np.abs(project(sample, scene) - (eyes[:, ::-1] + 0.75)))
    assert sum(len(each) > 0 for each in apart) > len(samples) / 2  # sunglasses hide some
    assert np.concatenate(apart).max() < PIXEL_ERROR


def test_flow_leads_cartoon_landmarks_to_photo_landmarks(samples: list[Sample]) -> None:
    for k in range(K):
        apart = []
        for sample in samples:
            start = sample["landmarks_cartoon"][k, [8, 11, 12, 13]]
            x, y = np.clip(start.astype(int), 0, SIZE - 1).T
            end = start + sample["flow"][k, y, x]
            seen = sample["visible"][k, y, x] > 0
            apart.append(np.linalg.norm(end - sample["landmarks_photo"][[8, 11, 12, 13]], axis=1)[seen])
        assert np.median(np.concatenate(apart)) < 0.6
        moved = [np.linalg.norm(s["landmarks_cartoon"][k] - s["landmarks_photo"], axis=1).mean() for s in samples]
        assert np.median(moved) > 1.2


def test_normals_are_unit_and_face_the_camera(samples: list[Sample]) -> None:
    for sample in samples:
        skin = sample["labels_photo"] == LABELS["skin"]
        normal = sample["normal"][skin].astype(np.float32)
        assert np.abs(np.linalg.norm(normal, axis=1) - 1).max() < 2e-3
        assert (normal[:, 2] > 0).mean() > 0.97


def test_frame_is_aligned_like_photographs(samples: list[Sample]) -> None:
    for sample in samples:
        eyes = sample["points"][:2].mean(0) / SIZE
        mouth = sample["points"][3:].mean(0) / SIZE
        assert np.abs(eyes + 0.1 * (mouth - eyes) - 0.5).max() < 0.06
        assert sample["points"][0, 0] < sample["points"][1, 0]


def test_detector_finds_photo_and_cartoon(renderer: PairRenderer, samples: list[Sample]) -> None:
    lenses = [renderer.subject(21, index).person.wear.lenses for index in range(12)]
    seen = [s for s, worn in zip(samples, lenses) if worn is None or not worn.opaque]  # dark glasses hide the eyes
    pictures = [picture for s in seen[:8] for picture in (s["photo"], *s["cartoon"])]
    found = [bool(photos.detect(cv2.resize(p, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))) for p in pictures]
    assert np.mean(found) >= 0.95


def test_pictures_are_not_flat_nor_clipped(samples: list[Sample]) -> None:
    for sample in samples:
        for picture in (sample["photo"], *sample["cartoon"]):
            assert picture.std() > 15
            assert (picture == 255).all(2).mean() < 0.25


def test_render_many_names_the_unknown_kind() -> None:
    with pytest.raises(InputError, match="what='head' is unknown; choose one of pair, photo"):
        list(render_many(0, [0], SIZE, what="head"))


def test_assets_folder_without_archives_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no assets_head.npz; name a folder"):
        PairRenderer(SIZE, tmp_path)


def test_sheet_shows_photos_above_their_cartoons() -> None:
    rows = [[np.full((4, 4, 3), value, np.uint8) for value in row] for row in ((1, 2, 3), (11, 12, 13), (21, 22, 23))]
    sheet = arrange(rows, columns=2)
    assert sheet[::4, ::4, 0].tolist() == [[1, 2], [11, 12], [21, 22], [3, 255], [13, 255], [23, 255]]


def test_render_command_draws_the_styles_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "pairs.png"
    told = ["render", "--count", "2", "--size", "32", "--out", str(out)]
    assert main([*told, "--styles", "toy"]) == 0
    assert photos.read(out).shape == (64, 64, 3)
    assert main([*told, "--styles", "cubist"]) == 2
    assert "'cubist'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "size", "name", "text"),
    [(0, 64, "a.png", "count=0 is too small"), (1, 30, "a.png", "size=30 is not a multiple of 4"),
     (1, 64, "a.gif", "does not end in .png or .jpg")],
)  # fmt: skip
def test_render_sheet_refuses_what_it_cannot_do(count: int, size: int, name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=text):
        render_sheet(count, size, 0, tmp_path / name)


@pytest.fixture(autouse=True)
def _one_renderer_per_process() -> Iterator[None]:
    yield
    from compress.faces.parallel import _renderer

    _renderer.cache_clear()
