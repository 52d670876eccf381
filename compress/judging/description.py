"""What is measured in one batch of pictures: `describe` for what all students share, `compare` for one student.

Everything that depends on the teacher and the photo alone (features, Gram matrices, points, embeddings, colours, slices
of texture) is described once and stored by the features stage; a student's picture then passes each network once. Sums
over a test set are `judging.evaluation`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.artifact import write_json
from compress.errors import StorageError
from compress.judging.judges import SFACE, Judges
from compress.judging.metrics import colour, eyes, fidelity, identity, landmarks, style, texture
from compress.judging.testset import Batch, Bytes
from compress.shards import Sample, Shards

Floats = NDArray[np.floating]
Table = dict[str, NDArray[np.generic]]

VERSION = 2  # of what is described: a change of a metric's definition makes stored descriptions useless
JUDGES = "judges.json"


_WAY_OUT = "delete the test-features step's folder and run the same command again"


def tensor_of(images: Bytes, device: str) -> Tensor:
    """Pictures uint8 [N, H, W, 3] to float32 [N, 3, H, W] in [-1, 1], channels last in memory: convolutions like it."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def claim(folder: Path, judges: Judges) -> None:
    """Write into `folder` whose descriptions it holds. Raises StorageError if others were begun there."""
    if (folder / JUDGES).exists():
        _require_same(folder, judges)
    write_json(folder / JUDGES, _signature(judges))


def open_features(folder: Path, judges: Judges) -> Shards:
    """The stored descriptions in `folder`. Raises StorageError if they are of other judges or another version."""
    _require_same(folder, judges)
    return Shards(folder)


def _require_same(folder: Path, judges: Judges) -> None:
    path = folder / JUDGES
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: unreadable ({error}); {_WAY_OUT}") from error
    if stored != _signature(judges):
        raise StorageError(f"{path}: features of other judges or another version; {_WAY_OUT}")


def _signature(judges: Judges) -> dict[str, object]:
    return {"version": VERSION, "judges": judges.describe()}


@torch.inference_mode()
def describe(sample: Sample, judges: Judges, device: str) -> Sample:
    """All that `compare` needs of photo and teacher, one row each; `sample` as `TestSet.read` gives it."""
    photo, teacher, points = sample["photo"], sample["image"], sample["points"].astype(np.float32)
    of_teacher = _maps(teacher, (*judges.layers, judges.head), judges, device)
    of_photo = _maps(photo, (*judges.style, judges.head), judges, device)
    grams = {layer: style.gram(of_teacher[layer]) for layer in judges.style}
    return {
        "teacher_head": of_teacher[judges.head].mean(axis=(2, 3)),
        "photo_head": of_photo[judges.head].mean(axis=(2, 3)),
        "photo_gram": style.gram_distance([style.gram(of_photo[x]) for x in judges.style], list(grams.values())),
        "photo_psnr_db": fidelity.psnr(photo, teacher),
        "change": style.change(photo, teacher),
        "teacher_haar": fidelity.haar_energy(teacher),
        "teacher_colour": colour.fields(teacher).astype(np.float32),
        "teacher_slices": texture.slices(teacher),
        "teacher_points": judges.faces.find(teacher, points, landmarks.TEACHER_SCORE).astype(np.float32),
        "teacher_opening": judges.eyes.opening(teacher).astype(np.float32),
        **_identities(sample, points, judges, device),
        **{f"gram_{layer}": gram for layer, gram in grams.items()},
        **{f"maps_{layer}": of_teacher[layer].astype(np.float16) for layer in judges.layers},
    }


def _identities(sample: Sample, points: Floats, judges: Judges, device: str) -> Sample:
    """Embeddings of teacher and photo; those of SFace stand beside the teacher's pictures already."""
    if judges.identity.name == SFACE:
        names = {"teacher": "identity", "photo": "photo_identity"}
        return {f"identity_{who}": sample[name].astype(np.float32) for who, name in names.items()}
    pictures = {"teacher": sample["image"], "photo": sample["photo"]}
    return {f"identity_{who}": _embed(images, points, judges, device) for who, images in pictures.items()}


