"""Fake quantization: float tensors rounded to the 8-bit grid of an integer runtime, with gradients for data and ranges.

Forward is `step * (clamp(round(x / step) + zero_point, low, high) - zero_point)`, as ONNX defines QuantizeLinear and
DequantizeLinear; rounding passes its gradient straight through. In a few vectorised passes over memory: NNCF's own
operators need a compiler to be fast, and PyTorch's `fake_quantize` takes 15 times as long on a CPU. Not covered: where
the quantizers go and how their ranges are found (quantization.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Grid:
    """The integers of one quantizer: `low`..`high`, of which `zero_point` stands for 0.0; `axis` of per-channel steps.

    `ceiling` is the largest value that the activation before the quantizer lets through (6 for ReLU6): a range beyond
    it would waste levels, and hinder runtimes from leaving the activation out.
    """

    low: int
    high: int
    zero_point: int = 0
    axis: int | None = None
    ceiling: float | None = None

    @property
    def levels(self) -> int:
        """Steps from one end to the other; from 0.0 to the end for the symmetric grid of weights."""
        return self.high if self.low < 0 else self.high - self.low

    def data(self) -> dict[str, Any]:
        """The same as plain JSON data."""
        return asdict(self)


# 7 bits of the 8: x86 before VNNI adds two products of an activation (up to 255) and a weight in 16 bits and saturates:
# 2 x 255 x 64 = 32640 fits, 2 x 255 x 127 does not. With 127, ONNX Runtime on AVX2 was 13 dB from the network, not 62.
WEIGHTS = Grid(-64, 64, axis=0)


class FakeQuantizer(nn.Module):
    """Rounds a tensor to `grid`; the trained `reach` [1] or [channels] is the length of the range, `levels` steps."""

    def __init__(self, grid: Grid, reach: Tensor) -> None:
        super().__init__()
        self.grid = grid
        self.reach = nn.Parameter(reach.detach().clone().reshape(-1).float())
        self.constrain()

    @property
    def step(self) -> Tensor:
        """[1] or [channels]: what one level is worth."""
        return self.reach.detach() / self.grid.levels

    def constrain(self) -> None:
        """Bring the range back, in place, to a positive length within the grid's ceiling."""
        with torch.no_grad():
            self.reach.clamp_(min=1e-8)
            if self.grid.ceiling is not None:
                # Slightly less, so that no rounding of step * levels lies above the ceiling.
                self.reach.clamp_(max=self.grid.ceiling * (1 - 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape; per-channel grids take the channels of dimension `axis`."""
        # The hooks of NNCF intercept every torch function; those in here are none of its business, and slow.
        with torch._C.DisableTorchFunction():
            rounded: Tensor = _Round.apply(x, self.reach, self.grid)  # type: ignore[no-untyped-call]  # torch's
        return rounded

    def integers(self, x: Tensor) -> Tensor:
        """The integers, as int8, that stand for the weights `x`."""
        assert self.grid.low < 0
        scaled = x.detach() / _spread(self.step, x, self.grid.axis)
        return scaled.round().clamp(self.grid.low, self.grid.high).to(torch.int8)


def _spread(step: Tensor, like: Tensor, axis: int | None) -> Tensor:
    return step if axis is None else step.reshape([-1 if d == axis else 1 for d in range(like.dim())])


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, reach: Tensor, grid: Grid) -> Tensor:
        ctx.grid = grid
        if grid.axis is None:
            step = float(reach) / grid.levels
            ctx.bounds = ((grid.low - grid.zero_point) * step, (grid.high - grid.zero_point) * step)
            rounded = x.clamp(*ctx.bounds).div_(step).round_().mul_(step)
        else:
            steps = _spread(reach / grid.levels, x, grid.axis)
            rounded = (x / steps).round_().clamp_(grid.low, grid.high).mul_(steps)
        ctx.save_for_backward(x, rounded, reach)
        return rounded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, rounded, reach = ctx.saved_tensors
        if ctx.grid.axis is None:
            return *_backward_tensor(gradients[0], x, rounded, reach if ctx.needs_input_grad[1] else None, ctx), None
        return *_backward_channels(gradients[0], x, rounded, reach, ctx.grid), None


def _backward_tensor(
    gradient: Tensor, x: Tensor, rounded: Tensor, reach: Tensor | None, ctx: Any
) -> tuple[Tensor, Tensor | None]:
    """Gradients of data and reach, one range for the whole tensor.

    The slope of a value by the step is (rounded - x) / step within the range, and the end's integer beyond it.
    Source: Esser et al., Learned Step Size Quantization (ICLR 2020), equation 3.
    """
    grid, (bottom, top) = ctx.grid, ctx.bounds
    gradient = gradient.contiguous(memory_format=_layout(x))
    within: Tensor = torch.ops.aten.hardtanh_backward(gradient, x, bottom, top)
    if reach is None:
        return within, None
    slope = _dot(within, rounded - x) / (float(reach) / grid.levels)
    beyond = gradient - within
    above = _dot(beyond, (x >= top).to(x.dtype))
    slope = slope + (grid.high - grid.zero_point) * above
    if grid.zero_point > grid.low:  # otherwise the lower end is 0.0 whatever the step
        slope = slope + (grid.low - grid.zero_point) * (beyond.sum() - above)
    return within, (slope / grid.levels).reshape(1)


def _backward_channels(
    gradient: Tensor, x: Tensor, rounded: Tensor, reach: Tensor, grid: Grid
) -> tuple[Tensor, Tensor]:
    """The same with one range for each channel; weights are small, so plain formulas do."""
    steps = _spread(reach / grid.levels, x, grid.axis)
    scaled = x / steps
    within = (scaled > grid.low) & (scaled < grid.high)
    slope = torch.where(within, (rounded - x) / steps, rounded / steps)
    others = [d for d in range(x.dim()) if d != grid.axis]
    return gradient * within, (gradient * slope).sum(others) / grid.levels


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(_flat(a), _flat(b))


def _flat(x: Tensor) -> Tensor:
    """All elements in the order of memory, without a copy for both memory layouts."""
    return x.permute(0, 2, 3, 1).reshape(-1) if _layout(x) is torch.channels_last else x.reshape(-1)
