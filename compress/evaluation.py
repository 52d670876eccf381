"""Measures a candidate on a stored test set, batch by batch, and sums up: memory holds one batch and small vectors.

Stored test inputs and teacher results go in (fields as the inputs and targets stages write them), a `Table` with one
row per image comes out, and `summarise` turns rows into estimates with the names of `compress.gates`. Not covered: cost
(`compress.cost`) and judging (`compress.gates`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.candidate import Candidate, bytes_of, tensor_of
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
class Pictures:
    """One batch: photo, teacher's picture, and those of the float and the int8 student, uint8 [N, H, W, 3]."""

    photo: Bytes
    teacher: Bytes
    float_student: Bytes
    int8_student: Bytes


Table = dict[str, NDArray[np.generic]]


class TestSet:
    """Test inputs and the teacher's results for them, row by row the same photo."""

    def __init__(self, inputs: Shards, targets: Shards) -> None:
        """Raises StageError if their lengths differ or there is nothing in them."""
        if len(inputs) != len(targets) or not len(inputs):
            counts = f"{len(inputs)} test photos and {len(targets)} teacher results"
            raise StageError(f"test set: {counts}; delete the test-targets step's folder and run again")
        self._inputs, self._targets = inputs, targets
        self.source: Indices = inputs.read(range(len(inputs)), ["source"])["source"].astype(np.int64)
        side = inputs.read([0], ["photo"])["photo"].shape[1]
        self.batch = max(1, _BATCH_PIXELS // side**2)

    def __len__(self) -> int:
        return len(self._inputs)

    def read(self, rows: Sequence[int] | Indices) -> Sample:
        """Photo, points, name, teacher image and both identities of `rows`."""
        sample = self._inputs.read(rows, ["photo", "points", "name"])
        return sample | self._targets.read(rows, ["image", "identity", "photo_identity"])


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


def draw(sample: Sample, int8: Candidate, float_: Candidate) -> Pictures:
    """Run both exported files on the photos of `sample`."""
    photo = sample["photo"]
    return Pictures(photo, sample["image"], bytes_of(float_.stylise(photo)), bytes_of(int8.stylise(photo)))


def measure(test: TestSet, int8: Candidate, float_: Candidate, judges: Judges, context: Context) -> Table:
    """Every image of the test set, one row each; vectors (embeddings, features) are columns too."""
    parts: list[Table] = []
    with context.progress.task("verify", len(test)) as task, torch.inference_mode():
        for start in range(0, len(test), test.batch):
            rows = np.arange(start, min(start + test.batch, len(test)))
            sample = test.read(rows)
            pictures = draw(sample, int8, float_)
            parts.append(_pixels(pictures) | _learned(pictures, sample, judges, context.device))
            parts[-1]["name"] = sample["name"]
            task.advance(len(rows))
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return table | {"source": test.source}


def _pixels(pictures: Pictures) -> Table:
    student, teacher = pictures.int8_student, pictures.teacher
    return {
        "psnr_db": fidelity.psnr(student, teacher),
        "ssim": fidelity.ssim(student, teacher),
        "haar_student": fidelity.haar_energy(student),
        "haar_teacher": fidelity.haar_energy(teacher),
        "int8_psnr_db": fidelity.psnr(student, pictures.float_student),
        "float_psnr_db": fidelity.psnr(pictures.float_student, teacher),
        "photo_psnr_db": fidelity.psnr(pictures.photo, teacher),
    }


def _learned(pictures: Pictures, sample: Sample, judges: Judges, device: str) -> Table:
    student, teacher, float_ = (
        torch.from_numpy(tensor_of(images)).to(device)
        for images in (pictures.int8_student, pictures.teacher, pictures.float_student)
    )
    points = torch.from_numpy(sample["points"]).to(device)
    float_identity = {"identity_float": judges.identity.embed(float_, points)} if judges.float_identity else {}
    wanted = (*judges.layers, judges.head)
    of_student, of_teacher = ([m.cpu().numpy() for m in judges.features.maps(x, wanted)] for x in (student, teacher))
    return {
        "perceptual": fidelity.feature_distance(of_student[:-1], of_teacher[:-1]),
        "feature_student": of_student[-1].mean(axis=(2, 3)),
        "feature_teacher": of_teacher[-1].mean(axis=(2, 3)),
        "identity_student": judges.identity.embed(student, points).cpu().numpy(),
        **{name: embedding.cpu().numpy() for name, embedding in float_identity.items()},
        "identity_teacher": sample["identity"].astype(np.float32),
        "identity_photo": sample["photo_identity"].astype(np.float32),
    }


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
    plain = ("psnr_db", "ssim", "perceptual", "int8_psnr_db", "float_psnr_db", "photo_psnr_db")
    derived = {"identity_delta": identity_delta(table), "haar_ratio": haar_ratio(table)}
    return {name: table[name] for name in ("name", "source", *plain)} | derived


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
        "int8_psnr_db": intervals.mean(_floats(table, "int8_psnr_db"), seed),
        **_against_float(table, seed),
        "float_psnr_mean_db": intervals.mean(_floats(table, "float_psnr_db"), seed),
        "photo_psnr_mean_db": intervals.mean(_floats(table, "photo_psnr_db"), seed),
    }


def _sets(table: Table, seed: int) -> dict[str, Estimate]:
    student, teacher = _floats(table, "feature_student"), _floats(table, "feature_teacher")
    # Nothing to subtract for "above the teacher against itself": of paired rows that is exactly 0.
    kid, floor = distribution.kid(student, teacher, seed), distribution.noise_floor(teacher, seed)
    return {"kid_delta_upper": kid, "kid_noise_floor": floor}


def _against_float(table: Table, seed: int) -> dict[str, Estimate]:
    if "identity_float" not in table:
        return {}
    lost = identity.delta(*(_floats(table, f"identity_{who}") for who in ("photo", "student", "float")))
    return {"int8_identity_delta_mean": intervals.mean(lost, seed)}


def _rank1(table: Table, seed: int) -> Estimate:
    photo, student, teacher = (_floats(table, f"identity_{who}") for who in ("photo", "student", "teacher"))
    try:
        return identity.rank1_relative(photo, student, teacher, seed)
    except ValueError as error:
        raise StageError(f"verify: {error}; the teacher or the points of the test photos are wrong") from error


def _floats(table: Table, name: str) -> Floats:
    column: Floats = table[name].astype(np.float64)
    return column
