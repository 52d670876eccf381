"""Building blocks of KStyleGAN: FS block, style transfer attention (STA), modulated convolution, warping.

Does not cover how the blocks are put together (`teachers.kstylegan`) nor the three-dimensional part
(`teachers.geometry`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1
"""Negative slope of every leaky ReLU: cheap on a CPU, and no dead channels after a short training."""
DENSE_GROUP = 16
"""Channels of a group in which a depthwise convolution is computed while it is trained."""


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU with the slope shared by the whole network."""
    return F.leaky_relu(x, SLOPE)


def upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    """Nearest-neighbour upsampling of ``[N, C, h, w]`` to ``size``."""
    return F.interpolate(x, size=list(size), mode="nearest")


def smooth(x: Tensor) -> Tensor:
    """``x [N, C, H, W]`` through the binomial filter (1 2 1) across and down; the border is repeated."""
    taps = torch.tensor([0.25, 0.5, 0.25]).to(x)
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Sample ``x [N, C, H, W]`` at every output pixel plus its backward ``flow [N, 2, h, w]``.

    The flow is (x, y) in units where the full width and the full height are 2 (``align_corners=False``); it is
    resized bilinearly to ``H, W``, which needs no rescaling in these units. Outside the picture the border is
    repeated. Computed in float32: bfloat16 cannot hold a fraction of a pixel.
    """
    height, width = x.shape[-2:]
    if flow.shape[-2:] != (height, width):
        flow = F.interpolate(flow.float(), size=(height, width), mode="bilinear", align_corners=False)
    ys = (torch.arange(height, device=x.device, dtype=torch.float32) + 0.5) / height * 2 - 1
    xs = (torch.arange(width, device=x.device, dtype=torch.float32) + 0.5) / width * 2 - 1
    base = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1)
    grid = base + flow.float().permute(0, 2, 3, 1)
    warped = F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return warped.to(x.dtype)


class RepConv(nn.Module):
    """Linear multi-branch convolution: 3x3 + 1x1 + identity, summed; `fuse` makes it one 3x3 convolution.

    Shapes: ``[N, channels, h, w]`` in and out. Source: structural re-parameterisation, RepVGG (CVPR 2021).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, channels, 3, padding=1)
        self.point: nn.Conv2d | None = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.conv2d(x, self.kernel(), self.wide.bias, padding=1)
        return out

    def kernel(self) -> Tensor:
        """The one 3x3 kernel that equals all branches; training moves the branches, a step costs one convolution."""
        if self.point is None:
            return self.wide.weight
        identity = torch.eye(self.wide.out_channels).to(self.wide.weight)[:, :, None, None]
        return self.wide.weight + F.pad(self.point.weight + identity, (1, 1, 1, 1))

    @torch.no_grad()
    def fuse(self) -> None:
        """Fold the 1x1 and the identity branch into the 3x3 kernel; the function computed stays the same."""
        if self.point is None:
            return
        self.wide.weight.copy_(self.kernel())
        self.point = None


