"""Steadiness metrics against hand-made pictures: what commutes has no error, what does not has the one put in."""

from __future__ import annotations

import numpy as np
import pytest

from compress.judging.metrics.steadiness import MARGIN, equivariance_error, flicker_error, follow, shown
from compress.judging.variants import MOVED, STILL
from compress.photographs.alignment import resample

SIZE = 48


def pictures(count: int, seed: int = 0) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(60, 190, (count, SIZE // 4, SIZE // 4, 3), np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


@pytest.mark.parametrize("kind", MOVED)
def test_equivariance_error_of_a_pointwise_network_is_none(kind: str) -> None:
    # Inverting a picture commutes with moving it; a level is lost to rounding.
    photos, random = pictures(3), np.random.default_rng(1)
    matrices = np.stack([MOVED[kind](SIZE, random) for _ in photos])
    changed = np.stack([resample(photo, matrix, SIZE) for photo, matrix in zip(photos, matrices)])
    assert equivariance_error(255 - changed, 255 - photos, matrices).max() < 0.6
    assert equivariance_error(changed, photos, matrices).tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", MOVED)
def test_equivariance_error_of_a_fixed_pattern_is_found(kind: str) -> None:
    photos, random = pictures(2), np.random.default_rng(1)
    pattern = (np.add.outer(np.arange(SIZE), np.arange(SIZE)) % 2 * 8).astype(np.uint8)[..., None]
    matrices = np.stack([MOVED[kind](SIZE, random) for _ in photos])
    changed = np.stack([resample(photo, matrix, SIZE) for photo, matrix in zip(photos, matrices)])
    assert equivariance_error(changed + pattern, photos + pattern, matrices).min() > 1


def test_equivariance_error_is_the_mean_of_absolute_levels() -> None:
    photo = pictures(2)
    changed = photo.copy()
    changed[0] += 3
    changed[1, :, : SIZE // 2] -= 4
    assert equivariance_error(changed, photo, np.stack([STILL, STILL])).tolist() == [3, 2]


def test_equivariance_error_leaves_out_what_came_from_outside() -> None:
    photo, matrix = pictures(1), np.array([[[1.0, 0, 5], [0, 1, 0]]])
    moved = np.roll(photo, 5, axis=2)
    moved[:, :, : 5 + int(SIZE * MARGIN)] = 0
    assert equivariance_error(moved, photo, matrix).tolist() == [0]


def test_shown_is_within_both_pictures() -> None:
    inside = shown(np.array([[1.0, 0, 10], [0, 1, 0]]), SIZE)
    edge = int(SIZE * MARGIN)
    assert inside[:, : 10 + edge].sum() == 0 and inside[edge:-edge, 10 + edge : -edge].all()
    assert inside[:edge].sum() == inside[-edge:].sum() == inside[:, -edge:].sum() == 0


def film(frames: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture that moves two pixels to the right and one down a frame, its flow, and where it shows the same."""
    wide = pictures(1)[0]
    drawn = np.stack([np.roll(wide, (frame, 2 * frame), axis=(0, 1)) for frame in range(frames)])
    flow = np.zeros((frames, 2, SIZE, SIZE), np.float16)
    flow[1:, 0], flow[1:, 1] = -2, -1
    visible = np.zeros((frames, SIZE, SIZE), np.uint8)
    visible[1:, 2:, 3:] = 1
    return drawn, flow, visible


def test_flicker_error_of_a_moving_picture_is_none() -> None:
    drawn, flow, visible = film()
    assert flicker_error(drawn, flow, visible).tolist() == [0, 0, 0]
    assert flicker_error(drawn, 0 * flow, visible).min() > 5


def test_flicker_error_is_what_changes_from_frame_to_frame() -> None:
    drawn, flow, visible = film()
    drawn[2] += 6
    assert flicker_error(drawn, flow, visible).tolist() == [0, 6, 6]


def test_flicker_error_counts_visible_pixels_alone() -> None:
    drawn, flow, visible = film()
    drawn[1, 24:] += 4
    visible[2:], visible[1, :24] = 0, 0
    assert flicker_error(drawn, flow, visible).tolist() == [4, 0, 0]


def test_follow_reads_between_pixels() -> None:
    ramp = np.repeat(np.arange(0, 240, 5, np.uint8)[None, :, None], SIZE, axis=0).repeat(3, axis=2)
    flow = np.stack([np.full((SIZE, SIZE), 0.4), np.zeros((SIZE, SIZE))])
    assert follow(ramp, flow)[10, 20].tolist() == [102, 102, 102]
