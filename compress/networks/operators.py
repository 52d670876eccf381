"""ONNX operators as differentiable torch functions: one small function each, and the table that names them.

Each takes its inputs (tensors, None where an optional one is absent) and its attributes, and returns its first output.
Covered: what convolutional recognition networks use. Not covered: control flow, quantized arithmetic, recurrent nets.
Source of every meaning: the ONNX operator specification, opset 21.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Inputs = Sequence[Tensor | None]
Attributes = Mapping[str, Any]
Operator = Callable[[Inputs, Attributes], Tensor]


def _get(inputs: Inputs, index: int) -> Tensor:
    value = inputs[index]
    if value is None:
        raise ValueError(f"required input {index} is absent")
    return value


def _optional(inputs: Inputs, index: int) -> Tensor | None:
    return inputs[index] if index < len(inputs) else None


def _pads(x: Tensor, attributes: Attributes, value: float = 0.0) -> Tensor:
    """Pad the two spatial axes by the attribute `pads` (top, left, bottom, right)."""
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise ValueError(f"auto_pad={attributes['auto_pad']!r} is not covered, only explicit pads")
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if not (top or left or bottom or right):
        return x
    return F.pad(x, (left, right, top, bottom), value=value)


def conv(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Two-dimensional convolution; equal pads on both sides go to torch's own padding, which makes no copy."""
    x, strides, dilations = _get(inputs, 0), attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    pads = tuple(attributes.get("pads", (0, 0, 0, 0)))
    inside: tuple[int, ...] = (0, 0)
    if pads[:2] == pads[2:] and attributes.get("auto_pad", b"NOTSET") == b"NOTSET":
        inside = pads[:2]
    else:
        x = _pads(x, attributes)
    groups = attributes.get("group", 1)
    return F.conv2d(x, _get(inputs, 1), _optional(inputs, 2), tuple(strides), inside, tuple(dilations), groups)


def batch_normalization(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Inference form: statistics are inputs."""
    x, scale, bias, mean, variance = (_get(inputs, i) for i in range(5))
    return F.batch_norm(x, mean, variance, scale, bias, eps=attributes.get("epsilon", 1e-5))


def prelu(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Slope per channel, for [N, C, ...]."""
    return F.prelu(_get(inputs, 0), _get(inputs, 1).reshape(-1))


def dequantize_linear(inputs: Inputs, attributes: Attributes) -> Tensor:
    """(q - zero point) * scale, per tensor, per axis or per block of `block_size` along `axis`."""
    quantized, scale = _get(inputs, 0).float(), _get(inputs, 1)
    zero = _optional(inputs, 2)
    zero = torch.zeros_like(scale) if zero is None else zero.float()
    axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
    if block:
        length = quantized.shape[axis]
        scale, zero = (v.repeat_interleave(block, axis).narrow(axis, 0, length) for v in (scale, zero))
    elif scale.numel() > 1:
        shape = [1] * quantized.ndim
        shape[axis] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (quantized - zero) * scale


def gemm(inputs: Inputs, attributes: Attributes) -> Tensor:
    """alpha * A B + beta * C, each of A and B transposed on request."""
    a, b, c = _get(inputs, 0), _get(inputs, 1), _optional(inputs, 2)
    a = a.t() if attributes.get("transA", 0) else a
    b = b.t() if attributes.get("transB", 0) else b
    alpha: float = attributes.get("alpha", 1.0)
    product = a @ b * alpha
    beta: float = attributes.get("beta", 1.0)
    return product if c is None else product + c * beta


def flatten(inputs: Inputs, attributes: Attributes) -> Tensor:
    """[first axes] x [rest]."""
    x, axis = _get(inputs, 0), attributes.get("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def reshape(inputs: Inputs, attributes: Attributes) -> Tensor:
    """New shape, where 0 keeps the axis and -1 takes what is left."""
    x = _get(inputs, 0)
    shape = [int(size) for size in _get(inputs, 1)]
    if not attributes.get("allowzero", 0):
        shape = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    return x.reshape(shape)


def max_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Two-dimensional; padding never wins."""
    if attributes.get("ceil_mode", 0) or any(size != 1 for size in attributes.get("dilations", (1, 1))):
        raise ValueError("MaxPool with ceil_mode or dilations is not covered")
    x = _pads(_get(inputs, 0), attributes, value=-math.inf)
    return F.max_pool2d(x, tuple(attributes["kernel_shape"]), tuple(attributes.get("strides", (1, 1))))


def clip(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Bounds are inputs; an absent one does not bind."""
    lower, upper = _optional(inputs, 1), _optional(inputs, 2)
    return _get(inputs, 0).clamp(None if lower is None else float(lower), None if upper is None else float(upper))


def constant(inputs: Inputs, attributes: Attributes) -> Tensor:
    """The tensor of the node's attribute `value`."""
    value = attributes["value"]
    assert isinstance(value, Tensor), "the loader turns tensor attributes into torch tensors"
    return value


def _same(inputs: Inputs, attributes: Attributes) -> Tensor:
    return _get(inputs, 0)


def _leaky_relu(inputs: Inputs, attributes: Attributes) -> Tensor:
    return F.leaky_relu(_get(inputs, 0), attributes.get("alpha", 0.01))


def _transpose(inputs: Inputs, attributes: Attributes) -> Tensor:
    x = _get(inputs, 0)
    return x.permute(tuple(attributes.get("perm", range(x.ndim - 1, -1, -1))))


def _global_average_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    return _get(inputs, 0).mean((2, 3), keepdim=True)


OPERATORS: Mapping[str, Operator] = {
    "Add": lambda i, a: _get(i, 0) + _get(i, 1),
    "BatchNormalization": batch_normalization,
    "Clip": clip,
    "Constant": constant,
    "Conv": conv,
    "DequantizeLinear": dequantize_linear,
    "Div": lambda i, a: _get(i, 0) / _get(i, 1),
    "Dropout": _same,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": _global_average_pool,
    "Identity": _same,
    "LeakyRelu": _leaky_relu,
    "MatMul": lambda i, a: _get(i, 0) @ _get(i, 1),
    "MaxPool": max_pool,
    "Mul": lambda i, a: _get(i, 0) * _get(i, 1),
    "PRelu": prelu,
    "Relu": lambda i, a: _get(i, 0).relu(),
    "Reshape": reshape,
    "Sigmoid": lambda i, a: _get(i, 0).sigmoid(),
    "Sub": lambda i, a: _get(i, 0) - _get(i, 1),
    "Transpose": _transpose,
}
