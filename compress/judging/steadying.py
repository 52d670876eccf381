"""Measures how steady a student is beside its teacher: under small changes of test photos and in rendered videos.

Reads what the motion stage stored (changed photos and frames, and the teacher's pictures of them) and lets the student
draw the same. `measure` gives one row for each changed photo and each pair of frames, `summarise` the estimates by the
names of `judging.gates`. Not covered: still pictures (`judging.evaluation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.context import Context
from compress.errors import StageError
from compress.judging.evaluation import Batch, Student, Table, TestSet
from compress.judging.metrics import intervals, steadiness
from compress.judging.metrics.estimate import Estimate
from compress.judging.variants import KINDS, MOVED
from compress.photographs.alignment import transform
from compress.shards import Sample, Shards

Indices = NDArray[np.int64]

VARIANTS, VIDEOS, VIDEO = "variants", "videos", "video"
WHO = ("student", "teacher", "photo")


def measure(motion: Path, test: TestSet, student: Student, context: Context) -> Table:
    """One row for each changed photo, then for each frame of a video but the first, as columns.

    kind: of `variants.KINDS`, or video. person: the cluster, who is in the photo or which video. row and source: of
    the test set, -1 in a video. frame: 0 for a photo. student, teacher, photo: their errors in levels of 255, see
    `metrics.steadiness`. Raises StageError if `motion` holds nothing.
    """
    variants, videos = Shards(motion / VARIANTS), Shards(motion / VIDEOS)
    if not len(variants) + len(videos):
        raise StageError(f"{motion}: no changed photos and no videos; raise test.steadiness or leave its gates out")
    parts: list[Table] = []
    with context.progress.task("steadiness", len(variants) + len(videos), "pictures") as task:
        for places in _changes(variants, test.batch):
            parts += _changed(variants.read(places), test, student)
            task.advance(len(places))
        for places in _films(videos):
            parts.append(_filmed(videos.read(places), test.batch, student))
            task.advance(len(places))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _changes(variants: Shards, most: int) -> Iterator[Indices]:
    """Places of all changes of some photos, at most so many photos at a time."""
    rows = variants.read(range(len(variants)), ["row"])["row"] if len(variants) else np.zeros(0, np.uint32)
    photos = np.unique(rows)
    for first in range(0, len(photos), most):
        yield np.flatnonzero(np.isin(rows, photos[first : first + most]))


def _films(videos: Shards) -> Iterator[Indices]:
    """Places of each video's frames, in order."""
    numbers = videos.read(range(len(videos)), ["video"])["video"] if len(videos) else np.zeros(0, np.uint32)
    for number in np.unique(numbers):
        yield np.flatnonzero(numbers == number)


def _changed(sample: Sample, test: TestSet, student: Student) -> list[Table]:
    """Errors of changed photos, kind by kind: the student draws these, and the unchanged ones once."""
    rows = np.unique(sample["row"]).astype(np.int64)
    still = test.batch_of(rows)
    drawn = {"student": student.draw(still), "teacher": still.teacher, "photo": still.photo}
    tables = []
    for kind in np.unique(sample["kind"]):
        part = {name: column[sample["kind"] == kind] for name, column in sample.items()}
        at = np.searchsorted(rows, part["row"])
        points = np.stack([transform(p, m) for p, m in zip(still.points[at], part["matrix"])])
        labels = {name: column[at] for name, column in still.labels.items()}
        frames = np.zeros(len(at), np.int64)
        batch = Batch(part["photo"], part["teacher"], points, rows[at], kind.decode(), frames, labels)
        changed = {"student": student.draw(batch), "teacher": batch.teacher, "photo": batch.photo}
        errors = {who: steadiness.equivariance_error(changed[who], drawn[who][at], part["matrix"]) for who in WHO}
        places = {"row": rows[at], "source": test.source[rows[at]].astype(np.int64), "frame": frames}
        tables.append({"kind": part["kind"].astype("S16"), "person": test.person[rows[at]]} | places | errors)
    return tables


def _filmed(sample: Sample, most: int, student: Student) -> Table:
    """Errors of one video's frames but the first; the student draws all of them, in order."""
    frames = sample["frame"].astype(np.int64)
    rows = np.full(len(frames), -1)
    drawn = []
    for first in range(0, len(frames), most):
        part = slice(first, first + most)
        photo, teacher, points = (sample[name][part] for name in ("photo", "teacher", "points"))
        drawn.append(student.draw(Batch(photo, teacher, points, rows[part], VIDEO, frames[part], {})))
    pictures = {"student": np.concatenate(drawn), "teacher": sample["teacher"], "photo": sample["photo"]}
    errors = {who: steadiness.flicker_error(pictures[who], sample["flow"], sample["visible"]) for who in WHO}
    count = len(frames) - 1
    person = np.full(count, f"{VIDEO}-{sample['video'][0]}".encode(), "S64")
    places = {"row": rows[1:], "source": rows[1:], "frame": frames[1:]}
    return {"kind": np.full(count, VIDEO.encode(), "S16"), "person": person} | places | errors


def summarise(table: Table, seed: int) -> dict[str, Estimate]:
    """Estimates of what `table` holds: for each kind the ratio that its gate judges, and the errors behind it.

    `equivariance_<kind>_ratio` and `flicker_ratio`: the student's errors over the teacher's, as a ratio of sums; with
    `_teacher_levels` and `_photo_levels` instead of `_ratio`: mean error of the teacher, and of the photo itself where
    it has one.
    """
    names = {kind: f"equivariance_{kind}" for kind in KINDS} | {VIDEO: "flicker"}
    found: dict[str, Estimate] = {}
    for kind, name in names.items():
        chosen = table["kind"] == kind.encode()
        if not chosen.any():
            continue
        student, teacher, photo = (table[who][chosen].astype(np.float64) for who in WHO)
        clusters = table["person"][chosen]
        found[f"{name}_ratio"] = intervals.ratio(student, teacher, seed, clusters)
        found[f"{name}_teacher_levels"] = intervals.mean(teacher, seed, clusters)
        if kind not in MOVED:  # a photo commutes exactly with what moves it
            found[f"{name}_photo_levels"] = intervals.mean(photo, seed, clusters)
    return found
