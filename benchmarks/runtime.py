"""Students in ONNX Runtime, one thread that does not spin: int8 against float32, whole student, compositors.

The presets of the tiers with random weights, calibrated on random pictures: time does not depend on what they are. Or
the files of finished export steps and published tiers. All calls of one comparison alternate, so that a busy machine
disturbs them alike; the fastest of many rounds counts, by the processor time of the thread.

    python benchmarks/runtime.py                                  # the presets
    python benchmarks/runtime.py runs/quickstart/steps/export-*   # what a run has exported
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import onnx.parser
import torch
from torch import nn

import students
from compress.exporting import fused, onnx_files, parity
from compress.judging.candidate import Candidate, tensor_of
from compress.judging.metrics import latency
from compress.shrinking import qdq, quantization

PHOTO, ROUNDS, OPSET, SEED = 512, 60, 18, 0
CORE_RATIO, WHOLE_MS, FUSED_MS = 1.8, 12.0, 4.0
NAIVE = """
<ir_version: 10, opset_import: ["" : 18]> naive (float[1, 3, 512, 512] photo, float[1, 8, 32, 32] maps, float[1, 512,
512, 2] centres) => (float[1, 3, 512, 512] image) <int64[2] size = {512, 512}, int64[3] parts = {2, 3, 3}> {
    full = Resize <mode = "linear", axes = [2, 3]> (maps, , , size)
    flow, gain, bias = Split <axis = 1> (full, parts)
    moved = Transpose <perm = [0, 2, 3, 1]> (flow)
    grid = Add (centres, moved)
    warped = GridSample <mode = "bilinear", padding_mode = "border", align_corners = 0> (photo, grid)
    lit = Mul (warped, gain)
    image = Add (lit, bias)
}
"""


def export_preset(tier: str, folder: Path) -> None:
    """The four files of a tier's preset with random weights."""
    torch.manual_seed(SEED)
    float_, int8 = students.build(students.preset(tier)).eval(), students.build(students.preset(tier)).eval()
    nn.init.normal_(float_.core.get_submodule("head").get_parameter("weight"), std=0.02)
    int8.load_state_dict(float_.state_dict())
    side = float_.core_resolution
    int8.core = quantization.quantize(int8.core, torch.rand(8, 3, side, side) * 2 - 1)
    for student, core, names in (
        (float_, quantization.fuse(float_.core), ("float.onnx", "float_core.onnx")),
        (int8, qdq.decompose(int8.core), ("model.onnx", "core.onnx")),
    ):
        exported = onnx_files.export_core(student, core, OPSET)
        onnx_files.write(folder / names[0], onnx_files.whole(exported, student, OPSET), student, {})
        onnx_files.write(folder / names[1], exported, student, {})


def fastest(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of the fastest round of each call."""
    times = latency.measure(calls, ROUNDS)
    return {name: float(time.thread_ms.min()) for name, time in times.items()}


def measure_students(name: str, folder: Path, photo: np.ndarray) -> bool:
    """Print the times of one tier's files; whether int8 is nowhere slower, and the core as much faster as required."""
    files = {stem: Candidate(folder / f"{stem}.onnx") for stem in ("model", "float", "core", "float_core")}
    side = int(onnx.load(folder / "core.onnx").graph.input[0].type.tensor_type.shape.dim[2].dim_value)
    low = tensor_of(cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)[None])
    large = tensor_of(photo[None])
    ms = fastest({stem: file.timed_call(low if "core" in stem else large) for stem, file in files.items()})
    core, whole = ms["float_core"] / ms["core"], ms["float"] / ms["model"]
    integer, every = parity.convolutions(folder / "core.onnx")
    size = files["model"].size_bytes / 1e3
    print(f"{name}: core {side} px, {integer} of {every} convolutions in integers, {size:.0f} kB")
    print(f"  core  float {ms['float_core']:7.3f} ms   int8 {ms['core']:7.3f} ms   {core:.2f} times faster")
    print(f"  whole float {ms['float']:7.3f} ms   int8 {ms['model']:7.3f} ms   {whole:.2f} times faster, {PHOTO} px")
    passed = (
        core >= (CORE_RATIO if "npu" in name else 1) and whole >= 1 and ("cpu" not in name or ms["model"] <= WHOLE_MS)
    )
    print(f"  {'as required' if passed else 'NOT as required'}")
    return passed


def measure_compositors(photo: np.ndarray) -> bool:
    """Print the times of the compositor: naive ONNX, fused; whether the fused one is fast enough."""
    rng = np.random.default_rng(SEED)
    maps = rng.normal(0, 0.02, (8, 32, 32)).astype(np.float32)
    maps[2:5] += 1
    centres = students.compositor.identity_grid(torch.zeros(1, 3, PHOTO, PHOTO)).numpy()
    feed = {"photo": tensor_of(photo[None]), "maps": maps[None], "centres": centres}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "naive.onnx"
        onnx.save(onnx.parser.parse_model(NAIVE), path)
        session = parity.open_file(path)
    ms = fastest({
        "naive": lambda: session.run(None, feed),
        "fused": lambda: fused.composite(photo, maps),
        "fused downsampling": lambda: fused.downsample(photo, 64),
    })  # fmt: skip
    gain = ms["naive"] / ms["fused"]
    print(f"compositor of bytes, {PHOTO} px: fused {ms['fused']:.2f} ms (at most {FUSED_MS:g})")
    print(
        f"  naive ONNX {ms['naive']:.2f} ms, {gain:.1f} times as long; downsampling {ms['fused downsampling']:.2f} ms"
    )
    return ms["fused"] <= FUSED_MS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of export steps (default: the presets)")
    folders = {folder.name: folder for folder in parser.parse_args().folders}
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    smooth = cv2.GaussianBlur(
        np.random.default_rng(SEED).integers(0, 256, (PHOTO, PHOTO, 3)).astype(np.uint8), (0, 0), 4
    )
    photo = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    with tempfile.TemporaryDirectory() as presets:
        if not folders:
            folders = {tier: Path(presets) / tier for tier in students.TIERS}
            for tier, folder in folders.items():
                folder.mkdir()
                export_preset(tier, folder)
        passed = [measure_students(name, folder, photo) for name, folder in folders.items()]
        passed.append(measure_compositors(photo))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    raise SystemExit(main())
