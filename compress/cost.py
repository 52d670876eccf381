"""What a candidate costs: multiply-accumulates, parameters, bytes, and milliseconds on this machine.

MACs and parameters are those of the float architecture, which quantization keeps. Times belong to the machine and
runtime they were taken on. Not covered: memory, energy, and devices other than this CPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import students
from compress import macs
from compress.candidate import Candidate, tensor_of
from compress.metrics import latency
from compress.metrics.estimate import Estimate

ROUNDS = 40
TEACHER_ROUNDS = 2  # a teacher takes seconds a photo; the better of two is close enough for a ratio of 100
FILES = {"int8": "model.onnx", "float": "float.onnx", "int8_core": "core.onnx", "float_core": "float_core.onnx"}


@dataclass(frozen=True)
class Cost:
    """`estimates` by the names of `compress.gates`; `details` are plain numbers for the report."""

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


def architecture_cost(folder: Path, photo_size: int) -> Cost:
    """MACs of the core and of the whole student on a photo of `photo_size`, both conventions, and parameters.

    `folder` holds `architecture.json`. Raises StageError for an operator that cannot be counted.
    """
    record: dict[str, Any] = json.loads((folder / students.persist.RECORD_FILE).read_text(encoding="utf-8"))
    student = students.build(record).eval()
    low = torch.zeros(1, 3, student.core_resolution, student.core_resolution)
    photo = torch.zeros(1, 3, photo_size, photo_size)
    core = macs.count(student.core, low).total
    details = {
        "core_resolution": student.core_resolution,
        "core_macs": core,
        "core_macs_torchprofile": macs.torchprofile_count(student.core, low).total,
        "whole_macs": macs.count(student, photo).total,
        "whole_macs_torchprofile": macs.torchprofile_count(student, photo).total,
        "parameters": sum(p.numel() for p in student.parameters()),
    }
    return Cost({"macs": Estimate.exact(core)}, details)


def runtime_cost(folder: Path, photo: NDArray[np.uint8], photo_size: int, threads: int, seed: int) -> Cost:
    """Bytes, and milliseconds in ONNX Runtime of the exported files of `folder`, int8 and float in turns.

    `photo` uint8 [H, W, 3] is resized to `photo_size` square. The time that counts is the median; with one thread it is
    the processor time of that thread, so that other jobs on the machine do not count, otherwise wall time.
    Students that draw RGB have no separate core file.
    """
    files = {name: Candidate(folder / file, threads) for name, file in FILES.items() if _expected(folder, name)}
    low = json.loads((folder / students.persist.RECORD_FILE).read_text(encoding="utf-8"))["core_resolution"]
    tensors = {side: tensor_of(cv2.resize(photo, (side, side))[None]) for side in (photo_size, low)}
    sides = {name: low if name.endswith("core") else photo_size for name in files}
    times = latency.measure({name: file.timed_call(tensors[sides[name]]) for name, file in files.items()}, ROUNDS)
    medians = {name: latency.median(time, threads, seed) for name, time in times.items()}
    details: dict[str, float] = {}
    for name, time in times.items():
        details[f"{name}_ms"] = medians[name].value
        p50, p95 = np.percentile(time.wall_ms, [50, 95])
        details[f"{name}_wall_p50_ms"], details[f"{name}_wall_p95_ms"] = float(p50), float(p95)
        details[f"{name}_size_bytes"] = files[name].size_bytes
    estimates = {"size_bytes": Estimate.exact(files["int8"].size_bytes), "latency_ms": medians["int8"]}
    for kind in ("", "_core"):
        if f"int8{kind}" in times:
            pair = times[f"float{kind}"], times[f"int8{kind}"]
            estimates[f"int8{kind}_speedup"] = latency.speedup(*pair, threads, seed)
    return Cost(estimates, details)


def _expected(folder: Path, name: str) -> bool:
    return not name.endswith("core") or (folder / FILES["int8_core"]).is_file()


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
