"""Distillation losses against values computed by hand."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from compress.recipe import Loss
from compress.training import losses
from compress.training.batches import Batch
from students import StudentOutput

EXACT = 1e-6  # float32 rounding of sums of a few dozen terms


def make_batch(**fields: torch.Tensor) -> Batch:
    empty = torch.zeros(0)
    names = ("photo", "image", "maps", "inside", "tap", "identity", "photo_identity", "points", "flipped")
    return Batch(**{name: fields.get(name, empty) for name in names})


def test_pixel_l1_is_the_mean_magnitude() -> None:
    assert losses.pixel_l1(torch.tensor([1.0, -3.0, 0.0, 2.0])) == pytest.approx(1.5)


def test_colour_l1_sees_a_cast_and_not_an_edge_that_is_off() -> None:
    cast, edge = torch.full((1, 3, 32, 40), 0.1), torch.zeros(1, 3, 32, 40)
    edge[..., 9], edge[..., 10] = 1.0, -1.0
    assert losses.colour_l1(cast).item() == pytest.approx(0.1)
    assert losses.colour_l1(edge).item() == pytest.approx(0, abs=EXACT)
    assert losses.pixel_l1(cast).item() == pytest.approx(0.1)


def test_haar_of_one_block_gives_its_four_coefficients() -> None:
    low, high = losses.haar(torch.tensor([[[[1.0, 2.0], [3.0, 7.0]]]]))
    assert low.item() == pytest.approx(6.5)
    # Right minus left is 1 + 4, below minus above is 2 + 5, the diagonal 4 - 1; halved, signs turned.
    assert [band.item() for band in high] == pytest.approx([-2.5, -3.5, 1.5])


def test_haar_keeps_the_energy() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    low, high = losses.haar(x)
    energy = sum(part.square().sum().item() for part in (low, *high))
    assert energy == pytest.approx(x.square().sum().item(), rel=1e-5)


def test_haar_l1_of_a_constant_difference_is_zero() -> None:
    assert losses.haar_l1(torch.full((1, 3, 16, 16), 0.7)).item() == pytest.approx(0, abs=EXACT)


def test_components_see_an_eye_and_not_the_chin() -> None:
    points = torch.tensor([[[20.0, 24.0], [44.0, 24.0], [32.0, 34.0], [24.0, 44.0], [40.0, 44.0]]])
    eye, chin = torch.zeros(2, 1, 3, 64, 64)
    eye[..., 22:26, 18:22] = 1
    chin[..., 58:62, 30:34] = 1
    assert losses.components_l1(eye, points) > 100 * losses.components_l1(chin, points)
    assert losses.components_l1(torch.ones(1, 3, 64, 64), points).item() == pytest.approx(1)


def test_haar_l1_of_one_pixel_is_the_sum_over_levels() -> None:
    difference = torch.zeros(1, 1, 8, 8)
    difference[0, 0, 3, 5] = 1.0
    # At level k one of the 4^(3-k) coefficients of each band is 2^-k, the others are 0.
    assert losses.haar_l1(difference).item() == pytest.approx(0.5 / 16 + 0.25 / 4 + 0.125, abs=EXACT)


def test_maps_l1_scales_the_flow_and_leaves_out_reflections() -> None:
    maps, target, inside = torch.zeros(1, 8, 2, 2), torch.zeros(1, 8, 2, 2), torch.ones(1, 1, 2, 2)
    target[0, 0, 0, 0] = 0.5  # flow, counts FLOW_SCALE times
    target[0, 7, 1, 1] = 3.0  # bias
    target[0, 3, 0, 1] = 100.0
    inside[0, 0, 0, 1] = 0.0
    assert losses.maps_l1(maps, target, inside).item() == pytest.approx((10 * 0.5 + 3) / 32)


def test_flow_l1_leaves_gain_and_bias_free() -> None:
    maps, target, inside = torch.zeros(1, 8, 2, 2), torch.zeros(1, 8, 2, 2), torch.ones(1, 1, 2, 2)
    target[:, 2:] = 7.0
    assert losses.flow_l1(maps, target, inside) == 0
    target[0, 1, 0, 0], target[0, 0, 0, 1] = 0.5, 9.0
    inside[0, 0, 0, 1] = 0.0
    assert losses.flow_l1(maps, target, inside).item() == pytest.approx(10 * 0.5 / 8)


def test_maps_l1_resizes_the_teacher_to_the_student() -> None:
    target = torch.zeros(1, 8, 2, 2)
    target[:, 2] = torch.tensor([[1.0, 3.0], [5.0, 7.0]])
    maps = torch.zeros(1, 8, 1, 1)
    maps[:, 2] = 4.0
    assert losses.maps_l1(maps, target, torch.ones(1, 1, 2, 2)).item() == pytest.approx(0)


def test_tap_mse_compares_through_the_adapter() -> None:
    adapter = nn.Conv2d(1, 2, 1, bias=False)
    nn.init.constant_(adapter.weight, 2.0)
    tap, target = torch.full((1, 1, 2, 2), 1.5), torch.zeros(1, 2, 4, 4)
    assert losses.tap_mse(tap, target, adapter).item() == pytest.approx(9.0)


def test_tap_of_a_student_in_bfloat16_is_compared_too() -> None:
    adapter = nn.Conv2d(2, 3, 1)
    tap, target = torch.ones(1, 2, 4, 4, dtype=torch.bfloat16), torch.zeros(1, 3, 4, 4)
    assert losses.tap_mse(tap, target, adapter).dtype == torch.float32


@pytest.mark.parametrize(("student", "expected"), [([1.0, 0.0], 0.0), ([0.8, 0.6], 0.0), ([0.0, 1.0], 0.6 - 0.02)])
def test_identity_hinge_only_punishes_less_than_the_teacher(student: list[float], expected: float) -> None:
    photo, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    assert losses.identity_hinge(photo, teacher, torch.tensor([student])).item() == pytest.approx(expected, abs=EXACT)


def test_identity_loss_looks_at_unmirrored_rows_only() -> None:
    seen: list[torch.Size] = []

    def embed(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        seen.append(images.shape)
        return torch.tensor([[0.0, 1.0]])

    photo = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    batch = make_batch(
        flipped=torch.tensor([True, False]), points=torch.zeros(2, 5, 2), identity=photo, photo_identity=photo
    )
    loss = losses.identity_loss(torch.zeros(2, 3, 4, 4), batch, embed)
    assert loss is not None and loss.item() == pytest.approx(1 - 0.02)
    assert seen == [torch.Size([1, 3, 4, 4])]
    assert losses.identity_loss(torch.zeros(2, 3, 4, 4), make_batch(flipped=torch.ones(2).bool()), embed) is None


def test_distillation_loss_is_the_weighted_sum_of_its_parts() -> None:
    output = StudentOutput(torch.full((1, 3, 8, 8), 0.5), torch.ones(1, 8, 2, 2), torch.ones(1, 1, 1, 1))
    batch = make_batch(image=torch.zeros(1, 3, 8, 8), maps=torch.zeros(1, 8, 2, 2), inside=torch.ones(1, 1, 2, 2))
    total, parts = losses.distillation_loss(output, batch, {"pixel": 10, "haar": 5, "maps": 2})
    assert {name: value.item() for name, value in parts.items()} == pytest.approx(
        {"pixel": 0.5, "haar": 0, "maps": 3.25}
    )
    assert total.item() == pytest.approx(5 + 6.5)


def test_distillation_loss_with_weight_zero_skips_the_computation() -> None:
    output = StudentOutput(torch.zeros(1, 3, 8, 8), None, torch.zeros(1, 1, 1, 1))
    weights: dict[Loss, float] = {"pixel": 1, "maps": 0, "taps": 0, "haar": 0, "identity": 0}
    _, parts = losses.distillation_loss(output, make_batch(image=torch.zeros(1, 3, 8, 8)), weights)
    assert list(parts) == ["pixel"]


def test_distillation_loss_refuses_what_it_cannot_compute() -> None:
    output = StudentOutput(torch.zeros(1, 3, 8, 8), None, torch.zeros(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"weights.maps: this student predicts no maps; set it to 0"):
        losses.distillation_loss(output, make_batch(), {"maps": 1})
    with pytest.raises(ValueError, match=r"weights.taps: there is no adapter"):
        losses.distillation_loss(output, make_batch(), {"taps": 1})
    with pytest.raises(ValueError, match=r"\['pixle'\] are unknown; the losses are pixel, colour"):
        losses.distillation_loss(output, make_batch(), {"pixle": 1})  # type: ignore[dict-item]  # the mistake itself


def test_losses_are_those_that_a_recipe_may_name() -> None:
    assert get_args(Loss) == losses.LOSSES


def test_texture_is_lost_by_blur_and_kept_by_a_shift() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    shifted = picture.roll(2, dims=3)
    blurred = torch.nn.functional.avg_pool2d(picture, 3, stride=1, padding=1)
    assert losses.texture_l1(picture, picture) == 0
    assert losses.texture_l1(shifted, picture) < 0.2 * losses.texture_l1(blurred, picture)
