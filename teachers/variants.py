"""What stands in the place of KStyleGAN's parts in ablations: other fusions, another block, other style mappings.

An architecture names them; the parts of the design are `sta`, `fs` and `3d`. What each is good for is measured in
docs/ablations.md. Does not cover the parts themselves (`teachers.blocks`, `teachers.geometry`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from teachers.blocks import STA, FSBlock, activate
from teachers.geometry import DISPLACEMENT_SCALE, Block, GeometryOutput, StyleMapping

Fusion = Callable[[int, int], nn.Module]
"""Makes a module ``(shallow [N, a, h, w], deep [N, b, h, w]) -> [N, b, h, w]`` from a and b."""


class AddFusion(nn.Module):
    """Direct addition of the projected shallow feature to the deep one."""

    def __init__(self, shallow: int, deep: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(shallow, deep, 1)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        projected: Tensor = self.project(shallow)
        return deep + projected


class ConcatFusion(nn.Module):
    """Concatenation followed by a 3x3 convolution, as in a U-Net; many times the MACs of STA."""

    def __init__(self, shallow: int, deep: int) -> None:
        super().__init__()
        self.merge = nn.Conv2d(shallow + deep, deep, 3, padding=1)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        return activate(self.merge(torch.cat([shallow, deep], dim=1)))


def residual_width(channels: int) -> int:
    """Inner width at which two 3x3 convolutions cost what a fused FS block of `channels` does.

    MACs a pixel: ``18 channels width`` against ``6 channels^2 + 12.5 channels``.
    """
    return round((6 * channels + 12.5) / 18)


class ResidualBlock(nn.Module):
    """ResNet block at the MACs of an FS block: two normalised 3x3 convolutions with a narrow middle, and the input.

    Source: Deep Residual Learning (CVPR 2016), figure 2 left; normalised over groups of channels, as the FS block is.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = residual_width(channels)
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.enter_norm = nn.GroupNorm(1, width)  # the width is no multiple of 8
        self.leave = nn.Conv2d(width, channels, 3, padding=1)
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = activate(self.enter_norm(self.enter(x)))
        return activate(x + self.norm(self.leave(inner)))


class FreeFlow(StyleMapping):
    """A 2D flow that knows nothing of the head: not its positions, and not its pose."""

    def __init__(
        self, fine: int, deep: int, coefficients: int, style: int, styles: int, block: Block = FSBlock
    ) -> None:
        super().__init__(fine, deep, coefficients, style, styles, block)
        self.enter = nn.Conv2d(fine, fine, 1)
        self.displacement = nn.Conv2d(fine, 2, 3, padding=1, bias=False)
        nn.init.zeros_(self.displacement.weight)

    def flow(self, geometry: GeometryOutput, feature: Tensor, w: Tensor) -> Tensor:
        """Backward flow ``[N, 2, H/4, W/4]``, drawn as it is."""
        hidden = self.enter(feature)
        hidden = activate(hidden * (1 + self.affine(w).to(hidden.dtype)[:, :, None, None]))
        moved: Tensor = self.displacement(self.field(hidden)).float() * DISPLACEMENT_SCALE
        return moved


class NoFlow(StyleMapping):
    """RGB only: nothing is moved, the renderer draws the style's shape over the photo."""

    def __init__(
        self, fine: int, deep: int, coefficients: int, style: int, styles: int, block: Block = FSBlock
    ) -> None:
        super().__init__(fine, deep, coefficients, style, styles, block)
        del self.enter, self.affine, self.field, self.displacement

    def flow(self, geometry: GeometryOutput, feature: Tensor, w: Tensor) -> Tensor:
        """Backward flow ``[N, 2, H/4, W/4]`` of zeros."""
        return torch.zeros_like(feature[:, :2], dtype=torch.float32)


FUSIONS: dict[str, Fusion] = {"sta": STA, "add": AddFusion, "concat": ConcatFusion}
BLOCKS: dict[str, Block] = {"fs": FSBlock, "residual": ResidualBlock}
MAPPINGS: dict[str, type[StyleMapping]] = {"3d": StyleMapping, "flow": FreeFlow, "rgb": NoFlow}
