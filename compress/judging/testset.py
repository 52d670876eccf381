"""A stored test set: photos, the teacher's results for them, who is in them, and what is asked of a student.

Everything is read by rows from shards; memory holds only what is asked for. Measuring is `judging.evaluation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compress.errors import InputError, StageError
from compress.judging.facts import CATEGORIES
from compress.shards import Sample, Shards

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]

_BATCH_PIXELS = 16 * 128 * 128
_READ_AT_ONCE = 64


@dataclass(frozen=True)
class Batch:
    """What a student is asked to draw; a real one looks at `photo` alone, planted defects at the rest.

    photo, teacher: uint8 [N, H, W, 3]; points: float32 [N, 5, 2] in pixels; rows: int64 [N] of the test set, or -1;
    kind: "still", the kind of a variant, or "video"; frame: int64 [N], 0 for stills; labels: bytes [N] by category.
    """

    photo: Bytes
    teacher: Bytes
    points: NDArray[np.float32]
    rows: Indices
    kind: str
    frame: Indices
    labels: Mapping[str, NDArray[np.bytes_]]

    def __len__(self) -> int:
        return len(self.photo)


class Student(Protocol):
    """Whatever draws: an exported file, or one with a planted defect. Called by one thread at a time."""

    def draw(self, batch: Batch) -> Bytes:
        """Pictures uint8 [N, H, W, 3] of the batch."""


class TestSet:
    """Test inputs and the teacher's results for them, row by row the same photo."""

    __test__ = False  # not a test, whatever its name

    def __init__(self, inputs: Shards, targets: Shards, features: Shards | None = None) -> None:
        """`features` as the features stage writes them; without, they are computed anew in each evaluation.

        Raises StageError if lengths differ or there is nothing in them.
        """
        if len(inputs) != len(targets) or not len(inputs):
            counts = f"{len(inputs)} test photos and {len(targets)} teacher results"
            raise StageError(f"test set: {counts}; delete the test-targets step's folder and run again")
        if features is not None and len(features) != len(inputs):
            counts = f"{len(inputs)} test photos and features of {len(features)}"
            raise StageError(f"test set: {counts}; delete the test-features step's folder and run again")
        self._inputs, self._targets, self._features = inputs, targets, features
        known = [name for name in ("name", "source", "person", *CATEGORIES) if name in inputs.fields]
        facts = inputs.read(range(len(inputs)), known)
        self.name: NDArray[np.bytes_] = facts["name"]
        self.source: Indices = facts["source"].astype(np.int64)
        # Test sets of an earlier version say nothing of persons and groups: each photo is then another person's.
        self.person: NDArray[np.bytes_] = facts.get("person", self.name)
        unknown = np.zeros(len(inputs), "S16")
        self.labels: dict[str, NDArray[np.bytes_]] = {name: facts.get(name, unknown) for name in CATEGORIES}
        side = inputs.read([0], ["photo"])["photo"].shape[1]
        self.batch = max(1, _BATCH_PIXELS // side**2)

    def __len__(self) -> int:
        return len(self._inputs)

    def batches(self, start: int = 0) -> Iterator[Indices]:
        """All rows from `start` on, so many at a time as memory should hold."""
        for first in range(start, len(self), self.batch):
            yield np.arange(first, min(first + self.batch, len(self)))

    def read(self, rows: Sequence[int] | Indices) -> Sample:
        """Photo, points, name, teacher image and both identities (SFace) of `rows`."""
        sample = self._inputs.read(rows, ["photo", "points", "name"])
        return sample | self._targets.read(rows, ["image", "identity", "photo_identity"])

    def features(self, rows: Sequence[int] | Indices) -> Sample | None:
        """What the features stage stored for `rows`, if it did."""
        return None if self._features is None else self._features.read(rows)

    def batch_of(self, rows: Sequence[int] | Indices) -> Batch:
        """`rows` as a student is asked to draw them."""
        sample, rows = self.read(rows), np.asarray(rows, np.int64)
        labels = {name: column[rows] for name, column in self.labels.items()}
        still = np.zeros(len(rows), np.int64)
        return Batch(sample["photo"], sample["image"], sample["points"], rows, "still", still, labels)


def refuse_leaks(training: Shards, test: Shards) -> None:
    """Raise InputError if a photo of the test set is also among the training's: a verdict on it would say nothing.

    Compares the photos' bytes, so a copy under another name is found; a photo saved again by other software is not.
    """
    known = set(_digests(training))
    found = [row for row, digest in enumerate(_digests(test)) if digest in known]
    if found:
        name = bytes(test.read(found[:1], ["name"])["name"][0]).decode("utf-8", "replace")
        count = f"{len(found)} of {len(test)} test photos"
        raise InputError(f"test: {count} are also among the inputs, the first is {name}; choose others for one of them")


def refuse_duplicates(test: Shards) -> None:
    """Raise InputError if the test set holds a photo twice: it would count as two, and find itself as another person.

    Compares the photos' bytes.
    """
    first: dict[bytes, int] = {}
    for row, digest in enumerate(_digests(test)):
        if first.setdefault(digest, row) != row:
            names = test.read([first[digest], row], ["name"])["name"]
            same = " and ".join(bytes(name).decode("utf-8", "replace") for name in names)
            raise InputError(f"test: {same} are the same photo; keep one of them")


def _digests(shards: Shards) -> Iterator[bytes]:
    for start in range(0, len(shards), _READ_AT_ONCE):
        rows = range(start, min(start + _READ_AT_ONCE, len(shards)))
        for photo in shards.read(rows, ["photo"])["photo"]:
            yield hashlib.blake2b(photo.tobytes(), digest_size=16).digest()
