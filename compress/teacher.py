"""The teacher that a recipe names, as one thing to draw with: photos in, pictures (and maps and tap, if offered) out.

Whatever it is made of, a teacher takes and gives uint8 pictures of one size; ranges, colours and a size of its own are
dealt with here. Not covered: how each kind of file is opened (`compress.teacher_files`), and whether its output is any
good (`compress.teacher_check`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.batches import to_picture
from compress.errors import InputError
from compress.training import autocast

if TYPE_CHECKING:
    from compress.recipe import TeacherSettings

BATCH = 8
U8 = NDArray[np.uint8]
F16 = NDArray[np.float16]
Forward = Callable[[Tensor], dict[str, Tensor]]


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
    return _open_network(settings, device)


@dataclass(frozen=True)
class Network:
    """A teacher that runs: `forward` takes float32 [N, 3, S, S] and gives {"image": ..., "maps": ..., "tap": ...}."""

    name: str
    sha256: str
    offers: frozenset[str]
    forward: Forward
    device: str
    can_run: bool = True

    def draw(self, photos: U8) -> Drawn:
        """Stylise photos uint8 [N, S, S, 3], a few at a time."""
        parts = [self.outputs(photos[first : first + BATCH]) for first in range(0, len(photos), BATCH)]
        return Drawn(
            np.concatenate([quantize_picture(part["image"]) for part in parts]),
            np.concatenate([to_half(part["maps"]) for part in parts]) if "maps" in self.offers else None,
            np.concatenate([to_half(part["tap"]) for part in parts]) if "taps" in self.offers else None,
        )

    @torch.no_grad()
    def outputs(self, photos: U8) -> dict[str, Tensor]:
        """What the network gives for one batch, as it is: float tensors, image in [-1, 1] if the teacher is sound."""
        return self.forward(to_picture(photos).to(self.device))


def _open_network(settings: TeacherSettings, device: str) -> Network:
    import teachers

    name = settings.network
    try:
        network = teachers.load(name, device=device)
    except (ValueError, OSError) as error:
        raise InputError(f"teacher.network: {name!r} cannot be loaded: {error}") from error
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotations
    network.eval()

    def forward(photo: Tensor) -> dict[str, Tensor]:
        with autocast("bfloat16", device):
            output = network(photo)
        return {"image": output.image, "maps": output.maps, "tap": output.tap}

    path = teachers.SHIPPED.get(name, Path(name))
    return Network(path.stem, sha256_of(path), frozenset({"maps", "taps"}), forward, device)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quantize_picture(image: Tensor) -> U8:
    """[N, 3, H, W] in [-1, 1] (clamped) -> uint8 [N, H, W, 3]."""
    levels = ((image.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    picture: U8 = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return picture


def to_half(value: Tensor) -> F16:
    """Any float tensor -> contiguous float16 array."""
    half: F16 = value.to(torch.float16).contiguous().cpu().numpy()
    return half
