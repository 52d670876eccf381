"""Run a small ONNX network in torch, so that gradients flow through it: constants folded once, then a list of steps.

Weights that are stored quantized are dequantized when loading, and a BatchNormalization right behind a convolution or a
Gemm is folded into its weights. Frozen: nothing is trainable. Operators that `operators.py` does not name are an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper
from torch import Tensor, nn

from compress.errors import InputError
from compress.networks.operators import OPERATORS, Attributes


@dataclass(frozen=True)
class Step:
    """One operator that runs at every call: its inputs by name ("" where absent) and its first output's name."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Attributes


class OnnxNetwork(nn.Module):
    """The network of an ONNX file with one input; `forward(x)` returns its first output. In eval mode and frozen.

    Raises InputError when the file is missing, is no ONNX file, or uses an operator that is not covered.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = _read(path)
        constants = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
        steps = _fold_constants(path, graph, constants)
        read = {name for step in steps for name in step.inputs}
        # Files may still list as inputs the weights that became constants; only what a step reads counts.
        inputs = [value.name for value in graph.input if value.name in read and value.name not in constants]
        if len(inputs) != 1:
            raise InputError(f"{path}: {len(inputs)} inputs ({', '.join(inputs)}); a network with one input is needed")
        self.input, self.output = inputs[0], graph.output[0].name
        self.steps = _fold_normalization(steps, constants, self.output)
        used = {name for step in self.steps for name in step.inputs} & constants.keys()
        self._buffer_of = {name: f"constant_{index}" for index, name in enumerate(sorted(used))}
        for name, buffer in self._buffer_of.items():
            self.register_buffer(buffer, constants[name])
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Run the network on one tensor, of the shape that the file documents; the batch is free."""
        values: dict[str, Tensor | None] = {"": None, self.input: x}
        values.update({name: self.get_buffer(buffer) for name, buffer in self._buffer_of.items()})
        for step in self.steps:
            values[step.output] = OPERATORS[step.operator]([values[name] for name in step.inputs], step.attributes)
        result = values[self.output]
        assert result is not None, "the file's output is the output of a step"
        return result


def _read(path: Path) -> onnx.GraphProto:
    try:
        return onnx.load(str(path)).graph
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of an ONNX network") from None
    except DecodeError as error:
        raise InputError(f"{path}: not an ONNX file ({error}); export the network again") from error


def _tensor(proto: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(proto).copy())


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: _tensor(v) if isinstance(v, onnx.TensorProto) else v for name, v in values.items()}


def _fold_constants(path: Path, graph: onnx.GraphProto, constants: dict[str, Tensor]) -> list[Step]:
    """Evaluate every node that depends on constants alone, into `constants`; return the others in order."""
    steps = []
    for node in graph.node:
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            known = ", ".join(OPERATORS)
            raise InputError(f"{path}: operator {node.op_type} of node {node.name!r} is not covered; covered: {known}")
        step = Step(node.op_type, tuple(node.input), node.output[0], _attributes(node))
        if all(name == "" or name in constants for name in step.inputs):
            values = [constants.get(name) for name in step.inputs]
            constants[step.output] = OPERATORS[step.operator](values, step.attributes)
        else:
            steps.append(step)
    return steps


def _fold_normalization(steps: list[Step], constants: dict[str, Tensor], output: str) -> list[Step]:
    """Fold each BatchNormalization into the convolution or Gemm that alone feeds it; new weights join `constants`."""
    readers = Counter(name for step in steps for name in step.inputs)
    readers[output] += 1
    folded: list[Step] = []
    for step in steps:
        before = folded[-1] if folded else None
        foldable = (
            step.operator == "BatchNormalization"
            and before is not None
            and before.output == step.inputs[0]
            and readers[before.output] == 1
            and _weights_are_constant(before, constants)
        )
        if foldable and before is not None:
            folded[-1] = _folded(before, step, constants)
        else:
            folded.append(step)
    return folded


def _weights_are_constant(step: Step, constants: Mapping[str, Tensor]) -> bool:
    if step.operator == "Gemm" and (step.attributes.get("alpha", 1.0) != 1 or step.attributes.get("beta", 1.0) != 1):
        return False
    return step.operator in ("Conv", "Gemm") and all(name == "" or name in constants for name in step.inputs[1:])


def _folded(linear: Step, normalization: Step, constants: dict[str, Tensor]) -> Step:
    """w' = w * s, b' = (b - mean) * s + beta, with s = gamma / sqrt(variance + epsilon)."""
    gamma, beta, mean, variance = (constants[name] for name in normalization.inputs[1:5])
    scale = gamma / (variance + normalization.attributes.get("epsilon", 1e-5)).sqrt()
    weight = constants[linear.inputs[1]]
    outputs_last = linear.operator == "Gemm" and not linear.attributes.get("transB", 0)
    per_output = scale if outputs_last else scale.reshape([-1] + [1] * (weight.ndim - 1))
    old_bias = constants[linear.inputs[2]] if len(linear.inputs) > 2 and linear.inputs[2] else torch.zeros_like(mean)
    names = (f"{normalization.output}/weight", f"{normalization.output}/bias")
    constants[names[0]] = weight * per_output
    constants[names[1]] = (old_bias - mean) * scale + beta
    return Step(linear.operator, (linear.inputs[0], *names), normalization.output, linear.attributes)
