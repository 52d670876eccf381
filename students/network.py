"""A student: downsample, core, then the compositor (family map) or the pixel-shuffle head (family rgb).

Not covered: storing one (persist.py), pruning or quantizing the core, which may replace `student.core`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from students.architecture import Architecture, parse
from students.compositor import composite, downsample, fold
from students.core import Core, widths_of
from students.rgb import draw


@dataclass(frozen=True)
class StudentOutput:
    """`image` [N, 3, H, W], not clamped; `maps` [N, 8, r/2, r/2] (None for rgb); `tap` [N, C, r/8, r/8]."""

    image: Tensor
    maps: Tensor | None
    tap: Tensor


class Student(nn.Module):
    """photo [N, 3, H, W] float32 in [-1, 1], any H and W, to `StudentOutput`; only `core` is pruned and quantized."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.family = architecture.family
        self.block = architecture.block
        self.core_resolution = architecture.core_resolution
        self.core: nn.Module = Core(architecture)

    @property
    def record(self) -> dict[str, Any]:
        """The architecture record of the network as its tensors are now, after pruning too."""
        return record_of(self)

    def forward(self, photo: Tensor) -> StudentOutput:
        """Run the student; the tap is caught where it passes, so a wrapped (fake-quantized) core gives it too."""
        taps: list[Tensor] = []
        handle = self.core.get_submodule("bottom").register_forward_hook(lambda _, __, out: taps.append(out))
        try:
            low = downsample(photo, self.core_resolution)
            raw = self.core(low)
        finally:
            handle.remove()
        if self.family == "rgb":
            return StudentOutput(draw(raw, int(photo.shape[-2]), int(photo.shape[-1])), None, taps[0])
        maps = fold(raw, low)
        return StudentOutput(composite(photo, maps), maps, taps[0])


def build(record: Mapping[str, Any]) -> Student:
    """A student with fresh weights from an architecture record; raises ValueError for a wrong record."""
    return Student(parse(record))


def record_of(student: Student) -> dict[str, Any]:
    """The architecture record read from the tensors of a student."""
    return Architecture(student.family, student.core_resolution, student.block, widths_of(student.core)).record()
