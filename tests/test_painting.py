"""Pictures painted over: flat within surfaces, steep at edges; the painter stays what the training started from."""

from __future__ import annotations

import torch
from torch import Tensor

import teachers
from compress.teaching.painting import Painter, painted

SIDE = 32
SMALL = {
    "family": "kstylegan",
    "size": SIDE,
    "channels": [16] * 5,
    "blocks": [1] * 4,
    "render_blocks": [1] * 3,
    "style_channels": 16,
    "coefficients": 8,
}


def noise(spread: float) -> Tensor:
    return spread * torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def soft_edge() -> Tensor:
    """-0.5 to 0.5 over six columns."""
    ramp = ((torch.arange(SIDE) - SIDE / 2 + 0.5) / 6).clamp(-0.5, 0.5)
    return ramp.expand(1, 3, SIDE, SIDE)


def test_texture_goes_and_colour_stays() -> None:
    rough = 0.2 + noise(0.02)
    flat = painted(rough)
    inner = (..., slice(4, -4), slice(4, -4))
    assert float(flat[inner].std()) < 0.5 * float(rough[inner].std())
    assert float((flat - rough).mean().abs()) < 1e-3


def test_one_colour_and_hard_edges_stay() -> None:
    one = torch.full((2, 3, SIDE, SIDE), -0.3)
    assert torch.allclose(painted(one), one, atol=1e-5)
    hard = torch.where(torch.arange(SIDE) < SIDE // 2, -0.5, 0.5).expand(1, 3, SIDE, SIDE)
    found = painted(hard)
    assert float((found - hard).abs()[..., SIDE // 2 + 3 : -3].max()) < 0.01
    assert float(found[..., SIDE // 2].mean()) > 0.5  # sharpened: a little beyond


def test_soft_edges_become_steep() -> None:
    before, after = (float(p.diff(dim=3).abs().max()) for p in (soft_edge(), painted(soft_edge())))
    assert after > 1.05 * before


def test_results_stay_in_range_and_colours_are_smoothed_together() -> None:
    wild = noise(2.0).clamp(-1, 1)
    assert float(painted(wild).abs().max()) <= 1
    # An edge of one channel alone is an edge: the others are not smoothed across it.
    picture = torch.zeros(1, 3, SIDE, SIDE)
    picture[:, 0, :, SIDE // 2 :] = 1.5
    picture = (picture - 0.75).clamp(-1, 1)
    picture[:, 1, :, SIDE // 2 :] += 0.1
    assert float(painted(picture)[0, 1].diff(dim=1).abs().max()) > 0.09


def test_painter_keeps_the_weights_of_the_start() -> None:
    torch.manual_seed(0)
    network = teachers.build(SMALL)
    painter, photo, style = Painter(network), noise(0.4).clamp(-1, 1), torch.zeros(1, dtype=torch.long)
    before = painter(photo, style)
    network.eval()
    with torch.no_grad():
        assert torch.allclose(before, painted(network(photo, style).image.clamp(-1, 1)), atol=1e-5)
        for weight in network.parameters():
            weight += 0.1
    assert torch.equal(painter(photo, style), before)
    assert not any(weight.requires_grad for weight in painter.parameters())


def test_painting_is_exact_within_a_training_in_bfloat16() -> None:
    torch.manual_seed(0)
    painter = Painter(teachers.build(SMALL))
    photo, style = noise(0.4).clamp(-1, 1), torch.zeros(1, dtype=torch.long)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        image, found = painter.network(photo, style).image.float(), painter(photo, style)
    assert torch.allclose(found, painted(image.clamp(-1, 1)), atol=1e-5)
