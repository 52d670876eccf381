"""The styles: each opens the eyes, each has a shape of its own, none depends on which others are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from compress.errors import InputError
from compress.faces import PairRenderer
from compress.faces.character import StyleMap, magnify_eye, reshape, stylise_pose
from compress.faces.head import load_head
from compress.faces.population import Population
from compress.faces.pose import sample_pose
from compress.faces.styles import STYLES

Array = npt.NDArray[np.float32]
NAMES = list(STYLES)
SIZE = 48
OPENING = 1.35
CROWN_MARK, CHIN, JAW, UPPER_LIDS, LOWER_LIDS = 23, 13, [16, 20], [2, 6], [3, 7]


@pytest.fixture(scope="module")
def samples() -> list[dict[str, npt.NDArray[Any]]]:
    renderer = PairRenderer(SIZE)
    return [renderer.pair(21, index) for index in range(10)]


def opening(marks: Array) -> float:
    face = np.linalg.norm(marks[CROWN_MARK] - marks[CHIN])
    return float(np.linalg.norm(marks[UPPER_LIDS] - marks[LOWER_LIDS], axis=1).mean() / face)


@pytest.mark.parametrize("k", range(len(NAMES)), ids=NAMES)
def test_style_opens_the_eyes_of_the_photo(samples: list[dict[str, npt.NDArray[Any]]], k: int) -> None:
    ratio = [opening(s["landmarks_cartoon"][k]) / opening(s["landmarks_photo"]) for s in samples]
    assert OPENING < np.median(ratio) < 2.2


def test_styles_differ_in_shape(samples: list[dict[str, npt.NDArray[Any]]]) -> None:
    def jaw_over_face(marks: Array) -> float:
        return float(np.linalg.norm(np.diff(marks[JAW], axis=0)) / np.linalg.norm(marks[CROWN_MARK] - marks[CHIN]))

    jaw = [np.median([jaw_over_face(s["landmarks_cartoon"][k]) for s in samples]) for k in range(len(NAMES))]
    apart = np.abs(np.subtract.outer(jaw, jaw))[np.triu_indices(len(jaw), 1)]
    assert apart.min() > 0.06, dict(zip(NAMES, jaw, strict=True))


def test_styles_are_the_same_in_any_company(samples: list[dict[str, npt.NDArray[Any]]]) -> None:
    alone = PairRenderer(SIZE, styles=NAMES[::-1][:2]).pair(21, 3)
    fields = ("cartoon", "flow", "visible", "labels_cartoon", "landmarks_cartoon")
    assert all(np.array_equal(alone[name], samples[3][name][::-1][:2]) for name in fields)
    assert np.array_equal(alone["photo"], samples[3]["photo"])


@pytest.mark.parametrize("names", [("toy", "cubist"), ()])
def test_style_that_does_not_exist_is_named(names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="choose from fairy-tale"):
        PairRenderer(SIZE, styles=names)


def test_style_map_refuses_a_slider_that_no_head_has() -> None:
    population = Population(load_head())
    for style in STYLES.values():
        assert (StyleMap(population, style).kept > 0).all()
    wrong = replace(STYLES["toy"], deltas={"l/nose/nose-size": 1.0})
    with pytest.raises(KeyError, match="nose-size"):
        StyleMap(population, wrong)


def test_style_never_shuts_eyes_that_are_open() -> None:
    for seed in range(40):
        pose = sample_pose(np.random.default_rng(seed))
        for style in STYLES.values():
            drawn = stylise_pose(pose, style)
            if pose.name not in ("wink", "closed"):
                assert drawn.units["eyeBlinkLeft"] <= pose.units["eyeBlinkLeft"]


def test_magnified_eyes_fade_to_nothing_far_away() -> None:
    eyeball = np.array([[0.31 + dx, 7.3 + dy, 1.2] for dx in (-0.15, 0.15) for dy in (-0.15, 0.15)], np.float32)
    points = np.array([[0.46, 7.3, 1.2], [0.31, 9.5, 1.2]], np.float32)
    moved = points.copy()
    magnify_eye(moved, eyeball, STYLES["fairy-tale"])
    assert moved[0, 0] > points[0, 0] + 0.02
    assert (moved[1] == points[1]).all()


def test_reshape_widens_the_outline_and_keeps_the_middle() -> None:
    points = np.array([[0.8, 6.0, 0.3], [0.8, 7.0, 0.3], [0.1, 7.0, 0.3], [0.0, 8.0, 0.9]], np.float32)
    style = replace(STYLES["toy"], widths=((0.0, 1.0), (1.0, 1.2)), depths=((0.0, 2.0),), lifts=((0.0, 0.1),))
    drawn = reshape(points, 6.0, 8.0, 0.1, style)
    expected = np.array([[0.8, 6.2, 0.5], [0.88, 7.2, 0.5], [0.1, 7.2, 0.5], [0, 8.2, 1.7]])
    assert drawn == pytest.approx(expected, abs=0.01)
