"""Measures a candidate on a stored test set, batch by batch, and sums up: memory holds one batch and small vectors.

Stored test inputs and teacher results go in (fields as the inputs and targets stages write them), a `Table` with one
row per image comes out, and `summarise` turns rows into estimates with the names of `compress.gates`. Not covered: cost
(`compress.cost`) and judging (`compress.gates`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.candidate import tensor_of
from compress.context import Context
from compress.errors import InputError, StageError
from compress.metrics import distribution, fidelity, identity, intervals
from compress.metrics.estimate import Estimate
from compress.shards import Sample, Shards

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]

_BATCH_PIXELS = 16 * 128 * 128
_READ_AT_ONCE = 64
CATEGORIES = ("ancestry", "skin", "age", "gender", "glasses", "pose", "light")


class IdentityNetwork(Protocol):
    """What is asked of a face recognition network."""

    name: str
    sha256: str

    def embed(self, images: Tensor, points: Tensor) -> Tensor: ...


class FeatureNetwork(Protocol):
    """What is asked of an image backbone."""

    name: str
    sha256: str

    def maps(self, images: Tensor, layers: Sequence[str]) -> Sequence[Tensor]: ...


@dataclass(frozen=True)
class Judges:
    """The networks of the learned metrics: `layers` give the perceptual distance, the mean of `head` goes into KID."""

    identity: IdentityNetwork
    features: FeatureNetwork
    layers: tuple[str, ...]
    head: str
    float_identity: bool = False  # embed the float student's pictures too, the dearest of all measurements


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


Table = dict[str, NDArray[np.generic]]


class TestSet:
    """Test inputs and the teacher's results for them, row by row the same photo."""

    def __init__(self, inputs: Shards, targets: Shards, features: Shards | None = None) -> None:
        """`features` as the features stage writes them; without, `measure` computes them anew each time.

        Raises StageError if their lengths differ or there is nothing in them.
        """
        if len(inputs) != len(targets) or not len(inputs):
            counts = f"{len(inputs)} test photos and {len(targets)} teacher results"
            raise StageError(f"test set: {counts}; delete the test-targets step's folder and run again")
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

    def read(self, rows: Sequence[int] | Indices) -> Sample:
        """Photo, points, name, teacher image and both identities of `rows`."""
        sample = self._inputs.read(rows, ["photo", "points", "name"])
        return sample | self._targets.read(rows, ["image", "identity", "photo_identity"])

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


def _digests(shards: Shards) -> Iterator[bytes]:
    for start in range(0, len(shards), _READ_AT_ONCE):
        rows = range(start, min(start + _READ_AT_ONCE, len(shards)))
        for photo in shards.read(rows, ["photo"])["photo"]:
            yield hashlib.blake2b(photo.tobytes(), digest_size=16).digest()


def measure(
    test: TestSet, student: Student, float_student: Student | None, judges: Judges, context: Context
) -> Table:
    """Every image of the test set, one row each: name, source, person, labels, numbers, and vectors (embeddings).

    Without `float_student` (a reference in floating point) the columns that compare with it are left out.
    """
    parts: list[Table] = []
    with context.progress.task("verify", len(test)) as task, torch.inference_mode():
        for start in range(0, len(test), test.batch):
            rows = np.arange(start, min(start + test.batch, len(test)))
            batch, sample = test.batch_of(rows), test.read(rows)
            drawn = student.draw(batch)
            float_drawn = None if float_student is None else float_student.draw(batch)
            learned = _learned(batch, drawn, float_drawn, sample, judges, context.device)
            parts.append(_pixels(batch, drawn, float_drawn) | learned)
            task.advance(len(rows))
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return table | {"name": test.name, "source": test.source, "person": test.person, **test.labels}


def _pixels(batch: Batch, student: Bytes, float_: Bytes | None) -> Table:
    teacher = batch.teacher
    against_float = {} if float_ is None else {
        "int8_psnr_db": fidelity.psnr(student, float_),
        "float_psnr_db": fidelity.psnr(float_, teacher),
    }
    return {
        "psnr_db": fidelity.psnr(student, teacher),
        "ssim": fidelity.ssim(student, teacher),
        "haar_student": fidelity.haar_energy(student),
        "haar_teacher": fidelity.haar_energy(teacher),
        "photo_psnr_db": fidelity.psnr(batch.photo, teacher),
        **against_float,
    }


