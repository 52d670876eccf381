"""What results of photographs are kept from: tints that cartoons lack, lines that the photo lacks."""

from __future__ import annotations

import torch
from torch import Tensor

from compress.teaching.pairs import PairBatch
from compress.teaching.restraint import Tints, lines, new_lines, tint

SIDE = 48
STILL = torch.zeros(1, 2, SIDE // 4, SIDE // 4)
POINTS = torch.tensor([[[14.0, 18], [34, 18], [24, 26], [16, 36], [32, 36]]])
MIXES = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.8, 0.0], [0.1, 0.0, 0.7]])


def colours(seed: int, count: int = 4) -> Tensor:
    """Patches of 4 x 4 pixels."""
    small = torch.rand(count, 3, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return small.repeat_interleave(4, 2).repeat_interleave(4, 3)


def mixed(photo: Tensor) -> Tensor:
    return torch.einsum("dc,nchw->ndhw", MIXES, photo) + 0.05


def pairs(photo: Tensor, cartoon: Tensor, style: int, flow: Tensor = STILL) -> PairBatch:
    count, low = len(photo), (len(photo), 1, SIDE // 4, SIDE // 4)
    nothing = torch.zeros(count, 1)
    return PairBatch(
        torch.full((count,), style), photo, cartoon, nothing, flow.expand(count, -1, -1, -1), torch.ones(low),
        torch.ones(low), nothing, nothing, nothing, nothing, nothing, nothing,
    )  # fmt: skip


def learned(spread: float = 0.0) -> Tints:
    """Style 0 mixes colours, in a way that differs by `spread` from place to place; style 1 swaps red and blue."""
    tints = Tints(styles=2)
    for step in range(40):
        photo = colours(step)
        tints.remember(pairs(photo, mixed(photo) + spread * colours(step + 1000), 0))
        tints.remember(pairs(photo, photo.flip(1), 1))
    return tints


def test_tints_are_learned_by_style() -> None:
    tints, photo = learned(), colours(99)
    flow = STILL.expand(4, -1, -1, -1)
    for number, result in enumerate((mixed(photo), photo.flip(1))):
        style = torch.full((4,), number)
        assert float(tints(photo, flow, result, style)) < 2e-3
        assert float(tints(photo, flow, result, 1 - style)) > 0.1


def test_a_violet_place_is_told_and_grey_light_is_not() -> None:
    tints, photo = learned(spread=0.1), colours(98, 1)
    style = torch.zeros(1, dtype=torch.long)
    clean = mixed(photo)
    assert float(tints(photo, STILL, clean + 0.3, style)) < 2e-3  # brighter, of the same tint
    violet = clean.clone()
    violet[:, 0::2, 8:12, 8:12] += 0.5
    assert float(tints(photo, STILL, violet, style)) > 1e-3
    result = violet.requires_grad_()
    tints(photo, STILL, result, style).backward()
    assert result.grad is not None
    slope = result.grad.abs().sum(1)[0]
    assert slope[8:12, 8:12].min() > 0 and float(slope.sum()) == float(slope[8:12, 8:12].sum())


def test_tints_follow_the_flow() -> None:
    tints, photo = learned(), colours(97, 1)
    style = torch.zeros(1, dtype=torch.long)
    moved = mixed(photo.roll(-4, 3))
    flow = STILL.clone()
    flow[:, 0] = 2 * 4 / SIDE  # four pixels to the right
    inner = slice(0, SIDE - 4)
    result = mixed(photo).clone()
    result[..., inner] = moved[..., inner]
    assert float(tints(photo, flow, result, style)) < float(tints(photo, STILL, result, style)) / 5


def test_cartoons_that_differ_leave_room() -> None:
    tints = learned(spread=0.2)
    photo = colours(96)
    flow, style = STILL.expand(4, -1, -1, -1), torch.zeros(4, dtype=torch.long)
    usual = tint(mixed(photo) + 0.2 * colours(2000)) - tint(mixed(photo))
    assert float(tints(photo, flow, mixed(photo), style)) < 1e-4
    assert float(tints(photo, flow, mixed(photo) + 0.2 * colours(2000), style)) < float(usual.abs().mean()) / 2


def edge() -> Tensor:
    picture = torch.full((1, 3, SIDE, SIDE), -0.5)
    picture[..., SIDE // 2 :] = 0.5
    return picture


def test_an_edge_is_no_line() -> None:
    assert float(lines(edge()).max()) < 1e-6
    glowing = edge()
    glowing[..., SIDE // 2] = 0.9
    assert float(lines(glowing)[..., SIDE // 2].min()) > 0.2


def test_new_lines_cost_and_those_of_the_photo_do_not() -> None:
    glowing = edge()
    glowing[..., SIDE // 2] = 0.9
    far = POINTS - 1000
    assert float(new_lines(edge(), STILL, edge(), far)) == 0
    assert float(new_lines(edge(), STILL, glowing, far)) > 1e-3
    assert float(new_lines(glowing, STILL, glowing, far)) == 0


def test_strokes_on_a_smooth_place_cost_but_at_an_eye() -> None:
    smooth = torch.full((1, 3, SIDE, SIDE), 0.3)
    stroked, gleaming = smooth.clone(), smooth.clone()
    stroked[..., 4:6, 20:28] -= 0.2
    gleaming[..., 17:19, 13:15] += 0.6
    assert float(new_lines(smooth, STILL, stroked, POINTS)) > 5e-4
    assert float(new_lines(smooth, STILL, gleaming, POINTS)) < 1e-4
    assert float(new_lines(smooth, STILL, gleaming, POINTS - 1000)) > 5e-4


def test_the_flow_gets_no_slope() -> None:
    flow = STILL.clone().requires_grad_()
    result = (edge() + 0.3 * colours(5, 1)).requires_grad_()
    tints = learned()
    loss = new_lines(edge(), flow, result, POINTS) + tints(edge(), flow, result, torch.zeros(1, dtype=torch.long))
    loss.backward()
    assert flow.grad is None and result.grad is not None and bool(result.grad.isfinite().all())
