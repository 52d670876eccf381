"""Defects of the int8 file: QDQ graphs with one number too large, too small, missing or badly rounded.

Each function changes an `onnx.ModelProto` in place, by an amount whose unit its first line names, and raises InputError
for a graph without quantized convolutions, where it would do nothing. What torch knows about the student is not
touched, so these are faults that arise in or after the export.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from compress.errors import InputError

_PASSING = ("Transpose", "Gather", "Reshape", "MaxPool")  # what may stand between quantizing and dequantizing
_FULL_RANGE = 127


@dataclass(frozen=True)
class QuantizedConvolution:
    """A Conv whose weights come from 8-bit integers; `integers`, `scale` and `bias` name constants ("" is no bias)."""

    node: onnx.NodeProto
    dequantize: onnx.NodeProto
    integers: str
    scale: str
    bias: str


def quantized_convolutions(model: onnx.ModelProto) -> list[QuantizedConvolution]:
    """The quantized convolutions of a graph, in its order; raises InputError if there are none."""
    constants = {tensor.name for tensor in model.graph.initializer}
    producers = {output: node for node in model.graph.node for output in node.output}
    found = []
    for node in model.graph.node:
        source = producers.get(node.input[1]) if node.op_type == "Conv" else None
        if source is None or source.op_type != "DequantizeLinear" or source.input[0] not in constants:
            continue
        bias = node.input[2] if len(node.input) > 2 and node.input[2] in constants else ""
        found.append(QuantizedConvolution(node, source, source.input[0], source.input[1], bias))
    if not found:
        raise InputError("planted defects: this file has no quantized convolution; give an int8 file in QDQ form")
    return found


def dead_channels(model: onnx.ModelProto, share: float) -> None:
    """The first output channels of the widest convolution give nothing; share of its channels, at least one."""
    widest = max(quantized_convolutions(model), key=lambda conv: _constant(model, conv.integers).shape[0])
    integers = _constant(model, widest.integers).copy()
    dead = max(1, round(share * len(integers)))
    integers[:dead] = 0
    _store(model, widest.dequantize, 0, integers)
    if widest.bias:
        bias = _constant(model, widest.bias).copy()
        bias[:dead] = 0
        _store(model, widest.node, 2, bias)


def clipped_activations(model: onnx.ModelProto, factor: float) -> None:
    """The range of one tensor, halfway through the network, is too short by a factor: what lies beyond it is clipped.

    It is what a missing or too small calibration leaves: sums overflow the 8 bits of their activation.
    """
    convolutions = quantized_convolutions(model)
    producers = {output: node for node in model.graph.node for output in node.output}
    middle = convolutions[len(convolutions) // 2].node
    start = producers.get(middle.input[0])
    while start is not None and start.op_type in ("DequantizeLinear", *_PASSING):
        start = producers.get(start.input[0])
    if start is None or start.op_type != "QuantizeLinear":
        raise InputError(f"planted defects: the input of {middle.name or 'a convolution'} is not quantized")
    scale = _constant(model, start.input[1]) / np.float32(factor)
    for node in [start, *_readers(model, start.output[0])]:
        _store(model, node, 1, scale.astype(np.float32))


def saturating_sums(model: onnx.ModelProto, share: float) -> None:
    """Weights use all 8 bits instead of 7, so that pairs of products overflow 16 bits; share of each layer's channels.

    The file says the same as before, a little more precisely; but the integer kernels of x86 processors before VNNI add
    two products of up to 255 x 127 in 16 bits. Where they do not (VNNI, ARM), this is no defect.
    """
    for conv in quantized_convolutions(model):
        integers, scale = _constant(model, conv.integers).copy(), _constant(model, conv.scale).copy()
        first = slice(max(1, round(share * len(integers))))
        gain = _FULL_RANGE / max(int(np.abs(integers.astype(np.int16)).max()), 1)
        integers[first] = np.rint(integers[first] * gain)
        scale[first] /= gain
        _store(model, conv.dequantize, 0, integers)
        _store(model, conv.dequantize, 1, scale)


def rounded_scales(model: onnx.ModelProto, bits: float) -> None:
    """The scales of all weights keep too few bits of their mantissa; `bits` lost of the 7 that bfloat16 has.

    7 lost bits leave powers of two.
    """
    kept = 7 - round(bits)
    for conv in quantized_convolutions(model):
        mantissa, exponent = np.frexp(_constant(model, conv.scale))
        rounded = np.ldexp(np.rint(mantissa * 2 ** (kept + 1)) / 2 ** (kept + 1), exponent)
        _store(model, conv.dequantize, 1, rounded.astype(np.float32))


def _readers(model: onnx.ModelProto, name: str) -> list[onnx.NodeProto]:
    """The DequantizeLinear nodes that give back an integer tensor, moved or upsampled on its way."""
    found: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if name in node.input[:1]:
            found += [node] if node.op_type == "DequantizeLinear" else _readers(model, node.output[0])
    return found


def _constant(model: onnx.ModelProto, name: str) -> NDArray[Any]:
    tensor = next((tensor for tensor in model.graph.initializer if tensor.name == name), None)
    if tensor is None:
        raise InputError(f"planted defects: {name} is not a constant of the file; give an int8 file in QDQ form")
    constant: NDArray[Any] = numpy_helper.to_array(tensor)
    return constant


def _store(model: onnx.ModelProto, node: onnx.NodeProto, position: int, values: NDArray[np.generic]) -> None:
    """Give input `position` of one node a constant of its own: others may share the old one."""
    name = f"{node.output[0]}_defect_{position}"
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name == name]:
        model.graph.initializer.remove(tensor)
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
    node.input[position] = name
