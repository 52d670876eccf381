"""Stage distill: a tiny student learns, is stored, resumes to the same weights, and stops at NaN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import students
from compress import networks
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, NonFiniteError, StageError
from compress.recipe import DistillSettings, StudentSettings
from compress.shards import ShardWriter
from compress.stages import distill
from compress.steps import DistillStep
from compress.training import loop as training
from compress.training.batches import Batch, Batches

SIZE, COUNT = 32, 12
STUDENT = StudentSettings(width=8, core_resolution=32, blocks=1)
WEIGHTS: Any = {"pixel": 10, "haar": 5, "maps": 5, "taps": 0.01, "identity": 1}


class FakeIdentity(nn.Module):
    """Embeds by mean colour and counts how often it was asked."""

    asked = 0

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        FakeIdentity.asked += 1
        return torch.nn.functional.normalize(images.mean((2, 3)) + 1, dim=1)


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "identity", lambda name: FakeIdentity())


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, Artifact]:
    """Inputs, and targets of a teacher that brightens: gain 0.5, bias 0.4, no flow."""
    rng = np.random.default_rng(0)
    maps = np.repeat([0, 0, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4], 64).reshape(8, 8, 8).astype(np.float16)
    with ShardWriter(tmp_path / "inputs") as inputs, ShardWriter(tmp_path / "targets") as targets:
        for _ in range(COUNT):
            photo = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            image = np.rint(((photo / 127.5 - 1) * 0.5 + 1.4) * 127.5).clip(0, 255).astype(np.uint8)
            inputs.add({"photo": photo, "points": np.zeros((5, 2), np.float32)})
            face = np.full(3, 0.5, np.float16)
            tap = rng.normal(0, 1, (4, 2, 2)).astype(np.float16)
            targets.add({"image": image, "maps": maps, "tap": tap, "identity": face, "photo_identity": face})
    return {name: Artifact(tmp_path / name, {}) for name in ("inputs", "targets")}


def step(images: int, **changes: Any) -> DistillStep:
    plain = {
        "images": images,
        "batch": 4,
        "learning_rate": 0.01,
        "ema": 0.9,
        "weights": WEIGHTS,
        "precision": "float32",
    }
    return DistillStep(**{**plain, "student": STUDENT, **changes})


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made


def test_distill_learns_to_imitate(stored: dict[str, Artifact], tmp_path: Path) -> None:
    before = distill.run(step(4), stored, folder(tmp_path, "one"), Context())
    numbers = distill.run(step(160), stored, folder(tmp_path, "many"), Context())
    assert numbers["psnr_seen_db"] > before["psnr_seen_db"] + 3
    assert numbers["steps"] == 40 and numbers["loss_pixel"] > 0


def test_distill_stores_a_student_that_loads(stored: dict[str, Artifact], tmp_path: Path) -> None:
    out = folder(tmp_path, "out")
    distill.run(step(8), stored, out, Context())
    assert sorted(path.name for path in out.iterdir()) == ["architecture.json", "weights.safetensors"]
    assert students.load(out).record == students.record_for(**STUDENT.model_dump())


def test_finetuning_starts_from_the_student_that_it_is_given(stored: dict[str, Artifact], tmp_path: Path) -> None:
    pruned = students.build(students.record_for("map", 16, 32, 0))
    students.save(pruned, folder(tmp_path, "pruned"))
    fields = step(4, learning_rate=1e-9).model_dump(exclude={"student"})
    given = stored | {"student": Artifact(tmp_path / "pruned", {})}
    distill.run(DistillSettings(**fields), given, folder(tmp_path, "out"), Context())
    weights = students.load(tmp_path / "out").core.get_parameter("stem.0.weight")
    assert torch.allclose(weights, pruned.core.get_parameter("stem.0.weight"), atol=1e-6)


def test_finetuning_of_a_damaged_student_is_a_stage_error(stored: dict[str, Artifact], tmp_path: Path) -> None:
    given = stored | {"student": Artifact(folder(tmp_path, "empty"), {})}
    with pytest.raises(StageError, match=r"architecture.json: is missing"):
        distill.run(step(4), given, folder(tmp_path, "out"), Context())


def test_distill_of_maps_that_the_student_lacks_is_refused(stored: dict[str, Artifact], tmp_path: Path) -> None:
    rgb = StudentSettings(family="rgb", width=8, core_resolution=32, blocks=0)
    with pytest.raises(InputError, match=r"weights.maps: 5 for a student of family rgb, .* set 0"):
        distill.run(step(4, student=rgb), stored, folder(tmp_path, "out"), Context())
    weights = {**WEIGHTS, "maps": 0}
    assert distill.run(step(4, student=rgb, weights=weights), stored, folder(tmp_path, "rgb"), Context())["steps"] == 1


def test_distill_interrupted_and_resumed_gives_the_same_weights(
    stored: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distill.run(step(32), stored, folder(tmp_path, "whole"), Context())
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    iterate = Batches.iterate

    def killed(self: Batches, start: int, stop: int) -> Iterator[Batch]:
        yield from iterate(self, start, 5)
        raise KeyboardInterrupt

    out = folder(tmp_path, "resumed")
    with monkeypatch.context() as once, pytest.raises(KeyboardInterrupt):
        once.setattr(Batches, "iterate", killed)
        distill.run(step(32), stored, out, Context())
    assert (out / "checkpoint.safetensors").exists()
    distill.run(step(32), stored, out, Context())
    whole, resumed = students.load(tmp_path / "whole").state_dict(), students.load(out).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_distill_stops_at_nan_and_keeps_the_last_good_checkpoint(
    stored: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    at, out = Batches.iterate, folder(tmp_path, "out")

    def broken(self: Batches, start: int, stop: int) -> Iterator[Batch]:
        for number, batch in enumerate(at(self, start, stop), start):
            if number == 3:
                batch.photo[0, 0, 0, 0] = float("nan")
            yield batch

    monkeypatch.setattr(Batches, "iterate", broken)
    with pytest.raises(NonFiniteError, match=r"distillation: the loss became nan at step 3; lower its learning_rate"):
        distill.run(step(32), stored, out, Context())
    monkeypatch.undo()
    student = students.build(students.record_for(**STUDENT.model_dump()))
    batches = Batches(distill.Shards(stored["inputs"].path), distill.Shards(stored["targets"].path), 4, 0)
    assert distill.make_training(student, step(32), batches, out, 0).checkpoints.resume() == 3


def test_identity_is_asked_for_rarely_and_late(stored: dict[str, Artifact], tmp_path: Path) -> None:
    assert [number for number in range(64) if distill.identity_due(number, 64)] == [48, 56]
    FakeIdentity.asked = 0
    numbers = distill.run(step(256), stored, folder(tmp_path, "out"), Context())
    assert 1 <= FakeIdentity.asked <= 2
    assert "loss_identity" in numbers


def test_distill_without_dear_losses_loads_nothing_for_them(
    stored: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(networks, "identity")
    plain = step(4, weights={"pixel": 1, "taps": 0, "identity": 0})
    assert set(distill.run(plain, stored, folder(tmp_path, "out"), Context())) >= {"loss_pixel", "steps"}
