"""KStyleGAN, the server-tier teacher: encoder, geometry in 3D, style mapping in 3D, modulated neural renderer.

The network changes a photo rather than drawing a new one: the style's displacement warps features and photo, RGB
heads at every scale give a gain and a bias for the warped photo, and a masked residual draws what the photo hides
(open lids, teeth). Does not cover training (the `teach` stage of `compress`) nor loading of weights
(`teachers.load`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teachers.blocks import ModulatedConv, RepConv, activate, smooth, warp
from teachers.geometry import Block, Geometry, GeometryOutput
from teachers.variants import BLOCKS, FUSIONS, MAPPINGS

HEAD = 10
"""Channels of an RGB head: log gain 3, bias 3, residual 3, residual-mask logit 1; the detail gain comes on top."""
MASK_BIAS = -3.0
"""A new network starts by trusting the photo: sigmoid(-3) = 5 % residual."""
LOG_GAIN_LIMIT = 2.0
STRIDES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Architecture:
    """Everything that `build` needs; the JSON form is stored with the weights.

    channels: encoder widths at strides 1, 2, 4, 8, 16, multiples of 16; blocks: FS blocks after each of the strides
    2 to 16; render_blocks: FS blocks of the renderer at H/8, H/4, H/2; coefficients: identity and expression
    coefficients predicted; style_channels: length of w; styles: names of the learned styles, the first is the default;
    size: pixels a side that the weights were trained for; fusion, block, mapping: the parts of the design, or what
    ablations put in their place (`teachers.variants`).

    antialias: features are smoothed before each halving and after each doubling, so that what is drawn keeps its look
    when the photo moves by less than a pixel (Zhang, Making Convolutional Networks Shift-Invariant Again, ICML 2019).
    detail_gain: heads have one more channel d, and what the warped photo has above its smoothed self counts 1 + d
    times: -1 removes the texture of skin, above 0 sharpens.
    """

    channels: tuple[int, int, int, int, int] = (16, 48, 128, 256, 384)
    blocks: tuple[int, int, int, int] = (1, 2, 4, 3)
    render_blocks: tuple[int, int, int] = (3, 2, 1)
    coefficients: int = 64
    style_channels: int = 256
    styles: tuple[str, ...] = ("fairy-tale",)
    size: int = 128
    fusion: str = "sta"
    block: str = "fs"
    mapping: str = "3d"
    antialias: bool = False
    detail_gain: bool = False

    def __post_init__(self) -> None:
        if any(c % 16 or c <= 0 for c in self.channels) or len(self.channels) != len(STRIDES):
            raise ValueError(f"kstylegan channels: {self.channels} are not five positive multiples of 16")
        if self.size % 16 or self.size < 32:
            raise ValueError(f"kstylegan size: {self.size} is not a multiple of 16 of at least 32")
        if not self.styles or len(set(self.styles)) < len(self.styles) or not all(self.styles):
            raise ValueError(f"kstylegan styles: {self.styles} are not one or more different names")
        for part, known in (("fusion", FUSIONS), ("block", BLOCKS), ("mapping", MAPPINGS)):
            if getattr(self, part) not in known:
                raise ValueError(f"kstylegan {part}: {getattr(self, part)!r} is unknown; known: {', '.join(known)}")

    def record(self) -> dict[str, Any]:
        """The architecture as plain JSON data, with its family."""
        return {"family": "kstylegan", **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}}


@dataclass(frozen=True)
class TeacherOutput:
    """Result of one forward pass.

    image ``[N, 3, H, W]`` about [-1, 1]; images: the same at H/8, H/4, H/2, H; maps ``[N, 8, H/4, W/4]``: backward
    flow (2), gain A (3), bias B (3) with ``image ~ warp(photo, flow) * A + B``; tap ``[N, C, H/16, W/16]``; geometry.
    """

    image: Tensor
    images: tuple[Tensor, ...]
    maps: Tensor
    tap: Tensor
    geometry: GeometryOutput


class Encoder(nn.Module):
    """Pyramid of FS blocks at strides 1, 2, 4, 8, 16; ``[N, 3, H, W]`` -> five features."""

    def __init__(
        self, channels: tuple[int, ...], blocks: tuple[int, ...], block: Block, antialias: bool = False
    ) -> None:
        super().__init__()
        self.antialias = antialias
        self.stem = nn.Conv2d(3, channels[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))
        self.norm = nn.ModuleList(nn.GroupNorm(8, c) for c in channels[1:])
        self.blocks = nn.ModuleList(
            nn.Sequential(*(block(c) for _ in range(n))) for c, n in zip(channels[1:], blocks, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        pyramid = [activate(self.stem(x))]
        for down, norm, blocks in zip(self.down, self.norm, self.blocks, strict=True):
            fine = smooth(pyramid[-1]) if self.antialias else pyramid[-1]
            pyramid.append(blocks(activate(norm(down(fine)))))
        return pyramid


class RenderLevel(nn.Module):
    """One level of the neural renderer: modulated convolution, STA with the warped shallow feature, FS blocks, RGB
    head.
    """

    def __init__(self, a: Architecture, deep: int, out: int, blocks: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(deep, out, a.style_channels, a.antialias)
        self.sta = FUSIONS[a.fusion](out, out)
        self.blocks = nn.Sequential(*(BLOCKS[a.block](out) for _ in range(blocks)))
        self.head = nn.Conv2d(out, HEAD + a.detail_gain, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        self.head.bias = nn.Parameter(torch.tensor([0.0] * (HEAD - 1) + [MASK_BIAS] + [0.0] * a.detail_gain))

    def forward(self, deep: Tensor, shallow: Tensor, w: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        deep = activate(self.conv(deep, w))
        feature = self.blocks(self.sta(warp(shallow, flow), deep))
        return feature, self.head(feature).float()


def gain_and_bias(head: Tensor) -> tuple[Tensor, Tensor]:
    """Fold a head ``[N, 10 or 11, h, w]`` into gain A and bias B ``[N, 3, h, w]`` of the warped photo in [-1, 1].

    ``(photo + 1) * g - 1 + b`` mixed with the residual ``r`` by the mask ``m`` is ``photo * g (1 - m) + (g - 1 + b)
    (1 - m) + r m``.
    """
    gain = head[:, 0:3].clamp(-LOG_GAIN_LIMIT, LOG_GAIN_LIMIT).exp()
    mask = torch.sigmoid(head[:, 9:10])
    bias = (gain - 1 + head[:, 3:6]) * (1 - mask) + torch.tanh(head[:, 6:9]) * mask
    return gain * (1 - mask), bias


class KStyleGAN(nn.Module):
    """The teacher. ``forward(x [N, 3, H, W] in [-1, 1], style) -> TeacherOutput``; H and W multiples of 16.

    ``style``: None is the first style; int64 ``[N]`` are numbers of styles; float ``[N, K]`` are weights of all K
    styles, whose codes are interpolated.

    Source: what Kuaishou's Y-tech team has published of KStyleGAN; see docs for the part-by-part reading.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        c1, c2, c4, c8, c16 = a.channels
        self.architecture = a
        block, mapping = BLOCKS[a.block], MAPPINGS[a.mapping]
        self.encoder = Encoder(a.channels, a.blocks, block, a.antialias)
        self.geometry = Geometry((c4, c8, c16), a.coefficients, block)
        self.style = mapping(c4, c16, a.coefficients, a.style_channels, len(a.styles), block)
        levels = zip((c16, c8, c4, c2), (c8, c4, c2, c1), (*a.render_blocks, 0), strict=True)
        self.render = nn.ModuleList(RenderLevel(a, deep, out, blocks) for deep, out, blocks in levels)

    @property
    def record(self) -> dict[str, Any]:
        """Architecture record from which `teachers.build` makes the same network."""
        return self.architecture.record()

    def forward(self, x: Tensor, style: Tensor | None = None) -> TeacherOutput:
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % 16 or x.shape[3] % 16:
            shape = tuple(x.shape)
            raise ValueError(f"kstylegan input: shape {shape} is not [N, 3, H, W] with H and W multiples of 16")
        code_of_style = self.style.code(style, x.shape[0])
        pyramid = self.encoder(x)
        geometry, feature, code = self.geometry(*pyramid[2:])
        flow, w = self.style(geometry, feature, code, code_of_style)
        deep, images = pyramid[4], []
        for level, shallow in zip(self.render, reversed(pyramid[:4]), strict=True):
            deep, head = level(deep, shallow, w, flow)
            gain, bias = gain_and_bias(head)
            photo = x.float()
            if head.shape[-2:] != x.shape[-2:]:
                photo = F.interpolate(photo, size=head.shape[-2:], mode="area")
            warped = warp(photo, flow)
            if self.architecture.detail_gain:
                warped = warped + head[:, HEAD:] * (warped - smooth(smooth(warped)))
            images.append(warped * gain + bias)
        maps = torch.cat([flow, F.avg_pool2d(gain, 4), F.avg_pool2d(bias, 4)], dim=1)
        return TeacherOutput(images[-1], tuple(images), maps, pyramid[4], geometry)

    def fuse(self) -> KStyleGAN:
        """Fuse the linear branches of every FS block in place, for deployment; returns the network itself."""
        for module in self.modules():
            if isinstance(module, RepConv):
                module.fuse()
        return self
