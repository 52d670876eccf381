"""What a candidate costs: multiply-accumulates, parameters, bytes, milliseconds and peak memory on this machine.

Both kinds of candidate are measured: our own exports (with `architecture.json`) and admitted files from elsewhere (with
`admission.json`). The MACs that a budget limits are those of the core for a student of ours, whose compositor every
runtime has its own form of, and those of the whole file at the budget's photo size for any other. Times and memory
belong to the machine and runtime they were taken on; rounds are taken as independent. Not covered: energy, and devices
other than this CPU.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx.parser
import torch
from torch import nn

import students
from compress.errors import InputError
from compress.exporting import compositor_graph, onnx_cost, onnx_files
from compress.judging import candidate, peak_memory
from compress.judging.candidate import Candidate
from compress.judging.metrics import latency
from compress.judging.metrics.estimate import Estimate
from compress.judging.signature import Bytes
from compress.shrinking import macs

ROUNDS = 80  # 72 are the fewest of which the largest bounds a 95th percentile
TEACHER_ROUNDS = 2  # a teacher takes seconds a photo; the better of two is close enough for a ratio of 100
RECORD_KEY = "kcompress.record"  # of a file's metadata
# Takes and gives what a core does, and computes nothing.
_NO_CORE = """
<ir_version: 10, opset_import: ["" : 18]>
core (float[batch, 3, {side}, {side}] photo) => (float[batch, {channels}, {half}, {half}] {output})
<int64[3] sizes = {{{channels}, {half}, {half}}}, float zero = {{0}}>
{{
    count = Shape <start = 0, end = 1> (photo)
    shape = Concat <axis = 0> (count, sizes)
    {output} = Expand (zero, shape)
}}
"""
FILES = {"int8": "model.onnx", "float": "float.onnx", "int8_core": "core.onnx", "float_core": "float_core.onnx"}


@dataclass(frozen=True)
class Cost:
    """`estimates` by the names of `judging.gates`; `details` are plain numbers for the report."""

    estimates: Mapping[str, Estimate]
    details: Mapping[str, float]


@dataclass(frozen=True)
class TeacherCost:
    """Cost of the teacher, in torch with one thread, on one photo of `photo_size` px."""

    name: str
    photo_size: int
    macs: int
    macs_torchprofile: int
    parameters: int
    milliseconds: float


def measure(folder: Path, photo: Bytes, photo_size: int, threads: int, seed: int) -> Cost:
    """All costs of the candidate in `folder` (an export or an admitted file) on `photo`, uint8 [H, W, 3], resized to
    `photo_size` square.

    Raises InputError for a file that does not take that size, StageError for what cannot be counted or measured.
    """
    require_size(folder, photo_size)
    own = (folder / students.persist.RECORD_FILE).is_file()
    counted = architecture_cost(folder, photo_size) if own else file_cost(folder, photo_size)
    timed = runtime_cost(folder, photo, photo_size, threads, seed)
    file = _open(folder, "int8", threads)
    peak = peak_memory.measure(file.path, file.signature.input, file.tensor(_resized(photo, photo_size)))
    estimates = {**counted.estimates, **timed.estimates, "peak_memory_bytes": peak}
    return Cost(estimates, {**counted.details, **timed.details, "peak_memory_bytes": peak.value})


def require_size(folder: Path, photo_size: int) -> None:
    """Raise InputError if a file of the candidate does not take photos of the budget's size."""
    for name, signature in candidate.read_signatures(folder).items():
        if not signature.takes(photo_size, photo_size):
            way_out = f"set photo_size: {signature.height or signature.width} in the tier's budget"
            place = f"{name}: takes {signature.height} x {signature.width} px, budget.photo_size is {photo_size}"
            raise InputError(f"{place}; {way_out}")


def architecture_cost(folder: Path, photo_size: int) -> Cost:
    """MACs of the core and of the whole student on a photo of `photo_size`, both conventions, and parameters.

    `folder` is an export. Raises StageError for an operator that cannot be counted.
    """
    student = students.build(_record(folder)).eval()
    low = torch.zeros(1, 3, student.core_resolution, student.core_resolution)
    photo = torch.zeros(1, 3, photo_size, photo_size)
    core = macs.count(student.core, low).total
    file = _count_file(folder, photo_size)
    details = {
        "core_resolution": student.core_resolution,
        "core_macs": core,
        "core_macs_torchprofile": macs.torchprofile_count(student.core, low).total,
        "whole_macs": macs.count(student, photo).total,
        "whole_macs_torchprofile": macs.torchprofile_count(student, photo).total,
        "file_macs": file.macs,
        "parameters": file.parameters,
    }
    return Cost({"macs": Estimate.exact(core), "parameters": Estimate.exact(file.parameters)}, details)


def file_cost(folder: Path, photo_size: int) -> Cost:
    """MACs and parameters of an admitted file, on a photo of `photo_size`.

    The MACs that count are those of the whole file; of one that is our own export (by its record, which must describe
    the MACs of every operator exactly) those of the core. Raises StageError for an operator that cannot be counted.
    """
    file = _count_file(folder, photo_size)
    own = _own_macs(folder / FILES["int8"], photo_size)
    counts = own["Conv"] if own == file.by_operator else file.macs
    estimates = {"macs": Estimate.exact(counts), "parameters": Estimate.exact(file.parameters)}
    return Cost(estimates, {"file_macs": file.macs, "parameters": file.parameters})


