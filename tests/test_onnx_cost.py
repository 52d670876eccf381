"""MACs and parameters of ONNX files: by hand, and against the counter of PyTorch's operators on exported students."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from compress.errors import StageError
from compress.exporting import onnx_cost, onnx_files
from compress.shrinking import macs
from tiny_onnx import exported, model, node, saved

SIDE = 48
PHOTO = np.zeros((1, 3, SIDE, SIDE), np.float32)


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def count(path: Path, *nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx_cost.FileCost:
    return onnx_cost.count(saved(path / "model.onnx", model(*nodes, given=None, constants=constants)), PHOTO, "photo")


FAMILIES = pytest.mark.parametrize("family", ["map", "rgb"])


@FAMILIES
def test_core_of_an_exported_student_costs_what_torch_dispatches(tmp_path: Path, family: str) -> None:
    student, core = exported(family)
    low = np.zeros((1, 3, 32, 32), np.float32)
    found = onnx_cost.count(saved(tmp_path / "core.onnx", core), low, "photo")
    module = onnx_files.CoreMaps(student.core) if family == "map" else student.core
    assert found.macs == macs.count(module, torch.from_numpy(low)).total
    # Batch normalisation is folded into the convolutions: one bias each is left of it. Maps know their own places.
    weights = [m for m in student.core.modules() if isinstance(m, torch.nn.Conv2d)]
    places = 2 * 16 * 16 if family == "map" else 0
    assert found.parameters == sum(m.weight.numel() + m.out_channels for m in weights) + places


@FAMILIES
def test_whole_exported_student_costs_what_torch_dispatches(tmp_path: Path, family: str) -> None:
    student, core = exported(family)
    whole = saved(tmp_path / "model.onnx", onnx_files.whole(core, student, 18))
    found = onnx_cost.count(whole, PHOTO, "photo").by_operator
    expected = macs.count(student, torch.from_numpy(PHOTO)).by_operator
    assert found["Conv"] == expected["convolution"]
    if student.family == "map":
        assert found["Resize"] == expected["_upsample_bilinear2d_aa"]
        assert found["GridSample"] == expected["grid_sampler_2d"]
        # Bilinear enlargement of 16 x 16 maps, written as products: flow (x and y at once), gain and bias of 3 each.
        low, line = 16, 2 * SIDE
        flow = (low * 2 * low) * line + (SIDE * (low + 1)) * line
        assert found["MatMul"] == flow + 2 * 3 * (low * low * SIDE + SIDE * low * SIDE)
    else:
        assert found["Resize"] == expected["upsample_bilinear2d"] + expected["_upsample_bilinear2d_aa"]


def test_convolutions_count_alike_in_float_in_integers_and_between_quantizers(tmp_path: Path) -> None:
    weight, zero, one = np.zeros((8, 3, 3, 3), np.int8), np.array(0, np.int8), np.array(1, np.float32)
    bias, grey = np.zeros(8, np.int32), np.array(0, np.uint8)
    plain = count(tmp_path, node("Conv", "photo w b", "image", pads=[1] * 4), w=floats(8, 3, 3, 3), b=floats(8))
    first = node("QuantizeLinear", "photo one grey", "q")
    linear = node("QLinearConv", "q one grey w one zero one grey bias", "image", pads=[1] * 4)
    again = [node("DequantizeLinear", "q one grey", "p"), node("DequantizeLinear", "w one zero", "f"),
             node("DequantizeLinear", "bias one", "b"), node("Conv", "p f b", "image", pads=[1] * 4)]  # fmt: skip
    given = {"w": weight, "one": one, "zero": zero, "grey": grey, "bias": bias}
    for found in (plain, count(tmp_path, first, linear, **given), count(tmp_path, first, *again, **given)):
        assert (found.macs, found.parameters) == (SIDE * SIDE * 8 * 3 * 9, 8 * 3 * 9 + 8)
    integer = count(tmp_path, first, node("ConvInteger", "q w grey", "image", pads=[1] * 4), **given)
    assert (integer.macs, integer.parameters) == (SIDE * SIDE * 8 * 3 * 9, 8 * 3 * 9)


NEAREST, LINEAR = {"mode": "nearest"}, {"mode": "linear"}
AREA = SIDE * SIDE


@pytest.mark.parametrize(
    ("made", "shapes", "expected"),
    [
        (node("Conv", "photo w", "image", group=3), {"w": (6, 1, 1, 1)}, AREA * 6),
        (node("Conv", "photo w", "image", strides=[2, 2]), {"w": (4, 3, 2, 2)}, AREA // 4 * 4 * 3 * 4),
        (node("ConvTranspose", "photo w", "image", strides=[2, 2]), {"w": (3, 5, 2, 2)}, AREA * 3 * 5 * 4),
        (node("MatMul", "photo w", "image"), {"w": (SIDE, 7)}, 3 * AREA * 7),
        (node("Einsum", "photo w", "image", equation="nchw,wk->nchk"), {"w": (SIDE, 7)}, 3 * AREA * 7),
        (node("GridSample", "photo w", "image"), {"w": (1, 8, 9, 2)}, 3 * 8 * 9 * 4),
        (node("GridSample", "photo w", "image", mode="bicubic"), {"w": (1, 8, 9, 2)}, 3 * 8 * 9 * 16),
        (node("GridSample", "photo w", "image", mode="nearest"), {"w": (1, 8, 9, 2)}, 0),
    ],
)
def test_operator_costs_what_is_counted_by_hand(
    tmp_path: Path, made: onnx.NodeProto, shapes: dict[str, tuple[int, ...]], expected: int
) -> None:
    if made.op_type == "GridSample" and "mode" not in {a.name for a in made.attribute}:
        made.attribute.append(helper.make_attribute("mode", "bilinear"))
    assert count(tmp_path, made, **{name: floats(*shape) for name, shape in shapes.items()}).macs == expected


@pytest.mark.parametrize(
    ("attributes", "sides", "expected"),
    [
        ({"mode": "nearest"}, (96, 96), 0),
        ({"mode": "linear"}, (96, 96), 3 * 96 * 96 * 4),
        ({"mode": "linear"}, (SIDE, 96), 3 * SIDE * 96 * 2),
        ({"mode": "cubic"}, (96, 96), 3 * 96 * 96 * 16),
        ({"mode": "linear", "antialias": 1}, (16, 24), 3 * (SIDE * 24 * 4 + 16 * 24 * 6)),
    ],
)
def test_resize_costs_its_taps_along_the_axes_that_change(
    tmp_path: Path, attributes: dict[str, object], sides: tuple[int, int], expected: int
) -> None:
    resize = helper.make_node("Resize", ["photo", "", "", "size"], ["image"], **attributes)
    assert count(tmp_path, resize, size=np.array([1, 3, *sides])).macs == expected


@pytest.mark.parametrize("turned", [0, 1])
def test_gemm_costs_its_product_either_way_round(tmp_path: Path, turned: int) -> None:
    rows = node("Flatten", "photo", "rows", axis=3)  # [3 * SIDE, SIDE]
    weight = floats(7, SIDE) if turned else floats(SIDE, 7)
    found = count(tmp_path, rows, node("Gemm", "rows w b", "image", transB=turned), w=weight, b=floats(7))
    assert (found.macs, found.parameters) == (3 * SIDE * SIDE * 7, SIDE * 7 + 7)


def test_settings_scalars_and_indices_are_no_parameters(tmp_path: Path) -> None:
    half, slope, index = np.array(0.5, np.float32), floats(3, 1, 1), np.array([0, 1, 2])
    low, high = np.array(-1, np.float32), np.array(1, np.float32)
    nodes = (node("Mul", "photo half", "a"), node("PRelu", "a slope", "b"), node("Gather", "b index", "c", axis=1),
             node("Clip", "c low high", "image"))  # fmt: skip
    assert count(tmp_path, *nodes, half=half, slope=slope, index=index, low=low, high=high).parameters == 3


def test_constants_in_nodes_and_functions_of_the_file_are_counted(tmp_path: Path) -> None:
    weight = helper.make_node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(floats(4, 3, 1, 1)))
    opsets = [helper.make_opsetid("", 18)]
    block = helper.make_function("own", "Block", ["x"], ["y"], [weight, node("Conv", "x w", "y")], opsets)
    made = model(node("Block", "photo", "image", domain="own"), given=None, domain="own")
    made.functions.append(block)
    found = onnx_cost.count(saved(tmp_path / "model.onnx", made), PHOTO, "photo")
    assert (found.macs, found.parameters) == (SIDE * SIDE * 12, 12)


@pytest.mark.parametrize(
    "made", [node("Det", "photo", "image"), node("Einsum", "photo photo photo", "image", equation="nchw,nchw,nchw->n")]
)
def test_arithmetic_without_a_rule_is_an_error_never_zero(tmp_path: Path, made: onnx.NodeProto) -> None:
    with pytest.raises(StageError, match="has no counting rule"):
        count(tmp_path, made)


def test_branches_are_an_error_because_one_run_does_not_tell_their_cost(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    branch = helper.make_graph([node("Identity", "photo", "out")], "branch", [], [value])
    chosen = node("If", "yes", "image", then_branch=branch, else_branch=branch)
    with pytest.raises(StageError, match="operator If at node 'If of image' has no counting rule, so its MACs"):
        count(tmp_path, chosen, yes=np.array(True))


def test_file_that_does_not_take_the_photo_is_an_error(tmp_path: Path) -> None:
    made = node("MatMul", "photo w", "image")
    with pytest.raises(StageError, match="its sizes cannot be found .*; export it for this photo size"):
        count(tmp_path, made, w=floats(7, 7))


def test_every_operator_has_one_rule() -> None:
    assert not set(onnx_cost.COUNTED) & onnx_cost.FREE
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    named = {name for name in (*onnx_cost.COUNTED, *onnx_cost.FREE) if "::" not in name}
    assert not named - known
