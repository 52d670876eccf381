"""The verify stage on tiny hand-made ONNX files and judges: it measures the files, and only good ones pass."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

import students
from compress import networks
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, StageError
from compress.judging.candidate import Candidate, bytes_of, tensor_of
from compress.recipe import BudgetSettings, GateSettings, JudgeSettings
from compress.shards import Shards, ShardWriter
from compress.stages import features, verify
from compress.steps import VerifyStep

SIDE, IMAGES = 32, 80
EXPORT_NUMBERS = {
    "parity_float_levels": 1.0, "parity_int8_levels": 0.5, "integer_convolutions": 9, "convolutions": 10,
}  # fmt: skip
TEACHER = {"teacher": {"name": "darker", "sha256": "1" * 64, "offers": []}}


def write_gain(path: Path, gain: float, shape: tuple[str | int, ...] = ("n", 3, "h", "w"), outputs: int = 1) -> None:
    """An ONNX file that multiplies the photo by `gain`."""
    nodes = [helper.make_node("Mul", ["photo", "gain"], [f"image{i}"]) for i in range(outputs)]
    info = [helper.make_tensor_value_info(f"image{i}", TensorProto.FLOAT, shape) for i in range(outputs)]
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, shape)
    weight = numpy_helper.from_array(np.array(gain, np.float32), "gain")
    graph = helper.make_graph(nodes, "gain", [photo], info, [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


class Coarse:
    """Judges both ways: the picture shrunk to 4 x 4 is the identity, and the features."""

    name, sha256 = "coarse", "0" * 64

    def to(self, device: str) -> Coarse:
        return self

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        return torch.nn.functional.normalize(torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1), dim=1)

    def maps(self, images: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
        return [torch.nn.functional.adaptive_avg_pool2d(images, 8) + 1 for _ in layers]


@dataclass
class Case:
    """Artifacts of a test set of random pictures whose teacher darkens them to 0.8."""

    root: Path

    def export(self, gain: float, numbers: dict[str, float] = EXPORT_NUMBERS) -> Artifact:
        folder = self.root / f"export-{gain}"
        folder.mkdir()
        for file in ("model.onnx", "core.onnx"):
            write_gain(folder / file, gain)
        for file in ("float.onnx", "float_core.onnx"):
            write_gain(folder / file, 0.8)
        record = students.record_for(family="map", width=8, core_resolution=32, blocks=1)
        (folder / "architecture.json").write_text(json.dumps(record))
        return Artifact(folder, {"numbers": numbers})

    def test_set(self, rendered: int, photographs: int) -> dict[str, Artifact]:
        generator = np.random.default_rng(0)
        judge = Coarse()
        with ShardWriter(self.root / "in") as inputs, ShardWriter(self.root / "out") as targets:
            for index in range(rendered + photographs):
                coarse = generator.integers(40, 216, (4, 4, 3)).repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)
                photo = np.uint8(coarse + generator.integers(-40, 40, (SIDE, SIDE, 3)))
                image = bytes_of(0.8 * tensor_of(photo[None]))[0].transpose(1, 2, 0)
                points = np.zeros((5, 2), np.float32)
                source = np.uint8(index >= rendered)
                inputs.add({"photo": photo, "points": points, "source": source, "name": np.array(f"p-{index}", "S120")})
                e = [judge.embed(torch.from_numpy(tensor_of(p[None])), Tensor())[0].numpy() for p in (photo, image)]
                targets.add({"image": image, "identity": np.float16(e[1]), "photo_identity": np.float16(e[0])})
        self.training(np.zeros((SIDE, SIDE, 3), np.uint8))
        roles = {"inputs": "training", "test_inputs": "in", "test_targets": "out", "features": "features"}
        made = {role: Artifact(self.root / folder, {"numbers": TEACHER}) for role, folder in roles.items()}
        made["features"].path.mkdir()
        features.run(JudgeSettings(), made, made["features"].path, Context())
        return made

    def training(self, photo: np.ndarray) -> None:
        with ShardWriter(self.root / "training") as writer:
            writer.add({"photo": photo, "name": np.array("t", "S120")})


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr(networks, "identity", lambda name: Coarse())
    monkeypatch.setattr(networks, "features", lambda name: Coarse())
    monkeypatch.setattr(verify.cost, "ROUNDS", 5)
    return Case(tmp_path)


def settings() -> VerifyStep:
    gates = {
        "psnr_mean_db": GateSettings(min=35.0), "psnr_p5_db": GateSettings(min=30.0),
        "ssim_mean": GateSettings(min=0.8),
        "perceptual_mean": GateSettings(max=0.05), "haar_ratio": GateSettings(min=0.85, max=1.1),
        "kid_delta_upper": GateSettings(max=0.005), "identity_delta_mean": GateSettings(min=-0.03),
        "identity_delta_p5": GateSettings(min=-0.06), "rank1_relative": GateSettings(min=0.8),
        "int8_psnr_db": GateSettings(min=35.0), "parity_float_levels": GateSettings(max=2.0),
        "integer_convolutions": GateSettings(min=0.9), "macs": GateSettings(max=10_000_000),
        "size_bytes": GateSettings(max=1000), "latency_ms": GateSettings(max=10_000.0),
    }  # fmt: skip
    budget = BudgetSettings(macs=10_000_000, size_bytes=1000, latency_ms=1.0, photo_size=64)
    return VerifyStep(tier="cpu", precision="int8", budget=budget, judges=JudgeSettings(), gates=gates)


def judge(case: Case, gain: float, rendered: int = IMAGES, photographs: int = 0) -> tuple[Path, dict[str, object]]:
    folder = case.root / "verify"
    folder.mkdir()
    inputs = {"export": case.export(gain), **case.test_set(rendered, photographs)}
    return folder, verify.run(settings(), inputs, folder, Context())


def test_student_like_its_teacher_passes_and_leaves_its_records(case: Case) -> None:
    folder, numbers = judge(case, 0.8)
    assert numbers["state"] == "passed", numbers["failed"]
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["passed"] and len(verdict["gates"]) == len(settings().gates)
    assert json.loads((folder / "metrics.json").read_text())["backbones"]["perceptual"]["sha256"] == "0" * 64
    assert {p.name for p in (folder / "sheets").iterdir()} == {"worst-rendered.png", "random-rendered.png"}
    rows = list(csv.DictReader((folder / "images.csv").read_text().splitlines()))
    assert [rows[-1][k] for k in ("row", "name", "source", "psnr_db")] == ["79", "p-79", "rendered", "100"]


def test_student_of_another_contrast_fails_at_the_gates_that_see_it(case: Case) -> None:
    _, numbers = judge(case, 0.6)
    failed = {line.split()[0] for line in numbers["failed"]}
    assert numbers["state"] == "failed"
    assert {"psnr_mean_db", "haar_ratio", "int8_psnr_db"} <= failed
    assert not failed & {"latency_ms", "macs", "size_bytes", "parity_float_levels"}


def test_budget_is_judged_without_a_gate_that_names_it(case: Case) -> None:
    inputs = {"export": case.export(0.8), **case.test_set(IMAGES, 0)}
    budget = BudgetSettings(macs=1000, size_bytes=1000, latency_ms=10_000.0, photo_size=64)
    step = settings().model_copy(update={"budget": budget, "gates": {"ssim_mean": GateSettings(min=0.9)}})
    numbers = verify.run(step, inputs, case.root, Context())
    assert numbers["gates"] == 4
    assert [line.split()[0] for line in numbers["failed"]] == ["macs"]


def test_student_without_a_core_file_is_judged(case: Case) -> None:
    inputs = {"export": case.export(0.8), **case.test_set(IMAGES, 0)}
    for name in ("core.onnx", "float_core.onnx"):
        (inputs["export"].path / name).unlink()
    assert verify.run(settings(), inputs, case.root, Context())["state"] == "passed"


def test_small_part_of_the_test_set_is_named_and_not_judged(case: Case) -> None:
    folder, _ = judge(case, 0.8, IMAGES, 6)
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["not_judged"] == {"photographs": "6 images, needs 30"}
    assert {gate["subset"] for gate in verdict["gates"]} == {"rendered", "model"}


def test_both_parts_are_judged_when_both_are_large_enough(case: Case) -> None:
    _, numbers = judge(case, 0.8, IMAGES, 30)
    # 30 photographs are enough for means, not for 5th percentiles: those do not pass.
    assert {line.split(":")[0] for line in numbers["failed"]} == {
        "psnr_p5_db on photographs", "identity_delta_p5 on photographs"
    }  # fmt: skip


def test_too_small_test_set_is_refused(case: Case) -> None:
    with pytest.raises(InputError, match="20 rendered, 0 photographs images; gates need at least 30"):
        judge(case, 0.8, 20)


def test_photo_that_was_trained_on_is_refused(case: Case) -> None:
    inputs = {"export": case.export(0.8), **case.test_set(IMAGES, 0)}
    case.training(Shards(case.root / "in").read([3])["photo"][0])
    with pytest.raises(InputError, match="test: 1 of 80 test photos are also among the inputs, the first is p-3;"):
        verify.run(settings(), inputs, case.root, Context())


def test_export_without_parity_numbers_is_refused(case: Case) -> None:
    inputs = {"export": case.export(0.8, {"convolutions": 3}), **case.test_set(IMAGES, 0)}
    with pytest.raises(StageError, match="manifest has no integer_convolutions;"):
        verify.run(settings(), inputs, case.root, Context())


def test_test_set_of_unequal_lengths_is_refused(case: Case) -> None:
    inputs = {"export": case.export(0.8), **case.test_set(IMAGES, 0)}
    with pytest.raises(StageError, match="80 test photos and 0 teacher results"):
        with ShardWriter(case.root / "none"):
            pass
        verify.run(settings(), inputs | {"test_targets": Artifact(case.root / "none", {})}, case.root, Context())


def test_candidate_shows_photo_values_unchanged(tmp_path: Path) -> None:
    write_gain(tmp_path / "same.onnx", 1.0)
    photo = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert (bytes_of(Candidate(tmp_path / "same.onnx").stylise(photo)) == photo).all()


@pytest.mark.parametrize(
    ("gain", "shape", "outputs", "message"),
    [
        (float("nan"), ("n", 3, "h", "w"), 1, "its picture holds NaN or infinity"),
        (1.0, (1, 3, 8, 8), 1, "fails on a photo 2x3x16x16"),
        (1.0, ("n", 3, "h", "w"), 2, "1 inputs and 2 outputs where a student has one of each"),
    ],
)
def test_candidate_that_is_no_student_is_refused(
    tmp_path: Path, gain: float, shape: tuple[str | int, ...], outputs: int, message: str
) -> None:
    write_gain(tmp_path / "model.onnx", gain, shape, outputs)
    with pytest.raises(StageError, match=message):
        Candidate(tmp_path / "model.onnx").stylise(np.zeros((2, 16, 16, 3), np.uint8))


def test_candidate_that_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph in here")
    with pytest.raises(StageError, match=r"model.onnx: ONNX Runtime cannot open it"):
        Candidate(tmp_path / "model.onnx")
