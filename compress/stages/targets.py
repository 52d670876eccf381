"""Stage `targets`: everything that depends on the teacher alone, computed once and shared by all tiers.

For each input: the teacher's result, its maps (flow, gain, bias) and its tap if it offers them, and the identity
embeddings of result and photo. The teacher is checked on a few faces first. Resumes behind the last whole shard. Not
covered: losses that need the teacher's gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from compress import networks
from compress.artifact import Artifact
from compress.context import Context
from compress.shards import Shards, ShardWriter
from compress.teaching import teacher_check
from compress.teaching.source import BATCH, Drawn, Network, open_teacher, to_half
from compress.teaching.teacher_pairs import Pairs
from compress.training.batches import to_picture

if TYPE_CHECKING:
    from compress.recipe import TeacherSettings
    from compress.training.losses import Embed

SHARD_SIZE = 64  # what a killed process may lose: a teacher is slow
FIELDS = ("photo", "points")
Array = NDArray[np.generic]


def run(settings: TeacherSettings, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write one sample of targets for each of `inputs["inputs"]`, in the same order.

    Raises InputError for a teacher that cannot be opened, StageError or NonFiniteError for one whose output cannot be
    imitated.
    """
    teacher = open_teacher(settings, context.device)
    assert isinstance(teacher, Network | Pairs)
    photos = Shards(inputs["inputs"].path)
    fields = FIELDS if teacher.can_run else (*FIELDS, "name")
    check(teacher, photos.read(range(min(teacher_check.FACES, len(photos))), fields), settings)
    identity = networks.identity("sface").to(context.device).eval()
    with ShardWriter(folder, SHARD_SIZE) as writer:
        remaining = range(writer.count, len(photos), BATCH)
        with context.progress.task("teacher", len(photos), done=writer.count) as task:
            for first in remaining:
                rows = photos.read(np.arange(first, min(first + BATCH, len(photos))), fields)
                for sample in samples(draw(teacher, rows), identity.embed, rows, context.device):
                    writer.add(sample)
                task.advance(len(rows["photo"]))
    described = {"name": teacher.name, "sha256": teacher.sha256, "offers": sorted(teacher.offers)}
    if isinstance(teacher, Network) and teacher.opened.style:
        described["style"] = teacher.opened.style
    return {"samples": len(photos), "teacher": described}


def check(teacher: Network | Pairs, rows: Mapping[str, Array], settings: TeacherSettings) -> None:
    """Run the self-check on a few inputs; raises StageError with what is off."""
    photo = np.asarray(rows["photo"], np.uint8)
    if isinstance(teacher, Network):
        teacher_check.require_fit(teacher, photo)
    else:
        teacher_check.require_fit_pairs(teacher.name, draw(teacher, rows).image, photo, settings.accept)


def draw(teacher: Network | Pairs, rows: Mapping[str, Array]) -> Drawn:
    """The teacher's results for rows of inputs."""
    photo = np.asarray(rows["photo"], np.uint8)
    return (
        teacher.draw(photo) if isinstance(teacher, Network) else teacher.results(rows["name"].astype(np.bytes_), photo)
    )


@torch.no_grad()
def samples(drawn: Drawn, embed: Embed, rows: Mapping[str, Array], device: str) -> list[dict[str, Array]]:
    """Targets of a few inputs, one sample each: image u8, identity and photo_identity f16, maps and tap if offered."""
    points = torch.from_numpy(rows["points"].astype(np.float32)).to(device)
    fields: dict[str, Array] = {
        "image": drawn.image,
        "identity": to_half(embed(to_picture(drawn.image).to(device), points)),
        "photo_identity": to_half(embed(to_picture(rows["photo"]).to(device), points)),
    }
    fields |= {name: value for name, value in (("maps", drawn.maps), ("tap", drawn.tap)) if value is not None}
    return [{name: value[row] for name, value in fields.items()} for row in range(len(drawn.image))]
