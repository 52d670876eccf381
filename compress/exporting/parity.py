"""Whether an exported file is what it says: its pictures against torch, and its convolutions as ONNX Runtime runs them.

ONNX Runtime rounds some integer results differently from torch's simulation, so the parity of int8 is a matter of
most pixels, not of the last bit. Not covered: quality against the teacher (stage verify), and time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from compress.errors import StageError
from compress.exporting import lowering
from compress.judging import candidate
from compress.judging.candidate import Floats

LEVELS = 127.5  # of a picture's range [-1, 1]
PERCENTILE = 99.9


@dataclass(frozen=True)
class Parity:
    """Differences of two pictures in levels of 255: the largest, the 99.9th percentile; and their PSNR in dB."""

    max_levels: float
    levels: float
    psnr_db: float

    def numbers(self, name: str) -> dict[str, float]:
        """For a manifest, `name` being float or int8."""
        return {
            f"parity_{name}_levels": self.levels,
            f"parity_{name}_max_levels": self.max_levels,
            f"parity_{name}_psnr_db": self.psnr_db,
        }


def open_file(path: Path, optimised: Path | None = None) -> ort.InferenceSession:
    """An ONNX file on one thread of the CPU; writes the graph that the runtime made of it to `optimised`."""
    return candidate.create_session(path, optimised=optimised)


def compare(path: Path, module: nn.Module, photos: Iterable[Tensor]) -> Parity:
    """Run a file and the torch module it came from on photos [N, 3, H, W] of several sizes."""
    session = open_file(path)
    all_found, all_expected = [], []
    with torch.no_grad():
        for photo in photos:
            expected = module(photo).numpy()
            found: Floats = session.run(None, {"photo": photo.numpy()})[0]
            if found.shape != expected.shape:
                raise StageError(
                    f"{path}: result {found.shape}, torch gives {expected.shape}; this is a fault of the export"
                )
            all_found.append(found)
            all_expected.append(expected)
    return difference(all_found, all_expected)


def difference(found: Iterable[Floats], expected: Iterable[Floats]) -> Parity:
    """Compare pictures in [-1, 1], array by array of the same shape."""
    parts = [np.abs(left - right).ravel() for left, right in zip(found, expected, strict=True)]
    away = np.concatenate(parts).astype(np.float64)
    levels, most = float(np.percentile(away, PERCENTILE)), float(away.max())
    error = max(float(np.square(away).mean()), 1e-12)
    return Parity(LEVELS * most, LEVELS * levels, float(10 * np.log10(4 / error)))


def convolutions(path: Path) -> tuple[int, int]:
    """(integer convolutions, all convolutions) of the graph that ONNX Runtime runs for a file on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        open_file(path, optimised)
        return lowering.count_convolutions(onnx.load(optimised))


def require_integers(path: Path) -> tuple[int, int]:
    """`convolutions`, of which all but the head must be in integers; raises StageError for a file int8 in name only."""
    integer, every = convolutions(path)
    if integer < every - 1 or integer == 0:
        raise StageError(
            f"{path}: only {integer} of {every} convolutions run in integers, all but the head should; quantize the "
            "output of every convolution, or use a processor that ONNX Runtime supports"
        )
    return integer, every
