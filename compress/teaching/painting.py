"""What photographs' results should look like on closer view: smooth within surfaces, steep at their edges, as painted.

Cartoons are flat where photographs have texture and crisp where photographs are soft. The network that a training
starts from knows which picture belongs to a photograph; painted over, it is a target that neither pairs nor a
discriminator give. It stays as it is: a network that learns from its own painted results ends in patches. Not covered:
what else photographs are asked for (`teaching.unpaired`).
Source: the smoothing and sharpening of Winnemöller et al., Real-Time Video Abstraction, SIGGRAPH 2006, section 3, with
the filter of Tomasi & Manduchi, Bilateral Filtering for Gray and Color Images, ICCV 1998.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teachers import KStyleGAN

REACH, NEAR, ALIKE = 3, 3.0, 0.235
"""Of the smoothing: pixels to each side, spread over them, spread over differences of colour in [-1, 1]."""
SHARPER, FINE = 1.0, 0.7
"""Of the sharpening: gain, and spread in pixels of what is sharpened."""


def painted(pictures: Tensor) -> Tensor:
    """Pictures ``[N, 3, H, W]`` in [-1, 1], smoothed but for their edges, then sharpened."""
    height, width = pictures.shape[-2:]
    around = F.pad(pictures, [REACH] * 4, mode="reflect")
    total, weights = torch.zeros_like(pictures), torch.zeros_like(pictures[:, :1])
    for down in range(-REACH, REACH + 1):
        for across in range(-REACH, REACH + 1):
            if down**2 + across**2 > REACH**2:
                continue
            top, left = REACH + down, REACH + across
            there = around[:, :, top : top + height, left : left + width]
            apart = (there - pictures).abs().sum(1, keepdim=True)
            weight = torch.exp(-0.5 * ((apart / ALIKE).square() + (down**2 + across**2) / NEAR**2))
            total, weights = total + weight * there, weights + weight
    smooth = total / weights
    return (smooth + SHARPER * (smooth - _blurred(smooth))).clamp(-1, 1)


def _blurred(pictures: Tensor) -> Tensor:
    taps = torch.exp(-0.5 * (torch.arange(-2.0, 3.0) / FINE).square()).to(pictures)
    taps = taps / taps.sum()
    kernel = (taps[:, None] * taps).expand(pictures.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(pictures, [2] * 4, mode="reflect"), kernel, groups=pictures.shape[1])


class Painter(nn.Module):
    """The network that a training starts from, as it is now, and its pictures painted over."""

    def __init__(self, network: KStyleGAN) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, photo: Tensor, style: Tensor) -> Tensor:
        """Photo ``[N, 3, S, S]`` in [-1, 1], style int64 ``[N]`` -> what its result should look like."""
        image = self.network(photo, style).image.float().clamp(-1, 1)
        with torch.autocast(photo.device.type, enabled=False):  # what is sharpened is finer than bfloat16 tells
            return painted(image)
