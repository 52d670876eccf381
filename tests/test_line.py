"""The whole line with the real stages, teacher and student tiny: what one stage writes, the next one reads."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

import teachers
from compress import artifact
from compress.context import Progress
from compress.plan import Plan, plan
from compress.run import run

RECIPE = """\
name: tiny
teacher: {network: teacher.safetensors}
inputs: {size: 64, rendered: 32, rendered_seed: 1}
test: {size: 64, rendered: 30, rendered_seed: 2}
tiers:
  cpu:
    student: {width: 8, core_resolution: 32, blocks: 1}
    budget: {macs: 1e6, size_bytes: 400e3, latency_ms: 1000, photo_size: 64}
    distill: {images: 32, batch: 8, learning_rate: 2e-3, weights: {pixel: 10, haar: 5, maps: 5, identity: 1}}
    prune: {macs: 6e5, images: 4}
    finetune: {images: 16, batch: 8, learning_rate: 1e-3, weights: {pixel: 10}}
    quantize: {calibration_images: 16, images: 16, batch: 8, weights: {pixel: 10}}
    gates: {psnr_mean_db: {min: 5}, integer_convolutions: {min: 0.5}}
"""
ARCHITECTURE = {
    "family": "kstylegan",
    "size": 64,
    "channels": [16, 16, 16, 32, 32],
    "blocks": [1, 1, 1, 1],
    "render_blocks": [1, 1, 1],
    "style_channels": 32,
    "coefficients": 16,
}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path, int, str]:
    """A finished run: plan, its folder, exit code, log."""
    folder = tmp_path_factory.mktemp("line")
    torch.manual_seed(0)
    teachers.save(teachers.build(ARCHITECTURE).eval(), folder / "teacher.safetensors")
    (folder / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    the_plan, log = plan(folder / "tiny.yaml"), io.StringIO()
    code = run(the_plan, folder / "runs", Progress(log), device=lambda: "cpu")
    return the_plan, folder / "runs" / "tiny", code, log.getvalue()


def test_line_passes_its_gates_and_publishes(line: tuple[Plan, Path, int, str]) -> None:
    _, folder, code, log = line
    assert code == 0, log
    verdict = json.loads((folder / "verdict.json").read_text())
    judged = {gate["name"] for gate in verdict["tiers"]["cpu"]["gates"]}
    assert judged == {"psnr_mean_db", "integer_convolutions", "macs", "size_bytes", "latency_ms"}
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8").lower()


def test_published_model_takes_a_photograph_of_any_size(line: tuple[Plan, Path, int, str]) -> None:
    published = artifact.load(line[1] / "tiers" / "cpu")
    session = ort.InferenceSession(str(published.path / "model.onnx"), providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 64, 64), (2, 3, 97, 53)):
        photo = np.zeros(shape, np.float32)
        assert np.asarray(session.run(["image"], {"photo": photo})[0]).shape == shape


def test_no_checkpoint_is_left_in_a_finished_step(line: tuple[Plan, Path, int, str]) -> None:
    left = [path for path in (line[1] / "steps").rglob("*") if path.name.startswith("checkpoint")]
    assert not left


def test_second_run_is_all_reuse(line: tuple[Plan, Path, int, str]) -> None:
    the_plan, folder, _, _ = line
    log = io.StringIO()
    assert run(the_plan, folder.parent, Progress(log), device=lambda: "cpu") == 0
    assert log.getvalue().count("finished before, reused") == len(the_plan.steps)
