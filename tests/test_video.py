"""Rendered videos: repeatable frames, and a flow that leads every visible point back to where it was."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from compress.faces import PairRenderer, video
from compress.faces.pair import Sample
from compress.faces.video import FRAMES_PER_SECOND, MOST_GRAIN, Motion, add_grain, move, render_video, sample_motion
from compress.judging.metrics.steadiness import flicker_error, follow

SIZE, FRAMES = 64, 5
PERSON = 4
"""A sample on clean film."""
POINT_ERROR = 0.3
"""Pixels between a nose tip led back by the flow of its pixel and the true one: the flow is read at a whole pixel."""
FLOAT16 = 0.005


@pytest.fixture(scope="module")
def renderer() -> PairRenderer:
    return PairRenderer(SIZE)


@pytest.fixture(scope="module")
def frames(renderer: PairRenderer) -> list[Sample]:
    return list(render_video(renderer, 900001, PERSON, FRAMES))


def column(frames: list[Sample], name: str) -> np.ndarray:
    return np.stack([frame[name] for frame in frames])


def test_video_has_the_documented_fields(frames: list[Sample]) -> None:
    shapes = {"photo": (SIZE, SIZE, 3), "points": (5, 2), "flow": (2, SIZE, SIZE), "visible": (SIZE, SIZE)}
    assert len(frames) == FRAMES
    assert {name: value.shape for name, value in frames[1].items()} == shapes
    assert [frames[1][name].dtype for name in shapes] == [np.uint8, np.float32, np.float16, np.uint8]
    assert not frames[0]["flow"].any() and not frames[0]["visible"].any()


def test_video_frame_is_the_same_in_a_longer_video(renderer: PairRenderer, frames: list[Sample]) -> None:
    longer = itertools.islice(render_video(renderer, 900001, PERSON, 100), FRAMES)
    for frame, again in zip(frames, longer):
        assert all(np.array_equal(frame[name], again[name]) for name in frame)


def test_video_shows_the_person_of_the_sample(renderer: PairRenderer, frames: list[Sample]) -> None:
    own, other = (renderer.photo(900001, index)["photo"].astype(float) for index in (PERSON, PERSON + 1))
    first = frames[0]["photo"]
    assert np.abs(first - own).mean() < 0.5 * np.abs(first - other).mean()


def test_video_flow_leads_the_nose_tip_back(frames: list[Sample]) -> None:
    checked = 0
    for before, now in itertools.pairwise(frames):
        tip = now["points"][2]
        x, y = tip.astype(int)
        if now["visible"][y, x]:
            checked += 1
            assert tip + now["flow"][:, y, x] == pytest.approx(before["points"][2], abs=POINT_ERROR)
    assert checked >= 2
    assert np.abs(np.diff(column(frames, "points")[:, 2], axis=0)).max() > POINT_ERROR


def test_video_warped_by_the_flow_differs_far_less(frames: list[Sample]) -> None:
    photo, flow, visible = (column(frames, name) for name in ("photo", "flow", "visible"))
    # The mirrored flow is as large and wrong.
    led, misled = flicker_error(photo, flow, visible).mean(), flicker_error(photo, -flow, visible).mean()
    assert led < 0.6 * misled
    assert 0.6 < visible[1:].mean() < 1


def test_video_pixels_that_are_not_visible_could_not_be_led(frames: list[Sample]) -> None:
    now, before = frames[3], frames[2]
    apart = np.abs(now["photo"].astype(float) - follow(before["photo"], now["flow"])).mean(2)
    assert apart[now["visible"] == 0].mean() > 1.5 * apart[now["visible"] == 1].mean()


def test_video_of_a_still_person_has_no_flow(renderer: PairRenderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "move", lambda pose, motion, seconds: pose)
    monkeypatch.setattr(video, "drift", lambda camera, motion, seconds: camera)
    first, second = render_video(renderer, 900001, PERSON, 2)
    assert np.abs(second["flow"]).max() < FLOAT16
    # What is left between the frames is grain of their own.
    apart = second["photo"].astype(float) - first["photo"]
    assert 0.3 < apart.std() < 6 and not np.array_equal(first["photo"], second["photo"])


def test_movement_turns_speaks_and_blinks(renderer: PairRenderer) -> None:
    pose = renderer.subject(1, 0).pose
    motion = sample_motion(np.random.default_rng(0))
    poses = [move(pose, motion, frame / FRAMES_PER_SECOND) for frame in range(40)]
    for axis in ("yaw", "pitch", "roll"):
        assert np.ptp([getattr(p, axis) for p in poses]) > 0.04
    jaw, lids = ([p.units[unit] for p in poses] for unit in ("jawOpen", "eyeBlinkLeft"))
    assert np.ptp(jaw) > 0.15 and max(lids) > 0.7 and np.median(lids) < 0.3
    assert np.abs(np.diff([p.yaw for p in poses])).max() < np.radians(4)


def test_blink_comes_within_a_short_video() -> None:
    motions = [sample_motion(np.random.default_rng(seed)) for seed in range(20)]
    assert all(isinstance(motion, Motion) and 0 <= motion.blink <= 0.2 for motion in motions)
    assert len({motion.phase["yaw"] for motion in motions}) == 20


def test_grain_has_the_strength_of_the_film(renderer: PairRenderer) -> None:
    film, grey = renderer.subject(900001, PERSON).scene.film, np.full((64, 64, 3), 128, np.uint8)

    def grain(**changes: float) -> np.ndarray:
        return add_grain(grey, replace(film, **changes), np.random.default_rng(0)).astype(float) - 128

    assert grain(noise=0.008).std() == pytest.approx(0.008 * 255, rel=0.05)
    assert grain(noise=0.05).std() == pytest.approx(MOST_GRAIN * 255, rel=0.05)
    assert not grain(noise=0.0).any()
    assert np.ptp(grain(noise=0.01, saturation=0.0), axis=2).max() == 0 < np.ptp(grain(noise=0.01), axis=2).max()


@pytest.fixture(autouse=True, scope="module")
def _one_renderer_per_process() -> Iterator[None]:
    yield
    from compress.faces.parallel import _renderer

    _renderer.cache_clear()