def _learned(batch: Batch, drawn: Bytes, float_: Bytes | None, sample: Sample, judges: Judges, device: str) -> Table:
    student, teacher = (torch.from_numpy(tensor_of(images)).to(device) for images in (drawn, batch.teacher))
    points = torch.from_numpy(batch.points).to(device)
    wanted = (*judges.layers, judges.head)
    of_student, of_teacher = ([m.cpu().numpy() for m in judges.features.maps(x, wanted)] for x in (student, teacher))
    table: Table = {
        "perceptual": fidelity.feature_distance(of_student[:-1], of_teacher[:-1]),
        "feature_student": of_student[-1].mean(axis=(2, 3)),
        "feature_teacher": of_teacher[-1].mean(axis=(2, 3)),
        "identity_student": judges.identity.embed(student, points).cpu().numpy(),
        "identity_teacher": sample["identity"].astype(np.float32),
        "identity_photo": sample["photo_identity"].astype(np.float32),
    }
    if judges.float_identity and float_ is not None:
        pictures = torch.from_numpy(tensor_of(float_)).to(device)
        table["identity_float"] = judges.identity.embed(pictures, points).cpu().numpy()
    return table


def identity_delta(table: Table) -> Floats:
    """Likeness of each student picture to its photo less that of the teacher's picture, [n]."""
    return identity.delta(*(_floats(table, f"identity_{who}") for who in ("photo", "student", "teacher")))


def haar_ratio(table: Table) -> Floats:
    """Fine detail of each student picture relative to the teacher's, [n]; 1 where neither has any."""
    student, teacher = _floats(table, "haar_student").sum(axis=1), _floats(table, "haar_teacher").sum(axis=1)
    ratio: Floats = (student + 1e-9) / (teacher + 1e-9)
    return ratio


def per_image(table: Table) -> Table:
    """The columns of `table` that are one number per image, and what follows from the others, for people to read."""
    plain = [name for name, column in table.items() if column.ndim == 1 and column.dtype.kind == "f"]
    derived = {"identity_delta": identity_delta(table), "haar_ratio": haar_ratio(table)}
    return {name: table[name] for name in ("name", "source", "person", *CATEGORIES, *plain)} | derived


def summarise(table: Table, seed: int) -> dict[str, Estimate]:
    """Estimates over the rows of `table`, by the names of `compress.gates` plus a few for the reader.

    Raises StageError if the identity of not one teacher picture can be found, so that nothing can be relative to it.
    """
    student, teacher = _floats(table, "haar_student"), _floats(table, "haar_teacher")
    lost = identity_delta(table)
    psnr, ssim = _floats(table, "psnr_db"), _floats(table, "ssim")
    return {
        "psnr_mean_db": intervals.mean(psnr, seed),
        "psnr_p5_db": intervals.percentile(psnr, 5, seed),
        "ssim_mean": intervals.mean(ssim, seed),
        "ssim_p5": intervals.percentile(ssim, 5, seed),
        "perceptual_mean": intervals.mean(_floats(table, "perceptual"), seed),
        "haar_ratio": intervals.ratio(student.sum(axis=1), teacher.sum(axis=1), seed),
        "haar_finest_ratio": intervals.ratio(student[:, 0], teacher[:, 0], seed),
        **_sets(table, seed),
        "identity_delta_mean": intervals.mean(lost, seed),
        "identity_delta_p5": intervals.percentile(lost, 5, seed),
        "rank1_relative": _rank1(table, seed),
        **_against_float(table, seed),
        "photo_psnr_mean_db": intervals.mean(_floats(table, "photo_psnr_db"), seed),
    }


def _sets(table: Table, seed: int) -> dict[str, Estimate]:
    student, teacher = _floats(table, "feature_student"), _floats(table, "feature_teacher")
    # Nothing to subtract for "above the teacher against itself": of paired rows that is exactly 0.
    kid, floor = distribution.kid(student, teacher, seed), distribution.noise_floor(teacher, seed)
    return {"kid_delta_upper": kid, "kid_noise_floor": floor}


def _against_float(table: Table, seed: int) -> dict[str, Estimate]:
    found = {}
    if "int8_psnr_db" in table:
        found = {
            "int8_psnr_db": intervals.mean(_floats(table, "int8_psnr_db"), seed),
            "float_psnr_mean_db": intervals.mean(_floats(table, "float_psnr_db"), seed),
        }
    if "identity_float" not in table:
        return found
    lost = identity.delta(*(_floats(table, f"identity_{who}") for who in ("photo", "student", "float")))
    return found | {"int8_identity_delta_mean": intervals.mean(lost, seed)}


def _rank1(table: Table, seed: int) -> Estimate:
    photo, student, teacher = (_floats(table, f"identity_{who}") for who in ("photo", "student", "teacher"))
    try:
        return identity.rank1_relative(photo, student, teacher, seed)
    except ValueError as error:
        raise StageError(f"verify: {error}; the teacher or the points of the test photos are wrong") from error


def _floats(table: Table, name: str) -> Floats:
    column: Floats = table[name].astype(np.float64)
    return column
