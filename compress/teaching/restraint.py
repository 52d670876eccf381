"""What style must not do to photographs: tints that no cartoon has of such a colour, thin lines that the photo lacks.

A discriminator and feature averages reward what many cartoons show wherever it is drawn: glowing outlines at hairlines,
strokes on foreheads, violet teeth, red hair. Of the colour and of the lines that a result may have, the photo beneath
it tells enough. Not covered: what style should do (`teaching.moments`, `teaching.adversarial`).
Source: this project's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compress.teaching.pairs import PairBatch
from compress.training.losses import covered, gaussian_windows
from teachers.blocks import warp

CELL = 4
"""Pixels a side of the areas whose tints are compared: those of flows."""
MEMORY = 0.98
"""Of the running sums: about the last 50 batches."""
RIDGE = 1e-3
SLACK = 0.7
"""Tints may differ from what is expected by this many times what those of cartoons do on average."""
NEIGHBOURS, REACH = 5, 7
"""Sides in pixels of the means that tell a line from an edge, and of the surroundings that it stands out from: the
largest of the means beside a straight edge lies within one of its sides.
"""
LEAST_LINE, LEAST_DETAIL = 0.015, 0.005
"""Lines and detail fainter than these, in [-1, 1], are none; results may have as much detail as the photo nearby."""
SCALES = 2
"""Sizes at which detail is compared, each half of the one before."""
EYE_REACH = 0.2
"""Width of the windows at eyes, which pairs alone teach to gleam, in distances between them."""


def tint(pictures: Tensor) -> Tensor:
    """Red and blue less luminance ``[N, 2, H, W]``, of pictures ``[N, 3, H, W]``."""
    return pictures[:, 0::2] - luminance(pictures)


def luminance(pictures: Tensor) -> Tensor:
    """``[N, 1, H, W]``; weights of ITU-R BT.601."""
    return torch.einsum("nchw,c->nhw", pictures, pictures.new_tensor([0.299, 0.587, 0.114]))[:, None]


class Tints(nn.Module):
    """By style, the tint that cartoons have of a photo's colour: running least squares, state, nothing is learned."""

    products: Tensor
    targets: Tensor
    missed: Tensor

    def __init__(self, styles: int) -> None:
        super().__init__()
        self.register_buffer("products", torch.zeros(styles, 4, 4))
        self.register_buffer("targets", torch.zeros(styles, 4, 2))
        self.register_buffer("missed", torch.zeros(styles, 2))

    @torch.no_grad()
    def remember(self, pairs: PairBatch) -> None:
        """Take the pairs of a step into account."""
        colours = described(warp(F.avg_pool2d(pairs.photo, CELL), pairs.flow))
        tints = tint(F.avg_pool2d(pairs.cartoon, CELL))
        known = (pairs.visible + (1 - pairs.head)).clamp(max=1)
        for row, number in enumerate(pairs.style.tolist()):
            chosen = known[row, 0] > 0
            x, y = colours[row][:, chosen].T, tints[row][:, chosen].T
            missed = (y - x @ self.solved()[number]).abs().mean()
            self.products[number].lerp_(x.T @ x / len(x), 1 - MEMORY)
            self.targets[number].lerp_(x.T @ y / len(x), 1 - MEMORY)
            self.missed[number].lerp_(torch.stack([missed, torch.ones_like(missed)]), 1 - MEMORY)

    def solved(self) -> Tensor:
        """``[styles, 4, 2]``: tint = (1, r, g, b) times it."""
        ridge = RIDGE * torch.eye(4).to(self.products)
        factors: Tensor = torch.linalg.solve(self.products + ridge * (1e-3 + self.products[:, :1, :1]), self.targets)
        return factors

    def forward(self, photo: Tensor, flow: Tensor, result: Tensor, style: Tensor) -> Tensor:
        """How far the tints of results ``[N, 3, S, S]`` are from those expected, beyond what cartoons' are; mean.

        flow ``[N, 2, S/4, S/4]`` is where each result is taken from the photo; it gets no gradient.
        """
        with torch.no_grad():
            colours = described(warp(F.avg_pool2d(photo, CELL), flow))
            expected = torch.einsum("nchw,nct->nthw", colours, self.solved()[style])
            slack = SLACK * self.missed[style, 0] / self.missed[style, 1].clamp_min(1e-6)
        apart = (tint(F.avg_pool2d(result, CELL)) - expected).abs()
        return F.relu(apart - slack[:, None, None, None]).mean()


def described(colours: Tensor) -> Tensor:
    """1 and the colour ``[N, 4, H, W]``."""
    return torch.cat([torch.ones_like(colours[:, :1]), colours], dim=1)


def lines(pictures: Tensor) -> Tensor:
    """How far each pixel is brighter or darker than all its surroundings are on average ``[N, 3, S, S]``.

    An edge between two areas is none; a line along it is.
    """
    near = around(pictures)
    return F.relu(pictures - most(near, REACH)) + F.relu(-pictures - most(-near, REACH))


def detail(pictures: Tensor) -> Tensor:
    """How far each pixel is from the mean of its neighbourhood ``[N, 3, S, S]``."""
    return (pictures - around(pictures)).abs()


def around(pictures: Tensor) -> Tensor:
    """Mean of each pixel's neighbourhood."""
    return F.avg_pool2d(F.pad(pictures, [NEIGHBOURS // 2] * 4, mode="replicate"), NEIGHBOURS, stride=1)


def most(maps: Tensor, side: int) -> Tensor:
    """Greatest value around each pixel."""
    return F.max_pool2d(maps, side, stride=1, padding=side // 2)


def eyes_of(points: Tensor, size: int) -> Tensor:
    """Where the eyes of five points ``[N, 5, 2]`` in pixels are: ``[N, 1, size, size]``, 1 there and 0 far away."""
    return covered(gaussian_windows(points, points[:, :2], EYE_REACH, size))


def new_lines(photo: Tensor, flow: Tensor, result: Tensor, points: Tensor) -> Tensor:
    """Lines and detail of each result ``[N, 3, S, S]`` where the photo beneath has none, eyes apart: mean ``[N]``.

    `flow` as of `Tints`; points ``[N, 5, 2]`` in pixels.
    """
    with torch.no_grad():
        beneath = warp(photo, flow)
        eyes = eyes_of(points, photo.shape[-1])
    new = (1 - eyes) * F.relu(lines(result) - most(lines(beneath), NEIGHBOURS) - LEAST_LINE)
    found = new.mean((1, 2, 3))
    for _ in range(SCALES):
        new = (1 - eyes) * F.relu(detail(result) - most(detail(beneath), NEIGHBOURS) - LEAST_DETAIL)
        found = found + new.mean((1, 2, 3))
        result, beneath, eyes = (F.avg_pool2d(maps, 2) for maps in (result, beneath, eyes))
    return found
