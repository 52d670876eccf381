"""True multiply-accumulates and parameters of an ONNX file, by the rules of `shrinking.macs`.

The sizes of all tensors are those of one real run, unoptimised, on a photo of the size asked for: shapes that a graph
computes from its input are known that way too. Convolutions count the same in float, in integers and between
QuantizeLinear and DequantizeLinear. An operator that is in neither table is an error, never zero; so are branches and
loops, whose cost no single run tells. Bilinear enlargement that a file writes as matrix products (as our own exports
do) counts as those products, which is what it costs. Not covered: bytes moved, and time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
import onnxruntime as ort
from onnx import TensorProto, helper

from compress.errors import StageError
from compress.exporting import model_file
from compress.judging.candidate import FAILURES
from compress.judging.signature import Tensor

Shape = tuple[int, ...]
Rule = Callable[[onnx.NodeProto, list[Shape], Shape], int]


@dataclass(frozen=True)
class FileCost:
    """MACs of one run, and by operator; elements of all constants that are weights, biases and the like."""

    macs: int
    by_operator: Mapping[str, int]
    parameters: int


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _convolution(weight: int) -> Rule:
    """Each position of the output meets each element of the weight [out, in / groups, *kernel], input `weight`."""
    return lambda _node, inputs, output: output[0] * prod(output[2:]) * prod(inputs[weight])


def _transposed(_node: onnx.NodeProto, inputs: list[Shape], _output: Shape) -> int:
    return inputs[0][0] * prod(inputs[0][2:]) * prod(inputs[1])


def _gemm(node: onnx.NodeProto, inputs: list[Shape], _output: Shape) -> int:
    columns = inputs[1][0] if _attributes(node).get("transB", 0) else inputs[1][1]
    return prod(inputs[0]) * columns


def _product(_node: onnx.NodeProto, inputs: list[Shape], output: Shape) -> int:
    return prod(output) * inputs[0][-1]


def _einsum(node: onnx.NodeProto, inputs: list[Shape], _output: Shape) -> int:
    terms = _attributes(node)["equation"].decode().replace(" ", "").split("->")[0].split(",")
    if len(terms) != 2 or "." in "".join(terms):
        raise StageError(f"einsum {','.join(terms)} has no counting rule")
    return prod({axis: extent for term, shape in zip(terms, inputs) for axis, extent in zip(term, shape)}.values())


def _grid_sample(node: onnx.NodeProto, inputs: list[Shape], output: Shape) -> int:
    mode = _attributes(node).get("mode", b"linear").decode()
    taps = {"nearest": 0, "linear": 2, "bilinear": 2, "cubic": 4, "bicubic": 4}[mode]
    return int(prod(output) * taps ** (len(inputs[0]) - 2))


def _resize(node: onnx.NodeProto, inputs: list[Shape], output: Shape) -> int:
    """Taps for each result along the axes that change; antialiased as two passes, the last axis first."""
    attributes = _attributes(node)
    taps = {"nearest": 0, "linear": 2, "bilinear": 2, "cubic": 4}[attributes.get("mode", b"nearest").decode()]
    changed = [axis for axis in range(len(output)) if inputs[0][axis] != output[axis]]
    if not taps or not changed:
        return 0
    if not attributes.get("antialias", 0):
        return int(prod(output) * taps ** len(changed))
    shape, total = list(inputs[0]), 0
    for axis in reversed(changed):
        reduction = shape[axis] / output[axis]
        shape[axis] = output[axis]
        total += prod(shape) * ceil(taps * max(1, reduction))
    return total


COUNTED: dict[str, Rule] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "com.microsoft::FusedConv": _convolution(1),
    "ConvTranspose": _transposed,
    "Gemm": _gemm,
    "MatMul": _product,
    "MatMulInteger": _product,
    "QLinearMatMul": _product,
    "Einsum": _einsum,
    "GridSample": _grid_sample,
    "Resize": _resize,
    "Upsample": _resize,
}

_ELEMENTWISE = """
Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil
Clip Cos Cosh DequantizeLinear Div DynamicQuantizeLinear Equal Erf Exp Floor Greater GreaterOrEqual IsInf IsNaN Less
LessOrEqual Log Max Mean Min Mod Mul Neg Not Or Pow QuantizeLinear Reciprocal Round Sign Sin Sinh Sqrt Sub Sum Tan
Where Xor
"""
_ACTIVATIONS = """
Celu Dropout Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu Shrink Sigmoid Softmax
Softplus Softsign Swish Tanh ThresholdedRelu
"""
_NORMALISATION_POOLING_REDUCTION = """
ArgMax ArgMin AveragePool BatchNormalization CumSum GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization
InstanceNormalization LayerNormalization LpNormalization LpPool LRN MaxPool MeanVarianceNormalization RMSNormalization
ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare TopK
"""
_MOVEMENT = """
Compress Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather GatherElements GatherND Identity
NonZero OneHot Pad Range Reshape ReverseSequence ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze
Tile Transpose Trilu Unique Unsqueeze
"""
FREE = frozenset((_ELEMENTWISE + _ACTIVATIONS + _NORMALISATION_POOLING_REDUCTION + _MOVEMENT).split())

# Inputs that say how, not what: sizes, scales, zero points, limits. Their constants are no parameters.
_SETTINGS: dict[str, range | tuple[int, ...]] = {
    "Resize": range(1, 4), "Upsample": range(1, 2), "QuantizeLinear": range(1, 3), "DequantizeLinear": range(1, 3),
    "QLinearConv": (1, 2, 4, 5, 6, 7), "QLinearMatMul": (1, 2, 4, 5, 6, 7), "ConvInteger": range(2, 4),
    "MatMulInteger": range(2, 4), "Clip": range(1, 3), "Pad": range(1, 4), "Range": range(3), "Dropout": range(1, 3),
}  # fmt: skip
_REAL = frozenset({
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.INT8,
    TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4,
})  # fmt: skip


def count(path: Path, photo: Tensor, input_name: str) -> FileCost:
    """Cost of one run of the file on `photo`, a tensor as it wants it.

    Raises StageError for an operator that cannot be counted, or if the file cannot be run on `photo`.
    """
    model = onnx.inliner.inline_local_functions(model_file.read(path))
    for node in model.graph.node:
        if model_file.operator(node) not in COUNTED and model_file.operator(node) not in FREE:
            name = model_file.operator(node)
            raise StageError(
                f"{path}: operator {name} at node {node.name!r} has no counting rule, so its MACs are not known; "
                "export it with other operators"
            )
    shapes = _shapes(path, model, {input_name: photo})
    by_operator: Counter[str] = Counter()
    for node in model.graph.node:
        rule = COUNTED.get(model_file.operator(node))
        if rule is not None:
            inputs = [shapes.get(name, ()) for name in node.input]
            by_operator[model_file.operator(node)] += rule(node, inputs, shapes[node.output[0]])
    return FileCost(sum(by_operator.values()), dict(by_operator), parameters(model))


def parameters(model: onnx.ModelProto) -> int:
    """Elements of the model's constants that are weights, biases, slopes and the like, each once.

    Not those of one element (0.5, an epsilon), integers that index or give a size, scales and zero points.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and "value" in (values := _attributes(node)):
            constants[node.output[0]] = values["value"]
    used = set()
    for node in model.graph.node:
        settings = _SETTINGS.get(node.op_type, ())
        for position, name in enumerate(node.input):
            quantised = node.op_type == "DequantizeLinear" or (node.op_type == "QLinearConv" and position == 8)
            kinds = _REAL | {TensorProto.INT32} if quantised else _REAL
            if position not in settings and name in constants and constants[name].data_type in kinds:
                used.add(name)
    sizes = [prod(constants[name].dims) for name in used]
    return sum(size for size in sizes if size > 1)


def _shapes(path: Path, model: onnx.ModelProto, feed: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Shapes of all tensors that counted operators read and write, in one run on `feed`."""
    counted = [node for node in model.graph.node if model_file.operator(node) in COUNTED]
    names = sorted({name for node in counted for name in (*node.input, *node.output[:1]) if name})
    measured = onnx.ModelProto()
    measured.CopyFrom(model)
    del measured.graph.output[:]
    for index, name in enumerate(names):
        measured.graph.node.append(helper.make_node("Shape", [name], [f"shape of {name}"], f"shape {index}"))
        measured.graph.output.append(helper.make_tensor_value_info(f"shape of {name}", TensorProto.INT64, [None]))
    if not names:
        return {}
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(measured.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(None, dict(feed))
    except FAILURES as error:
        reason = model_file.plain(error)
        raise StageError(f"{path}: its sizes cannot be found ({reason}); export it for this photo size") from error
    return {name: tuple(int(extent) for extent in shape) for name, shape in zip(names, found)}
