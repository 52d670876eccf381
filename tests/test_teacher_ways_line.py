"""A teacher of one's own, an ONNX file that gives pictures alone, through the whole line to a published tier."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.context import Progress
from compress.plan import plan
from compress.run import run
from compress.shards import Shards

RECIPE = """\
name: own
teacher: {onnx: teacher.onnx, input_range: 0..1, output_range: 0..1}
inputs: {size: 64, rendered: 16, rendered_seed: 1}
test: {size: 64, rendered: 30, rendered_seed: 2, steadiness: {images: 0, videos: 0}}
tiers:
  cpu:
    student: {width: 8, core_resolution: 32, blocks: 1}
    budget: {macs: 1e6, size_bytes: 400e3, latency_ms: 1000, photo_size: 64}
    distill: {images: 32, batch: 8, learning_rate: 2e-3, weights: {pixel: 10, haar: 5}}
    prune: {macs: 6e5, images: 4}
    finetune: {images: 16, batch: 8, learning_rate: 1e-3, weights: {pixel: 10}}
    quantize: {calibration_images: 8, images: 0, weights: {pixel: 10}}
    gates: {psnr_mean_db: {min: 5}, integer_convolutions: {min: 0.5}}
"""


def teacher(path: Path) -> None:
    """Pictures channels last, one at a time: result = 0.7 photo + 0.2."""
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Mul", ["x", "gain"], ["y"]), helper.make_node("Add", ["y", "bias"], ["z"])]
    constants = [numpy_helper.from_array(np.float32(v).reshape(1), name) for name, v in (("gain", 0.7), ("bias", 0.2))]
    taken, given = (value(name, TensorProto.FLOAT, (1, "h", "w", 3)) for name in ("x", "z"))
    graph = helper.make_graph(nodes, "teacher", [taken], [given], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def test_line_of_an_onnx_teacher_publishes_a_tier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    teacher(tmp_path / "teacher.onnx")
    (tmp_path / "own.yaml").write_text(RECIPE, encoding="utf-8")
    log = io.StringIO()
    code = run(plan(tmp_path / "own.yaml"), tmp_path / "runs", Progress(log), device=lambda: "cpu")
    assert code == 0, log.getvalue()
    folder = tmp_path / "runs" / "own"
    assert (folder / "tiers" / "cpu" / "model.onnx").is_file() and (folder / "report.html").is_file()
    (targets,), (inputs,) = ((folder / "steps").glob(f"{name}-*") for name in ("targets", "inputs"))
    rows, photos = Shards(targets).read(range(16)), Shards(inputs).read(range(16))["photo"]
    assert not {"maps", "tap"} & set(rows)
    assert np.abs(rows["image"] - np.clip(photos * 0.7 + 0.2 * 255, 0, 255)).max() <= 0.51
    described = json.loads((targets / "manifest.json").read_text(encoding="utf-8"))["numbers"]["teacher"]
    assert (described["name"], described["offers"]) == ("teacher", [])
