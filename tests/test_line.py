"""The whole line with the real stages, teacher and student tiny: what one stage writes, the next one reads."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime as ort
import pytest
import torch

import students
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


def benchmark() -> ModuleType:
    """The benchmark of families, which is no package."""
    path = Path(__file__).parents[1] / "benchmarks" / "families.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_families", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_families_benchmark_learns_from_the_pictures_of_a_finished_run(
    line: tuple[Plan, Path, int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    families = benchmark()
    before = sorted((line[1] / "steps").iterdir())
    runs, sheet = str(line[1].parent), tmp_path / "sheet.png"
    told = ["--recipe", str(line[0].recipe), "--minutes", "0.002", "--sheet", str(sheet)]
    assert families.main([runs, *told]) == 0
    assert sorted((line[1] / "steps").iterdir()) == before
    found = json.loads((line[1].parent / "families" / "results-0.json").read_text())
    assert found["map"]["M MACs"] == found["rgb"]["M MACs"] < found["rgb large"]["M MACs"]
    assert found["maps fitted"]["PSNR, dB"] > 50  # this teacher changes next to nothing
    assert {numbers["images"] % 8 for numbers in found.values()} == {0}
    assert len(capsys.readouterr().out.splitlines()) >= 2 + len(found)
    assert sheet.is_file()


def test_fitted_maps_follow_a_photo_that_was_moved_and_coloured() -> None:
    families = benchmark()
    photo = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8), size=(32, 32), mode="bilinear") * 2 - 1
    wanted = 0.7 * photo.roll(1, dims=3) + 0.2
    pictures = [families.quantize_picture(picture) for picture in (photo, wanted)]
    held = families.fitted(*pictures, 8).astype(float)
    assert abs(held - pictures[1]).mean() < 0.15 * abs(pictures[0].astype(float) - pictures[1]).mean()


def test_students_without_residual_keep_that_of_a_new_student() -> None:
    families = benchmark()
    torch.manual_seed(0)
    student = students.build(students.record_for("map", 8, 32, 1))
    families.keep_residual_out(student)
    optimizer = torch.optim.Adam(student.parameters(), 0.01)
    student(torch.rand(2, 3, 32, 32)).image.square().mean().backward()
    optimizer.step()
    head = student.core.get_submodule("head").get_parameter("weight")
    assert head[:8].abs().max() > 0
    assert head[8:].abs().max() == 0
