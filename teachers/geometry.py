"""The three-dimensional part of KStyleGAN: geometry of the photographed head, and the style as a displacement of it.

`Geometry` reads pose, coefficients, light and dense maps from the encoder's pyramid. `StyleMapping` turns
coefficients and a style code into `w` and moves the head's points in 3D; the move, projected by the predicted pose,
is the flow that warps the photo. Does not cover rendering (`teachers.kstylegan`) nor the losses that teach it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teachers.blocks import FSBlock, activate, upsample

LANDMARKS = 24
DENSE = 7
"""Channels of a dense geometry map: position X, Y, Z; normal X, Y, Z; face-mask logit."""
DISPLACEMENT_SCALE = 0.1

Block = Callable[[int], nn.Module]
"""Makes a block of so many channels, ``[N, channels, h, w]`` in and out."""


@dataclass(frozen=True)
class GeometryOutput:
    """What the network believes about the head in the photo.

    rotation ``[N, 3, 3]`` (head frame to camera), scale ``[N, 1]`` (projected size of one head unit, full width =
    2), landmarks ``[N, 24, 2]`` in [-1, 1], coefficients ``[N, K]``, light ``[N, 27]``, dense maps ``[N, 7, h, w]``
    coarse (H/8) to fine (H/4).
    """

    rotation: Tensor
    scale: Tensor
    landmarks: Tensor
    coefficients: Tensor
    light: Tensor
    dense: tuple[Tensor, Tensor]


def rotation_from_6d(x: Tensor) -> Tensor:
    """Turn ``[N, 6]`` into rotation matrices ``[N, 3, 3]`` by Gram-Schmidt; the two 3-vectors become the first two
    columns.

    Source: On the Continuity of Rotation Representations in Neural Networks (CVPR 2019), section 4.
    """
    first = F.normalize(x[:, :3], dim=1)
    second = F.normalize(x[:, 3:] - (first * x[:, 3:]).sum(1, keepdim=True) * first, dim=1)
    third = first.roll(-1, 1) * second.roll(-2, 1) - first.roll(-2, 1) * second.roll(-1, 1)
    return torch.stack([first, second, third], dim=2)


class Geometry(nn.Module):
    """Geometry heads on the encoder's pyramid.

    Input: features at H/4, H/8, H/16 with ``channels`` = (c4, c8, c16). Output: `GeometryOutput`, the fine geometry
    feature ``[N, c4, H/4, W/4]`` and the pooled code ``[N, c16]``.
    """

    def __init__(self, channels: tuple[int, int, int], coefficients: int, block: Block = FSBlock) -> None:
        super().__init__()
        fine, middle, deep = channels
        self.trunk = nn.Sequential(nn.Linear(deep, deep), nn.LeakyReLU(0.1), nn.Linear(deep, deep), nn.LeakyReLU(0.1))
        self.globals = nn.Linear(deep, 6 + 1 + 2 * LANDMARKS + coefficients + 27)
        self.merge8 = nn.Conv2d(deep + middle, middle, 1)
        self.block8 = block(middle)
        self.merge4 = nn.Conv2d(middle + fine, fine, 1)
        self.block4 = block(fine)
        self.dense8 = nn.Conv2d(middle, DENSE, 3, padding=1)
        self.dense4 = nn.Conv2d(fine, DENSE, 3, padding=1)
        self.split = [6, 1, 2 * LANDMARKS, coefficients, 27]

    def forward(self, f4: Tensor, f8: Tensor, f16: Tensor) -> tuple[GeometryOutput, Tensor, Tensor]:
        code = self.trunk(f16.mean(dim=(2, 3)))
        six, scale, landmarks, coefficients, light = self.globals(code).float().split(self.split, dim=1)
        upright = torch.tensor([1.0, 0, 0, 0, 1, 0], device=six.device)
        g8 = self.block8(activate(self.merge8(torch.cat([upsample(f16, f8.shape[-2:]), f8], dim=1))))
        g4 = self.block4(activate(self.merge4(torch.cat([upsample(g8, f4.shape[-2:]), f4], dim=1))))
        geometry = GeometryOutput(
            rotation=rotation_from_6d(six + upright),
            scale=F.softplus(scale),
            landmarks=landmarks.unflatten(1, (LANDMARKS, 2)),
            coefficients=coefficients,
            light=light,
            dense=(self.dense8(g8).float(), self.dense4(g4).float()),
        )
        return geometry, g4, code


class StyleMapping(nn.Module):
    """Style in 3D: (coefficients, code, style) -> w, and a displacement of every point of the head, projected to a
    flow.

    ``dP = field(P, geometry feature; w)`` in the head's frame, ``flow = scale * (R dP)_xy`` (weak perspective; image
    y points down). Shapes: ``style [N, style]`` is what `code` gives; flow ``[N, 2, H/4, W/4]`` backward, full width =
    2; w ``[N, style]``.
    """

    def __init__(
        self, fine: int, deep: int, coefficients: int, style: int, styles: int, block: Block = FSBlock
    ) -> None:
        super().__init__()
        self.codes = nn.Embedding(styles, style)
        self.mapping = nn.Sequential(
            nn.Linear(coefficients + deep + style, style), nn.LeakyReLU(0.1), nn.Linear(style, style), nn.LeakyReLU(0.1)
        )
        self.enter = nn.Conv2d(fine + DENSE, fine, 1)
        self.affine = nn.Linear(style, fine)
        self.field = block(fine)
        self.displacement = nn.Conv2d(fine, 3, 3, padding=1, bias=False)
        nn.init.zeros_(self.displacement.weight)

    def code(self, style: Tensor | None, count: int) -> Tensor:
        """Codes ``[N, style]`` of `count` photos: the first style, of int64 ``[N]`` numbers, or of float ``[N, K]``
        weights, interpolated.

        Raises ValueError for any other shape.
        """
        codes: Tensor = self.codes.weight
        if style is None:
            return codes[:1].expand(count, -1)
        if style.dtype == torch.int64 and style.shape == (count,):
            chosen: Tensor = self.codes(style)
            return chosen
        if style.is_floating_point() and style.shape == (count, len(codes)):
            return style.to(codes) @ codes
        given = f"{str(style.dtype).removeprefix('torch.')} {list(style.shape)}"
        raise ValueError(
            f"kstylegan style: {given} for {count} photos; give int64 [{count}] or weights [{count}, {len(codes)}]"
        )

    def forward(self, geometry: GeometryOutput, feature: Tensor, code: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        w = self.mapping(torch.cat([geometry.coefficients, code.float(), style], dim=1))
        return self.flow(geometry, feature, w), w

    def flow(self, geometry: GeometryOutput, feature: Tensor, w: Tensor) -> Tensor:
        """Backward flow ``[N, 2, H/4, W/4]`` that the style asks for, from the feature ``[N, fine, H/4, W/4]``."""
        dense = geometry.dense[1].to(feature.dtype)
        hidden = self.enter(torch.cat([feature, dense], dim=1))
        hidden = activate(hidden * (1 + self.affine(w).to(hidden.dtype)[:, :, None, None]))
        moved = self.displacement(self.field(hidden)).float() * DISPLACEMENT_SCALE
        flow = torch.einsum("nij,njhw->nihw", geometry.rotation[:, :2], moved) * geometry.scale[:, :, None, None]
        return flow * flow.new_tensor([1.0, -1.0])[None, :, None, None]
