"""Export: the ONNX files against torch, what ONNX Runtime runs in integers, and files that must be refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from numpy.typing import NDArray

import students
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, StageError
from compress.exporting import compositor_graph, lowering, onnx_files, parity
from compress.recipe import ExportSettings
from compress.shards import ShardWriter
from compress.shrinking import quantization
from compress.stages import export
from students import rgb

LEVEL = 1 / 127.5
FLOAT_LEVELS = 0.05  # of 255: the compositor in another order of float32 operations
SHAPES = [(1, 64, 64), (2, 37, 90), (3, 100, 41), (1, 2, 3)]


def opened(model: onnx.ModelProto, folder: Path) -> Any:
    onnx.save(model, folder / "model.onnx")
    return parity.open_file(folder / "model.onnx")


def trained(family: str = "map") -> students.Student:
    torch.manual_seed(0)
    student = students.build(students.record_for(family, 8, 32, 1)).eval()
    torch.nn.init.normal_(student.core.get_submodule("head").get_parameter("weight"), std=0.1)
    return student


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The artifact of the stage for a tiny student, and its numbers."""
    root = tmp_path_factory.mktemp("export")
    folders = {name: root / name for name in ("student", "float", "inputs", "export")}
    for folder in folders.values():
        folder.mkdir()
    photos = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3)).astype(np.uint8)
    with ShardWriter(folders["inputs"]) as writer:
        for photo in photos:
            writer.add({"photo": photo})
    student = trained()
    students.save(student, folders["float"])
    low = students.downsample(torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1, 32)
    student.core = quantization.quantize(student.core, low)
    quantization.save(student, folders["student"])
    inputs = {name: Artifact(folders[name], {"key": f"key of {name}"}) for name in ("student", "float", "inputs")}
    numbers = export.run(ExportSettings(opset=18), inputs, folders["export"], Context())
    return folders["export"], numbers


def test_export_agrees_with_torch_and_runs_in_integers(exported: tuple[Path, dict[str, Any]]) -> None:
    _, numbers = exported
    assert numbers["parity_float_max_levels"] < FLOAT_LEVELS
    assert numbers["parity_int8_levels"] <= 1
    assert numbers["parity_int8_psnr_db"] > 50
    assert (numbers["integer_convolutions"], numbers["convolutions"]) == (9, 10)


def test_export_writes_weights_in_eight_bits_and_a_description(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, numbers = exported
    model = onnx.load(folder / "model.onnx")
    described = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(described["kcompress.record"]) == json.loads((folder / "architecture.json").read_text())
    assert json.loads(described["kcompress.parents"])["student"] == "key of student"
    assert described["kcompress.licence"] == "Apache-2.0"
    assert numbers["size_bytes_model"] < numbers["size_bytes_float"] / 2


@pytest.mark.parametrize("shape", SHAPES)
def test_whole_file_takes_any_size_and_equals_core_file_with_compositor(
    exported: tuple[Path, dict[str, Any]], shape: tuple[int, int, int]
) -> None:
    folder, _ = exported
    photo = torch.rand(shape[0], 3, *shape[1:]) * 2 - 1
    image = parity.open_file(folder / "model.onnx").run(None, {"photo": photo.numpy()})[0]
    low = students.downsample(photo, 32).numpy()
    maps = torch.from_numpy(parity.open_file(folder / "core.onnx").run(["maps"], {"photo": low})[0])
    expected = students.composite(photo, maps).clamp(-1, 1).numpy()
    assert image.shape == expected.shape
    # A pixel of the downsampled photo may fall to the next integer, so not the last bit.
    assert np.abs(image - expected).mean() < 0.5 * LEVEL


def test_float_file_in_the_place_of_the_int8_one_is_refused(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = exported
    with pytest.raises(StageError, match="only 0 of 10 convolutions run in integers"):
        parity.require_integers(folder / "float.onnx")


def test_file_that_computes_something_else_is_refused(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = exported
    other = export._Image(students.build(students.record_for("map", 8, 32, 1)).eval())
    found = parity.compare(folder / "float.onnx", other, [torch.rand(1, 3, 40, 40)])
    with pytest.raises(StageError, match="dB from torch, 60 are needed"):
        export._require_likeness(folder / "float.onnx", found, 60.0)


def test_export_with_an_opset_before_18_is_refused() -> None:
    student = trained()
    with pytest.raises(InputError, match="export.opset: 17 has no antialiased Resize; give 18 or more"):
        onnx_files.export_core(student, student.core, 17)


@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_compositor_graph_equals_torch(tmp_path: Path, shape: tuple[int, int, int], opset: int) -> None:
    photo, maps = torch.rand(shape[0], 3, *shape[1:]) * 2 - 1, torch.randn(shape[0], 8, 8, 8) * 0.3
    feed = {"photo": photo.numpy(), "maps": maps.numpy()}
    image = opened(compositor_graph.composite(8, opset), tmp_path).run(None, feed)[0]
    expected = students.composite(photo, maps).clamp(-1, 1).numpy()
    assert np.abs(image - expected).max() < FLOAT_LEVELS * LEVEL


@pytest.mark.parametrize("shape", SHAPES)
def test_rgb_and_downsampling_graphs_equal_torch(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    photo, raw = torch.rand(shape[0], 3, *shape[1:]) * 2 - 1, torch.randn(shape[0], 12, 8, 8)
    feed = {"photo": photo.numpy(), "raw": raw.numpy()}
    image = opened(compositor_graph.draw(8, 18), tmp_path).run(None, feed)[0]
    assert np.abs(image - rgb.draw(raw, *shape[1:]).clamp(-1, 1).numpy()).max() < FLOAT_LEVELS * LEVEL
    low = opened(compositor_graph.downsample(16, 18), tmp_path).run(None, {"photo": photo.numpy()})[0]
    assert np.abs(low - students.downsample(photo, 16).numpy()).max() < FLOAT_LEVELS * LEVEL


UPSAMPLE = """
<ir_version: 10, opset_import: ["" : 18]>
upsample (uint8[1, 3, 4, 5] x) => (float[1, 3, 8, 10] y)
<float step = {0.1}, uint8 zero = {7}, float[4] scales = {1, 1, SCALES}>
{
    f = DequantizeLinear (x, step, zero)
    y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (f, , scales)
}
"""


def upsample(scales: str = "2, 2") -> onnx.ModelProto:
    text = UPSAMPLE.replace("SCALES", scales)
    return onnx.parser.parse_model(text if scales == "2, 2" else text.replace("8, 10", "8, 5"))


def test_gather_upsampling_gives_the_same_numbers_without_resize(tmp_path: Path) -> None:
    x: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 5)).astype(np.uint8)
    before = opened(upsample(), tmp_path).run(None, {"x": x})[0]
    model = upsample()
    assert lowering.gather_upsampling(model) == 1
    assert "Resize" not in [node.op_type for node in model.graph.node]
    assert np.array_equal(opened(model, tmp_path).run(None, {"x": x})[0], before)


def test_gather_upsampling_leaves_other_scales_alone() -> None:
    model = upsample("2, 1")
    assert lowering.gather_upsampling(model) == 0
    assert [node.op_type for node in model.graph.node] == ["DequantizeLinear", "Resize"]
