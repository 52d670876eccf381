"""Stage `targets`: everything that depends on the teacher alone, computed once and shared by all tiers.

For each input: the teacher's result, its maps (flow, gain, bias), its tap, and the identity embeddings of result and
photo. Resumes behind the last whole shard. Not covered: losses that need the teacher's gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import teachers
from compress import networks
from compress.artifact import Artifact
from compress.batches import to_picture
from compress.context import Context
from compress.errors import InputError, NonFiniteError, StageError
from compress.shards import Shards, ShardWriter
from compress.training import autocast

if TYPE_CHECKING:
    from compress.networks.sface import SFace
    from compress.recipe import TeacherSettings

BATCH = 8
SHARD_SIZE = 64  # what a killed process may lose: a teacher is slow
MAP_CHANNELS = 8
Array = NDArray[np.generic]


def run(settings: TeacherSettings, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write one sample of targets for each of `inputs["inputs"]`, in the same order.

    Raises InputError for an unknown teacher, StageError or NonFiniteError for one whose output cannot be imitated.
    """
    teacher = load_teacher(settings.network, context.device)
    identity = networks.identity("sface").to(context.device).eval()
    photos = Shards(inputs["inputs"].path)
    with ShardWriter(folder, SHARD_SIZE) as writer:
        remaining = range(writer.count, len(photos), BATCH)
        with context.progress.task("teacher", len(photos), done=writer.count) as task:
            for first in remaining:
                rows = photos.read(np.arange(first, min(first + BATCH, len(photos))), ("photo", "points"))
                for sample in compute(teacher, identity, rows, context.device):
                    writer.add(sample)
                task.advance(len(rows["photo"]))
    return {"samples": len(photos), "teacher": settings.network}


def load_teacher(network: str, device: str) -> nn.Module:
    """The teacher by its shipped name or path, in eval mode. Raises InputError with the way out."""
    try:
        teacher: nn.Module = teachers.load(network, device=device)
    except (ValueError, OSError) as error:
        raise InputError(f"teacher.network: {network!r} cannot be loaded: {error}") from error
    teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotations
    return teacher.eval()


@torch.no_grad()
def compute(teacher: nn.Module, identity: SFace, rows: Mapping[str, Array], device: str) -> list[dict[str, Array]]:
    """Targets of a few inputs, one sample each: image u8, maps, tap, identity and photo_identity f16."""
    photo = to_picture(rows["photo"]).to(device)
    points = torch.from_numpy(rows["points"].astype(np.float32)).to(device)
    with autocast("bfloat16", device):
        output = teacher(photo)
    check(output.image, output.maps, output.tap, photo)
    image = quantize_picture(output.image)
    stored = to_picture(image).to(device)
    fields = {
        "image": image,
        "maps": to_half(output.maps),
        "tap": to_half(output.tap),
        "identity": to_half(identity.embed(stored, points)),
        "photo_identity": to_half(identity.embed(photo, points)),
    }
    return [{name: value[row] for name, value in fields.items()} for row in range(len(image))]


def check(image: Tensor, maps: Tensor, tap: Tensor, photo: Tensor) -> None:
    """Refuse a teacher whose output has another size or range, or is not finite (StageError, NonFiniteError)."""
    if image.shape != photo.shape:
        raise StageError(
            f"teacher: image {tuple(image.shape)} for a photo {tuple(photo.shape)}; a teacher must keep the size"
        )
    size = tuple(side // 4 for side in photo.shape[-2:])
    if maps.shape[1:] != (MAP_CHANNELS, *size):
        raise StageError(f"teacher: maps {tuple(maps.shape)}; they must be 8 channels (flow, gain, bias) of {size}")
    for name, value in (("image", image), ("maps", maps), ("tap", tap)):
        if not bool(torch.isfinite(value.half()).all()):
            raise NonFiniteError(f"teacher: its {name} is not finite in 16 bits; check its weights and the photo range")
    # Whatever lies within [-1, 1] has a mean magnitude of at most 1; 0..255 or an exploded network has not.
    magnitude = float(image.float().abs().mean())
    if magnitude > 1:
        raise StageError(f"teacher: mean |image| {magnitude:.3g}; its pictures must be within [-1, 1]")


def quantize_picture(image: Tensor) -> Array:
    """[N, 3, H, W] in [-1, 1] (clamped) -> uint8 [N, H, W, 3]."""
    levels = ((image.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    picture: Array = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return picture


def to_half(value: Tensor) -> Array:
    """Any float tensor -> contiguous float16 array."""
    half: Array = value.to(torch.float16).contiguous().cpu().numpy()
    return half