class FSBlock(nn.Module):
    """Feature strengthening block: parallel branches of different depth and kernel instead of a ResNet block.

    A 1x1 squeeze to half the width feeds a shallow branch (3x3 + 1x1 + identity, linear) and a deep branch (another
    3x3 beside a depthwise 5x5); both are merged by a 1x1 and added to the input. About ``6 c^2`` MACs a pixel
    against the ``18 c^2`` of a ResNet block of width ``c``. Shapes: ``[N, channels, h, w]`` in and out; ``channels``
    is a multiple of 16.

    Source: the FS block that Kuaishou names for KStyleGAN (no equation is public); the branches are this project's
    own.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.squeeze = nn.Conv2d(channels, half, 1)
        self.shallow = RepConv(half)
        self.deep = nn.Conv2d(half, half, 3, padding=1)
        self.wide = nn.Conv2d(half, half, 5, padding=2, groups=half)
        self.merge = nn.Conv2d(channels, channels, 1)
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = activate(self.squeeze(x))
        shallow = activate(self.shallow(squeezed))
        deep = self.deep(shallow) + self._widened(squeezed)
        return activate(x + self.norm(self.merge(torch.cat([shallow, deep], dim=1))))

    def _widened(self, x: Tensor) -> Tensor:
        """The depthwise convolution; while training as one of dense groups, zeros between their channels.

        Backward through a depthwise convolution in bfloat16 takes a processor three to five times as long as through
        the groups' 16 times as many MACs.
        """
        if not self.training:
            widened: Tensor = self.wide(x)
            return widened
        channels = x.shape[1]
        width = DENSE_GROUP if channels % DENSE_GROUP == 0 else channels
        taps = self.wide.weight.flatten(1).reshape(-1, width, self.wide.weight[0].numel())
        kernel = torch.diag_embed(taps.transpose(1, 2)).permute(0, 2, 3, 1).reshape(channels, width, 5, 5)
        return F.conv2d(x, kernel, self.wide.bias, padding=2, groups=channels // width)


class STA(nn.Module):
    """Style transfer attention: one value a pixel decides how much shallow (source) feature replaces the deep
    (style) one.

    ``a = sigmoid(conv([proj(shallow), deep]))``, ``out = a * proj(shallow) + (1 - a) * deep``.
    Shapes: shallow ``[N, shallow, h, w]``, deep ``[N, deep, h, w]`` -> ``[N, deep, h, w]``.

    Source: the STA module that Kuaishou names for KStyleGAN; the formula is this project's reading of its
    description.
    """

    def __init__(self, shallow: int, deep: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(shallow, deep, 1)
        self.gate = nn.Conv2d(2 * deep, 1, 3, padding=1)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        shallow = self.project(shallow)
        attention = torch.sigmoid(self.gate(torch.cat([shallow, deep], dim=1)))
        return deep + attention * (shallow - deep)


class ModulatedConv(nn.Module):
    """Nearest-neighbour doubling, then a 3x3 convolution modulated by a style vector, with weight demodulation.

    Scaling the input by the style and the output by ``rsqrt(sum((w * s)^2))`` equals convolving with per-sample
    demodulated weights, and needs no grouped convolution. Doubled rows and columns meet two of the kernel's taps alike,
    so that one transposed convolution of 4 x 4 taps does both in less than half of the MACs. With `antialias` the
    result is smoothed, which makes the doubling bilinear. Shapes: x ``[N, in, h, w]``, style ``[N, style]`` -> ``[N,
    out, 2h, 2w]``.

    Source: StyleGAN2 (CVPR 2020), equations 1 and 3.
    """

    def __init__(self, inputs: int, outputs: int, style: int, antialias: bool = False) -> None:
        super().__init__()
        self.antialias = antialias
        self.affine = nn.Linear(style, inputs)
        nn.init.ones_(self.affine.bias)
        nn.init.normal_(self.affine.weight, std=0.02)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale = self.affine(style).float()
        energy = self.weight.float().square().sum(dim=(2, 3))
        demodulation = torch.rsqrt(scale.square() @ energy.t() + 1e-6)
        x = F.conv_transpose2d(x * scale.to(x.dtype)[:, :, None, None], self.doubling(), stride=2, padding=1)
        x = smooth(x) if self.antialias else x
        bias = self.bias.to(x.dtype)[None, :, None, None]
        return torch.addcmul(bias, x, demodulation.to(x.dtype)[:, :, None, None])

    def doubling(self) -> Tensor:
        """Kernel ``[in, out, 4, 4]`` of the transposed convolution: the 3x3 kernel summed over 2 x 2 places."""
        padded = F.pad(self.weight, (1, 1, 1, 1))
        rows = padded[:, :, 1:] + padded[:, :, :-1]
        return (rows[..., 1:] + rows[..., :-1]).flip(2, 3).transpose(0, 1)
