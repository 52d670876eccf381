"""A quantized core as plain quantize and dequantize operators, ready for ONNX export; the numbers stay the same.

Not covered: the export itself, and the float head and compositor around it.
"""

from __future__ import annotations

import copy

import torch
import torch.ao.quantization.fx._decomposed  # registers torch.ops.quantized_decomposed
from torch import Tensor, nn

from compress.shrinking.fakequant import FakeQuantizer
from compress.shrinking.hooks import Repeat, hooks, module_of, of_weights, quantizers, storage


class Activation(nn.Module):
    """QuantizeLinear and DequantizeLinear with one range for the tensor."""

    def __init__(self, quantizer: FakeQuantizer) -> None:
        super().__init__()
        grid = quantizer.grid
        self.arguments = (float(quantizer.step), grid.zero_point, grid.low, grid.high, torch.uint8)

    def forward(self, x: Tensor) -> Tensor:
        """Any float tensor to one of the same shape, on the grid."""
        operators = torch.ops.quantized_decomposed
        integers = operators.quantize_per_tensor(x, *self.arguments)
        restored: Tensor = operators.dequantize_per_tensor(integers, *self.arguments)
        return restored


class Weights(nn.Module):
    """DequantizeLinear of stored 8-bit weights, by output channel; the float weights that come in are not used."""

    integers: Tensor
    steps: Tensor
    zeros: Tensor

    def __init__(self, quantizer: FakeQuantizer, weight: Tensor) -> None:
        super().__init__()
        self.axis, self.ends = quantizer.grid.axis, (quantizer.grid.low, quantizer.grid.high)
        self.register_buffer("integers", quantizer.integers(weight).contiguous())
        self.register_buffer("steps", quantizer.step.clone())
        self.register_buffer("zeros", torch.zeros(len(quantizer.step), dtype=torch.int64))

    def forward(self, _: Tensor) -> Tensor:
        """The float weights that the integers stand for."""
        dequantize = torch.ops.quantized_decomposed.dequantize_per_channel
        restored: Tensor = dequantize(self.integers, self.steps, self.zeros, self.axis, *self.ends, torch.int8)
        return restored


def decompose(core: nn.Module) -> nn.Module:
    """A copy of a quantized core, in eval mode on the CPU, made of plain operators with 8-bit weights.

    `torch.onnx.export(..., dynamo=True)` writes it as QuantizeLinear and DequantizeLinear. It cannot be trained.
    """
    plain = copy.deepcopy(core).eval().cpu()
    placed = quantizers(plain)
    for place, hook in hooks(plain).items():
        if of_weights(place):
            module = module_of(plain, place)
            assert isinstance(module, nn.Conv2d)
            storage(plain).set_submodule(place, Weights(placed[place], module.weight))
        else:
            source = hook.source if isinstance(hook, Repeat) else place
            storage(plain).set_submodule(place, Activation(placed[source]))
    return plain