def runtime_cost(folder: Path, photo: Bytes, photo_size: int, threads: int, seed: int) -> Cost:
    """Bytes, and milliseconds in ONNX Runtime of the files in `folder`, int8 and float in turns.

    `photo` uint8 [H, W, 3] is resized to `photo_size` square. Times are of one run; with one thread it is the processor
    time of that thread, so that other jobs on the machine do not count, otherwise wall time. A file with a fixed batch
    pays a whole batch for one photo. There are speed-ups only where there is a float file.
    """
    present = [name for name, file in FILES.items() if name == "int8" or (folder / file).is_file()]
    files = {name: _open(folder, name, threads) for name in present}
    sides = {name: _record(folder)["core_resolution"] if name.endswith("core") else photo_size for name in files}
    calls = {name: file.timed_call(file.tensor(_resized(photo, sides[name]))) for name, file in files.items()}
    times = latency.measure(calls, ROUNDS)
    medians = {name: latency.percentile(time, 50, threads, seed) for name, time in times.items()}
    details: dict[str, float] = {"photo_size": photo_size, "threads": threads}
    for name, time in times.items():
        details[f"{name}_ms"] = medians[name].value
        p50, p95 = np.percentile(time.wall_ms, [50, 95])
        details[f"{name}_wall_p50_ms"], details[f"{name}_wall_p95_ms"] = float(p50), float(p95)
        details[f"{name}_size_bytes"] = files[name].size_bytes
    estimates = {
        "size_bytes": Estimate.exact(files["int8"].size_bytes),
        "latency_ms": medians["int8"],
        "latency_p95_ms": latency.percentile(times["int8"], 95, threads, seed),
    }
    for kind in ("", "_core"):
        if {f"int8{kind}", f"float{kind}"} <= times.keys():
            pair = times[f"float{kind}"], times[f"int8{kind}"]
            estimates[f"int8{kind}_speedup"] = latency.speedup(*pair, threads, seed)
    return Cost(estimates, details)


def _open(folder: Path, name: str, threads: int) -> Candidate:
    signature = candidate.read_signatures(folder).get(FILES[name])
    return Candidate(folder / FILES[name], threads, signature)


def _resized(photo: Bytes, side: int) -> Bytes:
    return np.asarray(cv2.resize(photo, (side, side))[None], np.uint8)


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / students.persist.RECORD_FILE).read_text(encoding="utf-8"))
    return record


def _count_file(folder: Path, photo_size: int) -> onnx_cost.FileCost:
    file = _open(folder, "int8", 1)
    photos = np.zeros((1, photo_size, photo_size, 3), np.uint8)
    return onnx_cost.count(file.path, file.tensor(photos), file.signature.input)


def _own_macs(path: Path, photo_size: int) -> Mapping[str, int]:
    """MACs by operator of the export that a file's own record describes, on one photo; empty without a record.

    The convolutions are those of the core, all else belongs to what surrounds it, and to its maps.
    """
    described = {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
    if RECORD_KEY not in described:
        return {}
    try:
        student = students.build(json.loads(described[RECORD_KEY])).eval()
    except (ValueError, KeyError, TypeError):
        return {}
    side = student.core_resolution
    output, channels = ("maps", 8) if student.family == "map" else ("raw", 12)
    core = onnx.parser.parse_model(_NO_CORE.format(side=side, half=side // 2, output=output, channels=channels))
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / FILES["int8"]
        onnx.save(compositor_graph.surround(core, side, onnx_files.FEWEST_OPSET), empty)
        around = onnx_cost.count(empty, np.zeros((1, 3, photo_size, photo_size), np.float32), "photo")
    is_map = student.family == "map"
    module = onnx_files.CoreMaps(student.core) if is_map else student.core
    inside = macs.count(module, torch.zeros(1, 3, side, side)).by_operator
    counted = {**around.by_operator, "Conv": inside["convolution"]}
    if is_map:
        counted["GridSample"] += inside["grid_sampler_2d"]
    return counted


def teacher_cost(name: str, teacher: nn.Module, photo_size: int) -> TeacherCost:
    """MACs by both conventions, parameters and milliseconds (torch, one thread, float32) on a photo of `photo_size` px.

    Raises StageError for an operator that cannot be counted.
    """
    photo = torch.zeros(1, 3, photo_size, photo_size)
    counted, torchprofile = macs.count(teacher, photo).total, macs.torchprofile_count(teacher, photo).total
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            times = latency.measure({"teacher": lambda: teacher(photo)}, TEACHER_ROUNDS, warm_up=0)
    finally:
        torch.set_num_threads(threads)
    return TeacherCost(
        name=name,
        photo_size=photo_size,
        macs=counted,
        macs_torchprofile=torchprofile,
        parameters=sum(p.numel() for p in teacher.parameters()),
        milliseconds=float(times["teacher"].thread_ms.min()),
    )
