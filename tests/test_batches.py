"""Batches: determinism by (seed, step), and augmentation against what it must mean geometrically."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from compress.errors import InputError, StageError
from compress.shards import Shards, ShardWriter
from compress.training import batches
from compress.training.batches import Batches, Window
from students import composite

SIZE = 32
# OpenCV rounds positions to 1/32 of a pixel and results to whole levels.
LEVELS = 3.0


def smooth_picture(size: int = SIZE) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    waves = [np.sin(3 * x + 2 * y), np.cos(4 * y - x), np.sin(5 * x * y)]
    return np.rint((np.stack(waves, -1) + 1) * 127).astype(np.uint8)


def write_samples(folder: Path, count: int) -> tuple[Shards, Shards]:
    rng = np.random.default_rng(0)
    with ShardWriter(folder / "inputs") as inputs, ShardWriter(folder / "targets") as targets:
        for number in range(count):
            photo = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            inputs.add({"photo": photo, "points": np.full((5, 2), number, np.float32)})
            targets.add(
                {
                    "image": 255 - photo,
                    "maps": rng.normal(0, 0.1, (8, 8, 8)).astype(np.float16),
                    "tap": rng.normal(0, 1, (4, 2, 2)).astype(np.float16),
                    "identity": np.full(3, number, np.float16),
                    "photo_identity": np.full(3, number, np.float16),
                }
            )
    return Shards(folder / "inputs"), Shards(folder / "targets")


def test_batch_depends_on_seed_and_step_alone(tmp_path: Path) -> None:
    shards = write_samples(tmp_path, 10)
    straight = list(Batches(*shards, 4, seed=1).iterate(0, 6))
    resumed = list(Batches(*shards, 4, seed=1).iterate(4, 6))
    for field in fields(batches.Batch):
        assert torch.equal(getattr(straight[5], field.name), getattr(resumed[1], field.name))
    assert not torch.equal(straight[5].photo, Batches(*shards, 4, seed=2).at(5).photo)


def test_batches_of_an_epoch_hold_each_sample_once(tmp_path: Path) -> None:
    loader = Batches(*write_samples(tmp_path, 10), 4, seed=0)
    seen = np.concatenate([loader.indices(step) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert list(seen[:10]) != list(seen[10:])


def test_batch_without_augmentation_is_what_was_stored(tmp_path: Path) -> None:
    inputs, targets = write_samples(tmp_path, 4)
    loader = Batches(inputs, targets, 4, seed=0, augment=False)
    batch, rows = loader.at(0), targets.read(loader.indices(0))
    assert np.array_equal(((batch.image + 1) * 127.5).round().permute(0, 2, 3, 1).numpy(), rows["image"])
    assert torch.equal(batch.maps, torch.from_numpy(rows["maps"]).float())
    assert batch.inside.min() == 1 and not batch.flipped.any()


def test_batches_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="inputs: 0 images to train on"):
        Batches(*write_samples(tmp_path, 0), 4, seed=0)


def test_batches_of_unequal_length_are_refused(tmp_path: Path) -> None:
    (inputs, _), (_, targets) = write_samples(tmp_path / "a", 3), write_samples(tmp_path / "b", 2)
    with pytest.raises(StageError, match="targets: 2 samples for 3 inputs"):
        Batches(inputs, targets, 4, seed=0)


def test_warp_picture_agrees_with_grid_sample() -> None:
    window, picture = Window(-0.8, 0.8, 0.1, -0.05), smooth_picture()
    theta = torch.tensor([[[-0.8, 0, 0.1], [0, 0.8, -0.05]]])
    grid = F.affine_grid(theta, [1, 3, SIZE, SIZE], align_corners=False)
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    expected = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)[0].permute(1, 2, 0)
    assert np.abs(batches.warp_picture(picture, window) - expected.numpy()).max() < LEVELS


def test_warp_picture_of_a_mirror_needs_no_interpolation() -> None:
    picture = smooth_picture()
    assert np.array_equal(batches.warp_picture(picture, Window(-1.0, 1.0)), picture[:, ::-1])


def test_warp_picture_of_many_channels_moves_them_alike() -> None:
    channel = np.random.default_rng(0).normal(size=(8, 8, 1)).astype(np.float32)
    window = Window(0.8, 0.8, 0.1, 0.0)
    warped = batches.warp_picture(np.tile(channel, 130), window)
    # Of 8 channels, because OpenCV rounds positions to 1/32 of a pixel for all but 1, 3 and 4 channels.
    assert np.array_equal(warped[..., 7:8], batches.warp_picture(np.tile(channel, 8), window)[..., :1])
    assert np.array_equal(warped, np.tile(warped[..., :1], 130))


def test_augmented_maps_still_make_the_result_of_the_photo() -> None:
    """Applying the augmented maps to the augmented photo gives the augmented result."""
    photo = smooth_picture(64)
    y, x = np.mgrid[:16, :16] / 16
    maps = np.zeros((16, 16, 8), np.float32)
    maps[..., 0], maps[..., 1], maps[..., 2:5], maps[..., 5:] = 0.1 * np.sin(3 * x), 0.08 * y, 0.8, 0.1
    to_torch = lambda a: torch.from_numpy(np.array(a, np.float32)).permute(2, 0, 1)[None]  # noqa: E731
    result = composite(to_torch(photo), to_torch(maps))[0].permute(1, 2, 0).numpy().astype(np.float32)
    window = Window(-0.8, 0.8, 0.06, -0.04)
    again = composite(to_torch(batches.warp_picture(photo, window)), to_torch(batches.warp_maps(maps, window)))
    difference = np.abs(again[0].permute(1, 2, 0).numpy() - batches.warp_picture(result, window))
    assert difference.mean() < LEVELS / 3


def test_warp_points_follow_the_picture_and_stay_left_to_right() -> None:
    points = np.array([[10, 12], [22, 12], [16, 18], [12, 24], [20, 24]], np.float32)
    mirrored = batches.warp_points(points, Window(-1.0, 1.0), SIZE)
    assert mirrored[:, 0].tolist() == [10, 22, 16, 12, 20]
    picture = np.zeros((SIZE, SIZE, 1), np.float32)
    picture[9, 20] = 1.0  # the centre of this pixel is (20.5, 9.5)
    window = Window(0.75, 0.75, 0.1, 0.05)
    y, x = np.unravel_index(batches.warp_picture(picture, window).argmax(), (SIZE, SIZE))
    moved = batches.warp_points(np.full((5, 2), [20.5, 9.5], np.float32), window, SIZE)[0]
    assert np.abs(moved - [x + 0.5, y + 0.5]).max() < 0.75


def test_inside_marks_reflected_pixels() -> None:
    marks = batches.inside(Window(1.0, 1.0, 0.5, 0.0), 4, 4)
    assert marks.tolist() == [[1, 1, 1, 0]] * 4


def test_prefetch_passes_on_errors_in_their_place() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("broken shard")
        return step

    seen = []
    with pytest.raises(ValueError, match="broken shard"):
        seen.extend(batches.prefetch(make, 0, 5))
    assert seen == [0, 1]


def test_prefetch_left_early_ends_its_thread() -> None:
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        return step

    for step in batches.prefetch(make, 0, 1000):
        if step == 3:
            break
    assert len(made) < 20
