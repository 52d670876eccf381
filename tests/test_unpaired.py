"""Photographs without a cartoon: their batches, the second view, and the losses that need no right result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from compress.shards import Shards, ShardWriter
from compress.teaching import unpaired
from compress.teaching.unpaired import (
    UnpairedBatches,
    consistency_loss,
    contrast_loss,
    features_set_apart,
    identity_loss,
    moved,
    second_view,
)

SIZE = 32
POINTS = np.array([[11, 13], [21, 13], [16, 18], [12, 22], [20, 22]], np.float32)
"""Eyes, nose and corners of the mouth, in pixels of a picture of 32."""


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Second views without noise."""
    monkeypatch.setattr(unpaired, "NOISE", 0.0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Grey pictures of 64 px with a soft white dot at each of the five points."""
    folder = tmp_path_factory.mktemp("photos")
    ys, xs = np.mgrid[:64, :64] + 0.5
    with ShardWriter(folder, 8) as writer:
        for index in range(5):
            points = POINTS * 2 + index
            distance = np.min([(xs - x) ** 2 + (ys - y) ** 2 for x, y in points], axis=0)
            grey = np.round(40 * index + (255 - 40 * index) * np.exp(-distance / 8)).astype(np.uint8)
            writer.add({"photo": np.repeat(grey[..., None], 3, 2), "points": points, "name": np.bytes_(b"x")})
    return Shards(folder)


CUBIC = 5e-3
"""Torch's cubic kernel does not lead through straight lines exactly."""


def smooth(count: int = 2) -> Tensor:
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return F.interpolate(coarse, size=(SIZE, SIZE), mode="bilinear", align_corners=True)


def ramps(count: int) -> Tensor:
    """First channel x, second y, in units where the picture is -1..1; third 0."""
    place = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    x, y = place.expand(SIZE, SIZE), place[:, None].expand(SIZE, SIZE)
    return torch.stack([x, y, 0 * x]).repeat(count, 1, 1, 1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_second_view_shows_what_its_map_says(still: None) -> None:
    photo = ramps(8)
    again, theta = second_view(photo, generator())
    inside = slice(SIZE // 4, -SIZE // 4)
    assert torch.allclose(moved(photo, theta)[..., inside, inside], again[..., inside, inside], atol=1e-5)
    homogeneous = torch.cat([photo[:, :2], torch.ones(8, 1, SIZE, SIZE)], 1)
    expected = torch.einsum("nij,njhw->nihw", theta, homogeneous)
    assert torch.allclose(again[:, :2, inside, inside], expected[..., inside, inside], atol=CUBIC)
    assert (theta - torch.eye(2, 3)).abs().amax((1, 2)).min() > 0.01


def test_half_of_the_second_views_are_small_shifts() -> None:
    theta = second_view(torch.zeros(400, 3, SIZE, SIZE), generator())[1]
    small = (theta[:, :, :2] - torch.eye(2)).abs().amax((1, 2)) < 1e-6
    assert small.float().mean() == pytest.approx(unpaired.SMALL_SHARE, abs=0.08)
    pixels = theta[small][:, :, 2].abs() * SIZE / 2
    assert 0.8 * unpaired.SMALL_SHIFT < pixels.max() <= unpaired.SMALL_SHIFT + 1e-4


def test_second_view_has_little_noise_and_follows_from_its_generator() -> None:
    grey = torch.zeros(64, 3, SIZE, SIZE)
    again = second_view(grey, generator())[0]
    strength = again.std((1, 2, 3))
    assert 0 < strength.min() < unpaired.NOISE / 4 and unpaired.NOISE / 2 < strength.max() < unpaired.NOISE * 1.1
    assert torch.equal(again, second_view(grey, generator())[0])
    assert not torch.equal(again, second_view(grey, generator(1))[0])


@pytest.mark.parametrize(
    ("draw", "fair"),
    [
        (lambda x: x, True),
        (lambda x: 0.3 - 0.7 * x.flip(1), True),  # each pixel by itself
        (lambda x: x * ramps(len(x))[:, :1], False),  # by its place in the picture
        (lambda x: x + (torch.arange(SIZE) % 4 < 2), False),
        (lambda x: x.flip(3), False),
    ],
)
def test_consistency_is_asked_of_what_does_not_move_with_the_photo(
    still: None, draw: Callable[[Tensor], Tensor], fair: bool
) -> None:
    photo = smooth()
    again, theta = second_view(photo, generator())
    loss = float(consistency_loss(draw(photo), draw(again), theta))
    assert loss < 1e-5 if fair else loss > 0.005


def test_consistency_teaches_both_views(still: None) -> None:
    photo = smooth()
    again, theta = second_view(photo, generator())
    first, second = (x.flip(3).clone().requires_grad_() for x in (photo, again))
    consistency_loss(first, second, theta).backward()
    assert first.grad is not None and second.grad is not None
    assert (first.grad != 0).any() and (second.grad != 0).any()


def test_consistency_gains_nothing_from_pale_or_soft_pictures(still: None) -> None:
    photo = smooth()
    again, theta = second_view(photo, generator())
    losses = [float(consistency_loss(draw * photo.flip(3), draw * again.flip(3), theta)) for draw in (1.0, 0.5)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_nothing_reaches_eyes_mouth_and_forehead_and_the_picture_is_the_same() -> None:
    pictures = smooth(1).requires_grad_()
    shown = features_set_apart(pictures, torch.from_numpy(POINTS)[None])
    assert torch.equal(shown, pictures)
    shown.sum().backward()
    assert pictures.grad is not None
    slope = pictures.grad[0, 0]
    assert slope[13, 11] == slope[12, 20] == slope[22, 16] == slope[5, 16] == 0  # eyes, mouth, forehead
    assert slope[2, 2] > 0.95 and slope[29, 16] > 0.8 and slope[18, 16] > 0.3  # hair, chin, nose


def test_forehead_is_found_on_a_tilted_head() -> None:
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])  # a quarter turn about the middle of the picture
    points = (torch.from_numpy(POINTS) - SIZE / 2) @ turn.T + SIZE / 2
    pictures = smooth(1).requires_grad_()
    features_set_apart(pictures, points[None]).sum().backward()
    assert pictures.grad is not None
    straight = smooth(1).requires_grad_()
    features_set_apart(straight, torch.from_numpy(POINTS)[None]).sum().backward()
    assert straight.grad is not None
    assert torch.allclose(pictures.grad, straight.grad.rot90(-1, (2, 3)), atol=1e-5)


def test_contrast_of_results_is_asked_to_be_what_cartoons_keep() -> None:
    photo, render = smooth(3), smooth(2).flip(2)
    assert float(contrast_loss(photo, 0.8 * photo + 0.1, render, 0.8 * render - 0.2)) == pytest.approx(0, abs=1e-3)
    pale, steep = (float(contrast_loss(photo, c * photo, render, render)) for c in (0.5, 2.0))
    assert pale == pytest.approx(np.log(2), rel=1e-3) and steep == pytest.approx(np.log(2), rel=1e-3)
    result = (0.5 * photo).requires_grad_()
    contrast_loss(photo, result, render, render).backward()
    assert result.grad is not None
    assert float((result.grad * photo).sum()) < 0  # to descend is to gain contrast


def test_contrast_of_one_colour_is_finite() -> None:
    flat = torch.zeros(2, 3, SIZE, SIZE, requires_grad=True)
    loss = contrast_loss(smooth(), flat, smooth(), smooth())
    loss.backward()
    assert bool(torch.isfinite(loss)) and flat.grad is not None and bool(torch.isfinite(flat.grad).all())


def embed(images: Tensor, points: Tensor) -> Tensor:
    """A stand-in: the picture itself as a unit vector."""
    return F.normalize(images.flatten(1) + 0 * points.sum(), dim=1)


def test_identity_loss_is_zero_for_the_photo_itself_only() -> None:
    photo, points = smooth(4), torch.from_numpy(POINTS).repeat(4, 1, 1)
    assert float(identity_loss(embed, photo, photo, points)) == 0
    assert float(identity_loss(embed, photo, -photo, points)) == pytest.approx(1 + unpaired.IDENTITY_GOAL, abs=1e-4)
    result = photo.flip(0).clone().requires_grad_()
    identity_loss(embed, photo, result, points).backward()
    assert result.grad is not None
    assert [bool((row != 0).any()) for row in result.grad] == [True, True, False, False]


def test_batch_of_photographs_follows_from_seed_and_step(photos: Shards) -> None:
    batches = UnpairedBatches(photos, SIZE, 4, seed=1)
    straight = list(batches.iterate(0, 3))
    (resumed,) = UnpairedBatches(photos, SIZE, 4, seed=1).iterate(2, 3)
    assert torch.equal(straight[2].photo, resumed.photo) and torch.equal(straight[2].points, resumed.points)
    assert not torch.equal(straight[1].photo, resumed.photo)
    assert not torch.equal(UnpairedBatches(photos, SIZE, 4, seed=2).at(2).photo, resumed.photo)
    assert resumed.photo.shape == (4, 3, SIZE, SIZE) and -1 <= resumed.photo.min() < resumed.photo.max() <= 1


def test_points_stay_on_what_they_mark_from_left_to_right(photos: Shards) -> None:
    batch = UnpairedBatches(photos, SIZE, 16, seed=0).at(0)
    grid = (batch.points * (2 / SIZE) - 1)[:, :, None]
    there = F.grid_sample(batch.photo[:, :1], grid, align_corners=False)
    assert there.min() > batch.photo.mean() + 0.3
    x = batch.points[:, :, 0]
    assert (x[:, 0] < x[:, 1]).all() and (x[:, 3] < x[:, 4]).all()
