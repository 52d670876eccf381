"""The teacher that a recipe names, as one thing to draw with: photos in, pictures (and maps and tap, if offered) out.

Whatever it is made of, a teacher takes and gives uint8 pictures of one size; ranges, colours and a size of its own are
dealt with here. Not covered: how each kind of file is opened (`teaching.teacher_ways`), and whether its output is any
good (`teaching.teacher_check`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from compress.errors import NonFiniteError, StageError
from compress.training.batches import to_picture

if TYPE_CHECKING:
    from compress.recipe import TeacherSettings
    from compress.teaching.teacher_ways import Opened

BATCH = 8
MAP_CHANNELS = 8
SPANS = {"-1..1": (-1.0, 1.0), "0..1": (0.0, 1.0), "0..255": (0.0, 255.0)}
OFFERS = {"maps": "maps", "tap": "taps"}
U8 = NDArray[np.uint8]
F16 = NDArray[np.float16]


@dataclass(frozen=True)
class Drawn:
    """What a teacher made of N photos: image uint8 [N, S, S, 3], maps [N, 8, S/4, S/4] and tap [N, C, h, w] or None."""

    image: U8
    maps: F16 | None = None
    tap: F16 | None = None


class Teacher(Protocol):
    """A teacher of any kind; `offers` is what it gives beside the image, a subset of {"maps", "taps"}."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def offers(self) -> frozenset[str]: ...
    @property
    def can_run(self) -> bool: ...

    def draw(self, photos: U8) -> Drawn:
        """Stylise photos uint8 [N, S, S, 3]. Raises StageError if this teacher cannot (`can_run` is False)."""
        ...


def open_teacher(settings: TeacherSettings, device: str) -> Teacher:
    """The teacher that a recipe names, on `device`. Raises InputError with the way out."""
    from compress.teaching import teacher_pairs, teacher_ways

    if settings.way == "pairs":
        return teacher_pairs.Pairs(Path(settings.pairs))
    opened = getattr(teacher_ways, f"open_{settings.way}")(settings, device)
    path = _path(settings)
    offers = {"maps", "taps"} if settings.way == "network" else {OFFERS[n] for n in settings.outputs if n in OFFERS}
    return Network(path.stem, sha256_of(path), frozenset(offers), settings, opened, device)


@dataclass(frozen=True)
class Network:
    """A teacher that runs, of whatever kind: photos are brought to what it wants, and its results back."""

    name: str
    sha256: str
    offers: frozenset[str]
    settings: TeacherSettings
    opened: Opened
    device: str
    can_run: bool = True

    def draw(self, photos: U8) -> Drawn:
        """Stylise photos uint8 [N, S, S, 3], a few at a time.

        Raises StageError if the network fails or its results have another size or range, NonFiniteError for NaN.
        """
        parts = []
        for first in range(0, len(photos), BATCH):
            outputs = self.finished(self.outputs(photos[first : first + BATCH]), photos.shape[1])
            require_sound(outputs, photos.shape[1])
            parts.append(outputs)
        return Drawn(
            np.concatenate([quantize_picture(part["image"]) for part in parts]),
            np.concatenate([to_half(part["maps"]) for part in parts]) if "maps" in self.offers else None,
            np.concatenate([to_half(part["tap"]) for part in parts]) if "taps" in self.offers else None,
        )

    @torch.no_grad()
    def outputs(self, photos: U8) -> dict[str, Tensor]:
        """What the network gives for one batch, as it is, but the image [N, C, h, w] float32 in any case.

        Raises StageError if the network fails on it.
        """
        side = self.settings.size or photos.shape[1]
        photo = resized(to_picture(photos).to(self.device), side)
        if self.settings.input_colour == "bgr":
            photo = photo.flip(1)
        low, high = SPANS[self.settings.input_range]
        photo = photo if low == -1 else (photo + 1) * ((high - low) / 2) + low
        if self.opened.port.channels_last:
            photo = photo.permute(0, 2, 3, 1).contiguous()
        step = self.opened.port.batch or len(photo)
        parts = [self._call(photo[first : first + step]) for first in range(0, len(photo), step)]
        outputs = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        image = outputs["image"].float()
        last = image.ndim == 4 and image.shape[1] != 3 and image.shape[3] == 3
        return outputs | {"image": image.permute(0, 3, 1, 2) if last else image}

    def _call(self, photo: Tensor) -> dict[str, Tensor]:
        from compress.judging.candidate import FAILURES

        try:
            return dict(self.opened.call(photo))
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, *FAILURES) as error:
            shape = "x".join(map(str, photo.shape))
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            way_out = "set teacher.size to the size that it takes, or correct the network"
            raise StageError(f"teacher {self.name}: fails on photos {shape} ({reason}); {way_out}") from error

    def finished(self, outputs: dict[str, Tensor], side: int) -> dict[str, Tensor]:
        """Outputs as students need them: image [N, 3, side, side] in [-1, 1], maps [N, 8, side/4, side/4], the tap."""
        low, high = SPANS[self.settings.output_range]
        image = outputs["image"]
        image = image if low == -1 else (image - low) * (2 / (high - low)) - 1
        if self.settings.output_colour == "bgr":
            image = image.flip(1)
        if not self.settings.size:
            return outputs | {"image": image}
        done = outputs | {"image": resized(image, side)}
        return done | {"maps": resized(outputs["maps"].float(), side // 4)} if "maps" in outputs else done


def require_sound(outputs: dict[str, Tensor], side: int) -> None:
    """Refuse a result that cannot be imitated: another size or range, or not finite (StageError, NonFiniteError)."""
    image = outputs["image"]
    if image.shape[1:] != (3, side, side):
        shape = tuple(image.shape)
        raise StageError(f"teacher: image {shape} for photos of {side} px; a teacher must keep the size")
    quarter = side // 4
    if "maps" in outputs and outputs["maps"].shape[1:] != (MAP_CHANNELS, quarter, quarter):
        is_, wanted = tuple(outputs["maps"].shape), f"8 channels (flow, gain, bias) of {quarter} px"
        raise StageError(f"teacher: maps {is_}; they must be {wanted}")
    for name, value in outputs.items():
        if not bool(torch.isfinite(value.half()).all()):
            raise NonFiniteError(f"teacher: its {name} is not finite in 16 bits; check its weights and the photo range")
    # Whatever lies within [-1, 1] has a mean magnitude of at most 1; 0..255 or an exploded network has not.
    magnitude = float(image.float().abs().mean())
    if magnitude > 1:
        raise StageError(f"teacher: mean |image| {magnitude:.3g}; its pictures must be within [-1, 1]")


def resized(picture: Tensor, side: int) -> Tensor:
    """[N, C, h, w] -> [N, C, side, side], averaging where it shrinks."""
    if picture.shape[-2:] == (side, side):
        return picture
    return F.interpolate(picture, size=(side, side), mode="bilinear", align_corners=False, antialias=True)


def quantize_picture(image: Tensor) -> U8:
    """[N, 3, H, W] in [-1, 1] (clamped) -> uint8 [N, H, W, 3]."""
    levels = ((image.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    picture: U8 = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return picture


def to_half(value: Tensor) -> F16:
    """Any float tensor -> contiguous float16 array."""
    half: F16 = value.to(torch.float16).contiguous().cpu().numpy()
    return half


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _path(settings: TeacherSettings) -> Path:
    import teachers

    return teachers.SHIPPED.get(settings.path, Path(settings.path))