@torch.inference_mode()
def compare(
    batch: Batch, drawn: Bytes, float_drawn: Bytes | None, shared: Sample, judges: Judges, device: str
) -> Table:
    """One row for each picture `drawn`, given what `describe` says of its photo and teacher.

    Columns of one number each, and vectors for statistics of sets: feature_*, identity_*, slices_*, haar_*.
    """
    ssim, ms_ssim = fidelity.structure(drawn, batch.teacher)
    columns: Table = {
        "psnr_db": fidelity.psnr(drawn, batch.teacher),
        "ssim": ssim,
        "ms_ssim": ms_ssim,
        "photo_psnr_db": shared["photo_psnr_db"],
        "haar_student": fidelity.haar_energy(drawn),
        "haar_teacher": shared["teacher_haar"],
        "colour_shift": colour.shift(colour.fields(drawn), shared["teacher_colour"]),
        "style_followed": style.followed(batch.photo, batch.teacher, drawn),
        "style_change": shared["change"],
        "slices_student": texture.slices(drawn),
        "slices_teacher": shared["teacher_slices"],
        "landmark_error": _landmarks(drawn, shared["teacher_points"], batch.points, judges),
        "eye_opening": eyes.opened(judges.eyes.opening(drawn), shared["teacher_opening"]),
        **_features(drawn, shared, judges, device),
        "identity_student": _embed(drawn, batch.points, judges, device),
        **{name: shared[name] for name in ("identity_teacher", "identity_photo")},
    }
    if float_drawn is not None:
        columns |= _against_float(batch, drawn, float_drawn, judges, device)
    columns["identity_delta"] = identity.delta(
        *(np.asarray(columns[f"identity_{who}"], np.float64) for who in ("photo", "student", "teacher"))
    )
    return columns


def _landmarks(drawn: Bytes, teacher: Floats, points: Floats, judges: Judges) -> Floats:
    expected = np.where(np.isnan(teacher), points, teacher)
    found = judges.faces.find(drawn, expected, landmarks.STUDENT_SCORE)
    return landmarks.error(found, teacher)


def _features(drawn: Bytes, shared: Sample, judges: Judges, device: str) -> Table:
    """Everything that one pass through the feature network gives."""
    maps = _maps(drawn, (*judges.layers, *judges.style, judges.head), judges, device)
    grams = [style.gram(maps[layer]) for layer in judges.style]
    targets = [shared[f"maps_{layer}"].astype(np.float32) for layer in judges.layers]
    return {
        "perceptual": fidelity.feature_distance([maps[layer] for layer in judges.layers], targets),
        "gram": style.gram_distance(grams, [shared[f"gram_{layer}"] for layer in judges.style]),
        "gram_photo": shared["photo_gram"],
        "feature_student": maps[judges.head].mean(axis=(2, 3)),
        "feature_teacher": shared["teacher_head"],
        "feature_photo": shared["photo_head"],
    }


def _against_float(batch: Batch, drawn: Bytes, float_drawn: Bytes, judges: Judges, device: str) -> Table:
    columns: Table = {
        "int8_psnr_db": fidelity.psnr(drawn, float_drawn),
        "float_psnr_db": fidelity.psnr(float_drawn, batch.teacher),
    }
    if judges.float_identity:
        columns["identity_float"] = _embed(float_drawn, batch.points, judges, device)
    return columns


def _maps(images: Bytes, layers: Sequence[str], judges: Judges, device: str) -> dict[str, Floats]:
    wanted = tuple(dict.fromkeys(layers))
    found = judges.features.maps(tensor_of(images, device), wanted)
    return {layer: maps.contiguous().cpu().numpy() for layer, maps in zip(wanted, found, strict=True)}


def _embed(images: Bytes, points: Floats, judges: Judges, device: str) -> Floats:
    corners = torch.from_numpy(points.astype(np.float32)).to(device)
    embedding: Floats = judges.identity.embed(tensor_of(images, device), corners).cpu().numpy()
    return embedding
