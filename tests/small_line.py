"""A small recipe and stages that only write files, for tests of everything around the real stages."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.artifact import Artifact
from compress.context import Context
from compress.plan import STAGES

RECIPE = """\
name: small
seed: 3
teacher: {network: teacher.safetensors}
inputs: {size: 64, rendered: 100, rendered_seed: 1, photos: []}
test: {size: 64, rendered: 80, rendered_seed: 2, photos: []}
tiers:
  cpu: &tier
    student: {width: 8, core_resolution: 32, blocks: 1}
    budget: {macs: 2e6, size_bytes: 100e3, latency_ms: 50}
    distill: &training {images: 320, batch: 16, learning_rate: 2e-3, weights: {pixel: 10, haar: 5}}
    prune: {macs: 5e5, images: 8}
    finetune: *training
    quantize: {calibration_images: 32, images: 160, weights: {pixel: 10}}
    gates: {psnr_mean_db: {min: 20}}
  npu: *tier
"""
TRAINING = """\
name: small-teacher
training:
  architecture: {channels: [16, 16, 32, 32, 32]}
  pairs: {count: 40, seed: 1, size: 64}
  validation: {count: 8, seed: 2}
  phases: [{size: 32, images: 64, batch: 8, learning_rate: 1e-3}]
  weights: {picture: 1, flow: 10}
"""
FUNCTIONS = {stage: f"small_line:{stage}" for stage in STAGES} | {"verify": "small_verdict:verify"}
CALLS: list[str] = []


def recipe(folder: Path, text: str = RECIPE) -> Path:
    """Write a recipe and the teacher that it names."""
    checkpoint(folder / "teacher.safetensors")
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def checkpoint(path: Path, metadata: Mapping[str, str] = {"architecture": "{}"}) -> Path:
    """A safetensors file without tensors."""
    header = json.dumps({"__metadata__": dict(metadata)}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def photos(folder: Path, count: int) -> Path:
    """A folder of files that have a picture's ending; nobody decodes them here."""
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"{index:03d}.jpg").write_bytes(b"photo %d of %s" % (index, folder.name.encode()))
    return folder


def _stage(folder: Path, *names: str) -> dict[str, Any]:
    CALLS.append(folder.name.removesuffix(".partial")[:-13])
    for name in names:
        (folder / name).write_text(f"{name} of {folder.name}", encoding="utf-8")
    return {"files": len(names)}


def inputs(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "photos.bin")


def targets(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "targets.bin")


def features(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "features.bin")


def motion(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "motion.bin")


def candidate(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "model.onnx")


def distill(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "weights.safetensors")


def prune(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "weights.safetensors")


def quantize(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "weights.safetensors")


def export(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "model.onnx", "core.onnx")


def report(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "report.html")


def pairs(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "pairs.bin")


def teach(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    return _stage(folder, "teacher.safetensors")
