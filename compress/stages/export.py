"""Stage export: the quantized student and its float self as ONNX files, run once and compared with torch.

Writes `model.onnx` (whole, int8) and `float.onnx`, for map students `core.onnx` and `float_core.onnx`, and the record.
Raises StageError for a file that differs from torch or is int8 in name only. Whether the student is good enough is not
decided here (stage verify).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor

import students
from compress.artifact import Artifact, write_json
from compress.context import Context
from compress.errors import StageError
from compress.exporting import onnx_files, parity
from compress.shards import Shards
from compress.shrinking import qdq, quantization
from compress.training.batches import to_picture

if TYPE_CHECKING:
    from compress.recipe import ExportSettings

WHOLE, CORE, FLOAT, FLOAT_CORE = "model.onnx", "core.onnx", "float.onnx", "float_core.onnx"
LICENCE = "Apache-2.0"
PHOTOS = 8
# Height and width relative to the stored photos: as they are (two in a batch), then three that are not square.
SHAPES = ((1.0, 1.0), (0.75, 1.0), (1.3, 0.7), (1.5, 2.1))
FLOORS_DB = {"float": 60.0, "int8": 30.0}  # below: not rounding, but another function


def run(settings: ExportSettings, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write and check the files of a tier; returns parities, counts of convolutions and bytes."""
    int8, float_ = quantization.load(inputs["student"].path), _load(inputs["float"].path)
    notes = _notes(inputs)
    photos = list(_photos(Shards(inputs["inputs"].path)))
    numbers: dict[str, Any] = {}
    with context.progress.task("export", 2, "students") as task:
        for name, files, student, core in (
            ("float", (FLOAT, FLOAT_CORE), float_, quantization.fuse(float_.core)),
            ("int8", (WHOLE, CORE), int8, qdq.decompose(int8.core)),
        ):
            exported = onnx_files.export_core(student, core, settings.opset)
            whole = folder / files[0]
            onnx_files.write(whole, onnx_files.whole(exported, student, settings.opset), student, notes)
            if student.family == "map":
                onnx_files.write(folder / files[1], exported, student, notes)
            found = parity.compare(whole, _Image(student), photos)
            _require_likeness(whole, found, FLOORS_DB[name])
            numbers |= found.numbers(name)
            task.advance(psnr_db=found.psnr_db)
    integer, every = parity.require_integers(folder / WHOLE)
    write_json(folder / students.persist.RECORD_FILE, int8.record)
    sizes = {f"size_bytes_{file.stem}": file.stat().st_size for file in sorted(folder.glob("*.onnx"))}
    return numbers | {"integer_convolutions": integer, "convolutions": every, "opset": settings.opset} | sizes


class _Image(torch.nn.Module):
    """A student as its file: photo to clamped image."""

    def __init__(self, student: students.Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, photo: Tensor) -> Tensor:
        image: Tensor = self.student(photo).image
        return image.clamp(-1, 1)


def _load(folder: Path) -> students.Student:
    try:
        return students.load(folder)
    except ValueError as error:
        raise StageError(str(error)) from error


def _notes(inputs: Mapping[str, Artifact]) -> dict[str, str]:
    """Metadata of the files: licence, and the content keys of what they were made from (which cover the teacher)."""
    keys = {role: artifact.manifest.get("key", "") for role, artifact in inputs.items()}
    return {"licence": LICENCE, "parents": json.dumps(keys)}


def _photos(stored: Shards) -> Iterator[Tensor]:
    """Stored photos [2, 3, H, W] in [-1, 1] at several shapes."""
    rows = np.linspace(0, len(stored) - 1, PHOTOS).astype(int)
    photos = stored.read(rows, ("photo",))["photo"].astype(np.uint8)
    for pair in range(0, PHOTOS, 2):
        tall, wide = SHAPES[pair // 2 % len(SHAPES)]
        size = (round(wide * photos.shape[2]), round(tall * photos.shape[1]))
        resized = np.stack(
            [cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR) for photo in photos[pair : pair + 2]]
        )
        yield to_picture(resized)


def _require_likeness(path: Path, found: parity.Parity, floor_db: float) -> None:
    if found.psnr_db < floor_db:
        raise StageError(
            f"{path}: {found.psnr_db:.1f} dB from torch, {floor_db:g} are needed; ONNX Runtime computes something "
            "else, try another export.opset or version of onnxruntime"
        )
