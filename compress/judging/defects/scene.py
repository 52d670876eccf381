"""What a planted defect may look at, and the three places where it can sit: the photo, the picture, the ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]
Strength = Literal["weak", "medium", "strong"]

STRENGTHS: tuple[Strength, ...] = ("weak", "medium", "strong")
REFERENCE_PX = 128  # amounts in pixels hold for pictures of this side
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class First:
    """The first pictures [K, H, W, 3] that a student drew, with the five points [K, 5, 2] of their photos."""

    pictures: Bytes
    points: NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """What is known about the pictures at hand; fields as in `compress.judging.evaluation.Batch`."""

    photo: Bytes
    points: NDArray[np.float32]
    rows: Indices
    kind: str
    frame: Indices
    labels: Mapping[str, NDArray[np.bytes_]]
    first: First

    @property
    def px(self) -> float:
        """Pixels of these pictures for one of a picture of 128."""
        return float(self.photo.shape[1]) / REFERENCE_PX

    def hit(self, share: float) -> NDArray[np.bool_]:
        """Which images [N] a defect of a `share` of them hits; those of a smaller share are among a larger one's.

        Chosen by row of the test set, spread evenly over it (golden ratio); by frame where there is no row.
        """
        return hit(np.where(self.rows >= 0, self.rows, self.frame), share)


def hit(numbers: Indices, share: float) -> NDArray[np.bool_]:
    """The rule of `Scene.hit` for any numbers [N]."""
    chosen: NDArray[np.bool_] = (numbers + 0.5) * _GOLDEN % 1 < share
    return chosen


@dataclass(frozen=True)
class Defect:
    """One thing that goes wrong, by weak, medium and strong `amounts`; any gate of `caught_by` should name it."""

    meaning: str
    amounts: tuple[float, float, float]
    unit: str
    caught_by: tuple[str, ...]

    def amount(self, strength: Strength) -> float:
        """The amount of a strength."""
        return self.amounts[STRENGTHS.index(strength)]


@dataclass(frozen=True)
class PhotoDefect(Defect):
    """The student is fed a wrong photo: (photos, rows, amount) -> photos."""

    act: Callable[[Bytes, Indices, float], Bytes]


@dataclass(frozen=True)
class PictureDefect(Defect):
    """The student draws a wrong picture: (pictures, scene, amount) -> pictures."""

    act: Callable[[Bytes, Scene, float], Bytes]


@dataclass(frozen=True)
class ModelDefect(Defect):
    """The int8 file is wrong: changed in place by an amount."""

    act: Callable[[onnx.ModelProto, float], None]
