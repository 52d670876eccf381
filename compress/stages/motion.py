"""Stage `motion`: test photos with small changes, rendered videos, and what the teacher makes of both.

    variants/   of an evenly spread part of the test set, each photo in every kind of `judging.variants`
    videos/     of people who turn and speak (`compress.faces.video`), with the true flow

Change k of photo i and video j depend on (rendered_seed, i, k) and (rendered_seed, j) alone. Resumes behind the last
whole shard. Not covered: what a student makes of them (`judging.steadying`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.artifact import Artifact
from compress.context import Context, Task
from compress.errors import InputError
from compress.judging.steadying import VARIANTS, VIDEOS
from compress.judging.variants import KINDS, change
from compress.shards import Sample, Shards, ShardWriter
from compress.teaching.source import BATCH, Teacher, open_teacher

if TYPE_CHECKING:
    from compress.steps import MotionStep

SHARD_SIZE = 64


def run(settings: MotionStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write both sets of samples and return how many of each there are.

    Raises InputError for a teacher whose results are only stored, so that it can draw nothing else.
    """
    steady, photos = settings.steadiness, Shards(inputs["test_inputs"].path)
    rows = spread(len(photos), steady.images)
    teacher = open_teacher(settings.teacher, context.device)
    frames = steady.videos * steady.frames
    if not teacher.can_run and len(rows) + frames:
        raise InputError(
            f"test.steadiness: teacher {teacher.name} cannot draw changed photos and videos; set images and videos to 0"
        )
    changed = (variant(photos, int(row), kind, settings.rendered_seed) for row in rows for kind in range(len(KINDS)))
    with context.progress.task("motion", len(rows) * len(KINDS) + frames, "pictures") as task:
        draw(changed, teacher, folder / VARIANTS, task)
        draw(films(settings), teacher, folder / VIDEOS, task)
    return {"photos": len(rows), "variants": len(rows) * len(KINDS), "videos": steady.videos, "frames": frames}


def spread(count: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` of `count` rows, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(np.int64))


def draw(samples: Iterator[Sample], teacher: Teacher, folder: Path, task: Task) -> None:
    """Store each sample with the teacher's picture of its photo; those stored earlier are passed over."""
    with ShardWriter(folder, SHARD_SIZE) as writer:
        task.advance(writer.count)
        left = islice(samples, writer.count, None)
        while some := list(islice(left, BATCH)):
            images = teacher.draw(np.stack([sample["photo"] for sample in some])).image
            for sample, image in zip(some, images):
                writer.add(sample | {"teacher": image})
            task.advance(len(some))


def variant(photos: Shards, row: int, number: int, seed: int) -> Sample:
    """One changed photo: row u32, kind S16, photo u8 [S, S, 3], matrix f32 [2, 3]."""
    random = np.random.default_rng([seed, row, number])
    changed = change(photos.read([row], ["photo"])["photo"][0], KINDS[number], random)
    return {
        "row": np.array(row, np.uint32),
        "kind": np.array(KINDS[number].encode(), "S16"),
        "photo": changed.photo,
        "matrix": changed.matrix.astype(np.float32),
    }


def films(settings: MotionStep) -> Iterator[Sample]:
    """Frames of all videos in order: video u32, frame u16, and the fields of `render_video`."""
    from compress.faces import PairRenderer
    from compress.faces.video import render_video

    steady = settings.steadiness
    if not steady.videos:
        return
    renderer = PairRenderer(settings.size)
    for video in range(steady.videos):
        for frame, sample in enumerate(render_video(renderer, settings.rendered_seed, video, steady.frames)):
            place: Sample = {"video": np.array(video, np.uint32), "frame": np.array(frame, np.uint16)}
            yield place | sample
