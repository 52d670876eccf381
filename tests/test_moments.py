"""Feature statistics that results should share with cartoons: what is described, remembered and asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from compress import networks
from compress.networks.lite0 import EfficientNetLite0
from compress.teaching.moments import WHOLE, WIDTH, Moments, described


@pytest.fixture(scope="module")
def features() -> EfficientNetLite0:
    return networks.features()


def descriptions(count: int, middle: float, seed: int = 0) -> Tensor:
    return middle + torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


NONE = torch.zeros(0, dtype=torch.int64)
FIRST, SECOND = torch.zeros(64, dtype=torch.int64), torch.ones(64, dtype=torch.int64)


def test_whole_picture_is_described_wherever_things_lie_its_cells_are_not(features: EfficientNetLite0) -> None:
    picture = torch.nn.functional.interpolate(
        torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)), scale_factor=16
    )
    found = described(features, torch.cat([picture, picture.flip(3), picture * 0.5]))
    assert found.shape == (3, WIDTH)
    flipped, darker = ((found[0] - found[i])[:WHOLE].norm() for i in (1, 2))
    assert flipped < 0.5 * darker
    assert (found[0] - found[1])[WHOLE:].norm() > 10 * flipped


def test_loss_counts_in_spreads_of_cartoons_and_by_style() -> None:
    moments = Moments(styles=2)
    for seed in range(4):
        both = torch.cat([descriptions(64, 0.0, seed), descriptions(64, 5.0, seed)])
        styles = torch.cat([FIRST, SECOND])
        alike = moments(both, styles, both, styles)
    assert float(alike) < 1e-6
    apart = moments(descriptions(512, 3.0), FIRST.repeat(8), both, styles)
    assert float(apart) == pytest.approx(9.0, rel=0.2)


def test_one_odd_picture_is_drawn_where_the_average_is_not_where_it_is_not() -> None:
    moments = Moments(styles=1)
    for seed in range(8):
        moments(descriptions(64, 1.0, seed), FIRST, descriptions(64, 0.0, seed), FIRST)
    odd = descriptions(1, -3.0).requires_grad_()  # below the cartoons, while results on the whole lie above them
    moments(odd, FIRST[:1], descriptions(1, 0.0), FIRST[:1]).backward()
    assert odd.grad is not None and (odd.grad[:, :WHOLE] > 0).float().mean() > 0.95
    assert (odd.grad[:, WHOLE:] == 0).all()  # cells are compared in pairs only


def test_pairs_are_compared_picture_by_picture() -> None:
    moments = Moments(styles=1)
    cartoons = descriptions(64, 0.0)
    moments(cartoons, FIRST, cartoons, FIRST)
    assert float(moments.apart(cartoons, cartoons, FIRST)) == 0
    assert float(moments.apart(cartoons.flip(0), cartoons, FIRST)) > 1


def test_step_of_the_gradient_brings_pictures_nearer_to_cartoons(features: EfficientNetLite0) -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.rand(8, 3, 1, 1, generator=generator).expand(8, 3, 32, 32) * 2 - 1
    rough = torch.rand(8, 3, 32, 32, generator=generator) * 2 - 1
    drawn, losses = rough.clone().requires_grad_(), []
    moments, style = Moments(styles=1), FIRST[:8]
    for _ in range(12):
        loss = moments(described(features, drawn), style, described(features, flat), style)
        losses.append(float(loss.detach()))
        (slope,) = torch.autograd.grad(loss, drawn)
        drawn = (drawn - 3 * slope / slope.norm()).detach().requires_grad_()
    assert losses[-1] < 0.9 * losses[0]
