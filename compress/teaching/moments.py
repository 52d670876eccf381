"""The style of photographs' results without a discriminator: feature statistics that they should share with cartoons.

No cartoon of a photograph is known, but what cartoons have in common is: mean and spread of frozen features over each
picture, averaged over many. The difference of the averages is what is lowered;
single pictures may differ. Not covered: the discriminator (`teaching.adversarial`), which tells more than averages.
Source: dos Santos et al., Learning Implicit Generative Models by Matching Perceptual Features, ICCV 2019; the averages
of places are those of style transfer by adaptive instance normalization (Huang & Belongie, ICCV 2017).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compress.networks.lite0 import STAGES, EfficientNetLite0

LAYERS = ("stage2", "stage3", "stage5", "stage7")
"""Features at strides 4, 8, 16 and 32; none is the one by which KID judges."""
CELLS = 4
"""Parts of the picture across and down that are described each for itself, after the whole. They compare a result with
its own cartoon only: drawn towards an average cartoon, foreheads were given the strands of hair that many cartoons have
there.
"""
WHOLE = 2 * sum(STAGES[layer].channels for layer in LAYERS)
WIDTH = (1 + CELLS**2) * WHOLE
MEMORY = 0.99
"""Of the running averages: about the last 100 pictures of a style."""
LEAST_SPREAD = 1e-3
SMALL = 1e-6
"""Keeps the slope of a root finite where a map is flat, as that of one place always is."""


def described(features: EfficientNetLite0, images: Tensor) -> Tensor:
    """Mean and standard deviation of each channel over the picture, then over each cell: [N, 3, H, W] in [-1, 1] -> [N,
    WIDTH], the first WHOLE of them of the picture.
    """
    maps = features.maps(images, LAYERS)
    statistics = []
    for cells in (1, CELLS):
        for found in maps:
            mean = F.adaptive_avg_pool2d(found, cells)
            variance = F.adaptive_avg_pool2d(found.square(), cells) - mean.square()
            statistics += [mean.flatten(1), (variance.clamp_min(0) + SMALL).sqrt().flatten(1)]
    return torch.cat(statistics, dim=1)


class Moments(nn.Module):
    """Running averages of the descriptions of results and of cartoons, by style: state, nothing is learned."""

    wanted: Tensor
    squares: Tensor
    drawn: Tensor
    seen: Tensor

    def __init__(self, styles: int) -> None:
        super().__init__()
        for name in ("wanted", "squares", "drawn"):
            self.register_buffer(name, torch.zeros(styles, WIDTH))
        self.register_buffer("seen", torch.zeros(styles, 2))

    def forward(self, drawn: Tensor, style: Tensor, cartoons: Tensor, style_of_cartoons: Tensor) -> Tensor:
        """Mean squared difference of the averages of whole pictures, in spreads of cartoons; descriptions [N, WIDTH]
        and [M, WIDTH].

        Its value is that of the running averages, its gradient as if they were those of `drawn` alone: an average of
        a few pictures would draw each of them to the middle.
        """
        with torch.no_grad():
            self._remember(drawn, style, cartoons, style_of_cartoons)
        losses = []
        for number in sorted(set(style.tolist())):
            batch = drawn[style == number].mean(0)
            average = self.drawn[number] / self.seen[number, 0] + (batch - batch.detach())
            wanted, spread = self.usual(number)
            losses.append(((average - wanted) / spread)[:WHOLE].square().mean())
        return torch.stack(losses).mean()

    def apart(self, drawn: Tensor, wanted: Tensor, style: Tensor) -> Tensor:
        """Mean squared difference of descriptions [N, WIDTH] from those wanted of the same pictures, in the spreads."""
        spread = torch.stack([self.usual(number)[1] for number in style.tolist()])
        return ((drawn - wanted) / spread).square().mean()

    def usual(self, style: int) -> tuple[Tensor, Tensor]:
        """Running average and spread [WIDTH] of the descriptions of a style's cartoons."""
        seen = self.seen[style, 1].clamp_min(1e-6)
        wanted = self.wanted[style] / seen
        return wanted, (self.squares[style] / seen - wanted.square()).clamp_min(0).sqrt() + LEAST_SPREAD

    def _remember(self, drawn: Tensor, style: Tensor, cartoons: Tensor, style_of_cartoons: Tensor) -> None:
        for row, number in zip(drawn, style.tolist(), strict=True):
            self.drawn[number].lerp_(row, 1 - MEMORY)
            self.seen[number, 0].lerp_(torch.ones_like(self.seen[number, 0]), 1 - MEMORY)
        for row, number in zip(cartoons, style_of_cartoons.tolist(), strict=True):
            self.wanted[number].lerp_(row, 1 - MEMORY)
            self.squares[number].lerp_(row.square(), 1 - MEMORY)
            self.seen[number, 1].lerp_(torch.ones_like(self.seen[number, 1]), 1 - MEMORY)
