"""Tiny ONNX files for tests: hand-made ones, a multiplication of the photo unless told otherwise, and real exports."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper

import students
from compress.exporting import onnx_files
from compress.shrinking import quantization

FREE = ("n", 3, "h", "w")
Shape = Sequence[str | int] | None


def node(kind: str, inputs: str, outputs: str, domain: str = "", **attributes: object) -> NodeProto:
    """A node between values named in words: node("Mul", "photo gain", "image")."""
    name = f"{kind} of {outputs.split()[0]}"
    return helper.make_node(kind, inputs.split(), outputs.split(), name, domain=domain, **attributes)


def model(
    *nodes: NodeProto,
    taken: Shape = FREE,
    given: Shape = FREE,
    kind: int = TensorProto.FLOAT,
    given_kind: int | None = None,
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 18,
    ir_version: int = 10,
    domain: str = "",
    more_inputs: Sequence[str] = (),
    more_outputs: Sequence[str] = (),
) -> onnx.ModelProto:
    """`photo` to `image` by `nodes`, or by a gain of 0.8 without any."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if not nodes:
        nodes, constants = (node("Mul", "photo gain", "image"),), {"gain": np.array(0.8, dtype)}
    inputs = [helper.make_tensor_value_info(name, kind, taken) for name in ("photo", *more_inputs)]
    outputs = [helper.make_tensor_value_info(name, given_kind or kind, given) for name in ("image", *more_outputs)]
    weights = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def saved(path: Path, made: onnx.ModelProto) -> Path:
    """The model as a file."""
    onnx.save(made, path)
    return path


@functools.cache
def exported(family: str) -> tuple[students.Student, onnx.ModelProto]:
    """A tiny student and its core as exported; made once, so it must not be changed."""
    torch.manual_seed(0)
    student = students.build(students.record_for(family, 8, 32, 1)).eval()
    for values in student.parameters():
        torch.nn.init.normal_(values, std=0.1)  # equal constants, such as biases of 0, would be written once
    return student, onnx_files.export_core(student, quantization.fuse(student.core), 18)
