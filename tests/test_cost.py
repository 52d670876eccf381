"""Cost of a candidate: numbers by gate name for exports and foreign files, on hand-made files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import students
from compress.artifact import write_json
from compress.errors import InputError, StageError
from compress.exporting import onnx_files
from compress.judging import cost, peak_memory
from compress.judging.metrics.estimate import Estimate
from compress.judging.signature import Signature
from compress.shrinking import macs
from tiny_onnx import FREE, exported, model, node, saved

PHOTO = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
GATES = {"macs", "parameters", "size_bytes", "latency_ms", "latency_p95_ms", "peak_memory_bytes"}


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "ROUNDS", 5)
    monkeypatch.setattr(peak_memory, "RUNS", 1)


def convolution(taken: tuple[str | int, ...] = FREE) -> onnx.ModelProto:
    weight = np.full((3, 3, 3, 3), 0.01, np.float32)
    return model(node("Conv", "photo w", "image", pads=[1] * 4), taken=taken, given=taken, constants={"w": weight})


def admitted(folder: Path, made: onnx.ModelProto, signature: Signature) -> Path:
    saved(folder / "model.onnx", made)
    write_json(folder / "admission.json", {"model.onnx": signature.as_dict()})
    return folder


def test_foreign_file_has_every_number_and_its_macs_are_those_of_the_whole_file(tmp_path: Path) -> None:
    found = cost.measure(admitted(tmp_path, convolution(), Signature()), PHOTO, 64, 1, 0).estimates
    assert set(found) == GATES
    assert found["macs"] == Estimate.exact(64 * 64 * 81)
    assert found["parameters"] == Estimate.exact(81)
    assert found["size_bytes"] == Estimate.exact((tmp_path / "model.onnx").stat().st_size)
    assert found["latency_ms"].value <= found["latency_p95_ms"].value <= found["latency_p95_ms"].upper


def test_foreign_file_with_a_float_version_has_a_speedup(tmp_path: Path) -> None:
    saved(admitted(tmp_path, convolution(), Signature()) / "float.onnx", convolution())
    assert "int8_speedup" in cost.runtime_cost(tmp_path, PHOTO, 64, 1, 0).estimates


def test_fixed_batch_pays_a_whole_batch_for_one_photo(tmp_path: Path) -> None:
    taken = (4, 3, 64, 64)
    admitted(tmp_path, convolution(taken), Signature(batch=4, height=64, width=64))
    assert cost.file_cost(tmp_path, 64).estimates["macs"].value == 4 * 64 * 64 * 81


def test_file_of_another_size_than_the_budget_names_is_refused(tmp_path: Path) -> None:
    admitted(tmp_path, convolution((1, 3, 64, 64)), Signature(batch=1, height=64, width=64))
    with pytest.raises(InputError, match="takes 64 x 64 px, budget.photo_size is 512; set photo_size: 64 in"):
        cost.measure(tmp_path, PHOTO, 512, 1, 0)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, students.Student]:
    """Folder of an exported float student, its whole file in both places, its record and core."""
    folder = tmp_path_factory.mktemp("export")
    student, core = exported("map")
    whole = onnx_files.whole(core, student, 18)
    for name, made in (("model", whole), ("float", whole), ("core", core), ("float_core", core)):
        onnx_files.write(folder / f"{name}.onnx", made, student, {})
    write_json(folder / students.persist.RECORD_FILE, student.record)
    return folder, student


def test_export_has_every_number_and_its_macs_are_those_of_the_core(export: tuple[Path, students.Student]) -> None:
    folder, student = export
    found = cost.measure(folder, PHOTO, 64, 1, 0)
    assert set(found.estimates) == GATES | {"int8_speedup", "int8_core_speedup"}
    assert found.estimates["macs"].value == macs.count(student.core, torch.zeros(1, 3, 32, 32)).total
    assert found.details["file_macs"] > found.estimates["macs"].value


@pytest.mark.parametrize("family", ["map", "rgb"])
@pytest.mark.parametrize("photo_size", [32, 80])
def test_own_export_costs_its_core_wherever_it_is_judged(tmp_path: Path, family: str, photo_size: int) -> None:
    student, core = exported(family)
    admitted(tmp_path, onnx.ModelProto(), Signature())
    onnx_files.write(tmp_path / "model.onnx", onnx_files.whole(core, student, 18), student, {})
    write_json(tmp_path / students.persist.RECORD_FILE, student.record)
    ours = cost.architecture_cost(tmp_path, photo_size).estimates
    assert cost.file_cost(tmp_path, photo_size).estimates == ours


def test_record_of_another_network_lends_no_smaller_number(
    tmp_path: Path, export: tuple[Path, students.Student]
) -> None:
    whole = onnx.load(export[0] / "model.onnx")
    for entry in whole.metadata_props:
        if entry.key == cost.RECORD_KEY:
            entry.value = json.dumps(students.record_for("map", 8, 48, 1))
    found = cost.file_cost(admitted(tmp_path, whole, Signature()), 64)
    assert found.estimates["macs"].value == found.details["file_macs"]


@pytest.mark.parametrize("kind", ["MatMul", "Gemm"])
def test_own_export_with_work_added_to_it_costs_the_whole_file(
    tmp_path: Path, export: tuple[Path, students.Student], kind: str
) -> None:
    whole = onnx.load(export[0] / "model.onnx")
    core = cost.architecture_cost(export[0], 64).estimates["macs"].value
    whole.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(64, dtype=np.float32), "added"))
    whole.graph.node.append(node(kind, "added added", "more"))
    found = cost.file_cost(admitted(tmp_path, whole, Signature()), 64)
    assert found.estimates["macs"].value == found.details["file_macs"] > core + 64**3


def test_peak_memory_grows_with_what_the_file_needs(tmp_path: Path) -> None:
    # Twenty sums of a picture of 12 MB that are all needed at the end.
    steps = [node("Exp", "photo", "e0"), *(node("Exp", f"e{i}", f"e{i + 1}") for i in range(4))]
    held = model(*steps, node("Sum", " ".join(f"e{i}" for i in range(5)), "image"))
    plain, held_path = saved(tmp_path / "plain.onnx", model()), saved(tmp_path / "held.onnx", held)
    photo = np.zeros((1, 3, 1024, 1024), np.float32)
    small, large = (peak_memory.measure(path, "photo", photo).value for path in (plain, held_path))
    assert large - small > 3 * photo.nbytes


def test_peak_memory_does_not_depend_on_what_this_process_holds(tmp_path: Path) -> None:
    path, photo = saved(tmp_path / "model.onnx", model()), np.zeros((1, 3, 256, 256), np.float32)
    before = peak_memory.measure(path, "photo", photo).value
    held = np.ones(40_000_000)
    assert abs(peak_memory.measure(path, "photo", photo).value - before) < 4e6
    del held


def test_memory_of_a_file_that_fails_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.onnx", model(taken=(1, 3, 32, 32), given=(1, 3, 32, 32)))
    with pytest.raises(StageError, match="its memory cannot be measured .*; check that it runs at this photo size"):
        peak_memory.measure(path, "photo", np.zeros((1, 3, 64, 64), np.float32))
