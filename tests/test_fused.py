"""The fused compositor against the one in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import students
from compress.exporting import fused

# Both compute in float32 in another order, so a value at the edge between two levels may fall to either side.
LEVELS = 1
SHARE_OF_PIXELS = 0.005
DOWNSAMPLED = 1e-5

SHAPES = [(64, 64, 16), (50, 73, 16), (2, 3, 4), (129, 40, 1)]


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def maps_of(side: int) -> NDArray[np.float32]:
    """Flow of a tenth of the width and more, also out of the photo, and colours that must be clamped."""
    maps = np.random.default_rng(1).normal(0, 0.3, (8, side, side)).astype(np.float32)
    maps[2:5] += 1
    return maps


def tensor(photo: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.mark.parametrize(("height", "width", "side"), SHAPES)
def test_composite_agrees_with_torch_within_a_level(height: int, width: int, side: int) -> None:
    photo, maps = picture(height, width), maps_of(side)
    image = students.composite(tensor(photo), torch.from_numpy(maps)[None]).clamp(-1, 1)
    expected = ((image[0].permute(1, 2, 0).numpy() + 1) * 127.5).round()
    difference = np.abs(fused.composite(photo, maps) - expected)
    assert difference.max() <= LEVELS
    assert (difference > 0).mean() <= SHARE_OF_PIXELS


def test_composite_without_change_gives_the_photo_itself() -> None:
    photo, maps = picture(40, 30), np.zeros((8, 8, 8), np.float32)
    maps[2:5] = 1
    assert np.array_equal(fused.composite(photo, maps), photo)


def test_composite_of_a_view_gives_the_same_as_of_its_copy() -> None:
    photo, maps = picture(40, 60)[:, ::-2], maps_of(8)
    assert np.array_equal(fused.composite(photo, maps), fused.composite(photo.copy(), maps))


@pytest.mark.parametrize(("height", "width", "resolution"), [(64, 64, 32), (50, 73, 16), (20, 31, 32)])
def test_downsample_agrees_with_torch(height: int, width: int, resolution: int) -> None:
    photo = picture(height, width)
    expected = students.downsample(tensor(photo), resolution)[0].numpy()
    assert np.abs(fused.downsample(photo, resolution) - expected).max() < DOWNSAMPLED


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), r"float32 \(8, 8, 3\) is not uint8 \[H, W, 3\]"),
        (np.zeros((8, 8), np.uint8), "is not uint8"),
        (np.zeros((1, 8, 3), np.uint8), "8 x 1 pixels is too small"),
    ],
)
def test_composite_of_a_wrong_photo_is_refused(photo: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fused.composite(photo, maps_of(4))


def test_composite_with_wrong_maps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(7, 4, 4\) is not \[8, h, w\]"):
        fused.composite(picture(8, 8), maps_of(4)[:7])
